//! `par check --verdict`: where a package would run, before anybody runs it.

use par_tests::{Package, PackageIndex, Release, TestHost, guest};
use serde_json::{Value, json};

const CODE: &str = "
import subprocess
from typing import TYPE_CHECKING

import pure

try:
    import readline
except ImportError:
    readline = None
if TYPE_CHECKING:
    import stubs_of_nobody

app = None
";

/// What `par check` says of a package, for people and as JSON.
async fn verdict(package: &Package, index: &PackageIndex) -> (String, Value) {
    let setup = TestHost::agent(package).env("PAR_INDEX_URL", index.url());
    let path = setup.package().to_str().unwrap();
    let text = setup.command(["check", "--verdict", path]).await;
    let json = setup.command(["check", "--json", path]).await;
    assert_eq!((text.code, json.code), (0, 0), "{}{}", text.errors, json.errors);
    (text.output.trim_end().to_owned(), json.json())
}

fn pure() -> Release {
    Release::wheel("pure", "1.0", &[("pure/__init__.py", "")])
}

/// Everything is there: the sandbox. What the code can do without, and what would be refused, is said.
#[tokio::test]
async fn a_package_of_python_runs_in_the_sandbox() {
    let constraints = fs_err::read_to_string(guest().join("constraints.txt")).unwrap();
    let carried = constraints.lines().find_map(|line| line.strip_prefix("fastapi==")).unwrap();
    let index = PackageIndex::start([pure(), Release::wheel("fastapi", carried, &[("fastapi/__init__.py", "")])]).await;
    let package = Package::asgi(CODE).file("requirements.txt", "pure\nfastapi\n");

    let (text, json) = verdict(&package, &index).await;

    assert_eq!(json["backend"], "sandbox", "{text}");
    assert_eq!(json["because"], "everything it requires and imports is there");
    let pure = json["distributions"].as_array().unwrap().iter().find(|one| one["name"] == "pure").unwrap();
    let expected = json!({
        "name": "pure", "version": "1.0", "runs": "sandbox", "wheel": "pure-1.0-py3-none-any.whl", "file": null,
        "because": "no native code it needs",
    });
    assert_eq!(*pure, expected);
    let fastapi = json["distributions"].as_array().unwrap().iter().find(|one| one["name"] == "fastapi").unwrap();
    assert_eq!((&fastapi["wheel"], &fastapi["because"]), (&Value::Null, &json!("the guest carries it")));
    let imports: Vec<_> = json["imports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["module"], &one["kind"], &one["optional"]))
        .collect();
    let expected = [
        (&json!("subprocess"), &json!("refuses"), &json!(false)),
        (&json!("readline"), &json!("absent"), &json!(true)),
        (&json!("stubs_of_nobody"), &json!("not-installed"), &json!(true)),
    ];
    assert_eq!(imports, expected);
    assert!(text.contains("sandbox  pure 1.0: no native code it needs, pure-1.0-py3-none-any.whl"), "{text}");
    assert!(
        text.contains("main.py line 8 imports `readline`, which the sandbox does not have, and goes on without it")
    );
    assert!(text.ends_with("backend: sandbox\n  everything it requires and imports is there"), "{text}");
}

/// One file of native code decides, and is named, whatever the tags of its wheel promise.
#[tokio::test]
async fn native_code_is_found_by_content_and_named() {
    let fast = Release::wheel("fast", "2.0", &[("fast/__init__.py", ""), ("fast/_core.so", "\x7fELF\x02\x01\x01")]);
    let index = PackageIndex::start([pure(), fast]).await;
    let package = Package::asgi("import fast\napp = None\n").file("requirements.txt", "pure\nfast\n");

    let (text, json) = verdict(&package, &index).await;

    assert_eq!(json["backend"], "native");
    assert_eq!(json["because"], "fast 2.0 has `fast/_core.so`, which is native code for Linux");
    assert!(
        text.contains("native   fast 2.0: `fast/_core.so` in fast-2.0-py3-none-any.whl is native code for Linux"),
        "{text}"
    );
    assert!(text.contains("sandbox  pure 1.0"), "{text}");
}

/// What cannot be resolved, is not installed or is not Python runs nowhere.
#[tokio::test]
async fn what_is_missing_runs_nowhere() {
    let index = PackageIndex::start([pure()]).await;
    let because = async |main: &str, requirements: &str| {
        let (_, json) = verdict(&Package::asgi(main).file("requirements.txt", requirements), &index).await;
        assert_eq!(json["backend"], "none");
        json["because"].as_str().unwrap().to_owned()
    };

    let unresolved = because("app = None\n", "pure==9\n").await;
    assert!(unresolved.contains("pure==9"), "{unresolved}");
    let missing = because("def later():\n    import requests\n", "pure\n").await;
    assert_eq!(missing, "main.py line 2 imports `requests`, which nothing it requires brings");
    let unreadable = because("print 'hello'\n", "pure\n").await;
    assert!(unreadable.starts_with("main.py line 1 is not Python 3.14: "), "{unreadable}");
}

/// A module of the standard library the sandbox lacks, that the code cannot do without.
#[tokio::test]
async fn a_module_the_sandbox_lacks_needs_the_native_backend() {
    let index = PackageIndex::start([pure()]).await;
    let package = Package::asgi("import pure, curses\napp = None\n").file("requirements.txt", "pure\n");

    let (_, json) = verdict(&package, &index).await;

    assert_eq!(json["backend"], "native");
    assert_eq!(json["because"], "main.py line 1 imports `curses`, which the sandbox does not have");
}
