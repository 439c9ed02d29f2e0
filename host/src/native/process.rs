//! One process of the agent and its whole group: started, ended, reaped.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpgid, kill_process_group, waitid};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::output;

/// How long the processes of a group have between TERM and KILL.
const GRACE: Duration = Duration::from_millis(200);

/// How long output is still read after the end of a process. What the agent started may hold it open.
const LAST_OUTPUT: Duration = Duration::from_millis(200);

/// A process that runs. Dropping it kills its group.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Pid,
    /// True when the process has ended. It is reaped later: until then its number is nobody else's.
    ended: watch::Receiver<bool>,
    output: Vec<JoinHandle<()>>,
    is_over: bool,
}

impl Process {
    /// Takes over a process that was started, the leader of its own group.
    pub(super) fn of(mut child: Child) -> io::Result<Self> {
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let group = id.ok_or_else(|| io::Error::other("the process has ended already"))?;
        let ended = ended(group)?;
        let stdout = child.stdout.take().map(|pipe| tokio::spawn(output::drain(pipe, "stdout")));
        let stderr = child.stderr.take().map(|pipe| tokio::spawn(output::drain(pipe, "stderr")));
        Ok(Self { child, group, ended, output: stdout.into_iter().chain(stderr).collect(), is_over: false })
    }

    /// Its number, for the log.
    pub(super) fn id(&self) -> i32 {
        self.group.as_raw_nonzero().get()
    }

    /// The leader of its group.
    pub(super) fn leader(&self) -> Pid {
        self.group
    }

    /// Lets others go first. What forbids it costs only the courtesy.
    pub(super) fn be_nice(&self, niceness: i32) {
        let _ = rustix::process::setpriority_process(Some(self.group), niceness);
    }

    /// Returns when it has ended. Cancel-safe.
    pub(super) async fn ended(&self) {
        // An error says that nobody watches any more: it has ended, too.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Reaps those of its group whose parent is gone and who have ended: they are children of PAR then.
    pub(super) fn reap_orphans(&self) {
        for orphan in children().filter(|child| *child != self.group) {
            if getpgid(Some(orphan)).is_ok_and(|group| group == self.group) {
                let _ = waitid(WaitId::Pid(orphan), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
            }
        }
    }

    /// Ends it and all of its group, and reaps it; says how it ended.
    pub(super) async fn end(mut self, patience: Duration) -> String {
        if timeout(patience, self.ended()).await.is_err() {
            self.signal(Signal::TERM);
            let _ = timeout(GRACE, self.ended()).await;
        }
        // The leader may have left others behind; its number is still its own.
        self.signal(Signal::KILL);
        // One that has not made its group yet.
        let _ = self.child.start_kill();
        let status = self.child.wait().await;
        self.is_over = true;
        let group = self.group;
        // Whoever was killed ends; the group keeps its number until then.
        tokio::task::spawn_blocking(move || while waitid(WaitId::Pgid(Some(group)), WaitIdOptions::EXITED).is_ok() {});
        for output in &mut self.output {
            if timeout(LAST_OUTPUT, &mut *output).await.is_err() {
                output.abort();
            }
        }
        status.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    fn signal(&self, signal: Signal) {
        // It fails when nobody is left.
        let _ = kill_process_group(self.group, signal);
    }
}

/// Hears of the end of a process without reaping it. The thread ends with the process.
fn ended(process: Pid) -> io::Result<watch::Receiver<bool>> {
    let (sender, ended) = watch::channel(false);
    std::thread::Builder::new().name("process".to_owned()).spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(process), options).is_err_and(|error| error == rustix::io::Errno::INTR) {}
        sender.send_replace(true);
    })?;
    Ok(ended)
}

/// Every child of this process: each thread has its own, and the first one those it adopts.
fn children() -> impl Iterator<Item = Pid> {
    let threads = fs_err::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let texts = threads.filter_map(|thread| fs_err::read_to_string(thread.path().join("children")).ok());
    let numbers = texts.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    numbers.filter_map(|number| Pid::from_raw(number.parse().ok()?))
}

/// Makes this process the parent of those whose own parents end, whatever its number is.
///
/// # Errors
/// What the system says.
pub(super) fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_over {
            self.signal(Signal::KILL);
        }
    }
}
