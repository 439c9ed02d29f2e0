//! The machine code of the guest, where the one beside it cannot be used.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use par_tests::{Package, TestHost, guest};

use super::fetched::leftovers;

/// A guest like the one of the tests, whose machine code others may have written.
fn untrusted(directory: &Path) {
    for name in ["agent.wasm", "constraints.txt", "guest.json", "platform", "python", "wheels"] {
        fs_err::os::unix::fs::symlink(guest().join(name), directory.join(name)).unwrap();
    }
    let code = directory.join("agent.cwasm");
    fs_err::write(&code, "code of somebody else").unwrap();
    fs_err::set_permissions(&code, PermissionsExt::from_mode(0o666)).unwrap();
}

/// Hostile 187: machine code that others could have written is not used: PAR compiles the guest
/// and keeps the result.
#[tokio::test]
async fn a_guest_whose_code_cannot_be_trusted_is_compiled_once() {
    let (directory, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    untrusted(directory.path());
    let host = || {
        let host = TestHost::agent(&Package::example("stdlib")).env("PAR_GUEST_DIR", directory.path());
        host.env("PAR_CACHE_DIR", cache.path())
    };

    let first = host().start().await;
    assert_eq!(first.get("/x").await.status, 200);
    assert_eq!(first.events("Compiling the guest").len(), 1);
    let kept = leftovers(&cache.path().join("compiled"));
    assert_eq!(kept.len(), 1);

    let second = host().start().await;
    assert_eq!(second.get("/x").await.status, 200);
    assert_eq!(second.events("Compiling the guest").len(), 0);
}
