//! What a layer holds, and when it is made.

use super::*;

#[tokio::test]
async fn a_pure_wheel_becomes_a_layer_with_a_record_of_its_own() {
    let wheel = Wheel::pure("thing", "1.0")
        .with("thing/data.txt", "text")
        .with("thing-1.0.data/purelib/thing/more.py", "more = 1\n")
        .with("thing-1.0.data/scripts/thing", "#!python\n")
        .with("thing-1.0.data/data/share/man/thing.1", "manual")
        .with("thing.pth", "import os\n")
        .with("thing/__pycache__/old.cpython-314.pyc", "bytecode");
    let bench = Bench::new().resolving_to(&[wheel]);

    let layer = bench.install(&["thing"]).await.unwrap().unwrap();

    let site = layer.site_packages();
    assert_eq!(fs::read_to_string(site.join("thing/__init__.py")).unwrap(), "answer = 42\n");
    assert_eq!(fs::read_to_string(site.join("thing/more.py")).unwrap(), "more = 1\n");
    let record = fs::read_to_string(site.join("thing-1.0.dist-info/RECORD")).unwrap();
    let recorded: Vec<&str> = record.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(
        recorded,
        [
            "thing-1.0.dist-info/METADATA",
            "thing-1.0.dist-info/WHEEL",
            "thing/__init__.py",
            "thing/data.txt",
            "thing/more.py",
            "thing-1.0.dist-info/RECORD"
        ]
    );
    for path in recorded {
        assert!(site.join(path).is_file(), "{path}");
    }
    for absent in ["thing.pth", "thing/__pycache__/old.cpython-314.pyc", "thing-1.0.data"] {
        assert!(!site.join(absent).exists(), "{absent}");
    }
    assert!(bench.told("`site-packages`") || bench.told("a script"), "what was left out is told");
    assert_eq!(layer.distributions().iter().map(|each| each.name.as_str()).collect::<Vec<_>>(), ["thing"]);
    assert!(bench.is_clean());
}

#[tokio::test]
async fn unchanged_requirements_need_neither_resolver_nor_wheels() {
    let bench = Bench::new().resolving_to(&[Wheel::pure("thing", "1.0")]);
    let first = bench.install(&["thing", "click; sys_platform == 'win32'"]).await.unwrap();

    program(&bench.path("uv"), "#!/bin/sh\nexit 7\n");
    fs::remove_dir_all(bench.path("wheelhouse")).unwrap();
    fs::remove_dir_all(bench.path("cache/wheels")).unwrap();
    let again = bench.install(&["click ; sys_platform == 'win32'", "thing"]).await.unwrap();

    assert_eq!(again, first);
    assert!(bench.told("Reused"));
    assert!(bench.install(&["thing", "other"]).await.is_err(), "other requirements do run the resolver");
}

#[tokio::test]
async fn two_packages_with_the_same_wheels_share_a_layer() {
    let bench = Bench::new().resolving_to(&[Wheel::pure("thing", "1.0")]);

    let one = bench.install(&["thing"]).await.unwrap().unwrap();
    let two = bench.install(&["thing>=1"]).await.unwrap().unwrap();

    assert_eq!(one.directory(), two.directory());
}

#[tokio::test]
async fn another_guest_gets_another_layer() {
    let mut bench = Bench::new().resolving_to(&[Wheel::pure("thing", "1.0")]);
    let one = bench.install(&["thing"]).await.unwrap().unwrap();

    bench.constraints = "fastapi==0.165.0\n".to_owned();
    let two = bench.install(&["thing"]).await.unwrap().unwrap();

    assert_ne!(one.digest(), two.digest());
}

#[tokio::test]
async fn no_requirements_are_no_layer_and_no_cache() {
    let bench = Bench::new();

    assert_eq!(bench.install(&[]).await.unwrap(), None);

    assert_eq!(fs::read_dir(bench.path("cache")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_the_guest_carries_is_neither_fetched_nor_unpacked() {
    let carried = Wheel::pure("fastapi", "0.165.0").without_record();
    let mut bench = Bench::new().resolving_to(&[carried.clone(), Wheel::pure("thing", "1.0")]);
    bench.constraints = "FastAPI==0.165.0\n".to_owned();
    fs::remove_file(bench.path("wheelhouse").join(carried.file())).unwrap();

    let layer = bench.install(&["fastapi", "thing"]).await.unwrap().unwrap();

    assert!(layer.site_packages().join("thing").is_dir());
    assert!(!layer.site_packages().join("fastapi").exists());
}

#[tokio::test]
async fn requirements_the_guest_meets_alone_are_no_layer_and_are_remembered() {
    let mut bench = Bench::new().resolving_to(&[Wheel::pure("fastapi", "0.165.0")]);
    bench.constraints = "fastapi==0.165.0\n".to_owned();
    assert_eq!(bench.install(&["fastapi"]).await.unwrap(), None);

    bench.resolver("exit 7");

    assert_eq!(bench.install(&["fastapi"]).await.unwrap(), None);
}

#[tokio::test]
async fn a_wheel_built_for_the_guest_is_used_instead_of_the_one_of_the_index() {
    let native = Wheel::pure("orjson", "3.13.0")
        .tagged("cp314-cp314-manylinux_2_28_x86_64")
        .with("orjson/orjson.so", b"\x7fELF...");
    let built =
        Wheel::pure("orjson", "3.13.0").tagged("cp314-cp314-wasi_wasm32").with("orjson/orjson.so", b"\0asm\x01\0\0\0");
    let bench = Bench::new().resolving_to(&[native]);
    fs::write(bench.path("guest/wheels").join(built.file()), built.bytes()).unwrap();

    let layer = bench.install(&["orjson"]).await.unwrap().unwrap();

    assert_eq!(fs::read(layer.site_packages().join("orjson/orjson.so")).unwrap(), b"\0asm\x01\0\0\0");
}

#[tokio::test]
async fn an_accelerator_with_a_fallback_is_left_out() {
    let wheel = Wheel::pure("markupsafe", "3.0.4")
        .tagged("cp314-cp314-manylinux_2_28_x86_64")
        .with("markupsafe/_speedups.cpython-314-x86_64-linux-gnu.so", b"\x7fELF\x02\x01\x01");
    let bench = Bench::new().resolving_to(&[wheel]);

    let layer = bench.install(&["markupsafe"]).await.unwrap().unwrap();

    assert_eq!(fs::read_dir(layer.site_packages().join("markupsafe")).unwrap().count(), 1);
    assert!(bench.told("_speedups"));
}

#[tokio::test]
async fn a_platform_wheel_without_native_code_is_as_good_as_a_pure_one() {
    let wheel = Wheel::pure("watchdog", "7.1.0").tagged("py3-none-manylinux2014_x86_64");
    let bench = Bench::new().resolving_to(&[wheel]);

    assert!(bench.install(&["watchdog"]).await.unwrap().is_some());
}

#[tokio::test]
async fn parts_of_one_namespace_may_bring_the_same_file() {
    let part = |name| Wheel::pure(name, "1.0").with("google/__init__.py", "__path__ = []\n");
    let bench = Bench::new().resolving_to(&[part("one"), part("two")]);

    let layer = bench.install(&["one", "two"]).await.unwrap().unwrap();

    assert!(layer.site_packages().join("google/__init__.py").is_file());
}

#[tokio::test]
async fn two_installations_at_once_end_with_one_layer() {
    let bench = Bench::new().resolving_to(&[Wheel::pure("thing", "1.0")]);

    let (one, two) = tokio::join!(bench.install(&["thing"]), bench.install(&["thing"]));

    assert_eq!(one.unwrap().unwrap(), two.unwrap().unwrap());
    assert!(bench.is_clean());
}

#[tokio::test]
async fn a_wheelhouse_that_is_not_there_is_told_and_the_index_is_asked() {
    let mut bench = Bench::new();
    bench.settings.wheelhouse = Some(bench.path("nowhere"));
    let seen = bench.path("seen");
    bench.resolver(&format!("echo \"$*\" > {}; echo 'lock-version = \"1.0\"'", seen.display()));

    bench.install(&["thing"]).await.unwrap();

    assert!(bench.told("NoWheelhouse"));
    assert!(!fs::read_to_string(seen).unwrap().contains("--find-links"));
}
