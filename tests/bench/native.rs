//! A numpy and FastAPI agent outside the sandbox, beside plain uvicorn with the very same files of the same versions:
//! both read one virtual environment, the one PAR made.

use std::path::Path;

use crate::figures::{Figures, median, say};
use crate::load::{self, Question};
use crate::race::{Race, Runner};
use crate::servers::{Cores, Native};
use crate::{Effort, LOAD_CORE, Outcome, SERVER_CORE, Site};

/// Measures boot, requests a second, and what PAR adds to one request.
pub(crate) fn measure(site: &Site, python: &Path, effort: &Effort, figures: &mut Figures) -> Outcome<()> {
    say("installing the agent");
    let cache = tempfile::tempdir()?;
    let native = site.native(python, cache.path())?;
    starts(&native, effort, figures)?;
    latency(&native, effort, figures)?;
    let one = Cores::One(SERVER_CORE);
    let alone = Race {
        key: "native.one",
        name: "numpy agent, one core",
        runners: vec![
            Runner::new("par", "PAR, 1 process of the agent", native.par(1, one)?),
            Runner::new("uvicorn", "uvicorn, 1 process", native.uvicorn(one)?),
        ],
        load_cores: &[LOAD_CORE],
    };
    alone.run(effort, figures)?;
    drop(alone);
    let together = Race {
        key: "native.two",
        name: "numpy agent, two cores, shared with the load",
        runners: vec![
            Runner::new("par", "PAR, 2 processes of the agent", native.par(2, Cores::All)?),
            Runner::new("uvicorn", "uvicorn, 1 process", native.uvicorn(Cores::All)?),
        ],
        load_cores: &[SERVER_CORE, LOAD_CORE],
    };
    together.run(effort, figures)
}

/// Process start to the first good answer; everything is installed and compiled.
fn starts(native: &Native<'_>, effort: &Effort, figures: &mut Figures) -> Outcome<()> {
    say("starting the agent");
    let (mut ours, mut bare, mut down) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.starts {
        let server = native.par(1, Cores::All)?;
        ours.push(server.ready_after.as_secs_f64() * 1e3);
        down.push(server.stop()?.as_secs_f64() * 1e3);
        bare.push(native.uvicorn(Cores::All)?.ready_after.as_secs_f64() * 1e3);
    }
    let (ours, bare) = (median(ours), median(bare));
    figures.add_with_ratio(
        "native.start.par",
        "process start to /health 200, numpy agent: PAR",
        ours,
        "ms",
        ours / bare,
    );
    figures.add_with_ratio("native.start.uvicorn", "process start to the first answer: uvicorn", bare, "ms", 1.0);
    figures.add("native.stop", "TERM to exit, idle, numpy agent", median(down), "ms");
    Ok(())
}

/// One question after the other on one connection: what the way through PAR and its socket adds.
fn latency(native: &Native<'_>, effort: &Effort, figures: &mut Figures) -> Outcome<()> {
    say("asking one question at a time");
    let (par, uvicorn) = (native.par(1, Cores::All)?, native.uvicorn(Cores::All)?);
    let question = Question::get("/orders/7?verbose=true");
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    load::latency(LOAD_CORE, par.address, &question, effort.questions)?;
    load::latency(LOAD_CORE, uvicorn.address, &question, effort.questions)?;
    for _ in 0..effort.rounds {
        ours.push(load::latency(LOAD_CORE, par.address, &question, effort.questions)?);
        bare.push(load::latency(LOAD_CORE, uvicorn.address, &question, effort.questions)?);
    }
    let (ours, bare) = (median(ours), median(bare));
    figures.add("native.latency.uvicorn", "p50 of a FastAPI request under uvicorn", bare * 1e6, "µs");
    figures.add("native.latency.par", "p50 of the same outside the sandbox", ours * 1e6, "µs");
    figures.add("native.latency.added", "added by PAR and the hop to its process", (ours - bare) * 1e6, "µs");
    Ok(())
}
