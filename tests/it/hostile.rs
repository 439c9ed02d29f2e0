//! An agent that attacks the host from inside: each attack ends with an answer to whoever asked,
//! a host that serves on, and nothing of the agent's where only the host speaks.

use par_tests::{Package, RunningHost, TestHost};

async fn hostile() -> RunningHost {
    let package = Package::asgi(include_str!("python/hostile.py"));
    TestHost::agent(&package).env("REQUEST_TIMEOUT_SEC", "10").start().await
}

/// The status and the code of the error, where it is one of PAR's.
async fn attack(host: &RunningHost, name: &str) -> (u16, String) {
    let reply = host.get(&format!("/{name}")).await;
    let code = if reply.status >= 500 { reply.error_code() } else { String::new() };
    let after = host.get("/ping").await;
    assert_eq!((after.status, after.text()), (200, "\"pong\""), "after {name}\n{}", host.log_text());
    (reply.status, code)
}

/// hostile 79, 137, 139: responses that are none are typed errors; nothing of them reaches the wire.
#[tokio::test]
async fn a_response_that_is_none_is_a_typed_error() {
    let host = hostile().await;

    for (name, code) in [
        ("header_value", "bad_response"),
        ("header_name", "bad_response"),
        ("switching", "bad_response"),
        ("status", "bad_response"),
        ("headers_without_end", "bad_response"),
        ("nothing", "bad_response"),
        ("body_first", "agent_error"),
        ("two_heads", "agent_error"),
        ("wrong_types", "agent_error"),
    ] {
        let (status, answered) = attack(&host, name).await;

        assert_eq!(answered, code, "{name}");
        assert!(status == 502 || status == 500, "{name}: {status}");
    }
    for name in ["header_value", "header_name", "framing"] {
        let raw = host.raw_get(&format!("/{name}")).await;
        assert!(!raw.head.contains("x-forged"), "{raw:?}");
        let framings = ["content-length", "transfer-encoding"].map(|field| raw.head.matches(field).count());
        assert_eq!(framings.iter().sum::<usize>(), 1, "{raw:?}");
    }
}

/// hostile 76: a guest that exhausts its stack or breaks its own machinery costs its instance and no more.
#[tokio::test]
async fn a_guest_that_breaks_itself_costs_its_instance() {
    let host = hostile().await;

    for name in ["recursion", "shim"] {
        let (status, code) = attack(&host, name).await;

        let lost =
            (status, code.as_str()) == (502, "instance_lost") || (status, code.as_str()) == (504, "call_timeout");
        assert!(lost || status == 500 || status == 200, "{name}: {status} {code}");
    }
    assert_eq!(host.health().await.status, 200);
}

/// hostile 78, 81, 85: what a guest may ask of the host costs the host no memory, however often it asks.
#[tokio::test]
async fn calls_of_the_host_do_not_fill_its_memory() {
    let host = hostile().await;
    let attacks = async || {
        for name in ["wakes", "alarms", "foreign_calls", "records", "random"] {
            let (status, code) = attack(&host, name).await;
            assert_eq!(status, 200, "{name}: {code}");
        }
    };
    // The memory of the instance itself grows to what the attacks need, and stays there, but for
    // what is scattered in it. A host that remembered each wake would need 170 MiB more.
    attacks().await;
    let before = resident_kib(&host);

    for _ in 0..3 {
        attacks().await;
    }

    let after = resident_kib(&host);
    assert!(after < before + (64 << 10), "from {before} to {after} KiB");
    assert!(host.lines().iter().all(|line| line.event() != "Forged" && line.text.len() <= 200 << 10));
}

/// hostile 80, 82: open files are limited, and all of them are closed with the instance that opened them.
#[tokio::test]
async fn open_files_are_limited_and_closed_again() {
    let host = hostile().await;

    for _ in 0..8 {
        let (status, code) = attack(&host, "descriptors").await;
        assert!(status == 200 || code == "instance_lost", "{status} {code}");
    }

    // 256 files of the agent once, and not eight times.
    assert!(host.descriptor_room() <= 512, "{}", host.descriptor_room());
}

/// hostile 82: where the process itself may open few files, an agent that opens all of them gets an error, or
/// loses its instance; afterwards the ports take connections as before.
#[tokio::test]
async fn files_an_agent_opened_are_free_again_afterwards() {
    let host = hostile().await;
    let process = rustix::process::Pid::from_raw(i32::try_from(host.id()).unwrap());
    let few = rustix::process::Rlimit { current: Some(128), maximum: Some(128) };
    rustix::process::prlimit(process, rustix::process::Resource::Nofile, few).unwrap();

    for _ in 0..3 {
        attack(&host, "descriptors").await;
        let fresh = host.raw_get("/health").await;
        assert_eq!(fresh.status, 200);
    }
}

fn resident_kib(host: &RunningHost) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{}/status", host.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
