//! Control groups of native agents, where PAR can make them: as root on most machines, nowhere in most containers.

use std::path::{Path, PathBuf};

use par_tests::{Package, RunningHost, TestHost};

use crate::native::gone;

const MAIN: &str = include_str!("python/native.py");

/// Where the kernel keeps the group a process has for a controller, in the version of control groups it has it in.
fn group_of(process: &str, controller: &str) -> PathBuf {
    let lines = fs_err::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
    let found = lines.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let mount = match controllers {
            "" => PathBuf::from("/sys/fs/cgroup"),
            all if all.split(',').any(|one| one == controller) => Path::new("/sys/fs/cgroup").join(controller),
            _ => return None,
        };
        Some(mount.join(path.trim_start_matches('/')))
    });
    found.unwrap_or_default()
}

/// Whether this test itself could make a group in each of its own, as PAR would have to.
fn can_be_made() -> bool {
    ["memory", "pids", "cpu"].iter().all(|controller| {
        let probe = group_of("self", controller).join(format!("par-test-{}", std::process::id()));
        fs_err::create_dir(&probe).and_then(|()| fs_err::remove_dir(&probe)).is_ok()
    })
}

fn setup(more: &str) -> TestHost {
    let policy = format!("version: 1\nnative: allow\n{more}");
    TestHost::agent(&Package::asgi(MAIN).native()).env("PAR_POLICY", policy)
}

fn divides(host: &RunningHost) -> bool {
    host.events("Processes of the agent share the control group of PAR").is_empty()
}

/// All a process starts is counted together, a part of a core holds, and its group goes with it. Where none can be made,
/// the part that nothing else holds is missing.
#[tokio::test]
async fn each_process_has_a_control_group_of_its_own_where_one_can_be_made() {
    let mut host = setup("limits: {cpu_percent: 20}\n").env("PAR_INSTANCES", "1").start().await;
    let process = host.wait_for_event("Process of the agent started").await.detail("process").to_string();
    let parts = host.wait_for_event("Process of the agent confined").await.text_of("parts").to_owned();

    let (own, group) = (group_of(&host.id().to_string(), "pids"), group_of(&process, "pids"));

    assert_eq!(host.get("/process").await.status, 200);
    assert!(divides(&host) || !can_be_made(), "{}", host.log_text());
    assert_eq!(parts.ends_with(", control-group"), divides(&host), "{parts}");
    let is_below = group.file_name().is_some_and(|name| name.to_string_lossy().starts_with("par-agent-"));
    assert_eq!(is_below, divides(&host), "{}", group.display());
    if divides(&host) {
        let cpu = group_of(&process, "cpu");
        let quota = fs_err::read_to_string(cpu.join("cpu.cfs_quota_us"))
            .or_else(|_| fs_err::read_to_string(cpu.join("cpu.max")))
            .unwrap();
        assert_eq!(quota.split_whitespace().next(), Some("20000"));
        assert_eq!(fs_err::read_to_string(group.join("pids.max")).unwrap(), "256\n");
        assert_eq!(host.stop().await, 0);
        assert!(!group.exists() && !cpu.exists(), "{}", group.display());
    } else {
        assert_eq!(group, own);
        let incomplete = host.wait_for("a part that is missing", |line| line.text_of("part") == "control-group").await;
        assert_eq!(incomplete.event(), "Confinement incomplete");
    }
}

/// Where all of the confinement is demanded, an agent that is to have a part of a core does not start without a control
/// group. One without such a limit does.
#[tokio::test]
async fn a_strict_confinement_needs_a_control_group_for_a_part_of_a_core_alone() {
    let strict = |more: &str| setup(&format!("confinement: strict\n{more}")).as_another_user();

    let mut host = strict("limits: {cpu_percent: 20}\n").spawn();
    let started = host.ready_or_gone().await;
    assert_eq!(started, divides(&host), "{}", host.log_text());
    if !started {
        let failed = host.wait_for_event("Boot failed").await;
        let expected = "the confinement of native agents is strict, and `control-group` cannot be applied: ";
        assert!(failed.text_of("error").starts_with(expected), "{}", failed.text);
        gone(host.wait_for_event("Process of the agent started").await.detail("process")).await;
    }

    let host = strict("").start().await;
    assert_eq!(host.get("/process").await.status, 200);
}
