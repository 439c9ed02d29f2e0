//! Wiring: which part gets what from which. Decisions are in the parts.

mod agent;
mod bill;
mod check;
mod console;
mod ending;
mod error;
mod healthcheck;
mod housekeeping;
mod installing;
mod locking;
mod opening;
mod review;
mod serve;
mod traced;
mod verdict;
mod wheelhouse;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use par_policy::policy::Policy;
use tokio::sync::watch;
use tokio::time::timeout_at;

use crate::audit::Audit;
use crate::backend::Backend;
use crate::boot::{BootClock, BootPhase, BootTimes};
use crate::cli::{self, LogFormat};
use crate::config::{self, Config, Environment};
use crate::exit::{Exit, ExitCodes, FailureClass};
use crate::grants;
use crate::health::{Health, Standing, SurfaceName};
use crate::lifecycle::Phase;
use crate::memory::{self, Memory};
use crate::otlp::{self, Export};
use crate::process;
use crate::signals::{Signal, Signals};
use crate::surfaces::rest::Surfaces;
use crate::telemetry::{Settings, Telemetry, events};
use agent::Agent;
use console::Console;
use ending::Ending;
use error::{BootError, Broken};
use housekeeping::Housekeeping;
use serve::Ports;

/// Least time the agent's shutdown hooks get after a drain that took all of its time.
const HOOKS_TIME: Duration = Duration::from_secs(2);

/// How long the exit waits for tasks to be dropped, which takes some milliseconds unless a thread is stuck.
const LAST_TASKS: Duration = Duration::from_millis(500);

/// Tasks a thread runs before it looks at timers and sockets again.
///
/// A guest that never yields is one task that is always ready and takes a tick each
/// time. On a single core, tokio's default of 61 would keep every deadline waiting for 61
/// ticks.
const TASKS_PER_EVENTS: u32 = 5;

/// What was ordered on the command line.
#[derive(Debug)]
pub struct Order {
    /// The package that was typed.
    pub package: Option<PathBuf>,
    /// Whether `par run` was typed, possibly by a person.
    pub interactive: bool,
    /// Whether a person watches what the agent does.
    pub watch: bool,
    /// What the log looks like.
    pub log_format: LogFormat,
    /// When the process started.
    pub started: Instant,
}

/// Runs an agent until a signal comes or something breaks.
#[must_use]
pub fn run(order: Order) -> Exit {
    if let Err(error) = process::keep_memory_private().and_then(|()| process::open_as_many_files_as_allowed()) {
        return report(&BootError::System(error));
    }
    let environment = Environment::of_process();
    let console = match Console::new(order.interactive, order.log_format).watching(order.watch) {
        Ok(console) => console,
        Err(error) => return report(&BootError::System(error)),
    };
    let (app_id, deployment_id) = environment.identity();
    let settings = Settings { app_id, deployment_id, level: environment.log_level(), format: console.format() };
    let log = match Telemetry::start(settings, console.output()) {
        Ok(log) => log,
        Err(error) => return report(&BootError::System(error)),
    };
    // Fails when a test has a log already; that one is then used.
    let _ = log.install();
    let audit = match Audit::start(&log) {
        Ok(audit) => audit,
        Err(error) => return report(&BootError::System(error)),
    };
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().event_interval(TASKS_PER_EVENTS).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return report(&BootError::System(error)),
        };
    let export = Arc::new(Export::default());
    let exit = runtime.block_on(async {
        let exit = life(order, &environment, &console, &log, &audit, &export).await;
        if !matches!(exit, Exit::Interrupted(_)) {
            export.finish().await;
        }
        exit
    });
    // What tasks hold goes with them: processes are killed, temporary files removed. Blocking work that was given up,
    // such as a resolver's, must not hold the exit any longer.
    runtime.shutdown_timeout(LAST_TASKS);
    log.report_dropped();
    console.finish_view();
    audit.finish();
    log.flush();
    exit
}

/// Checks a package and prints what it has and needs, and on request where it would run.
#[must_use]
pub fn check(package: &Path, verdict: bool, json: bool) -> Exit {
    ended(match (verdict, json) {
        (_, true) => verdict::json(package),
        (true, false) => verdict::text(package),
        (false, false) => check::describe(package),
    })
}

/// Writes the lock of a package.
#[must_use]
pub fn lock(package: &Path, output: Option<&Path>) -> Exit {
    ended(locking::run(package, output))
}

/// Writes what an agent is made of.
#[must_use]
pub fn sbom(package: &Path, output: Option<&Path>) -> Exit {
    ended(bill::run(package, output))
}

/// Does something with the wheelhouse.
#[must_use]
pub fn wheelhouse(command: &cli::Wheelhouse, directory: Option<PathBuf>) -> Exit {
    ended(wheelhouse::run(command, directory))
}

/// Says what a package may touch.
#[must_use]
pub fn grants(arguments: &cli::GrantsArguments) -> Exit {
    reviewed(review::grants(arguments))
}

/// Does something with policies.
#[must_use]
pub fn policy(command: &cli::PolicyCommand) -> Exit {
    reviewed(review::run(command))
}

/// Prints what a review says; findings are no failure, and no success either.
fn reviewed(outcome: Result<review::Said, BootError>) -> Exit {
    let usage = matches!(outcome, Err(BootError::Question(_)));
    let (outcome, exit) = match outcome {
        Ok(said) => (Ok(said.text), said.exit),
        Err(error) => (Err(error), Exit::Done),
    };
    match ended(outcome) {
        Exit::Done => exit,
        Exit::Failed if usage => Exit::Usage,
        failed => failed,
    }
}

/// Prints what a command has to say, or why it failed.
fn ended(outcome: Result<String, BootError>) -> Exit {
    let printed = outcome.and_then(|text| io::stdout().write_all(text.as_bytes()).map_err(BootError::System));
    match printed {
        Ok(()) => Exit::Done,
        Err(error) => report(&error),
    }
}

/// Asks the process in this container how it is, as an orchestrator does where there is no `curl`.
#[must_use]
pub fn healthcheck() -> Exit {
    ended(healthcheck::ask(&Environment::of_process()))
}

/// Explains why there is nothing to ask.
#[must_use]
pub fn status() -> Exit {
    let text = "error: `par status` does not exist: PAR has no control plane\nhint: ask the process itself: `GET /health` on its REST port\n";
    let _ = io::stderr().write_all(text.as_bytes());
    Exit::Failed
}

/// Tells a person, before there is a log or where none is wanted.
fn report(error: &BootError) -> Exit {
    let mut lines = error::lines(error);
    lines.extend(error.hint().map(|hint| format!("hint: {hint}")));
    let _ = io::stderr().write_all((lines.join("\n") + "\n").as_bytes());
    Exit::Failed
}

/// From the configuration to the exit.
async fn life(
    order: Order,
    environment: &Environment,
    console: &Console,
    log: &Telemetry,
    audit: &Audit,
    export: &Arc<Export>,
) -> Exit {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return report(&BootError::System(error)),
    };
    let failures = config::failures_of(environment);
    // A person who tries things out is not a container in a loop.
    if !order.interactive {
        ending::count(&failures);
    }
    let mut config = match Config::parse(environment) {
        Ok(config) => config,
        Err(mistakes) => {
            console.end();
            mistakes.log();
            if environment.is_empty() {
                ending::explain();
            }
            return ending::back_off(&failures, ExitCodes::One.failed(FailureClass::Configuration), &mut signals).await;
        }
    };
    log.set_quiet(console.shows_progress());
    send(&config, log, audit, export);
    log_configuration(&config);

    let health = Health::default();
    let ending = Ending { failures: &failures, codes: config.boot.exit_codes, health: &health, console };
    if let Some(path) = &config.audit_file
        && let Err(error) = audit.write_to(path, log)
    {
        return ending.boot_failed(&error.into(), &mut signals).await;
    }
    let policy = match grants::policy(config.policy.as_ref(), config.observing) {
        Ok(policy) if config.policy.is_none() => Policy { native: config.native.clone(), ..policy },
        Ok(policy) => policy,
        Err(error) => return ending.boot_failed(&error.into(), &mut signals).await,
    };
    config.limits = policy.limits.over(config.limits);
    config.confinement = config.confinement.max(policy.confinement);
    log.limit_agent(config.limits.log_lines_per_second);
    let mut ports = match Ports::open(&config, &health, audit, export) {
        Ok(ports) => ports,
        Err(error) => return ending.boot_failed(&error, &mut signals).await,
    };
    let mut clock = BootClock::new(order.started);
    let deadline = tokio::time::Instant::from_std(order.started) + config.boot.startup_timeout;
    let booted = tokio::select! {
        biased;
        signal = signals.next() => {
            log_signal(signal, &health);
            ending::take_back(&failures);
            tracing::info!("{}", events::SHUTDOWN_COMPLETE);
            return Exit::Done;
        }
        booted = timeout_at(deadline, boot(order.package, &config, &policy, audit, &mut ports, &mut clock, console)) => {
            booted.unwrap_or(Err(BootError::StartupTimeout(config.boot.startup_timeout)))
        }
    };
    if let Ok(Agent { package, .. }) = &booted {
        export.agent(&package.manifest.name.to_string(), &package.manifest.version.to_string());
    }
    traced::boot(&export.tracer(), &clock, booted.as_ref().err());
    // The ports stay open during the wait of a failed boot: health answers 503 until the exit.
    let agent = match booted {
        Ok(agent) => agent,
        Err(error) => return ending.boot_failed(&error, &mut signals).await,
    };

    log.limit_agent(agent.log_lines_per_second);
    health.lifecycle().advance(Phase::Ready);
    ending::forget(&failures);
    log_ready(&config, &clock.times());
    console.ready(&config, &agent.package.manifest, agent.served);
    log.set_quiet(false);
    let standing =
        agent.backend.processes().map(|processes| tokio::spawn(follow(processes, health.clone(), agent.served)));
    let housekeeping =
        Housekeeping::start(&config, agent.layer.clone(), agent.venv.clone(), audit.sink(Backend::SANDBOX));

    let broken = tokio::select! {
        biased;
        signal = signals.next() => {
            log_signal(signal, &health);
            drop(housekeeping);
            standing.inspect(tokio::task::JoinHandle::abort);
            return shut_down(&config, ports, agent, &health, &mut signals).await;
        }
        error = ports.failed() => Broken::Surface(error),
        reason = agent.backend.failed() => Broken::Sandbox(reason),
    };
    ending.broke(&broken)
}

/// Says in health when no process of the agent is left, and when there is one again.
async fn follow(mut processes: watch::Receiver<usize>, health: Health, served: Surfaces) {
    loop {
        let standing = if *processes.borrow_and_update() > 0 { Standing::Up } else { Standing::Down };
        for (surface, is_served) in [(SurfaceName::Rest, served.rest), (SurfaceName::A2a, served.a2a)] {
            if is_served {
                health.set(surface, standing);
            }
        }
        if processes.changed().await.is_err() {
            return;
        }
    }
}

/// Loads the agent while the REST port already answers, then opens what it needs.
async fn boot(
    typed: Option<PathBuf>,
    config: &Config,
    policy: &Policy,
    audit: &Audit,
    ports: &mut Ports,
    clock: &mut BootClock,
    console: &Console,
) -> Result<Agent, BootError> {
    enough_memory(config)?;
    let source = agent::source(typed, config)?;
    let agent = tokio::select! {
        loaded = agent::load(config, policy, audit, source, clock, console) => loaded?,
        error = ports.failed() => return Err(error.into()),
    };
    console.phase(BootPhase::Serve, "opening the surfaces");
    clock.time(BootPhase::Serve, ports.mount(config, &agent)).await?;
    tokio::time::sleep(config.boot.test_delay).await;

    let times = clock.times();
    times.warn_over(config.boot.budget);
    if let Some(limit) = config.boot.hard_limit.filter(|limit| times.total > *limit) {
        return Err(BootError::HardLimit { took: times.total, limit });
    }
    ports.describe(&agent, &times);
    Ok(agent)
}

/// Whether there is memory for what the configuration asks for; said before any work.
fn enough_memory(config: &Config) -> Result<(), BootError> {
    let Some(memory) = Memory::look() else { return Ok(()) };
    let limits = &config.limits;
    tracing::info!(
        source = memory.source,
        limit_bytes = memory.limit,
        available_bytes = memory.available,
        needed_bytes = memory::needed(limits),
        "{}",
        events::MEMORY_CHECKED
    );
    memory.suffices(limits)?;
    if !memory.holds_all(limits) {
        tracing::warn!(
            source = memory.source,
            limit_bytes = memory.limit,
            instances = limits.instances.get(),
            memory_bytes = limits.memory.bytes(),
            "{}",
            events::MEMORY_OVERCOMMITTED
        );
    }
    Ok(())
}

/// Lets requests in flight finish, then the agent, and removes what was unpacked.
async fn shut_down(config: &Config, ports: Ports, agent: Agent, health: &Health, signals: &mut Signals) -> Exit {
    tracing::info!(timeout_seconds = config.drain_timeout.as_secs_f64(), "{}", events::DRAINING);
    let drain = async {
        let deadline = Instant::now() + config.drain_timeout;
        let cut = ports.drain(deadline).await;
        if cut > 0 {
            tracing::warn!(connections = cut, "{}", events::DRAIN_TIMED_OUT);
        }
        agent.backend.stop(deadline.max(Instant::now() + HOOKS_TIME)).await;
    };
    tokio::select! {
        biased;
        () = drain => {}
        again = signals.next() => {
            tracing::warn!(signal = again.as_str(), "Second signal, ending at once");
            return Exit::Interrupted(again);
        }
    }
    agent.remove();
    health.lifecycle().advance(Phase::Stopped);
    tracing::info!("{}", events::SHUTDOWN_COMPLETE);
    Exit::Done
}

/// Sends to collectors what the operator wants there, from here on.
fn send(config: &Config, log: &Telemetry, audit: &Audit, export: &Export) {
    let identity =
        otlp::Identity { app_id: config.identity.app_id.clone(), deployment_id: config.identity.deployment_id.clone() };
    export.start(&config.otlp, &identity);
    audit.trace(export.tracer());
    if let Some(hear) = export.log() {
        log.also_to(hear);
    }
}

fn log_configuration(config: &Config) {
    for remark in &config.remarks {
        remark.log();
    }
    tracing::info!(
        base_path = %config.base_path,
        serve_at_root = config.serve_at_root,
        instances = config.limits.instances.get(),
        memory_bytes = config.limits.memory.bytes(),
        request_timeout_seconds = config.limits.request_timeout.duration().as_secs_f64(),
        log_level = config.log_level.as_str(),
        "{}",
        events::CONFIGURATION_READ
    );
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        multiplexed = config.ports.multiplexed,
        ports.rest = config.ports.rest.get(),
        ports.a2a = config.ports.a2a.get(),
        ports.ui = config.ports.ui.get(),
        "{}",
        events::RUNTIME_STARTING
    );
}

fn log_ready(config: &Config, times: &BootTimes) {
    let [download, extract, install, load, serve] = times.spent_ms();
    tracing::info!(
        rest_port = config.ports.rest.get(),
        a2a_port = config.ports.a2a.get(),
        boot_ms = times.total_ms(),
        memory_bytes = memory::resident(),
        phases_ms.download = download,
        phases_ms.extract = extract,
        phases_ms.install = install,
        phases_ms.load = load,
        phases_ms.serve = serve,
        "{}",
        events::RUNTIME_READY
    );
}

/// From here on health answers 503.
fn log_signal(signal: Signal, health: &Health) {
    health.lifecycle().advance(Phase::Draining);
    tracing::info!(signal = signal.as_str(), "{}", events::SIGNAL_RECEIVED);
    tracing::info!("{}", events::SHUTTING_DOWN);
    tracing::info!("{}", events::NOT_READY);
}
