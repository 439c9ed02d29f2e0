//! What must be built before a test can run: the program, the guest, the resolver.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The root of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The program under test: `par` in the directory the tests were built into, or the one of
/// `TEST_PAR`, such as the one of an image.
#[must_use]
pub fn par() -> PathBuf {
    if let Some(installed) = variable("TEST_PAR") {
        return installed.into();
    }
    let test = std::env::current_exe().unwrap();
    // Tests lie in a directory of their own, the benchmark beside the program.
    let beside = test.with_file_name("par");
    let par = if beside.is_file() { beside } else { test.parent().and_then(Path::parent).unwrap().join("par") };
    assert!(par.is_file(), "there is no `{}`; run: cargo build --release --bin par", par.display());
    refuse_stale(&par);
    par
}

/// A test of yesterday's program proves nothing. Cargo writes next to a program which files it
/// was made from.
fn refuse_stale(par: &Path) {
    let built = modified(par).unwrap();
    let list = fs_err::read_to_string(par.with_extension("d")).unwrap();
    let sources = list.split_once(": ").map(|(_, sources)| sources).unwrap_or_default();
    for source in sources.split_whitespace() {
        let source = Path::new(source);
        // A file that is gone is no longer part of it.
        if modified(source).is_some_and(|changed| changed > built) {
            panic!("`{}` is newer than `par`; run: cargo build --release --bin par", source.display());
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs_err::metadata(path).ok()?.modified().ok()
}

/// The guest of `PAR_GUEST_DIR`, else the one `just guest` leaves in `target/`.
#[must_use]
pub fn guest() -> PathBuf {
    let directory = variable("PAR_GUEST_DIR").map_or_else(|| repository().join("target/guest"), PathBuf::from);
    assert!(directory.join("guest.json").is_file(), "there is no guest in `{}`; run: just guest", directory.display());
    fs_err::canonicalize(directory).unwrap()
}

/// What installing dependencies needs of the machine: the resolver, where programs are, and
/// the way to the package index.
pub(crate) fn installing() -> Vec<(&'static str, String)> {
    let cache = variable("PAR_CACHE_DIR")
        .or_else(|| Some(format!("{}/par", variable("XDG_CACHE_HOME")?)))
        .or_else(|| Some(format!("{}/.cache/par", variable("HOME")?)))
        .unwrap_or_default();
    let version = include_str!("../../host/src/install/uv.txt").split_whitespace().next().unwrap().replace("==", "-");
    let uv = variable("PAR_UV").unwrap_or(format!("{cache}/tools/{version}/bin/uv"));
    assert!(Path::new(&uv).is_file(), "there is no `{uv}`; run: just tools");
    let passed = ["PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "PAR_INDEX_URL"];
    let passed = passed.into_iter().filter_map(|name| Some((name, variable(name)?)));
    passed.chain([("PAR_UV", uv)]).collect()
}

/// The package index the resolver asks when nobody names one, or the one that was named.
///
/// # Panics
/// When the resolver does not answer.
#[must_use]
pub fn package_index() -> String {
    let environment = installing();
    if let Some((_, index)) = environment.iter().find(|(name, _)| *name == "PAR_INDEX_URL") {
        return index.clone();
    }
    let uv = environment.iter().find(|(name, _)| *name == "PAR_UV").map(|(_, path)| path.clone()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("requirements.txt"), "click\n").unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test uses the resolver as a program")]
    let mut command = std::process::Command::new(uv);
    command.args(["pip", "compile", "--quiet", "--no-config", "--no-python-downloads", "--emit-index-url"]);
    let output = command.arg("requirements.txt").current_dir(directory.path()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let index = printed.lines().find_map(|line| line.strip_prefix("--index-url "));
    index.expect("the resolver names the index").to_owned()
}

/// Installs distributions into a directory as PAR would choose them: wheels without native code,
/// and those the guest carries.
pub(crate) fn install(target: &Path, distributions: &[&str]) {
    let environment = installing();
    let uv = environment.iter().find(|(name, _)| *name == "PAR_UV").map(|(_, path)| path.clone()).unwrap();
    let guest = guest();
    #[expect(clippy::disallowed_methods, reason = "a test uses the resolver as a program")]
    let mut command = std::process::Command::new(uv);
    command.args(["pip", "install", "--quiet", "--no-config", "--only-binary", ":all:", "--python-version", "3.14"]);
    // The one platform of the resolver that is no machine: it leaves pure wheels only.
    command.args(["--python-platform", "wasm32-pyodide2024", "--target"]).arg(target);
    command.arg("--constraint").arg(guest.join("constraints.txt")).arg("--find-links").arg(guest.join("wheels"));
    if let Some(index) = variable("PAR_INDEX_URL") {
        command.args(["--index-url", &index]);
    }
    let output = command.args(distributions).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Installs one wheel into a directory, without what it requires: for a file it has. `pinned` is a line of requirements with
/// its hash.
pub(crate) fn install_file_of(target: &Path, pinned: &str) {
    let environment = installing();
    let uv = environment.iter().find(|(name, _)| *name == "PAR_UV").map(|(_, path)| path.clone()).unwrap();
    let requirements = target.join("requirements.txt");
    fs_err::write(&requirements, pinned).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test uses the resolver as a program")]
    let mut command = std::process::Command::new(uv);
    command.args(["pip", "install", "--quiet", "--no-config", "--no-deps", "--require-hashes"]);
    command.args(["--only-binary", ":all:", "--python-version", "3.14", "--target"]).arg(target);
    if let Some(index) = variable("PAR_INDEX_URL") {
        command.args(["--index-url", &index]);
    }
    let output = command.arg("--requirement").arg(requirements).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[expect(clippy::disallowed_methods, reason = "tests find the tools of the machine they run on")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
