//! The machine code of the guest, where the one beside it cannot be used.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use par_tests::{Package, TestHost, guest};

use super::fetched::leftovers;

/// Nobody measures how long compiling takes: on a busy machine, minutes.
const LONG: Duration = Duration::from_secs(900);

/// A guest like the one of the tests, whose machine code others may have written.
pub(crate) fn untrusted(directory: &Path) {
    for name in ["agent.wasm", "constraints.txt", "guest.json", "platform", "python", "wheels"] {
        fs_err::os::unix::fs::symlink(guest().join(name), directory.join(name)).unwrap();
    }
    let code = directory.join("agent.cwasm");
    fs_err::write(&code, "code of somebody else").unwrap();
    fs_err::set_permissions(&code, PermissionsExt::from_mode(0o666)).unwrap();
}

/// Hostile 187: machine code that others could have written is not used: PAR compiles the guest
/// and keeps the result. That takes a while, and both the log and a terminal say so.
#[tokio::test]
async fn a_guest_whose_code_cannot_be_trusted_is_compiled_once() {
    let (directory, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    untrusted(directory.path());
    let host = || {
        let host = TestHost::agent(&Package::example("stdlib")).env("PAR_GUEST_DIR", directory.path());
        host.env("PAR_CACHE_DIR", cache.path()).env("STARTUP_TIMEOUT_SEC", "900")
    };

    let setup = host();
    let path = setup.package().to_owned();
    let mut first = setup.args(["run", "--log-format=json"]).args([path]).at_terminal();
    let says = |text: &str| text.contains("load     compiling the guest for this machine");
    first.shows_within(LONG, "the phase", says).await;
    let ready = |text: &str| text.contains("Ctrl-C ends it.");
    let begun = first.shows_within(LONG, "the start", ready).await;
    assert_eq!(begun.matches("\"Compiling the guest\"").count(), 1, "{begun:?}");
    assert_eq!(first.interrupt().await, 0);
    let kept = leftovers(&cache.path().join("compiled"));
    assert_eq!(kept.len(), 1);

    let mut second = host().spawn();
    assert_eq!(second.booted(LONG).await.event(), "Runtime ready");
    assert_eq!(second.get("/x").await.status, 200);
    assert_eq!(second.events("Compiling the guest").len(), 0);
    assert_eq!(second.stop().await, 0);
    assert_eq!(leftovers(&cache.path().join("compiled")), kept);
}
