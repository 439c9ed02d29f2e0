//! What no layer is made of. The allowed twin of every case is `Wheel::pure` in `layers`.

use super::*;

/// Installs one wheel and returns the sentence with which it is refused.
async fn refused(wheel: Wheel) -> String {
    Bench::new().resolving_to(&[wheel]).refusal().await
}

fn thing() -> Wheel {
    Wheel::pure("thing", "1.0")
}

#[tokio::test]
async fn native_code_is_refused_by_content_whatever_the_tags_say() {
    let expected = "agent `weather` needs `thing==1.0`, which has no wheel that runs in the sandbox (`thing/_core.so` is native \
                    code for Linux)";
    assert_eq!(refused(thing().with("thing/_core.so", b"\x7fELF\x02\x01\x01")).await, expected);

    let disguised = refused(thing().with("thing/data.bin", b"\x7fELF\x02\x01\x01")).await;
    assert!(disguised.contains("`thing/data.bin` is native code for Linux"), "{disguised}");
}

#[tokio::test]
async fn a_module_that_would_replace_the_standard_library_or_the_guest_is_refused() {
    for path in ["json.py", "asyncio/__init__.py", "ssl.cpython-314.so", "par_guest/__init__.py", "grpc/__init__.py"] {
        let sentence = refused(thing().with(path, "")).await;
        assert_eq!(
            sentence,
            format!(
                "`thing-1.0-py3-none-any.whl` has `{path}`, which would replace a module of the standard library or of the guest"
            )
        );
    }
    let moved = refused(thing().with("thing-1.0.data/platlib/json.py", "")).await;
    assert!(moved.contains("thing-1.0.data/platlib/json.py"), "{moved}");
}

#[tokio::test]
async fn a_module_that_runs_at_start_is_refused() {
    for path in ["sitecustomize.py", "usercustomize/__init__.py"] {
        let sentence = refused(thing().with(path, "")).await;
        assert_eq!(
            sentence,
            format!("`thing-1.0-py3-none-any.whl` has `{path}`, which the interpreter would run at start")
        );
    }
}

/// Hostile 63: a `RECORD` that is missing, wrong, or silent about a file.
#[tokio::test]
async fn a_record_that_is_not_the_truth_is_refused() {
    let cases = [
        (thing().without_record(), "has an unusable `RECORD`: it is missing"),
        (thing().unrecorded("thing/__init__.py"), "has `thing/__init__.py`, which its `RECORD` does not name"),
        (thing().recorded("thing/gone.py,sha256=AAAA,1\n"), "does not have `thing/gone.py`, which its `RECORD` names"),
        (thing().recorded("thing/__init__.py,,\n"), "has an unusable `RECORD`: it names a file twice"),
        (
            thing().with_record("thing-1.0.dist-info/METADATA,,\n"),
            "has an unusable `RECORD`: it gives no digest for a file",
        ),
        (
            thing().with_record("thing-1.0.dist-info/METADATA,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"),
            "has `thing-1.0.dist-info/METADATA`, which is not what its `RECORD` says",
        ),
        (
            thing().with_record("thing-1.0.dist-info/METADATA,md5=AAAA,0\n"),
            "has an unusable `RECORD`: it uses another digest than SHA-256",
        ),
    ];
    for (wheel, expected) in cases {
        assert_eq!(refused(wheel).await, format!("`thing-1.0-py3-none-any.whl` {expected}"));
    }
}

/// Hostile 62, 63: what a wheel says about itself must be in its form, of its name, and lead nowhere.
#[tokio::test]
async fn metadata_that_is_not_the_wheels_own_is_refused() {
    let scripts = "[console_scripts]\n../../bin/x = thing:main\n";
    let other_name = "Metadata-Version: 2.1\nName: requests\nVersion: 1.0\n";
    let other_version = "Metadata-Version: 2.1\nName: thing\nVersion: 9.9\n";
    let cases = [
        (thing().saying("WHEEL", None), "has an unusable `WHEEL`: it is missing"),
        (
            thing().saying("WHEEL", Some("Wheel-Version: 2.0\n")),
            "has an unusable `WHEEL`: its `Wheel-Version` is not 1",
        ),
        (thing().saying("METADATA", None), "has an unusable `METADATA`: it is missing"),
        (thing().saying("METADATA", Some("Name: thing\n")), "has an unusable `METADATA`: it has no `Version`"),
        (thing().saying("METADATA", Some(other_name)), "says in its `METADATA` that it is `requests` 1.0"),
        (thing().saying("METADATA", Some(other_version)), "says in its `METADATA` that it is `thing` 9.9"),
        (
            thing().saying("entry_points.txt", Some(scripts)),
            "has an unusable `entry_points.txt`: a script has a name that is no file name",
        ),
    ];
    for (wheel, expected) in cases {
        assert_eq!(refused(wheel).await, format!("`thing-1.0-py3-none-any.whl` {expected}"));
    }

    let fine = thing().saying("entry_points.txt", Some("[console_scripts]\nx = thing:main\n"));
    assert!(Bench::new().resolving_to(&[fine]).install(&["thing==1.0"]).await.is_ok());
}

#[tokio::test]
async fn an_unknown_place_in_a_data_directory_is_refused() {
    let sentence = refused(thing().with("thing-1.0.data/stdlib/os.py", "")).await;
    assert!(sentence.ends_with("which belongs in no place of a virtual environment"), "{sentence}");
}

#[tokio::test]
async fn a_second_or_foreign_metadata_directory_is_refused() {
    let sentence = refused(thing().with("requests-9.dist-info/METADATA", "Name: requests\n")).await;
    assert_eq!(sentence, "`thing-1.0-py3-none-any.whl` has not exactly one `.dist-info` directory of its own name");
}

#[tokio::test]
async fn an_entry_outside_the_wheel_is_refused_by_the_archive_rules() {
    let sentence = refused(thing().with("../../etc/cron.d/x", "")).await;
    assert!(sentence.contains("`../../etc/cron.d/x`"), "{sentence}");
}

#[tokio::test]
async fn two_wheels_with_different_files_of_one_name_are_refused() {
    let one = Wheel::pure("one", "1.0").with("shared/__init__.py", "1");
    let two = Wheel::pure("two", "1.0").with("shared/__init__.py", "2");

    let sentence = Bench::new().resolving_to(&[one, two]).refusal().await;

    assert_eq!(
        sentence,
        "`one-1.0-py3-none-any.whl` and `two-1.0-py3-none-any.whl` both install `shared/__init__.py`, with different content"
    );
}

#[tokio::test]
async fn a_wheel_that_is_not_the_one_of_the_lock_is_not_opened() {
    let bench = Bench::new().resolving_to(&[thing()]);
    fs::write(bench.path("wheelhouse").join(thing().file()), thing().with("thing/evil.py", "").bytes()).unwrap();

    let sentence = bench.refusal().await;

    assert!(sentence.starts_with("digest mismatch for `thing-1.0-py3-none-any.whl`\n  expected sha256:"), "{sentence}");
}

#[tokio::test]
async fn a_cached_wheel_that_was_changed_is_fetched_again() {
    let bench = Bench::new().resolving_to(&[thing()]);
    let layer = bench.install(&["thing"]).await.unwrap().unwrap();
    let cached = bench.path("cache/wheels/sha256").join(layer.distributions()[0].sha256.to_hex());
    fs::write(&cached, "poison").unwrap();
    fs::remove_dir_all(bench.path("cache/deps")).unwrap();

    let again = bench.install(&["thing"]).await.unwrap().unwrap();

    assert_eq!(fs::read(&cached).unwrap(), thing().bytes());
    assert!(again.site_packages().join("thing/__init__.py").is_file());
}

#[tokio::test]
async fn a_lock_cannot_point_outside_the_wheelhouse() {
    let bench = Bench::new();
    let outside = bench.path(&thing().file());
    fs::write(&outside, thing().bytes()).unwrap();
    let url = format!("file://{}", outside.display());
    bench.lock(&format!("lock-version = \"1.0\"\n{}", entry(&thing(), &url, Sha256::of(thing().bytes()))));

    let sentence = bench.refusal().await;

    assert_eq!(sentence, "cannot download `thing-1.0-py3-none-any.whl`: it is a file outside the wheelhouse");
}

/// Hostile 64: a wheel that unpacks to too much, and wheels that do so together; one of them alone is installed.
#[tokio::test]
async fn sizes_are_capped_for_one_wheel_and_for_all_together() {
    let large = || thing().with("thing/large.txt", "0123456789abcdef".repeat(4096));
    let other = Wheel::pure("other", "1.0").with("other/large.txt", "0123456789abcdef".repeat(4096));

    let mut bench = Bench::new().resolving_to(&[large(), other]);
    bench.settings.max_layer_bytes = 100_000;
    let sentence = bench.refusal().await;
    assert!(
        sentence.contains("and the wheels before it unpack to more than") || sentence.contains("unpacks to more than"),
        "{sentence}"
    );
    let mut bench = Bench::new().resolving_to(&[large()]);
    bench.settings.max_layer_bytes = 100_000;
    assert!(bench.install(&["thing==1.0"]).await.unwrap().is_some());

    let mut bench = Bench::new().resolving_to(&[large()]);
    bench.settings.max_wheel_bytes = 100;
    let sentence = bench.refusal().await;
    assert!(sentence.contains("it is larger than"), "{sentence}");

    let mut bench = Bench::new().resolving_to(&[large()]);
    bench.settings.max_layer_bytes = 10_000;
    let sentence = bench.refusal().await;
    assert!(sentence.contains("unpacks to more than"), "{sentence}");
}

/// What only others require is left out where they work without it, and the log says so.
#[tokio::test]
async fn what_nobody_misses_is_left_out_unless_the_agent_requires_it_itself() {
    let native = || Wheel::pure("cryptography", "50.0").with("cryptography/_rust.so", b"\x7fELF\x02\x01\x01");
    let bench = Bench::new().resolving_to(&[thing(), native()]);

    let layer = bench.install(&["thing==1.0"]).await.unwrap().unwrap();
    let names: Vec<_> = layer.distributions().iter().map(|one| one.name.to_string()).collect();
    assert_eq!(names, ["thing"]);
    assert!(bench.told("StandIn { name: \"cryptography\""));

    let error = bench.install(&["cryptography==50.0", "thing==1.0"]).await.unwrap_err();
    assert!(error.to_string().contains("`cryptography/_rust.so` is native code for Linux"), "{error}");
}
