//! The compatibility matrix: packages of the package index, each installed, imported and used in the
//! sandbox by the real program.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::{Package, RunningHost, TestHost, Upstream, repository};

/// Longest time until an agent with one package is up or refused: some bring hundreds of wheels.
const BOOT: Duration = Duration::from_secs(600);

/// Words of models and steps of servers a package may ask for.
const STEPS: usize = 64;

/// One package and what it has to do. Read from `tests/compat/packages.toml`, which says what the fields are.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The distribution, as its project writes it.
    pub name: String,
    /// Whether it is part of the short form.
    pub short: bool,
    requires: String,
    does: String,
    code: String,
}

/// Every package of the matrix, by name.
#[must_use]
pub fn candidates() -> Vec<Candidate> {
    let table: toml::Table = toml::from_str(include_str!("../compat/packages.toml")).unwrap();
    let candidate = |(name, about): (String, toml::Value)| {
        let text = |key: &str| about.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        Candidate {
            requires: text("requires").unwrap_or_else(|| name.clone()),
            short: about.get("short").is_some(),
            does: text("does").unwrap_or_else(|| panic!("`{name}` does nothing")),
            code: text("try").unwrap_or_else(|| panic!("`{name}` tries nothing")),
            name,
        }
    };
    let mut candidates: Vec<_> = table.into_iter().map(candidate).collect();
    candidates.sort_by_key(|candidate| candidate.name.to_lowercase());
    candidates
}

/// What became of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It did what it had to do.
    Works,
    /// It needs native code that was not built for the sandbox; the refusal of PAR.
    Native(String),
    /// Anything else, with its cause.
    Fails(String),
}

/// A package that was tried.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The package.
    pub candidate: Candidate,
    /// The version that was installed; empty when none was.
    pub version: String,
    /// What became of it.
    pub verdict: Verdict,
}

/// Installs a package, imports it and lets it do its one thing. `cache` is where wheels are kept.
pub async fn try_out(candidate: Candidate, cache: Option<&Path>) -> Outcome {
    let upstream = Upstream::http().await;
    for _ in 0..STEPS {
        upstream.step();
    }
    let url = upstream.url("localhost", "");
    let requirements = candidate.requires.split(' ').collect::<Vec<_>>().join("\n");
    let package =
        Package::asgi(include_str!("../it/python/run.py")).file("requirements.txt", format!("{requirements}\n"));
    let policy = format!(
        "version: 1
grant:
  outbound: [\"{url}\"]
  outbound_addresses: [127.0.0.0/8, \"::1\"]
  files: {{scratch_mib: 16}}
"
    );
    let setup = TestHost::agent(&package).env("PAR_POLICY", policy).env("INSTALL_TIMEOUT_SEC", "500");
    let setup = match cache {
        Some(cache) => setup.env("PAR_CACHE_DIR", cache),
        None => setup,
    };
    let host = setup.spawn();
    let line = host.booted(BOOT).await;
    let (version, verdict) = match line.event() {
        "Runtime ready" => use_it(&host, &candidate, &url).await,
        _ => (String::new(), refused(line.text_of("error"))),
    };
    Outcome { candidate, version, verdict }
}

async fn use_it(host: &RunningHost, candidate: &Candidate, url: &str) -> (String, Verdict) {
    let ask = async |code: String| {
        let reply = host.send(host.request(reqwest::Method::POST, "/").body(code)).await;
        if reply.status == 200 { reply.json() } else { serde_json::json!({"lost": reply.error_code()}) }
    };
    let version =
        ask(format!("import importlib.metadata\nreturn importlib.metadata.version({:?})", candidate.name)).await;
    let answer = ask(format!("UPSTREAM = {url:?}\n{}", candidate.code)).await;
    let verdict = match &answer["done"] {
        Value::Bool(true) => Verdict::Works,
        Value::Null => Verdict::Fails(cause(&answer)),
        other => Verdict::Fails(format!("it answered `{other}`")),
    };
    (version["done"].as_str().unwrap_or_default().to_owned(), verdict)
}

/// The exception an attempt ended with, in a line.
fn cause(answer: &Value) -> String {
    let first = &answer["raised"][0];
    let Some(kind) = first["type"].as_str() else {
        return answer["lost"].as_str().unwrap_or("it returned nothing").to_owned();
    };
    format!("`{kind}`: {}", first["text"].as_str().unwrap_or_default())
}

fn refused(error: &str) -> Verdict {
    let text = error.strip_prefix("agent `probe` ").unwrap_or(error).to_owned();
    if text.contains("native code") { Verdict::Native(text) } else { Verdict::Fails(text) }
}

/// The page `docs/compatibility.md`.
#[must_use]
pub fn page(outcomes: &[Outcome]) -> String {
    let works = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Works).count();
    let native = outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Native(_))).count();
    let all = outcomes.len();
    let mut page = format!(
        "# Compatibility

Packages of the package index in the sandbox, made by `just compat`; not edited by hand. Each was resolved and installed by
`par` for an agent that requires nothing else, in its newest version that the guest can have, and asked inside of the sandbox to do one
thing; the code is in [`tests/compat/packages.toml`](../tests/compat/packages.toml). [Python](python.md) says why some things are refused.

| | |
|---|---|
| packages tried | {all} |
| work | {works} ({} %) |
| need native code that is not built for the sandbox | {native} |
| fail for another reason | {} |
| work, of those whose code is Python or was built for the sandbox | {works} of {} ({} %) |

",
        percent(works, all),
        all - works - native,
        all - native,
        percent(works, all - native),
    );
    page.push_str("## Work\n\n| Package | Version | Does |\n|---|---|---|\n");
    for outcome in outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Works) {
        let _ = writeln!(page, "| `{}` | {} | {} |", outcome.candidate.name, outcome.version, outcome.candidate.does);
    }
    page.push_str("\n## Do not work\n\n| Package | Version | Cause |\n|---|---|---|\n");
    for outcome in outcomes {
        let (Verdict::Native(cause) | Verdict::Fails(cause)) = &outcome.verdict else { continue };
        let cause: String = cause.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ");
        let short: String = cause.chars().take(300).collect();
        let _ = writeln!(page, "| `{}` | {} | {short} |", outcome.candidate.name, outcome.version);
    }
    page
}

fn percent(part: usize, whole: usize) -> usize {
    (100 * part).checked_div(whole).unwrap_or_default()
}

/// What the page in the repository says of the packages it has.
#[must_use]
pub fn known() -> BTreeMap<String, Outcome> {
    let page = fs_err::read_to_string(repository().join("docs/compatibility.md")).unwrap_or_default();
    let (works, others) = page.split_once("## Do not work").unwrap_or_default();
    let candidates: BTreeMap<String, Candidate> =
        candidates().into_iter().map(|candidate| (candidate.name.clone(), candidate)).collect();
    let rows = |text: &str, works: bool| -> Vec<(String, Outcome)> {
        let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
        let outcome = |(name, rest): (&str, &str)| {
            let (version, cause) = rest.split_once(" | ").unwrap_or_default();
            let verdict = if works { Verdict::Works } else { refused(&cause.replace("\\|", "|")) };
            let candidate = candidates.get(name)?.clone();
            Some((name.to_owned(), Outcome { candidate, version: version.to_owned(), verdict }))
        };
        cells.filter_map(outcome).collect()
    };
    rows(works, true).into_iter().chain(rows(others, false)).collect()
}
