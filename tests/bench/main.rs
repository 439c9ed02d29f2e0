//! `just bench`: PAR beside uvicorn and a bare axum route, on this machine, in one run.
//!
//! Servers that are compared run at the same time and are asked in turns, so that whatever else
//! the machine does meets both. A figure is the median of its rounds.

mod fetching;
mod figures;
mod imports;
mod install;
mod load;
mod memory;
mod native;
mod outbound;
mod race;
mod servers;
mod unpack;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hyper::StatusCode;

use figures::{Figures, median};
use load::Question;
use race::{Race, Runner};
use servers::{Cores, Site};

/// The core servers are pinned to, and the one the load comes from.
const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;

/// Further instances whose memory is measured.
const MOST_INSTANCES: usize = 4;

/// How often a package is fetched each way.
const FETCH_ROUNDS: usize = 7;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How much of everything is done.
struct Effort {
    rounds: usize,
    round: Duration,
    warm_up: Duration,
    starts: usize,
    questions: usize,
}

impl Effort {
    fn full() -> Self {
        Self { rounds: 5, round: Duration::from_secs(4), warm_up: Duration::from_secs(3), starts: 15, questions: 2000 }
    }

    /// For checking that the benchmark works; its figures say little.
    fn quick() -> Self {
        Self {
            rounds: 1,
            round: Duration::from_secs(1),
            warm_up: Duration::from_millis(500),
            starts: 2,
            questions: 200,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["axum", port] => servers::serve_axum(port),
        ["--unpack", "--results", results] => unpack(&Effort::full(), results),
        ["--uvicorn", python, "--results", results] => measure(&Effort::full(), python, results),
        ["--uvicorn", python, "--results", results, "--quick"] => measure(&Effort::quick(), python, results),
        ["--native", python, "--results", results] => measure_native(&Effort::full(), python, results),
        ["--native", python, "--results", results, "--quick"] => measure_native(&Effort::quick(), python, results),
        ["--fetch", "--results", results] => fetch(FETCH_ROUNDS, results),
        ["--outbound", "--results", results] => measure_outbound(&Effort::full(), results),
        ["--install", uv, "--pip", python, "--results", results] => {
            install::measure(uv.as_ref(), python.as_ref(), 5, results)
        }
        ["--imports", uv, "--python", python, "--results", results] => {
            imports::measure(uv, python.as_ref(), 7, results)
        }
        ["--imports", uv, "--python", python, "--results", results, "--quick"] => {
            imports::measure(uv, python.as_ref(), 2, results)
        }
        _ => Err("usage: par-bench (--uvicorn PYTHON | --native PYTHON | --unpack | --fetch | --outbound | --install UV --pip PYTHON | --imports UV --python PYTHON) --results FILE [--quick]"
            .into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            figures::complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn fetch(rounds: usize, results: &str) -> Outcome<()> {
    let mut figures = Figures::new();
    fetching::measure(rounds, &mut figures)?;
    figures.print();
    figures.write(results)
}

fn measure(effort: &Effort, python: &str, results: &str) -> Outcome<()> {
    let site = Site::new(PathBuf::from(python))?;
    let mut figures = Figures::new();
    starts(&site, effort, &mut figures)?;
    overrun(&site, effort, &mut figures)?;
    latency(&site, effort, &mut figures)?;
    throughput(&site, effort, &mut figures)?;
    memory(&site, &mut figures)?;
    outbound::measure(effort, &mut figures)?;
    unpack::measure(effort.rounds, &mut figures)?;
    figures.print();
    figures.write(results)
}

/// The native backend alone.
fn measure_native(effort: &Effort, python: &str, results: &str) -> Outcome<()> {
    let python = PathBuf::from(python);
    let site = Site::new(python.clone())?;
    let mut figures = Figures::new();
    native::measure(&site, &python, effort, &mut figures)?;
    figures.print();
    figures.write(results)
}

/// Packages alone: needs neither the guest nor uvicorn.
fn unpack(effort: &Effort, results: &str) -> Outcome<()> {
    let mut figures = Figures::new();
    unpack::measure(effort.rounds, &mut figures)?;
    figures.print();
    figures.write(results)
}

/// Outbound requests alone: they need no other server.
fn measure_outbound(effort: &Effort, results: &str) -> Outcome<()> {
    let mut figures = Figures::new();
    outbound::measure(effort, &mut figures)?;
    figures.print();
    figures.write(results)
}

/// Process start to the first 200 of `/health`; dependencies are installed and compiled.
fn starts(site: &Site, effort: &Effort, figures: &mut Figures) -> Outcome<()> {
    for (agent, name) in [("plain", "plain ASGI agent"), ("orders", "FastAPI agent")] {
        figures::say(&format!("starting the {name}"));
        drop(site.par(agent, 1, Cores::All)?);
        let (mut up, mut down) = (Vec::new(), Vec::new());
        for _ in 0..effort.starts {
            let server = site.par(agent, 1, Cores::All)?;
            up.push(server.ready_after.as_secs_f64() * 1e3);
            down.push(server.stop()?.as_secs_f64() * 1e3);
        }
        figures.add(&format!("start.{agent}"), &format!("process start to /health 200, {name}"), median(up), "ms");
        figures.add(&format!("stop.{agent}"), &format!("TERM to exit, idle, {name}"), median(down), "ms");
    }
    Ok(())
}

/// How long after its deadline a request to code that never yields gets its error.
fn overrun(site: &Site, effort: &Effort, figures: &mut Figures) -> Outcome<()> {
    const TIMEOUT: Duration = Duration::from_secs(1);
    figures::say("asking what never yields");
    let mut times = Vec::new();
    for _ in 0..effort.rounds {
        let server = site.par_with_timeout("plain", 1, Cores::All, TIMEOUT)?;
        let asked = Instant::now();
        let status = load::status(server.address, "/spin")?;
        if status != StatusCode::GATEWAY_TIMEOUT {
            return Err(format!("`/spin` was answered with {status}").into());
        }
        times.push(asked.elapsed().saturating_sub(TIMEOUT).as_secs_f64() * 1e3);
    }
    figures.add("overrun", "overrun of a request to `while True`", median(times), "ms");
    Ok(())
}

/// What PAR adds to a request, asked one after the other on one connection.
fn latency(site: &Site, effort: &Effort, figures: &mut Figures) -> Outcome<()> {
    figures::say("asking one question at a time");
    let par = site.par("plain", 1, Cores::One(SERVER_CORE))?;
    let axum = site.axum(Cores::One(SERVER_CORE))?;
    let question = Question::get("/plain");
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    load::latency(LOAD_CORE, par.address, &question, effort.questions)?;
    load::latency(LOAD_CORE, axum.address, &question, effort.questions)?;
    for _ in 0..effort.rounds {
        ours.push(load::latency(LOAD_CORE, par.address, &question, effort.questions)?);
        bare.push(load::latency(LOAD_CORE, axum.address, &question, effort.questions)?);
    }
    let (ours, bare) = (median(ours), median(bare));
    figures.add("latency.axum", "p50 of a bare axum route", bare * 1e6, "µs");
    figures.add("latency.par", "p50 of a trivial handler in the sandbox", ours * 1e6, "µs");
    figures.add("latency.added", "added by PAR", (ours - bare) * 1e6, "µs");
    Ok(())
}

/// One FastAPI application, here and under uvicorn.
fn throughput(site: &Site, effort: &Effort, figures: &mut Figures) -> Outcome<()> {
    let one = Cores::One(SERVER_CORE);
    let alone = Race {
        key: "one",
        name: "one core",
        runners: vec![
            Runner::new("par", "PAR, 1 instance", site.par("orders", 1, one)?),
            Runner::new("uvicorn", "uvicorn, 1 process", site.uvicorn(1, one)?),
        ],
        load_cores: &[LOAD_CORE],
    };
    alone.run(effort, figures)?;
    drop(alone);
    let together = Race {
        key: "two",
        name: "two cores, shared with the load",
        runners: vec![
            Runner::new("par", "PAR, 2 instances", site.par("orders", 2, Cores::All)?),
            Runner::new("uvicorn", "uvicorn, 1 process", site.uvicorn(1, Cores::All)?),
            Runner::new("uvicorn2", "uvicorn, 2 processes", site.uvicorn(2, Cores::All)?),
        ],
        load_cores: &[SERVER_CORE, LOAD_CORE],
    };
    together.run(effort, figures)
}

/// Memory of an idle server with one instance, and what each further one adds.
fn memory(site: &Site, figures: &mut Figures) -> Outcome<()> {
    let mut before = None;
    for instances in 1..=MOST_INSTANCES {
        figures::say(&format!("weighing {instances} of {MOST_INSTANCES} instances"));
        let server = site.par("orders", instances, Cores::All)?;
        load::latency(LOAD_CORE, server.address, &Question::get("/orders/7"), 100)?;
        let now = memory::settled(server.process_id())?;
        if let Some(memory::Memory { private_mib, .. }) = before {
            let what = format!("private memory that instance {instances} adds");
            figures.add(&format!("memory.added.{instances}"), &what, now.private_mib - private_mib, "MiB");
        } else {
            figures.add(
                "memory.first.rss",
                "resident memory with the first instance, FastAPI agent",
                now.resident_mib,
                "MiB",
            );
            figures.add("memory.first.private", "of it private", now.private_mib, "MiB");
        }
        before = Some(now);
    }
    Ok(())
}
