use proptest::prelude::*;

use super::*;

fn shown(requirements: &[Requirement]) -> Vec<String> {
    requirements.iter().map(ToString::to_string).collect()
}

#[test]
fn requirements_are_read_and_normalized() {
    let text = "\u{feff}# comment\n\nFastAPI >= 0.100.0 , < 1\nuvicorn[Standard,extra_one]==0.*  # why\n\
        zope.interface\ntyping_extensions ; python_version < \"3.13\" and (os_name == 'posix' or extra != \"x\")\n\
        pydantic (>=2.0)\nlong==1 \\\n    --hash=sha256:{zeros} \\\n    --hash=sha256:{zeros}\n";
    let text = text.replace("{zeros}", &"00".repeat(32));

    assert_eq!(
        shown(&parse_lines(text.as_bytes()).unwrap()),
        [
            "fastapi>=0.100.0,<1",
            "uvicorn[extra-one,standard]==0.*",
            "zope-interface",
            "typing-extensions ; python_version < \"3.13\" and (os_name == 'posix' or extra != \"x\")",
            "pydantic>=2.0",
            "long==1",
        ]
    );
}

#[test]
fn a_file_of_comments_asks_for_nothing() {
    assert_eq!(parse_lines(b"# nothing\n\n   # here\n").unwrap(), []);
}

/// Hostile 67: whatever steers an installer, whole or in one word with its value.
#[test]
fn options_are_refused_by_name_and_line_without_their_value() {
    let cases = [
        ("-r base.txt", "-r"),
        ("-rbase.txt", "-r"),
        ("--requirement=base.txt", "--requirement"),
        ("-c constraints.txt", "-c"),
        ("-e .", "-e"),
        ("--editable git+https://x", "--editable"),
        ("-i https://user:s3cret@index.example/simple", "-i"),
        ("--index-url=https://user:s3cret@index.example", "--index-url"),
        ("--extra-index-url https://index.example", "--extra-index-url"),
        ("--find-links ./wheels", "--find-links"),
        ("--no-binary :all:", "--no-binary"),
        ("fastapi --global-option=x", "--global-option"),
        ("fas\\\ntapi --pre", "--pre"),
    ];
    for (line, option) in cases {
        let error = parse_lines(format!("fastapi\n{line}\n").as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`requirements.txt` line 2 has the option `{option}`; only requirements are accepted"),
        );
        assert!(error.hint().is_some());
    }
}

/// Hostile 67: repositories, URLs, files and paths, whose passwords stay out of the message.
#[test]
fn places_are_refused_without_repeating_them() {
    let cases = [
        "git+ssh://git@example.com/x.git",
        "git+https://user:s3cret@example.com/x.git#egg=x",
        "https://example.com/x-1.0-py3-none-any.whl",
        "file:///etc/passwd",
        "x @ https://example.com/x.whl",
        "x@git+https://example.com/x.git",
        "x[extra] @ file:///x",
        "./local",
        "../up",
        "/abs/path",
        "C:\\wheels\\x.whl",
        "wheels/x.whl",
        "x-1.0-py3-none-any.whl",
        ".",
    ];
    for line in cases {
        let error = parse_lines(line.as_bytes()).unwrap_err();
        let expected = RequirementError::Line { file: "requirements.txt", line: 1, because: NotARequirement::Location };
        assert_eq!(error, expected, "{line}");
        assert!(!error.to_string().contains("s3cret"));
    }
}

/// Hostile 68: what would be another requirement, another line, or a marker without end.
#[test]
fn malformed_requirements_are_refused() {
    let cases = [
        ("=1", NotARequirement::Name),
        ("-", NotARequirement::Name),
        ("ümlaut", NotARequirement::Name),
        ("a-", NotARequirement::Name),
        ("${NAME}", NotARequirement::Name),
        ("a b", NotARequirement::Specifier),
        ("a>=", NotARequirement::Specifier),
        ("a>=1 <2", NotARequirement::Specifier),
        ("a>1.*", NotARequirement::Specifier),
        ("a=1", NotARequirement::Specifier),
        ("a==1\u{0}", NotARequirement::Specifier),
        ("a==$(id)", NotARequirement::Specifier),
        ("a[x", NotARequirement::Extras),
        ("a[x y]", NotARequirement::Extras),
        ("a;", NotARequirement::Marker),
        ("a; unknown == '1'", NotARequirement::Marker),
        ("a; python_version < '3", NotARequirement::Marker),
        ("a; os_name == 'x' os_name == 'y'", NotARequirement::Marker),
        ("a; os_name ==\r'x'", NotARequirement::Marker),
        ("a; os_name == 'x'\nand os_name == 'y'", NotARequirement::Marker),
    ];
    for (line, because) in cases {
        assert_eq!(line.parse::<Requirement>().unwrap_err(), because, "{line}");
    }
    let brackets = format!("a; {}os_name == 'x'{}", "(".repeat(9), ")".repeat(9));
    assert_eq!(brackets.parse::<Requirement>().unwrap_err(), NotARequirement::Marker);
    assert_eq!("a".repeat(2000).parse::<Requirement>().unwrap_err(), NotARequirement::TooLong);
}

#[test]
fn only_so_many_requirements_are_read() {
    let lines = |count: usize| (0..count).map(|n| format!("p{n}\n")).collect::<String>();

    assert_eq!(parse_lines(lines(MOST_REQUIREMENTS).as_bytes()).unwrap().len(), MOST_REQUIREMENTS);
    assert_eq!(
        parse_lines(lines(MOST_REQUIREMENTS + 1).as_bytes()).unwrap_err(),
        RequirementError::TooMany { file: "requirements.txt" }
    );
}

#[test]
fn pyproject_states_requirements_only_as_a_list() {
    let stated = b"[project]\nname = 'x'\ndependencies = [\n  'httpx>=0.25',\n  \"redis\",\n]\n";
    assert_eq!(shown(&parse_pyproject(stated).unwrap().unwrap()), ["httpx>=0.25", "redis"]);
    assert_eq!(parse_pyproject(b"[project]\nname='x'\ndynamic=['dependencies']\n").unwrap(), None);
    assert_eq!(parse_pyproject(b"[tool.ruff]\nline-length = 100\n").unwrap(), None);
    assert_eq!(parse_pyproject(b"[project]\ndependencies = []\n").unwrap(), Some(vec![]));
}

#[test]
fn pyproject_errors_name_the_line() {
    let url = b"[project]\ndependencies = [\n  'httpx',\n  'x @ https://example.com/x.whl',\n]\n";
    assert_eq!(
        parse_pyproject(url).unwrap_err().to_string(),
        "`pyproject.toml` line 4 asks for a URL or a path; only names and versions are accepted"
    );
    assert_eq!(
        parse_pyproject(b"[project]\nname =\n").unwrap_err().to_string(),
        "`pyproject.toml` is not valid TOML in line 2"
    );
}

#[test]
fn setup_is_looked_at_and_never_run() {
    let plain = "setup(name='x', install_requires = [\n  'httpx>=0.25', # why\n  \"redis\",\n])";
    let InstallRequires::Plain(requirements) = install_requires(plain) else { panic!("not plain") };
    assert_eq!(shown(&requirements), ["httpx>=0.25", "redis"]);

    assert_eq!(install_requires("setup(install_requires=[])"), InstallRequires::Plain(vec![]));
    assert_eq!(install_requires("setup(name='x')"), InstallRequires::Absent);
    for computed in [
        "setup(install_requires=read())",
        "setup(install_requires=['a'] + more)",
        "setup(install_requires=[f'a{x}'])",
        "setup(install_requires=['a' 'b'])",
        "setup(install_requires=['a\\x62'])",
        "setup(install_requires=['git+https://x'])",
        "setup(install_requires=['a'",
        "install_requires = open('x')",
    ] {
        let seen = install_requires(computed);
        // `['a'] + more` is a list as far as its bracket goes.
        let expected = if computed.contains("+ more") {
            InstallRequires::Plain(vec!["a".parse().unwrap()])
        } else {
            InstallRequires::Computed
        };
        assert_eq!(seen, expected, "{computed}");
    }
}

#[test]
fn only_so_many_requirements_of_setup_are_read() {
    let list = |count: usize| format!("install_requires=[{}]", "'a',".repeat(count));

    assert!(
        matches!(install_requires(&list(MOST_REQUIREMENTS)), InstallRequires::Plain(all) if all.len() == MOST_REQUIREMENTS)
    );
    assert_eq!(install_requires(&list(MOST_REQUIREMENTS + 1)), InstallRequires::Computed);
}

proptest! {
    #[test]
    fn what_is_accepted_reads_the_same_when_written_again(text in "[a-zA-Z0-9._\\[\\],<>=!~*;()'\" -]{0,40}") {
        if let Ok(requirement) = text.parse::<Requirement>() {
            prop_assert_eq!(requirement.to_string().parse::<Requirement>(), Ok(requirement));
        }
    }

    #[test]
    fn an_accepted_requirement_is_one_line_without_a_place(text in "\\PC{0,20}[/:@\\\\\n\r-]{0,2}\\PC{0,20}") {
        if let Ok(requirement) = text.parse::<Requirement>() {
            let written = requirement.to_string();
            prop_assert!(!written.contains(['\n', '\r', '@']) && !written.starts_with('-'));
            prop_assert!(!written.split(" ; ").next().unwrap_or_default().contains(['/', '\\', ':', ' ']));
        }
    }

    #[test]
    fn any_bytes_at_all_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC*") {
        let _ = parse_lines(&bytes);
        let _ = parse_lines(text.as_bytes());
        let _ = parse_pyproject(&bytes);
        let _ = install_requires(&format!("install_requires=[{text}"));
        let _ = install_requires(&String::from_utf8_lossy(&bytes));
    }
}
