//! The servers that are measured, as processes of their own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt as _;
use hyper::StatusCode;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{Outcome, load};

/// How often a starting server is asked whether it is ready; the error of a start time.
const POLL: Duration = Duration::from_millis(1);

/// Where the time in user mode is in `/proc/<pid>/stat`, counted from behind the name.
const USER_TIME: usize = 11;

/// A first start installs dependencies, and compiles them.
const START_TIMEOUT: Duration = Duration::from_secs(300);

/// Where a server may run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cores {
    One(usize),
    All,
}

/// The programs and packages of this checkout.
pub(crate) struct Site {
    here: PathBuf,
    par: PathBuf,
    bench: PathBuf,
    python: PathBuf,
    logs: tempfile::TempDir,
    /// Of this run alone: what a used cache holds is weighed after each start, on the core that is measured.
    cache: tempfile::TempDir,
}

impl Site {
    /// `python` is an interpreter that can import uvicorn.
    pub(crate) fn new(python: PathBuf) -> Outcome<Self> {
        let bench = std::env::current_exe()?;
        let par = bench.with_file_name("par");
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench");
        for needed in [&par, &python] {
            if !needed.is_file() {
                return Err(format!("there is no `{}`; run: just bench", needed.display()).into());
            }
        }
        Ok(Self { here, par, bench, python, logs: tempfile::tempdir()?, cache: tempfile::tempdir()? })
    }

    /// PAR with one of the agents of this benchmark, ready.
    pub(crate) fn par(&self, agent: &str, instances: usize, cores: Cores) -> Outcome<Server> {
        self.par_with_timeout(agent, instances, cores, Duration::from_secs(30))
    }

    /// PAR whose requests may take that long, in whole seconds.
    pub(crate) fn par_with_timeout(
        &self,
        agent: &str,
        instances: usize,
        cores: Cores,
        timeout: Duration,
    ) -> Outcome<Server> {
        let (mut command, rest) = self.run(&self.here.join("agents").join(agent), cores)?;
        command.env("LOG_LEVEL", "warning").env("PAR_INSTANCES", instances.to_string());
        command.env("REQUEST_TIMEOUT_SEC", timeout.as_secs().to_string());
        self.start(command, "par", rest, "/health")
    }

    /// PAR with the agent in a directory, and variables of its own, ready.
    pub(crate) fn par_at(&self, agent: &Path, instances: usize, variables: &[(&str, &str)]) -> Outcome<Server> {
        let (mut command, rest) = self.run(agent, Cores::All)?;
        command.env("LOG_LEVEL", "warning").env("PAR_INSTANCES", instances.to_string());
        command.envs(variables.iter().copied());
        self.start(command, "par", rest, "/health")
    }

    /// Starts PAR with the agent in a directory, waits until its log has an event, and ends it.
    pub(crate) fn par_until(&self, agent: &Path, variables: &[(&str, &str)], event: &str) -> Outcome<()> {
        let (mut command, rest) = self.run(agent, Cores::All)?;
        command.arg("--log-format=json").envs(variables.iter().copied());
        let server = self.start(command, "par", rest, "/health")?;
        let began = Instant::now();
        while !fs_err::read_to_string(self.logs.path().join("par.log"))?.contains(event) {
            if began.elapsed() > START_TIMEOUT {
                return Err(format!("the log of {} never said `{event}`", agent.display()).into());
            }
            sleep(POLL);
        }
        server.stop().map(drop)
    }

    fn run(&self, agent: &Path, cores: Cores) -> Outcome<(Command, u16)> {
        let [rest, a2a, ui] = [free_port()?, free_port()?, free_port()?];
        let mut command = command(&self.par, cores);
        command.arg("run").arg(agent).env("AGENT_APP_ID", "bench").env("PAR_CACHE_DIR", self.cache.path());
        command.env("REST_PORT", rest.to_string()).env("A2A_PORT", a2a.to_string()).env("UI_PORT", ui.to_string());
        Ok((command, rest))
    }

    /// uvicorn with the application `main:app` in a directory.
    pub(crate) fn uvicorn_at(&self, agent: &Path) -> Outcome<Server> {
        let port = free_port()?;
        let mut command = command(&self.python, Cores::All);
        command.current_dir(agent).args(["-m", "uvicorn", "main:app", "--log-level", "warning"]);
        command.args(["--port", &port.to_string()]);
        self.start(command, "uvicorn", port, "/")
    }

    /// uvicorn with the FastAPI agent, as fast as it goes: uvloop, httptools, no access log.
    pub(crate) fn uvicorn(&self, processes: usize, cores: Cores) -> Outcome<Server> {
        let port = free_port()?;
        let mut command = command(&self.python, cores);
        command.current_dir(self.here.join("agents/orders"));
        command.args(["-m", "uvicorn", "app:app", "--loop", "uvloop", "--http", "httptools", "--no-access-log"]);
        command.args(["--log-level", "warning", "--workers", &processes.to_string(), "--port", &port.to_string()]);
        self.start(command, "uvicorn", port, "/orders/7")
    }

    /// The numpy agent, installed into `cache` for the interpreter uvicorn runs on.
    pub(crate) fn native<'a>(&'a self, python: &Path, cache: &'a Path) -> Outcome<Native<'a>> {
        let python = fs_err::canonicalize(python)?;
        let mut native = Native { site: self, cache, python, site_packages: PathBuf::new() };
        drop(native.par(1, Cores::All)?);
        native.site_packages = native.found()?;
        Ok(native)
    }

    /// One route of axum, in a process of its own.
    pub(crate) fn axum(&self, cores: Cores) -> Outcome<Server> {
        let port = free_port()?;
        let mut command = command(&self.bench, cores);
        command.args(["axum", &port.to_string()]);
        self.start(command, "axum", port, "/plain")
    }

    fn start(&self, mut command: Command, name: &str, port: u16, ready: &'static str) -> Outcome<Server> {
        let log = self.logs.path().join(format!("{name}.log"));
        let output = fs_err::File::create(&log)?.into_file();
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let started = Instant::now();
        let mut server = Server { process: command.spawn()?, address, ready_after: Duration::ZERO };
        while !load::status(address, ready).is_ok_and(|status| status == StatusCode::OK) {
            let ended = server.process.try_wait()?;
            if ended.is_some() || started.elapsed() > START_TIMEOUT {
                let log = fs_err::read_to_string(&log)?;
                return Err(format!("{name} did not become ready:\n{log}").into());
            }
            sleep(POLL);
        }
        server.ready_after = started.elapsed();
        Ok(server)
    }
}

/// The numpy agent and uvicorn, with one virtual environment for both.
pub(crate) struct Native<'a> {
    site: &'a Site,
    cache: &'a Path,
    python: PathBuf,
    /// Where PAR installed what the agent requires.
    site_packages: PathBuf,
}

impl Native<'_> {
    /// PAR with so many processes of the agent.
    pub(crate) fn par(&self, processes: usize, cores: Cores) -> Outcome<Server> {
        let [rest, a2a, ui] = [free_port()?, free_port()?, free_port()?];
        let mut command = command(&self.site.par, cores);
        command.arg("run").arg(self.site.here.join("agents/numbers"));
        command.env("AGENT_APP_ID", "bench").env("LOG_LEVEL", "warning");
        command.env("REST_PORT", rest.to_string()).env("A2A_PORT", a2a.to_string()).env("UI_PORT", ui.to_string());
        command.env("PAR_INSTANCES", processes.to_string()).env("PAR_NATIVE", "allow");
        command.env("PAR_PYTHON", &self.python).env("PAR_CACHE_DIR", self.cache);
        self.site.start(command, "par", rest, "/health")
    }

    /// uvicorn as it is fastest, with FastAPI, pydantic and numpy from the virtual environment of the agent.
    pub(crate) fn uvicorn(&self, cores: Cores) -> Outcome<Server> {
        let port = free_port()?;
        let mut command = command(&self.site.python, cores);
        command.current_dir(self.site.here.join("agents/numbers")).env("PYTHONPATH", &self.site_packages);
        command.args(["-m", "uvicorn", "app:app", "--loop", "uvloop", "--http", "httptools", "--no-access-log"]);
        command.args(["--log-level", "warning", "--port", &port.to_string()]);
        self.site.start(command, "uvicorn", port, "/orders/7")
    }

    /// The one virtual environment in the cache, once all of it is compiled.
    fn found(&self) -> Outcome<PathBuf> {
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            for entry in fs_err::read_dir(self.cache.join("venvs"))? {
                let venv = entry?.path();
                if venv.join(".compiled").exists() {
                    let library = fs_err::read_dir(venv.join("lib"))?.next().ok_or("the environment is empty")??;
                    return Ok(library.path().join("site-packages"));
                }
            }
            // It is compiled while the agent runs.
            let server = self.par(1, Cores::All)?;
            sleep(Duration::from_secs(5));
            drop(server);
        }
        Err("the virtual environment of the agent was not compiled".into())
    }
}

/// A server that answers; it ends with this value.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
    /// From before the process started to its first good answer.
    pub(crate) ready_after: Duration,
}

impl Server {
    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Processor time the process and what it started have used.
    pub(crate) fn cpu_seconds(&self) -> Outcome<f64> {
        let mut seconds = 0.0;
        let mut processes = vec![self.process.id()];
        while let Some(process) = processes.pop() {
            seconds += cpu_seconds(process)?;
            for thread in fs_err::read_dir(format!("/proc/{process}/task"))? {
                // A thread may have ended meanwhile.
                let children = fs_err::read_to_string(thread?.path().join("children")).unwrap_or_default();
                processes.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            }
        }
        Ok(seconds)
    }
}

/// Processor time of one process.
fn cpu_seconds(process: u32) -> Outcome<f64> {
    let stat = fs_err::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in brackets, may hold anything; two of the fields behind it
    // are the time in user and in kernel mode.
    let fields = stat.rsplit_once(')').ok_or("`stat` has no name in it")?.1.split_whitespace();
    let ticks: Result<Vec<u32>, _> = fields.skip(USER_TIME).take(2).map(str::parse).collect();
    Ok(f64::from(ticks?.iter().sum::<u32>()) / clock_ticks_per_second() as f64)
}

impl Server {
    /// Ends the server with TERM and says how long that took.
    pub(crate) fn stop(mut self) -> Outcome<Duration> {
        let asked = Instant::now();
        kill_process(Pid::from_child(&self.process), Signal::TERM)?;
        let status = self.process.wait()?;
        if status.success() { Ok(asked.elapsed()) } else { Err(format!("after TERM: {status}").into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A process that ended may have lent its number to another one.
        if matches!(self.process.try_wait(), Ok(None)) {
            // Not a kill: uvicorn has children of its own to end. Nobody is left to tell of errors.
            let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
            let _ = self.process.wait();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the benchmark's whole point is to run servers")]
fn command(program: &Path, cores: Cores) -> Command {
    match cores {
        Cores::All => Command::new(program),
        Cores::One(core) => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &core.to_string()]).arg(program);
            command
        }
    }
}

pub(crate) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Serves `/plain` with the answer of the plain agent, until it is killed.
pub(crate) fn serve_axum(port: &str) -> Outcome<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let router = axum::Router::new().route("/plain", axum::routing::get(|| async { "ok" }));
        Ok(axum::serve(
            listener.tap_io(|stream| {
                let _ = stream.set_nodelay(true);
            }),
            router,
        )
        .await?)
    })
}

/// Puts this thread on `cores` until the value is dropped.
pub(crate) fn pin_this_thread(cores: &[usize]) -> Outcome<Pinned> {
    let before = sched_getaffinity(None)?;
    let mut wanted = CpuSet::new();
    for core in cores {
        wanted.set(*core);
    }
    sched_setaffinity(None, &wanted).map_err(|error| format!("cannot run on cores {cores:?}: {error}"))?;
    Ok(Pinned { before })
}

/// A thread on chosen cores.
pub(crate) struct Pinned {
    before: CpuSet,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.before);
    }
}
