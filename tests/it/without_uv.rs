//! Native agents where there is no `uv`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::symlink;
use par_tests::{PackageIndex, TestHost};
use serde_json::json;

use crate::fetched::leftovers;
use crate::native::{agent, fast, files, venvs};

/// Without `uv` the interpreter's own `pip` resolves and installs: the same packages by their digests, and not itself.
#[tokio::test]
async fn where_there_is_no_uv_pip_fills_the_venv() {
    let index = PackageIndex::start([fast()]).await;
    let package = agent().native();
    let setup = || {
        TestHost::agent(&package)
            .env("PAR_POLICY", "version: 1\nnative: allow\n")
            .env("PAR_INDEX_URL", index.url())
            .unset("PAR_UV")
            .env("PATH", without_uv())
    };

    let mut host = setup().start().await;
    assert_eq!(host.get("/fast").await.json(), json!(42));
    assert_eq!(host.stop().await, 0);

    let cache = host.setup().directory().join("cache");
    let [venv] = &venvs(&cache)[..] else { panic!("{:?}", venvs(&cache)) };
    let installed = files(&cache.join("venvs").join(venv).join("lib"));
    assert!(installed.iter().any(|file| file.ends_with("fast/__init__.py")), "{installed:?}");
    assert!(!installed.iter().any(|file| file.components().any(|part| part.as_os_str() == "pip")), "{installed:?}");

    let host = setup().env("PAR_UV", "/nowhere/uv").refused().await;
    let failed = host.wait_for_event("Boot failed").await;
    assert!(failed.text_of("error").ends_with("was not found at `/nowhere/uv`"), "{}", failed.text);
}

/// The search path of the test, but for the directories with `uv`.
fn without_uv() -> OsString {
    #[expect(clippy::disallowed_methods, reason = "a test looks for the programs of the machine")]
    let path = std::env::var_os("PATH").unwrap();
    let directories = std::env::split_paths(&path).filter(|directory| !directory.join("uv").exists());
    std::env::join_paths(directories).unwrap()
}

/// A copy of the machine's CPython below `directory` that shares its library but for `ensurepip`: what Debian has without
/// `python3-venv`.
fn python_without_pip(directory: &Path) -> PathBuf {
    let question = "import sys, os; print(os.path.realpath(sys.executable), os.path.dirname(os.__file__), sep='\\n')";
    #[expect(clippy::disallowed_methods, reason = "the interpreter of the machine says where it is")]
    let mut command = std::process::Command::new("python3");
    let answer = command.args(["-I", "-c", question]).env("PATH", without_uv()).output().unwrap();
    let answer = String::from_utf8(answer.stdout).unwrap();
    let (program, library) = answer.trim().split_once('\n').unwrap();
    let (program, library) = (Path::new(program), Path::new(library));
    let (programs, own) = (directory.join("bin"), directory.join("lib").join(library.file_name().unwrap()));
    fs_err::create_dir_all(&programs).unwrap();
    fs_err::create_dir_all(&own).unwrap();
    for entry in fs_err::read_dir(library).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "ensurepip" {
            symlink(entry.path(), own.join(entry.file_name())).unwrap();
        }
    }
    let copy = programs.join(program.file_name().unwrap());
    fs_err::copy(program, &copy).unwrap();
    copy
}

/// With neither `uv` nor a `pip` a native agent does not start, says what to install, and asks the index nothing; with
/// an interpreter that has one it starts.
#[tokio::test]
async fn where_there_is_neither_uv_nor_pip_a_native_agent_does_not_start() {
    let index = PackageIndex::start([fast()]).await;
    let directory = tempfile::tempdir().unwrap();
    let python = python_without_pip(directory.path());
    let cache = directory.path().join("cache");
    let setup = || {
        TestHost::agent(&agent().native())
            .env("PAR_POLICY", "version: 1\nnative: allow\n")
            .env("PAR_INDEX_URL", index.url())
            .env("PAR_CACHE_DIR", &cache)
            .unset("PAR_UV")
            .env("PATH", without_uv())
    };

    let host = setup().env("PAR_PYTHON", &python).refused().await;

    let failed = host.wait_for_event("Boot failed").await;
    let said = format!("nor the `pip` of `{}` was found, and a native agent needs one of them", python.display());
    assert!(failed.text_of("error").ends_with(&said), "{}", failed.text);
    assert!(failed.text_of("hint").contains("python3-venv"), "{}", failed.text);
    assert_eq!(index.hits(), 0);
    assert_eq!(venvs(&cache), Vec::<String>::new());
    assert_eq!(leftovers(&cache.join("venvs/pips")), Vec::<String>::new());

    let host = setup().start().await;
    assert_eq!(host.get("/fast").await.json(), json!(42));
}
