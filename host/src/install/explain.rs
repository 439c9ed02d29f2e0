//! The resolver's reasons, in our words and about the agent's requirements.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Unresolvable;
use super::guest::GuestFiles;
use super::resolve::Wanted;
use par_apkg::requirement::ProjectName;

/// Longest piece of the resolver's prose that reaches an error. Unit: bytes.
const LONGEST_REASON: usize = 1500;

/// Why there is no solution, from what the resolver printed.
///
/// The resolver prints one `cause:` paragraph; sentences end in "we can conclude that ...".
pub(super) fn explain(printed: &str, wanted: &[Wanted], guest: &GuestFiles) -> Unresolvable {
    let reason = reason(printed);
    let named = names(&reason);
    let needs: Vec<String> =
        wanted.iter().filter(|wanted| named.contains(&wanted.name)).map(|wanted| wanted.line.clone()).collect();
    let unknown = between(&reason, "Because ", " was not found in the package registry")
        .or_else(|| between(&reason, "Because ", " was not found in the provided package locations"));
    if let Some(name) = unknown {
        return Unresolvable::Unknown { name: name.to_owned(), needs };
    }
    if let Some(name) = guest.all_tied().find(|name| named.contains(name))
        && let Some(carried) = guest.tied(name)
    {
        let same = wanted.iter().any(|wanted| &wanted.name == name);
        let because = if same { None } else { Some(reason) };
        return Unresolvable::ContradictsGuest { needs, carried, because };
    }
    if let Some(which) = between(&reason, "Because ", " has no usable wheels")
        .or_else(|| between(&reason, "Because all versions of ", " have no usable wheels"))
    {
        return Unresolvable::NoWheel { which: which.to_owned(), needs };
    }
    if let Some(which) = between(&reason, "Because there is no version of ", " and ") {
        return Unresolvable::NoVersion { which: which.to_owned(), needs };
    }
    Unresolvable::Other { reason }
}

/// The text after `cause:` (or, failing that, after `error:`) as one line, without the
/// conclusion the reader draws himself.
pub(super) fn reason(printed: &str) -> String {
    let body = printed.split_once("cause:").or_else(|| printed.split_once("error:")).map_or(printed, |(_, body)| body);
    let body = body.split("\nhint:").next().unwrap_or(body);
    let mut line = String::new();
    for word in body.split_whitespace().filter(|word| *word != "cause:") {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|character| !character.is_control()));
    }
    for conclusion in [
        ", we can conclude that your requirements are unsatisfiable.",
        ", we can conclude that the requirements are unsatisfiable.",
    ] {
        if let Some(shorter) = line.strip_suffix(conclusion) {
            line.truncate(shorter.len());
        }
    }
    if let Some((end, _)) = line.char_indices().nth(LONGEST_REASON) {
        line.truncate(end);
        line.push_str("...");
    }
    line
}

/// The agent's requirements that lead to a distribution, from a resolution with one
/// `name==version  # via one, two` line each.
pub(super) fn requirers(annotated: &str, name: &ProjectName, wanted: &[Wanted]) -> Vec<String> {
    let parents: BTreeMap<ProjectName, Vec<ProjectName>> = annotated
        .lines()
        .filter_map(|line| {
            let (pin, via) = line.split_once("# via ")?;
            let names = via.split(',').filter_map(|name| ProjectName::parse(name.trim())).collect();
            Some((ProjectName::parse(pin.split("==").next()?)?, names))
        })
        .collect();
    let mut seen = BTreeSet::from([name]);
    let mut ahead = vec![name];
    while let Some(next) = ahead.pop() {
        ahead.extend(parents.get(next).into_iter().flatten().filter(|parent| seen.insert(parent)));
    }
    wanted.iter().filter(|wanted| seen.contains(&wanted.name)).map(|wanted| wanted.line.clone()).collect()
}

/// Every word that starts with the name of a distribution.
fn names(reason: &str) -> BTreeSet<ProjectName> {
    reason
        .split_whitespace()
        .filter_map(|word| {
            let end = word.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter)));
            ProjectName::parse(word[..end.unwrap_or(word.len())].trim_end_matches('.'))
        })
        .collect()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    let (inside, _) = rest.split_once(after)?;
    (!inside.contains(' ')).then_some(inside)
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::super::InstallError;
    use super::*;

    fn text(printed: &str, wanted: &[&str]) -> String {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("guest.json"), "{}").unwrap();
        fs::write(directory.path().join("constraints.txt"), "fastapi==0.165.0\npydantic-core==2.50.4\n").unwrap();
        let wheels = directory.path().join("wheels");
        fs::create_dir(&wheels).unwrap();
        fs::write(wheels.join("pydantic_core-2.46.5-cp314-cp314-wasi_wasm32.whl"), "").unwrap();
        fs::create_dir_all(directory.path().join("index/pydantic-core")).unwrap();
        let guest = GuestFiles::read(directory.path()).unwrap();
        let wanted: Vec<Wanted> = wanted
            .iter()
            .map(|line| Wanted {
                name: ProjectName::parse(line.split("==").next().unwrap()).unwrap(),
                line: (*line).to_owned(),
            })
            .collect();
        let printed =
            format!("warning: something\nerror: No solution found when resolving dependencies\n  cause: {printed}");
        let unresolvable = explain(&printed, &wanted, &guest);
        InstallError::Unresolvable { package: "weather".to_owned(), unresolvable }.to_string()
    }

    #[test]
    fn a_version_the_guest_does_not_have_names_both_sides() {
        let printed = "Because there is no version of pydantic-core==2.41.4 and you require pydantic-core==2.41.4, we can conclude \
                       that your requirements are unsatisfiable.\n";
        assert_eq!(
            text(printed, &["pydantic-core==2.41.4", "click==8"]),
            "agent `weather` needs `pydantic-core==2.41.4`, but the guest carries `pydantic-core==2.46.5, 2.50.4`"
        );
    }

    #[test]
    fn a_dependency_that_contradicts_the_guest_says_why() {
        let printed = "Because there is no version of pydantic-core==2.41.4 and pydantic==2.12.3 depends on pydantic-core==2.41.4, we \
                       can conclude that pydantic==2.12.3 cannot be used.\n         And because you require pydantic==2.12.3, we can \
                       conclude that your requirements are unsatisfiable.\n\nhint: `pydantic-core` was found on file:///index\n";
        assert_eq!(
            text(printed, &["pydantic==2.12.3"]),
            "agent `weather` needs `pydantic==2.12.3`, but the guest carries `pydantic-core==2.46.5, 2.50.4`: Because there is no \
             version of pydantic-core==2.41.4 and pydantic==2.12.3 depends on pydantic-core==2.41.4, we can conclude that \
             pydantic==2.12.3 cannot be used. And because you require pydantic==2.12.3"
        );
    }

    #[test]
    fn no_wheel_no_version_and_no_such_name_are_told_apart() {
        let hint = "\n\nhint: Wheels are required for `docopt` because building from source is disabled\n";
        let printed = format!(
            "Because all versions of docopt have no usable wheels and you require docopt, we can conclude that your requirements are unsatisfiable.{hint}"
        );
        assert_eq!(text(&printed, &["docopt"]), "agent `weather` needs `docopt`, which has no wheel for Python 3.14");

        let printed = "Because there is no version of httpx==0.0.999 and you require httpx==0.0.999, we can conclude that your requirements are unsatisfiable.";
        assert_eq!(
            text(printed, &["httpx==0.0.999"]),
            "agent `weather` needs `httpx==0.0.999`, which was never published"
        );

        let printed = "Because nosuchdist-xyz-1 was not found in the package registry and you require nosuchdist-xyz-1, we can conclude that your requirements are unsatisfiable.";
        assert_eq!(
            text(printed, &["nosuchdist-xyz-1"]),
            "agent `weather` needs `nosuchdist-xyz-1`, which the package index does not have"
        );
    }

    #[test]
    fn a_missing_dependency_names_the_requirement_it_came_from() {
        let printed = "Because inner==2 has no usable wheels and outer==1 depends on inner==2, we can conclude that outer==1 cannot be used.\n And because you require outer==1, we can conclude that your requirements are unsatisfiable.";
        assert_eq!(
            text(printed, &["outer==1"]),
            "agent `weather` needs `inner==2` (through `outer==1`), which has no wheel for Python 3.14"
        );
    }

    #[test]
    fn the_way_from_a_requirement_to_a_distribution_is_followed() {
        let annotated = "certifi==2026.10.18       # via -r requirements.in, requests\ncffi==2.1.1  # via cryptography\n\
                         cryptography==50.0.2  # via google-auth\ngoogle-auth==2.40  # via google-cloud-storage, -r requirements.in\n\
                         google-cloud-storage==3  # via -r requirements.in\n";
        let name = |text: &str| ProjectName::parse(text).unwrap();
        let wanted = |text: &str| Wanted { name: name(text), line: format!("{text}>=1") };
        let all = [wanted("google-cloud-storage"), wanted("google-auth"), wanted("requests"), wanted("cffi")];

        assert_eq!(requirers(annotated, &name("cffi"), &all[..3]), ["google-cloud-storage>=1", "google-auth>=1"]);
        assert_eq!(requirers(annotated, &name("absent"), &all), Vec::<String>::new());
    }

    #[test]
    fn anything_else_keeps_the_resolvers_own_words_on_one_line_and_short() {
        assert_eq!(
            text("Something\n   else\u{1b}[31m happened", &[]),
            "cannot resolve the requirements of agent `weather`: Something else[31m happened"
        );
        assert!(text(&"x ".repeat(5000), &[]).len() < 1700);
    }
}
