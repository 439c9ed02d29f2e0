//! What a native process can do once it is confined: everything a hostile agent tries, as an ordinary user and as
//! root, with landlock and without.
//!
//! `par confined` is what PAR starts as the process of an agent. Here it is started by a stand-in of PAR
//! (`python/stand_in.py`) that leaks descriptors and variables, and becomes `python/confined.py`.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use par_tests::{PATIENCE, par_program};
use rustix::process::geteuid;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

/// An interpreter every user of the machine may run.
const PYTHON: &str = "/usr/bin/python3";

/// Somebody who owns nothing else.
const ORDINARY: u32 = 61_234;

/// Whoever runs PAR.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum User {
    Ordinary,
    Root,
}

/// Whom these tests can be: root can be anybody.
fn users() -> Vec<User> {
    if geteuid().is_root() { vec![User::Ordinary, User::Root] } else { vec![User::Ordinary] }
}

/// The files of one confined process.
struct Bench {
    directory: tempfile::TempDir,
    user: User,
    par: PathBuf,
}

impl Bench {
    fn of(user: User) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        open_to_all(root);
        for name in ["package", "scratch", "other", "beside"] {
            fs_err::create_dir(root.join(name)).unwrap();
        }
        fs_err::write(root.join("package/data.txt"), "0.5").unwrap();
        fs_err::write(root.join("package/confined.py"), include_str!("python/confined.py")).unwrap();
        fs_err::write(root.join("stand_in.py"), include_str!("python/stand_in.py")).unwrap();
        fs_err::write(root.join("other/secret.txt"), "of another agent").unwrap();
        fs_err::set_permissions(root.join("other/secret.txt"), PermissionsExt::from_mode(0o600)).unwrap();
        fs_err::copy(PYTHON, root.join("package/setuid")).unwrap();
        if geteuid().is_root() && user == User::Ordinary {
            for name in ["package", "package/data.txt", "scratch", "other", "other/secret.txt", "beside"] {
                chown(root.join(name), Some(ORDINARY), Some(ORDINARY)).unwrap();
            }
        }
        fs_err::set_permissions(root.join("package/setuid"), PermissionsExt::from_mode(0o4755)).unwrap();
        // What cargo builds may lie where only its owner gets to.
        let par = root.join("par");
        fs_err::copy(par_program(), &par).unwrap();
        Self { directory, user, par }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn confinement(&self, without: &[&str], strict: bool) -> Value {
        json!({
            "readable": [self.path("package")], "writable": [self.path("scratch")], "keep": [],
            "limits": {"memory_bytes": 512 << 20, "tasks": 48, "open_files": 128, "file_bytes": 1 << 20},
            "strict": strict, "without": without,
        })
    }

    /// Confines a command; the answer of the stand-in.
    async fn run(&self, confinement: &Value, command: &[&str]) -> Value {
        let shared = format!("/dev/shm/par-{}", self.path("x").parent().unwrap().file_name().unwrap().display());
        let known = json!({
            "scratch": self.path("scratch"), "package": self.path("package/data.txt"), "shared": shared,
            "other": self.path("other/secret.txt"), "beside": self.path("beside/file"), "memory": 2_u64 << 30,
            "setuid": self.path("package/setuid"),
        });
        let mut arguments = vec![PYTHON.to_owned(), "-I".to_owned(), self.path("stand_in.py").display().to_string()];
        arguments.extend([self.par.display().to_string(), confinement.to_string()]);
        arguments.extend(command.iter().map(|&argument| argument.to_owned()));
        let user = ORDINARY.to_string();
        if geteuid().is_root() && self.user == User::Ordinary {
            let become_ordinary = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--"];
            arguments.splice(0..0, become_ordinary.map(str::to_owned));
        }
        #[expect(clippy::disallowed_methods, reason = "the stand-in of PAR is a process")]
        let mut started = Command::new(&arguments[0]);
        started.args(&arguments[1..]).env("KNOWN", known.to_string()).current_dir(self.directory.path());
        started.stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(PATIENCE, started.output()).await.expect("the stand-in ends").unwrap();
        let _ = fs_err::remove_file(&shared);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Everything the hostile agent tried, and what came of it.
    async fn attempts(&self, without: &[&str]) -> (BTreeMap<String, String>, Value) {
        let agent = self.path("package/confined.py").display().to_string();
        let answer = self.run(&self.confinement(without, false), &[PYTHON, "-I", &agent]).await;
        let output = answer["output"].as_str().unwrap();
        let attempts = serde_json::from_str(output).unwrap_or_else(|error| panic!("{error}: {answer}"));
        (attempts, answer["report"].clone())
    }
}

fn open_to_all(directory: &Path) {
    fs_err::set_permissions(directory, PermissionsExt::from_mode(0o755)).unwrap();
}

/// What the agent may do in any case.
pub(crate) const USES: [&str; 9] = [
    "pair of stream sockets",
    "signal to itself",
    "signal to its own group",
    "write to the scratch directory",
    "read its own package",
    "read what the system says about itself",
    "a thread",
    "its own priority",
    "the granted variable",
];

/// What is refused otherwise than with `EPERM`, with landlock.
const REFUSED: [(&str, &str); 20] = [
    ("clone3", "ENOSYS"),
    ("descriptors it was started with", "EBADF"),
    ("variables of the host", "ENOENT"),
    ("fill the disk", "EFBIG"),
    ("take all memory", "ENOMEM"),
    ("fork without end", "EAGAIN"),
    ("start as root", "ENOEXEC"),
    ("environment of the host", "EACCES"),
    ("memory of the host", "EACCES"),
    ("descriptors of the host", "EACCES"),
    ("root of the host", "EACCES"),
    ("read the file of another agent", "EACCES"),
    ("write beside the scratch directory", "EACCES"),
    ("change its own package", "EACCES"),
    ("fill shared memory", "EACCES"),
    ("execute what it wrote", "EACCES"),
    ("execute a shell", "EACCES"),
    ("open the terminal", "EACCES"),
    ("limits of the host", "EPERM"),
    ("listen", "EPERM"),
];

/// What of it another user than PAR's is refused by the system itself, or by a limit.
const WITHOUT_LANDLOCK: [(&str, &str); 5] = [
    ("fill shared memory", "EFBIG"),
    ("execute what it wrote", "done"),
    ("execute a shell", "done"),
    ("start as root", "EPERM"),
    ("open the terminal", "ENXIO"),
];

/// What is then open to a process of the user PAR runs as: the files of that user.
const OF_THE_SAME_USER: [&str; 3] =
    ["read the file of another agent", "write beside the scratch directory", "change its own package"];

pub(crate) fn expected(attempt: &str, user: User, landlock: bool) -> &'static str {
    if USES.contains(&attempt) || (!landlock && user == User::Ordinary && OF_THE_SAME_USER.contains(&attempt)) {
        return "done";
    }
    let first = if landlock { &[][..] } else { &WITHOUT_LANDLOCK[..] };
    let known = first.iter().chain(&REFUSED).find(|(name, _)| *name == attempt);
    known.map_or("EPERM", |(_, errno)| errno)
}

/// Every attempt of the hostile agent, each with the exact answer of the system.
async fn holds(landlock: bool) {
    for user in users() {
        let bench = Bench::of(user);
        let without = if landlock { &[][..] } else { &["files"][..] };

        let (attempts, report) = bench.attempts(without).await;

        let wanted = attempts.keys().map(|name| (name.clone(), expected(name, user, landlock).to_owned()));
        pretty(&attempts, &wanted.collect(), user);
        assert!(attempts.len() >= USES.len() + 30, "{attempts:?}");
        let missing = report["missing"].as_array().unwrap();
        assert_eq!(missing.is_empty(), landlock, "{report}");
        assert!(missing.iter().all(|missing| ["files", "signals"].contains(&missing["part"].as_str().unwrap())));
    }
}

pub(crate) fn pretty(got: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>, user: User) {
    let wrong: Vec<_> = got.iter().filter(|(name, outcome)| wanted[*name] != **outcome).collect();
    assert!(
        wrong.is_empty(),
        "{user:?}: {:?}",
        wrong.iter().map(|(name, got)| (name, got, &wanted[*name])).collect::<Vec<_>>()
    );
}

/// hostile 157, 159, 160, 161, 162, 163, 164, 165, 166, 167, 168, 174, 175: a confined process reaches nothing outside of
/// itself, whichever way it tries, and works otherwise.
#[tokio::test]
async fn a_confined_process_reaches_nothing() {
    holds(true).await;
}

/// hostile 157, 159, 160, 161, 162, 163, 164, 165, 166, 167, 168, 174, 175: on a kernel without landlock the same holds, but
/// for the files of the user PAR runs as and for programs of the system; and the report says so.
#[tokio::test]
async fn without_landlock_a_confined_process_reaches_files_of_its_user_and_nothing_else() {
    holds(false).await;
}

/// A part that cannot be applied is on the report; where the confinement is strict the process does not start.
#[tokio::test]
async fn a_strict_confinement_runs_nothing_when_a_part_is_missing() {
    for user in users() {
        let bench = Bench::of(user);
        let hello = [PYTHON, "-I", "-c", "print('hello')"];

        let whole = bench.run(&bench.confinement(&[], true), &hello).await;
        let part = bench.run(&bench.confinement(&["files"], true), &hello).await;

        assert_eq!((&whole["code"], &whole["output"]), (&json!(0), &json!("hello\n")), "{whole}");
        assert_eq!(whole["report"]["missing"], json!([]));
        assert_eq!((&part["code"], &part["output"]), (&json!(1), &json!("")), "{part}");
        assert_eq!(part["report"]["missing"][0]["part"], "files");
    }
}

/// Where only root could read what the process needs, it stays root, without capabilities, and says so.
#[tokio::test]
async fn a_process_that_has_to_stay_root_has_no_capability() {
    if !geteuid().is_root() {
        return;
    }
    let bench = Bench::of(User::Root);
    fs_err::set_permissions(bench.directory.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let program =
        "import os; print(os.getuid(), [l.split()[1] for l in open('/proc/self/status') if l.startswith('Cap')])";

    let answer = bench.run(&bench.confinement(&[], false), &[PYTHON, "-I", "-c", program]).await;

    let none = "0000000000000000";
    assert_eq!(answer["output"], format!("0 ['{none}', '{none}', '{none}', '{none}', '{none}']\n"));
    assert_eq!(answer["report"]["missing"][0]["part"], "identity");
    let because = answer["report"]["missing"][0]["because"].as_str().unwrap();
    assert!(because.ends_with("is closed to other users"), "{because}");
}
