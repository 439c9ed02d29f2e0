//! Native agents where there is no `uv`.

use std::path::PathBuf;

use par_tests::{PackageIndex, TestHost};
use serde_json::json;

use crate::native::{agent, fast, files, venvs};

/// Without `uv` the interpreter's own `pip` resolves and installs: the same packages by their digests, and not itself.
#[tokio::test]
async fn where_there_is_no_uv_pip_fills_the_venv() {
    let index = PackageIndex::start([fast()]).await;
    #[expect(clippy::disallowed_methods, reason = "a test looks for the programs of the machine")]
    let path = std::env::var_os("PATH").unwrap();
    let without_uv: Vec<PathBuf> =
        std::env::split_paths(&path).filter(|directory| !directory.join("uv").exists()).collect();
    let package = agent().native();
    let setup = || {
        TestHost::agent(&package)
            .env("PAR_POLICY", "version: 1\nnative: allow\n")
            .env("PAR_INDEX_URL", index.url())
            .unset("PAR_UV")
            .env("PATH", std::env::join_paths(&without_uv).unwrap())
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
