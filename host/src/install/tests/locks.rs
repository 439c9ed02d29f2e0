//! Packages that say themselves what is installed.

use super::*;

fn thing() -> Wheel {
    Wheel::pure("thing", "1.0")
}

/// A bench whose resolver fails when it is asked, with wheels in its wheelhouse.
fn without_resolver(wheels: &[Wheel]) -> Bench {
    let bench = Bench::new().resolving_to(wheels);
    bench.resolver("exit 9");
    bench
}

/// A `pylock.toml` as other tools write it.
fn pylock(wheel: &Wheel, extra: &str) -> String {
    let url = format!("https://elsewhere.example/{}", wheel.file());
    format!("lock-version = \"1.0\"\ncreated-by = \"test\"\n{}{extra}", entry(wheel, &url, Sha256::of(wheel.bytes())))
}

/// Hostile 66: with a lock nothing is resolved, and a wheel is taken from where the operator has
/// it, not from where the package says it is.
#[tokio::test]
async fn a_lock_is_installed_as_it_is_and_no_resolver_runs() {
    let bench = without_resolver(&[thing(), Wheel::pure("thing", "2.0")]);

    let layer = bench.install_locked(&["thing"], &pylock(&thing(), "")).await.unwrap().unwrap();

    assert_eq!(layer.distributions()[0].version, "1.0");
    assert_eq!(layer.distributions()[0].sha256, Sha256::of(thing().bytes()));
    assert!(bench.told("Locked") && !bench.told("Resolving"));
}

/// Hostile 66: what `par lock` writes leads to the same tree on another machine; with one other byte in a
/// wheel nothing is installed and the wheel is named.
#[tokio::test]
async fn what_par_lock_writes_leads_to_the_same_tree_and_one_other_byte_is_refused() {
    let bench = Bench::new().resolving_to(&[thing(), Wheel::pure("other", "2.0")]);
    let lock = bench.make_lock(&["thing", "other>=1"]).await.unwrap();
    let tree = bench.install(&["thing", "other>=1"]).await.unwrap().unwrap().tree();
    assert!(lock.contains(&format!("tree = \"{tree}\"")), "{lock}");

    let machine = without_resolver(&[thing(), Wheel::pure("other", "2.0")]);
    let layer = machine.install_locked(&["thing", "other>=1"], &lock).await.unwrap().unwrap();
    assert_eq!(layer.tree(), tree);
    assert!(!machine.told("TreeNotCompared"));

    machine.forget();
    let path = machine.path("wheelhouse").join(thing().file());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = machine.install_locked(&["thing", "other>=1"], &lock).await.unwrap_err();
    assert!(error.to_string().starts_with("digest mismatch for `thing-1.0-py3-none-any.whl`"), "{error}");
    assert!(machine.is_clean());
}

#[tokio::test]
async fn a_tree_that_is_not_the_one_of_the_lock_is_refused() {
    let bench = Bench::new().resolving_to(&[thing()]);
    let lock = bench.make_lock(&["thing"]).await.unwrap();
    let start = lock.find("tree = \"sha256:").unwrap() + "tree = \"sha256:".len();
    let altered = format!("{}{}{}", &lock[..start], "0".repeat(64), &lock[start + 64..]);
    bench.resolver("exit 9");

    let error = bench.install_locked(&["thing"], &altered).await.unwrap_err();

    assert!(error.to_string().contains("do not unpack to the tree of its lock"), "{error}");
    assert!(bench.install_locked(&["thing"], &lock).await.unwrap().is_some());
}

#[tokio::test]
async fn a_lock_for_other_requirements_is_refused_with_the_way_out() {
    let bench = Bench::new().resolving_to(&[thing()]);
    let lock = bench.make_lock(&["thing"]).await.unwrap();
    bench.resolver("exit 9");

    let error = bench.install_locked(&["thing", "more"], &lock).await.unwrap_err();
    assert_eq!(error.to_string(), "`pylock.toml` of agent `weather` was made for other requirements");
    assert_eq!(error.hint().unwrap(), "run `par lock` again, or remove `pylock.toml`");

    let foreign = pylock(&thing(), "");
    let error = bench.install_locked(&["thing", "more"], &foreign).await.unwrap_err();
    assert_eq!(error.to_string(), "`pylock.toml` of agent `weather` does not name `more`");
    let error = bench.install_locked(&["thing==2"], &foreign).await.unwrap_err();
    assert_eq!(error.to_string(), "`pylock.toml` of agent `weather` has `thing==1.0` where `thing==2` is required");
}

#[tokio::test]
async fn a_lock_that_contradicts_the_guest_names_both_sides() {
    let mut bench = without_resolver(&[thing()]);
    bench.constraints = "thing==3.0\n".to_owned();
    fs::create_dir_all(bench.path("guest/index/thing")).unwrap();

    let error = bench.install_locked(&["thing"], &pylock(&thing(), "")).await.unwrap_err();

    assert_eq!(error.to_string(), "agent `weather` needs `thing==1.0`, but the guest carries `thing==3.0`");
}

#[tokio::test]
async fn a_lock_brings_another_version_of_what_the_guest_carries() {
    let mut bench = without_resolver(&[thing()]);
    bench.constraints = "thing==3.0\n".to_owned();

    let layer = bench.install_locked(&["thing"], &pylock(&thing(), "")).await.unwrap().unwrap();

    assert_eq!(layer.distributions()[0].version, "1.0");
    assert!(layer.site_packages().join("thing/__init__.py").is_file());
}

/// Hostile 67: a lock cannot bring in a repository, a directory, an archive or a source distribution.
#[tokio::test]
async fn a_lock_of_anything_but_wheels_is_refused_by_name() {
    let bench = without_resolver(&[thing()]);
    for (key, from) in [
        ("vcs = { type = \"git\", url = \"https://x.example/x\", commit-id = \"00\" }", "a repository"),
        ("directory = { path = \".\" }", "a directory"),
        ("archive = { url = \"https://x.example/x.zip\", hashes = {} }", "an archive"),
        ("sdist = { url = \"https://x.example/x.tar.gz\", hashes = {} }", "a source distribution"),
    ] {
        let lock = pylock(&thing(), &format!("[[packages]]\nname = \"x\"\nversion = \"1\"\n{key}\n"));
        let error = bench.install_locked(&["thing"], &lock).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, format!("the lock takes `x` from {from}; only wheels with a `sha256` are accepted"));
    }
    assert!(bench.install_locked(&["thing"], &pylock(&thing(), "")).await.unwrap().is_some());
}

#[tokio::test]
async fn what_a_lock_has_for_other_systems_is_not_installed() {
    let bench = without_resolver(&[thing()]);
    let windows = "[[packages]]\nname = \"colorama\"\nversion = \"1\"\nmarker = \"sys_platform == 'win32'\"\n\
                   wheels = [{ name = \"colorama-1-py3-none-any.whl\", url = \"https://x.example/colorama-1-py3-none-any.whl\", \
                   hashes = { sha256 = \"00\" } }]\n";

    let layer = bench.install_locked(&["thing"], &pylock(&thing(), windows)).await.unwrap().unwrap();

    assert_eq!(layer.distributions().len(), 1);
}

/// Requirements that all have hashes are a lock: exactly those files, and no resolver.
#[tokio::test]
async fn hashed_requirements_are_installed_as_they_are() {
    let bench = without_resolver(&[thing()]);
    let hashed = |digest: Sha256| {
        let mut requirements = requirements(&["thing==1.0"]);
        requirements.list[0].hashes = vec![digest];
        requirements
    };

    let layer = bench.install_all(&hashed(Sha256::of(thing().bytes()))).await.unwrap().unwrap();
    assert_eq!(layer.distributions()[0].sha256, Sha256::of(thing().bytes()));

    // The wheel is in the cache by now, under its digest.
    fs::remove_dir_all(bench.path("wheelhouse")).unwrap();
    fs::remove_dir_all(bench.path("cache/deps")).unwrap();
    assert!(bench.install_all(&hashed(Sha256::of(thing().bytes()))).await.unwrap().is_some());
}

#[tokio::test]
async fn a_wheel_with_another_hash_than_the_requirement_is_refused_by_name() {
    let mut bench = without_resolver(&[thing()]);
    bench.settings.offline = true;
    let mut requirements = requirements(&["thing==1.0"]);
    requirements.list[0].hashes = vec![Sha256::of("another")];

    let error = bench.install_all(&requirements).await.unwrap_err();

    assert!(error.to_string().starts_with("digest mismatch for `thing-1.0-py3-none-any.whl`"), "{error}");
}

#[tokio::test]
async fn hashes_for_some_requirements_only_are_refused() {
    let bench = without_resolver(&[thing()]);
    let mut requirements = requirements(&["thing==1.0", "other"]);
    requirements.list[0].hashes = vec![Sha256::of("x")];

    let error = bench.install_all(&requirements).await.unwrap_err();

    assert_eq!(
        error.to_string(),
        "agent `weather` has hashes for some requirements and none, or no exact version, for `other`"
    );
}

/// Offline means that nobody is asked.
#[tokio::test]
async fn offline_a_pinned_wheel_that_is_not_here_is_an_error_with_its_name() {
    let mut bench = without_resolver(&[]);
    bench.settings.offline = true;

    let error = bench.install_locked(&["thing"], &pylock(&thing(), "")).await.unwrap_err();

    assert_eq!(error.to_string(), "`thing==1.0` cannot be found");
    assert_eq!(error.hint().unwrap(), "add the wheel to `WHEELHOUSE_DIR`, or let the index be asked");
}

#[tokio::test]
async fn the_lock_names_no_credentials_and_what_the_guest_carries() {
    let mut bench = Bench::new();
    bench.constraints = "fastapi==0.165.0\nunused==1\n".to_owned();
    let (thing, fastapi) = (thing(), Wheel::pure("fastapi", "0.165.0"));
    fs::write(bench.path("wheelhouse").join(thing.file()), thing.bytes()).unwrap();
    let place = format!("https://user:5ec4e7@index.example/{}?token=5ec4e7#x", thing.file());
    let digest = Sha256::of(thing.bytes());
    bench.lock(&format!(
        "lock-version = \"1.0\"\n{}{}",
        entry(&thing, &place, digest),
        entry(&fastapi, "https://index.example/fastapi-0.165.0-py3-none-any.whl", Sha256::of("x"))
    ));
    // The wheel is in the cache, so nothing is fetched.
    fs::create_dir_all(bench.path("cache/wheels/sha256")).unwrap();
    fs::write(bench.path("cache/wheels/sha256").join(digest.to_hex()), thing.bytes()).unwrap();

    let lock = bench.make_lock(&["fastapi", "thing"]).await.unwrap();

    assert!(lock.contains("url = \"https://index.example/thing-1.0-py3-none-any.whl\""), "{lock}");
    assert!(lock.contains("[tool.par.carried]\nfastapi = \"0.165.0\"\n") && !lock.contains("unused"), "{lock}");
    assert!(!lock.contains("5ec4e7"), "{lock}");
}
