//! Manifests that want to be read as something else than they look like, each with one that differs from it in
//! the trick alone and is accepted.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use par_apkg::Package;
use par_apkg::archive::ArchiveLimits;

/// Opens a package of one module `main` and this manifest.
fn open(manifest: impl AsRef<[u8]>) -> Result<Package, String> {
    let package = tempfile::tempdir().unwrap();
    fs_err::write(package.path().join("agent.yaml"), manifest).unwrap();
    fs_err::write(package.path().join("main.py"), "").unwrap();
    Package::open(package.path(), Path::new("unused"), ArchiveLimits::PACKAGE).map_err(|error| {
        let hint = error.hint().map(|hint| format!("\n{hint}"));
        format!("{error}{}", hint.unwrap_or_default())
    })
}

fn refusal(manifest: impl AsRef<[u8]>) -> String {
    open(manifest).expect_err("it should have been refused")
}

const START: &str = "name: weather\nversion: \"1\"\na2a: {}\n";

/// A manifest of these lines, the first of which is line 4.
fn with(lines: &str) -> String {
    format!("{START}{lines}")
}

/// Hostile 39, 40: aliases are refused, whatever they would have become; the memory they cost is measured apart.
#[test]
fn aliases_are_refused() {
    let anchor = "has an anchor or alias (`&` or `*`), which is not accepted";
    let bomb = with("metadata:\n  a: &a [x, x]\n  b: &b [*a, *a]\n  c: [*b, *b]\n");
    assert_eq!(refusal(bomb), format!("`agent.yaml` line 5 {anchor}"));
    assert_eq!(refusal(with("description: *x\n")), format!("`agent.yaml` line 4 {anchor}"));

    assert!(open(with("metadata:\n  a: [x, x]\n  b: [\"*a\", \"&a\"]\n")).is_ok());
}

/// Hostile 41: levels that only cost the parser its stack.
#[test]
fn levels_are_counted() {
    let nested = |levels: usize| with(&format!("metadata: {{a: {}{}}}\n", "[".repeat(levels), "]".repeat(levels)));

    for levels in [31, 1000, 100_000] {
        assert_eq!(refusal(nested(levels)), "`agent.yaml` line 4 is nested deeper than 32 levels", "{levels}");
    }
    assert!(open(nested(29)).is_ok());
}

/// Hostile 43: a key that is there twice means neither.
#[test]
fn a_key_twice_is_refused() {
    for (lines, key, line) in [
        ("description: a\ndescription: b\n", "description", 5),
        ("environment:\n  A: x\n  A: y\n", "A", 6),
        ("metadata:\n  a:\n    b: 1\n    b: 2\n", "b", 7),
        ("a2a: {}\n", "a2a", 4),
        ("\"a2a\": {}\n", "a2a", 4),
    ] {
        assert_eq!(refusal(with(lines)), format!("`agent.yaml` line {line} has the key `{key}` twice"));
    }
    assert!(open(with("environment:\n  A: x\n  a: y\n")).is_ok());
}

/// Hostile 44: a merge key brings keys nobody sees.
#[test]
fn a_merge_key_is_refused() {
    let merge = "has a merge key (`<<`), which is not accepted";
    assert_eq!(refusal(with("<<: {environment: {A: x}}\n")), format!("`agent.yaml` line 4 {merge}"));
    assert_eq!(refusal(with("environment:\n  <<: {A: x}\n")), format!("`agent.yaml` line 5 {merge}"));

    assert!(open(with("environment: {A: \"<<\"}\n")).is_ok());
}

/// Hostile 45: one file is one document.
#[test]
fn a_second_document_is_refused() {
    for lines in ["---\nname: other\n", "...\n---\nname: other\n", "---\n"] {
        let sentence = refusal(with(lines));
        assert!(sentence.ends_with("has a second document"), "{sentence}");
    }
    assert!(open(format!("---\n{START}...\n")).is_ok());
}

/// Hostile 46: a key that is misspelt is not a key that is absent.
#[test]
fn a_misspelt_key_is_refused_with_the_one_that_was_meant() {
    for (key, meant) in [("enviroment", "environment"), ("discription", "description"), ("Runtime", "runtime")] {
        assert_eq!(
            refusal(with(&format!("{key}: x\n"))),
            format!("unknown key `{key}` in `agent.yaml` line 4\ndid you mean `{meant}`?")
        );
    }
    assert_eq!(
        refusal(with("rest:\n  entyr: main:mount\n")),
        "unknown key `rest.entyr` in `agent.yaml` line 5\ndid you mean `rest.entry`?"
    );
    assert_eq!(
        refusal(with("netwrok: {}\n")),
        "unknown key `netwrok` in `agent.yaml` line 4\nkeys of your own go under `metadata`"
    );
    assert!(open(with("metadata:\n  netwrok: {}\n")).is_ok());
}

/// Hostile 47: a tag chooses a type for the reader.
#[test]
fn tags_are_refused() {
    for (tag, shown) in [
        ("!!python/object/apply:os.system", "tag:yaml.org,2002:python/object/apply:os.system"),
        ("!include", "!include"),
        ("!!binary", "tag:yaml.org,2002:binary"),
        ("!<tag:example.com,2000:x>", "tag:example.com,2000:x"),
    ] {
        assert_eq!(
            refusal(with(&format!("description: {tag} aGk=\n"))),
            format!("`agent.yaml` line 4 has the tag `{shown}`; tags are not accepted")
        );
    }
    assert!(open(with("description: \"!include x\"\n")).is_ok());
}

/// Hostile 48: what looks like a word stays one, and what is a number is no word.
#[test]
fn values_are_what_they_look_like() {
    for text in ["1.0", "010", "0x1F", "1e3", "0o17", "-1", "+1"] {
        assert_eq!(
            refusal(format!("name: weather\nversion: {text}\na2a: {{}}\n")),
            format!(
                "invalid `version` in `agent.yaml` line 2: expected a string, got the number `{text}`\nquote it: `version: \"{text}\"`"
            )
        );
        assert!(open(with(&format!("description: \"{text}\"\n"))).is_ok());
    }
    for (text, got) in [("true", "the boolean `true`"), ("123", "the number `123`"), ("~", "missing")] {
        let sentence = refusal(format!("name: {text}\nversion: \"1\"\na2a: {{}}\n"));
        assert!(sentence.contains(got), "{sentence}");
    }
    for text in ["no", "yes", "on", "off", "y", "1:30", "22:22", "2001-01-01", "NO"] {
        let package = open(with(&format!("description: {text}\n"))).unwrap();
        assert_eq!(package.manifest.description, text);
    }
}

/// Hostile 49: bytes that two readers see differently, or that nobody sees.
#[test]
fn hidden_and_foreign_bytes_are_refused() {
    let hidden = "`agent.yaml` line 4 has a control character or an invisible character";
    for character in ['\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{200b}', '\u{202e}', '\u{2028}', '\u{2066}', '\u{feff}'] {
        assert_eq!(refusal(with(&format!("description: a{character}b\n"))), hidden, "{character:?}");
    }
    let utf16 = |to_bytes: fn(u16) -> [u8; 2]| START.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
    for bytes in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
        assert_eq!(refusal(bytes), "`agent.yaml` line 1 has a control character or an invisible character");
    }
    let marked = [&[0xff, 0xfe][..], &utf16(u16::to_le_bytes)].concat();
    assert_eq!(refusal(marked), "`agent.yaml` is not UTF-8 text");
    assert_eq!(refusal([START.as_bytes(), b"description: caf\xe9\n"].concat()), "`agent.yaml` is not UTF-8 text");
    let tabs = refusal(with("metadata:\n\ta: 1\n"));
    assert!(tabs.starts_with("`agent.yaml` line 5 is not valid YAML: tabs"), "{tabs}");

    let fine = format!("\u{feff}{}", with("description: caf\u{e9} \u{1f469}\u{200d}\u{1f680}\r\nlicense: a\tb\n"));
    assert!(open(fine).is_ok());
}

/// Hostile 50: an entry point is a name in a file of the package, and nothing that could be run on the way.
#[test]
fn entry_points_are_names_in_the_package() {
    for (entry, because) in [
        ("../evil:main", "`../evil:main` is not `module:function`"),
        ("/etc/x:main", "`/etc/x:main` is not `module:function`"),
        ("a/b:main", "`a/b:main` is not `module:function`"),
        ("main:f()", "`main:f()` is not `module:function`"),
        ("main:f.g", "`main:f.g` is not `module:function`"),
        ("main:a:b", "`main:a:b` is not `module:function`"),
        ("main;x:f", "`main;x:f` is not `module:function`"),
        ("main :f", "`main :f` is not `module:function`"),
        (".main:f", "`.main:f` is not `module:function`"),
        ("main..x:f", "`main..x:f` is not `module:function`"),
        ("main:lambda", "`main:lambda` names a Python keyword"),
        ("import:x", "`import:x` names a Python keyword"),
        ("main:__globals__", "`main:__globals__` names something private to Python"),
        ("__main__:x", "`__main__:x` names something private to Python"),
        ("m\u{430}in:f", "`m\u{430}in:f` has a letter that is not one of `a` to `z`"),
        ("os:system", "the package has no module `os`"),
        ("builtins:exec", "the package has no module `builtins`"),
        ("json.tool:main", "the package has no module `json.tool`"),
        ("requests:get", "the package has no module `requests`"),
    ] {
        for (key, lines) in [
            ("rest.entry", format!("rest:\n  entry: \"{entry}\"\n")),
            ("ui.entry", format!("ui:\n  entry: \"{entry}\"\n")),
            ("a2a.service", format!("a2a:\n  service: \"{entry}\"\n")),
        ] {
            let manifest = format!("name: weather\nversion: \"1\"\n{lines}");
            let sentence = refusal(manifest);
            assert!(sentence.starts_with(&format!("invalid `{key}` in `agent.yaml` line 4: {because}")), "{sentence}");
        }
    }
    for entry in ["main:mount", "main:_private", "main:f1"] {
        assert!(open(format!("name: weather\nversion: \"1\"\nrest:\n  entry: {entry}\n")).is_ok(), "{entry}");
    }
}

/// Hostile 55: a version is a version, and a format that is not there yet is not guessed at.
#[test]
fn versions_and_later_formats_are_not_guessed() {
    let version = |text: &str| format!("name: weather\nversion: \"{text}\"\na2a: {{}}\n");
    for text in ["", " ", "one two", "1/2", "../1", "1..2", "-1", "1-", "v1 ", "\u{661}.0", &"1".repeat(65)] {
        let sentence = refusal(version(text));
        assert!(
            sentence.starts_with("invalid `version` in `agent.yaml` line 2: expected letters, digits"),
            "{sentence}"
        );
    }
    for (key, hint) in [
        ("schema_version", "keys of your own go under `metadata`"),
        ("apiVersion", "keys of your own go under `metadata`"),
    ] {
        assert_eq!(
            refusal(with(&format!("{key}: 99\n"))),
            format!("unknown key `{key}` in `agent.yaml` line 4\n{hint}")
        );
    }
    for text in ["1", "1.0", "0.3.0-rc.1+build.5", "2026.11.21", "1!2.0", &"1".repeat(64)] {
        assert_eq!(open(version(text)).unwrap().manifest.version.as_str(), text);
    }
}
