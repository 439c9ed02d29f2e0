//! What Python says of the distributions beside an agent, in the sandbox.

use par_tests::{Package, PackageIndex, Release, TestHost};
use reqwest::Method;
use serde_json::{Value, json};

/// A distribution with data, a part of a namespace, and an extra.
fn thing() -> Release {
    let points = "[par.words]\nhello = thing:hello\n\n[console_scripts]\nthing = thing:main\n";
    let files = [
        ("thing/__init__.py", "def hello():\n    return 'hello'\n"),
        ("thing/words/list.txt", "one\ntwo\n"),
        ("thing/words/__init__.py", ""),
        ("family/thing.py", "name = 'thing'\n"),
        ("thing-1.2.dist-info/entry_points.txt", points),
        ("thing-1.2.dist-info/licenses/LICENSE", "Do what you like.\n"),
    ];
    Release::wheel_of("thing", "1.2", "other; extra == 'more'", &files)
}

fn other() -> Release {
    Release::wheel("other", "3.0", &[("family/other.py", "name = 'other'\n")])
}

/// What is asked, and the answer.
const ASKED: &str = r#"
from importlib import metadata
return [metadata.version("Thing"), metadata.metadata("thing")["Name"], metadata.requires("thing")]
# ["1.2", "thing", ["other; extra == 'more'"]]
from importlib import metadata
[point] = metadata.entry_points(group="par.words")
return [point.name, point.value, point.dist.name, point.load()()]
# ["hello", "thing:hello", "thing", "hello"]
from importlib import metadata
return sorted(each.name for each in metadata.distribution("thing").entry_points)
# ["hello", "thing"]
from importlib import metadata
[file] = [file for file in metadata.files("thing") if file.name == "list.txt"]
return [str(file), file.read_text(), str(file.locate()), file.hash.mode, file.size]
# ["thing/words/list.txt", "one\ntwo\n", "/deps/lib/python3.14/site-packages/thing/words/list.txt", "sha256", 8]
from importlib import metadata
return [metadata.distribution("thing").read_text("licenses/LICENSE"), sorted(metadata.packages_distributions()["family"])]
# ["Do what you like.\n", ["other", "thing"]]
from importlib import metadata
names = {each.name for each in metadata.distributions()}
return ["thing" in names, "other" in names, "fastapi" in names]
# [true, true, true]
from importlib import metadata
try:
    metadata.version("nothing")
except metadata.PackageNotFoundError as error:
    return str(error)
# "No package metadata was found for nothing"
from importlib import resources
return [resources.read_text("thing.words", "list.txt"), resources.files("thing").joinpath("words/list.txt").read_bytes().decode()]
# ["one\ntwo\n", "one\ntwo\n"]
from importlib import resources
with resources.as_file(resources.files("thing") / "words") as path:
    return [str(path), sorted(each.name for each in path.iterdir() if each.is_file())]
# ["/deps/lib/python3.14/site-packages/thing/words", ["__init__.py", "list.txt"]]
import pkgutil
return [pkgutil.get_data("thing", "words/list.txt").decode(), sorted(each.name for each in pkgutil.iter_modules(__import__("family").__path__))]
# ["one\ntwo\n", ["other", "thing"]]
import family.thing, family.other
return [family.thing.name, family.other.name]
# ["thing", "other"]
import importlib.util, inspect, thing
return [importlib.util.find_spec("thing.words").origin, importlib.util.find_spec("nothing"), inspect.getsource(thing.hello).splitlines()[0]]
# ["/deps/lib/python3.14/site-packages/thing/words/__init__.py", null, "def hello():"]
import importlib.resources
return importlib.resources.files("probing").joinpath("own.txt").read_text()
# "of the package"
"#;

/// `importlib.metadata`, `importlib.resources`, `pkgutil` and namespaces see what an agent requires as they would in a
/// virtual environment, and the files of its own package.
#[tokio::test]
async fn what_is_installed_is_seen_as_in_a_virtual_environment() {
    let index = PackageIndex::start([thing(), other()]).await;
    let package = Package::asgi(include_str!("python/run.py"))
        .file("probing/__init__.py", "")
        .file("probing/own.txt", "of the package")
        .file("requirements.txt", "thing[more]\n");
    let host = TestHost::agent(&package).env("PAR_INDEX_URL", index.url()).start().await;

    let mut code = String::new();
    let mut asked = 0;
    for line in ASKED.trim().lines() {
        let Some(expected) = line.strip_prefix("# ") else {
            code += line;
            code.push('\n');
            continue;
        };
        let answer = host.send(host.request(Method::POST, "/").body(std::mem::take(&mut code))).await.json();
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(answer, json!({"done": expected}), "{line}");
        asked += 1;
    }
    assert_eq!(asked, 13);
}
