use cap_std::ambient_authority;
use cap_std::fs::Dir;
use proptest::prelude::*;

use super::Manifest;
use super::names::{EntryPoint, PackageName, PackageVersion};

/// Manifests with something wrong in the middle.
fn damaged_manifest() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("a2a: {}\n"),
        Just("rest:\n  entry: "),
        Just("main:mount\n"),
        Just("ui:\n  path: "),
        Just("../x\n"),
        Just("metadata:\n  - "),
        Just("environment:\n  A: "),
        Just("${A:-"),
        Just("}\n"),
        Just("- "),
        Just("? "),
        Just("[{"),
        Just("}]\n"),
        Just("&a "),
        Just("*a\n"),
        Just("!!str "),
        Just("<<: "),
        Just("---\n"),
        Just("\t"),
        Just("\"\\x00\"\n"),
        Just("|\n  "),
        Just("1.0\n"),
        Just("\u{feff}"),
        Just("exports:\n  - name: x\n    handler: "),
    ];
    let any_part = prop_oneof![4 => part.prop_map(str::to_owned), 1 => "\\PC{0,6}"];
    prop::collection::vec(any_part, 0..10).prop_map(|parts| format!("name: x\nversion: \"1\"\n{}", parts.concat()))
}

proptest! {
    #[test]
    fn a_damaged_manifest_is_refused_in_one_line_or_right(text in damaged_manifest(), bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let package = tempfile::tempdir().unwrap();
        let package = Dir::open_ambient_dir(package.path(), ambient_authority()).unwrap();
        for input in [text.as_bytes(), &bytes] {
            if let Err(error) = Manifest::parse(input, &package) {
                let shown = format!("{error}{}", error.hint().unwrap_or_default());
                prop_assert!(!shown.contains(|other: char| other.is_control()), "{shown:?}");
                prop_assert!(shown.len() < 1500, "{shown:?}");
            }
        }
    }

    #[test]
    fn accepted_names_are_one_plain_path_component(text in "[a-z./\\\\ :\u{0}-\u{1f}é-]{0,12}") {
        for accepted in [
            PackageName::parse(&text).map(|name| name.to_string()),
            PackageVersion::parse(&text).map(|version| version.to_string()),
        ].into_iter().flatten() {
            let components: Vec<_> = std::path::Path::new(&accepted).components().collect();
            prop_assert_eq!(components, [std::path::Component::Normal(accepted.as_ref())]);
        }
    }

    #[test]
    fn accepted_entry_points_are_two_plain_names(text in "[a-z_.:()]{0,12}|\\PC{0,12}") {
        if let Ok(entry) = EntryPoint::parse(&text) {
            prop_assert_eq!(entry.to_string(), text.clone());
            let plain = |part: &str| !part.is_empty() && !part.starts_with("__")
                && part.chars().all(|other| other == '_' || other.is_ascii_alphanumeric());
            prop_assert!(text.split([':', '.']).all(plain));
            prop_assert_eq!(text.matches(':').count(), 1);
        }
    }
}
