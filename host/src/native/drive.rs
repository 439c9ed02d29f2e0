//! Runs one process of the agent: what it is asked goes in, what it answers comes out.
//!
//! One task owns the socket, the calls and the process. Nothing it waits for can be held up by the process.

use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use par_policy::policy::Confinement;
use par_policy::{AuditEvent, Capability, Denial, DenialCode, Grants};
use par_sandbox::{AgentDescription, AuditRecord, AuditSink, Breaker, Mold, Request, Shared, StartError, hand_back};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::calls::{Aside, Calls, Failure};
use super::confinement::{Missing, Part, Report};
use super::control_group::{ControlGroup, ControlGroups, GroupLimits, Undivided};
use super::frames::{self, Frame, From, To};
use super::launch::{Launch, Launched};
use super::outbound::{Flights, NativeOutbound, Serving};
use super::process::Process;
use super::spec::NativeSpec;
use super::{measured, output, report};

/// Bytes that wait for a process to read them; no new requests come in meanwhile.
const MOST_WAITING: usize = 8 << 20;

/// How long a process that said it has stopped may take to end.
const LINGER: Duration = Duration::from_secs(1);

/// Room for what is read at once.
const READ_BYTES: usize = 64 * 1024;

/// Everything a process is made of; all processes of an agent are made of the same.
pub(super) struct NativeMold {
    pub(super) spec: NativeSpec,
    pub(super) breaker: Breaker,
    /// The one way to the outside, for all of them.
    pub(super) way_out: Arc<NativeOutbound>,
    /// A file with the authorities their clients trust.
    pub(super) trusted: PathBuf,
    /// Where the control group of each is made.
    pub(super) groups: Result<ControlGroups, Undivided>,
    /// What is counted there.
    pub(super) group_limits: GroupLimits,
}

/// A process that was started, and all that ends with it.
struct Begun {
    process: Process,
    line: Line,
    scratch: TempDir,
    serving: Serving,
    report: StdStream,
    group: Result<ControlGroup, Undivided>,
}

/// Where clients look for the authorities they trust.
const TRUSTED: [&str; 4] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"];

impl Mold for NativeMold {
    fn grants(&self) -> &Grants {
        &self.spec.grants
    }

    fn audit(&self) -> &Arc<dyn AuditSink> {
        &self.spec.audit
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    async fn drive(
        self: Arc<Self>,
        shared: Arc<Shared>,
        mut requests: mpsc::Receiver<Request>,
        ready: oneshot::Sender<Result<AgentDescription, StartError>>,
    ) {
        let Begun { process, mut line, scratch, serving, report, group } = match self.begin() {
            Ok(begun) => begun,
            Err(source) => {
                shared.lost("it did not start");
                let _ = ready.send(Err(StartError::Process(source)));
                return;
            }
        };
        let ended = tokio::select! {
            () = shared.killed() => End::Killed,
            confined = self.confined(report, process.id(), group.as_ref().err()) => match confined {
                Ok(()) => line.live(&self.spec, &process, scratch.path(), &shared, &mut requests, ready).await,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    End::Refused
                }
            },
        };
        let number = process.id();
        let (cause, patience) = match &ended {
            End::Stopped => ("it ended", LINGER),
            End::Killed => ("it was ended", Duration::ZERO),
            End::Refused => ("it did not start", LINGER),
            End::Full => ("its scratch directory was full", Duration::ZERO),
            End::Lost(cause) => (cause.as_str(), Duration::ZERO),
        };
        shared.lost(cause);
        line.calls.lose(&cause.into());
        let status = process.end(patience).await;
        if let (End::Full, Some(quota)) = (&ended, self.spec.grants.scratch()) {
            tracing::error!(process = number, "Process of the agent ended: its scratch directory was full");
            let denial = Denial::by_rule(DenialCode::ScratchFull, "the scratch directory is full", quota.rule.clone());
            let event = AuditEvent::denied(Capability::Files, Grants::scratch_path(), &denial);
            self.spec.audit.record(AuditRecord::at_once(event, None));
        }
        if let End::Lost(cause) = &ended {
            tracing::error!(process = number, cause, status, "Process of the agent lost");
            let event = AuditEvent::limit(DenialCode::InstanceTrapped, None, "a process");
            self.spec.audit.record(AuditRecord::at_once(event, None));
            if let Some(pause) = self.breaker.trapped(std::time::Instant::now()) {
                let seconds = pause.as_secs();
                tracing::error!(seconds, "Instances trap again and again, requests are refused for a while");
            }
        }
        drop(serving);
        hand_back(requests);
        // What the agent left there may be much.
        tokio::task::spawn_blocking(move || {
            drop(scratch);
            if let Ok(group) = group {
                group.remove();
            }
        });
    }
}

impl NativeMold {
    /// Hears what became of the confinement of a process, before it becomes the agent's Python.
    async fn confined(
        &self,
        report: StdStream,
        process: i32,
        without_group: Option<&Undivided>,
    ) -> Result<(), StartError> {
        let Some(mut report) = report::hear(report).await else {
            tracing::warn!(process, "Confinement unknown");
            return Ok(());
        };
        self.note_group(&mut report, without_group);
        report::log(&report, process);
        let rule = self.spec.confinement;
        for event in report::on_record(&report, rule) {
            self.spec.audit.record(AuditRecord::at_once(event, None));
        }
        match report.missing.into_iter().next() {
            Some(Missing { part, because }) if rule == Confinement::Strict => {
                Err(StartError::Unconfined { part: part.as_str(), because })
            }
            _ => Ok(()),
        }
    }

    /// A control group is a part where it holds a limit that nothing else does; elsewhere it is one more wall.
    fn note_group(&self, report: &mut Report, without_group: Option<&Undivided>) {
        match without_group {
            None => report.note(Part::ControlGroup, Ok(())),
            Some(undivided) if self.group_limits.are_needed() => {
                report.note(Part::ControlGroup, Err(undivided.to_string()));
            }
            Some(_) => {}
        }
    }

    /// Puts a process into a control group of its own. It has run nothing of the agent yet: it is told to only when it
    /// has confined itself.
    fn group(&self, process: &Process) -> Result<ControlGroup, Undivided> {
        let group = self.groups.as_ref().map_err(Clone::clone)?.create(Some(self.group_limits))?;
        group.add(process.leader())?;
        Ok(group)
    }

    fn begin(&self) -> io::Result<Begun> {
        let scratch = tempfile::Builder::new().prefix("scratch-").tempdir_in(&self.spec.scratch)?;
        let Launched { child, messages, outbound, report } = self.launch(scratch.path()).start()?;
        let process = Process::of(child)?;
        let group = self.group(&process);
        messages.set_nonblocking(true)?;
        let flights = Arc::<Flights>::default();
        let serving = self.way_out.serve(outbound, Arc::clone(&flights))?;
        tracing::info!(process = process.id(), "Process of the agent started");
        let line = Line::new(UnixStream::from_std(messages)?, flights);
        Ok(Begun { process, line, scratch, serving, report, group })
    }

    fn launch(&self, scratch: &Path) -> Launch {
        let NativeSpec { venv, program, package, grants, .. } = &self.spec;
        let mut environment = grants.environment().clone();
        let place = scratch.to_string_lossy().into_owned();
        if grants.scratch().is_some() {
            environment.insert("TMPDIR".to_owned(), place.clone());
        }
        environment.entry("PATH".to_owned()).or_insert_with(|| venv.bin().to_string_lossy().into_owned());
        environment.insert("HOME".to_owned(), package.to_string_lossy().into_owned());
        environment.insert("VIRTUAL_ENV".to_owned(), venv.directory().to_string_lossy().into_owned());
        environment.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".to_owned());
        for name in TRUSTED {
            environment.insert(name.to_owned(), self.trusted.to_string_lossy().into_owned());
        }
        for (name, directory) in grants.data() {
            let name = name.as_str().to_ascii_uppercase().replace('-', "_");
            environment.insert(format!("PAR_DATA_{name}"), directory.value.as_str().to_owned());
        }
        let own = [package, venv.directory(), program.directory(), venv.python().prefix.as_path(), &self.trusted];
        let data = grants.data().iter().map(|(_, directory)| directory.value.as_str().into());
        Launch {
            python: venv.bin().join("python"),
            arguments: ["-I", "-S", "-B"].map(Into::into).into_iter().chain([program.start().into()]).collect(),
            environment: environment.into_iter().collect(),
            directory: scratch.to_owned(),
            readable: own.map(Path::to_owned).into_iter().chain(data).collect(),
            writable: grants.scratch().map(|_| scratch.to_owned()).into_iter().collect(),
            largest_file: grants.scratch().map_or(0, |quota| quota.value.bytes()),
            limits: *grants.limits(),
            confinement: self.spec.confinement,
            without: self.spec.without.clone(),
        }
    }
}

/// How a process came to its end.
enum End {
    /// It was asked to stop, and did.
    Stopped,
    /// Somebody wanted it ended.
    Killed,
    /// It keeps more in its scratch directory than it may.
    Full,
    /// The agent does not load; who waits for it was told.
    Refused,
    /// It ended by itself, or broke the protocol.
    Lost(String),
}

/// What loading found, as the process says it.
#[derive(Debug, Deserialize)]
struct Loaded {
    rest: String,
    ui: String,
    a2a: String,
    actions: Vec<String>,
    modules: u32,
    warnings: Vec<String>,
}

/// The socket of a process, and what is going on over it.
struct Line {
    stream: UnixStream,
    inbox: BytesMut,
    outbox: BytesMut,
    calls: Calls,
    asides: mpsc::UnboundedReceiver<Aside>,
    pings: Vec<oneshot::Sender<()>>,
}

impl Line {
    fn new(stream: UnixStream, flights: Arc<Flights>) -> Self {
        let (aside, asides) = mpsc::unbounded_channel();
        let (inbox, outbox) = (BytesMut::with_capacity(READ_BYTES), BytesMut::with_capacity(READ_BYTES));
        Self { stream, inbox, outbox, calls: Calls::new(aside, flights), asides, pings: Vec::new() }
    }

    async fn live(
        &mut self,
        spec: &NativeSpec,
        process: &Process,
        scratch: &Path,
        shared: &Shared,
        requests: &mut mpsc::Receiver<Request>,
        ready: oneshot::Sender<Result<AgentDescription, StartError>>,
    ) -> End {
        let Ok(mut ended) = signal(SignalKind::child()) else {
            return End::Lost("nobody can hear how its children end".to_owned());
        };
        let load = spec.to_json().to_string();
        frames::put(&mut self.outbox, To::Load, 0, |payload| payload.put_slice(load.as_bytes()));
        let mut measuring = tokio::time::interval(measured::EVERY);
        let quota = spec.grants.scratch().map(|quota| quota.value.bytes());
        let mut full = std::pin::pin!(measured::full(scratch, quota));
        measuring.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ready = Some(ready);
        let mut stopping = false;
        let mut leaving = FuturesUnordered::new();
        loop {
            if let Err(error) = self.flush() {
                return End::Lost(format!("nothing can be sent to it: {error}"));
            }
            let interest = match self.outbox.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            let is_open = ready.is_none() && !stopping && self.outbox.len() < MOST_WAITING;
            tokio::select! {
                biased;
                () = shared.killed() => return End::Killed,
                readiness = self.stream.ready(interest) => {
                    if readiness.is_ok_and(|readiness| readiness.is_readable() || readiness.is_read_closed()) {
                        let is_loading = ready.is_some();
                        match self.read(&mut ready) {
                            Ok(true) if is_loading && ready.is_none() => {
                                shared.holds(measured::memory(process.id()).unwrap_or(0));
                                shared.is_ready();
                            }
                            Ok(true) => {}
                            Ok(false) if stopping => return End::Stopped,
                            Ok(false) => return End::Lost("it closed its socket".to_owned()),
                            Err(end) => return end,
                        }
                    }
                }
                request = requests.recv(), if is_open => {
                    // What waits together leaves in one write.
                    let mut next = Some(request.unwrap_or(Request::Stop));
                    while let Some(request) = next {
                        if matches!(request, Request::Stop) {
                            stopping = true;
                            frames::put(&mut self.outbox, To::Stop, 0, |_| {});
                            break;
                        }
                        let flight = self.begin(request);
                        leaving.extend(flight.map(|(call, flight)| async move {
                            flight.ended().await;
                            call
                        }));
                        let has_room = self.outbox.len() < MOST_WAITING;
                        next = has_room.then(|| requests.try_recv().ok()).flatten();
                    }
                },
                Some(Aside { call, kind, payload }) = self.asides.recv() => {
                    if self.calls.is_open(call) {
                        frames::put(&mut self.outbox, kind, call, |into| into.put_slice(&payload));
                    }
                }
                Some(call) = leaving.next(), if !leaving.is_empty() => {
                    if self.calls.is_open(call) {
                        frames::put(&mut self.outbox, To::Gone, call, |_| {});
                    }
                }
                _ = measuring.tick(), if ready.is_none() => {
                    shared.holds(measured::memory(process.id()).unwrap_or(0));
                }
                () = &mut full => return End::Full,
                Some(()) = ended.recv() => process.reap_orphans(),
                () = process.ended() => {
                    // What it said last is still in the socket.
                    return match self.read(&mut ready) {
                        Err(end) => end,
                        Ok(_) if stopping => End::Stopped,
                        Ok(_) => End::Lost("it ended".to_owned()),
                    };
                }
            }
        }
    }

    fn begin(&mut self, request: Request) -> Option<(u32, Arc<par_sandbox::Flight>)> {
        match request {
            Request::Http(job) => return Some(self.calls.http(*job, &mut self.outbox)),
            Request::Action(job) => return Some(self.calls.action(*job, &mut self.outbox)),
            Request::Ping(pong) => {
                self.pings.push(pong);
                frames::put(&mut self.outbox, To::Ping, 0, |_| {});
            }
            Request::Stop => {}
        }
        None
    }

    /// Sends as much as the socket takes.
    fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            match self.stream.try_write(&self.outbox) {
                Ok(sent) => drop(self.outbox.split_to(sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What it has said is still to be read; the end shows there.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.outbox.clear(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there and takes the frames in it; `false` when there will be no more.
    fn read(&mut self, ready: &mut Option<oneshot::Sender<Result<AgentDescription, StartError>>>) -> Result<bool, End> {
        self.inbox.reserve(READ_BYTES);
        let is_open = match self.stream.try_read_buf(&mut self.inbox) {
            Ok(count) => count > 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(_) => false,
        };
        loop {
            match frames::take(&mut self.inbox) {
                Ok(Some(frame)) => self.hear(frame, ready)?,
                Ok(None) => return Ok(is_open),
                Err(malformed) => return Err(End::Lost(malformed.to_string())),
            }
        }
    }

    fn hear(
        &mut self,
        frame: Frame,
        ready: &mut Option<oneshot::Sender<Result<AgentDescription, StartError>>>,
    ) -> Result<(), End> {
        match frame.kind {
            From::Log => output::log_entry(&frame.payload, self.calls.request(frame.call)),
            From::Pong => {
                for pong in self.pings.drain(..) {
                    let _ = pong.send(());
                }
            }
            From::Loaded => {
                let Ok(loaded) = serde_json::from_slice::<Loaded>(&frame.payload) else {
                    return Err(End::Lost("nobody can read what it loaded".to_owned()));
                };
                let Loaded { rest, ui, a2a, actions, modules, warnings } = loaded;
                let description = AgentDescription { rest, ui, a2a, actions, modules, warnings };
                // Nobody waits for a start that was given up; then it is ended, too.
                if ready.take().is_some_and(|ready| ready.send(Ok(description)).is_err()) {
                    return Err(End::Refused);
                }
            }
            From::Refused => {
                if let Some(ready) = ready.take() {
                    let _ = ready.send(Err(refusal(Failure::read(&frame.payload))));
                    return Err(End::Refused);
                }
            }
            From::Stopped => return Err(End::Stopped),
            _ => self.calls.take(frame),
        }
        Ok(())
    }
}

fn refusal(failure: Failure) -> StartError {
    let Failure { reason, message, traceback } = failure;
    let reason = match reason.as_str() {
        "module-not-found" => "module_not_found",
        "attribute-not-found" => "attribute_not_found",
        "import-failed" => "import_failed",
        "wrong-shape" => "wrong_shape",
        "startup-failed" => "startup_failed",
        _ => "load_failed",
    };
    StartError::Agent { reason, message, traceback }
}
