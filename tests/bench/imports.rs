//! What libraries cost before the first request, here and on this machine's own Python: importing them,
//! and starting a server that did. And what a synchronous client costs everybody else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use par_tests::Upstream;

use crate::Outcome;
use crate::figures::{Figures, median, say};
use crate::servers::Site;

/// A library, as an agent requires and imports it.
struct Subject {
    key: &'static str,
    name: &'static str,
    requirements: &'static str,
    import: &'static str,
    /// Whether this machine's Python has that release too.
    native: bool,
}

/// What needs no layer.
const CARRIED: &str = "fastapi";

const SUBJECTS: [Subject; 4] = [
    Subject {
        key: "fastapi",
        name: "FastAPI, which the guest carries",
        requirements: CARRIED,
        import: "import fastapi",
        native: true,
    },
    Subject {
        key: "fastapi.pinned",
        name: "FastAPI 0.109, which an agent pins",
        requirements: "fastapi==0.109.0",
        import: "import fastapi",
        native: false,
    },
    Subject {
        key: "openai",
        name: "openai",
        requirements: "openai==3.54.0",
        import: "from openai import AsyncOpenAI",
        native: true,
    },
    Subject {
        key: "pixell",
        name: "the pixell SDK",
        requirements: "pixell-sdk==0.5.4",
        import: "from pixell.sdk import AgentServer, PlanModeAgent",
        native: true,
    },
];

/// Answers how long the import took, in milliseconds, to anything it is asked.
const AGENT: &str = "import time
began = time.perf_counter()
IMPORT
took = (time.perf_counter() - began) * 1e3

async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        await send({'type': 'lifespan.startup.complete'})
        await receive()
        await send({'type': 'lifespan.shutdown.complete'})
        return
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': str(took).encode()})
";

/// Asks what its query names with a synchronous client, or nobody.
const BLOCKING: &str = "import requests

async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    if scope['query_string']:
        requests.get(scope['query_string'].decode())
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'done'})
";

/// How long the server the blocking client asks takes to answer.
const BLOCKED: Duration = Duration::from_secs(1);

/// How long the other instances of a server have to start: it is ready with the first one.
const OTHERS: Duration = Duration::from_secs(5);

/// What the log says when a layer has its bytecode.
const COMPILED: &str = "Dependencies compiled";

/// Measures `rounds` starts of each library. `python` has them too, in the same releases.
pub(crate) fn measure(uv: &str, python: &Path, rounds: usize, results: &str) -> Outcome<()> {
    let place = Place::new(uv, python)?;
    let mut figures = Figures::new();
    for subject in &SUBJECTS {
        one(subject, &place, rounds, &mut figures)?;
    }
    blocked(&place, rounds, &mut figures)?;
    figures.print_beside("CPython = 1");
    figures.write(results)
}

/// The programs, and where the agents are written.
struct Place {
    site: Site,
    python: PathBuf,
    uv: String,
    work: tempfile::TempDir,
}

impl Place {
    fn new(uv: &str, python: &Path) -> Outcome<Self> {
        let (site, work) = (Site::new(python.to_owned())?, tempfile::tempdir()?);
        Ok(Self { site, python: python.to_owned(), uv: uv.to_owned(), work })
    }

    /// Writes an agent, and lets PAR install and compile what it needs.
    fn agent(&self, key: &str, main: &str, requirements: &str) -> Outcome<PathBuf> {
        let agent = self.work.path().join(key);
        fs_err::create_dir(&agent)?;
        fs_err::write(agent.join("agent.yaml"), "name: measured\nversion: \"1.0\"\nhttp_server: main:app\n")?;
        fs_err::write(agent.join("requirements.txt"), format!("{requirements}\n"))?;
        fs_err::write(agent.join("main.py"), main)?;
        // What the guest carries has its bytecode already.
        let until = if requirements == CARRIED { "Runtime ready" } else { COMPILED };
        self.site.par_until(&agent, &self.variables(), until)?;
        Ok(agent)
    }

    fn variables(&self) -> [(&str, &str); 1] {
        [("PAR_UV", &self.uv)]
    }
}

/// Imports and starts, in turns with this machine's own Python.
fn one(subject: &Subject, place: &Place, rounds: usize, figures: &mut Figures) -> Outcome<()> {
    let Subject { key, name, .. } = subject;
    let Place { site, python, .. } = place;
    say(&format!("installing {name}"));
    let agent = place.agent(key, &AGENT.replace("IMPORT", subject.import), subject.requirements)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut our_starts, mut their_starts) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        say(&format!("{name}, round {round} of {rounds}"));
        let server = site.par_at(&agent, 1, &place.variables())?;
        let (import, start) = (imported(server.address)?, server.ready_after.as_secs_f64() * 1e3);
        server.stop()?;
        let native = if subject.native {
            let server = site.uvicorn_at(&agent)?;
            let start = server.ready_after.as_secs_f64() * 1e3;
            drop(server);
            Some((imported_by(python, subject.import)?, start))
        } else {
            None
        };
        // The first round warms the file cache up.
        if round > 0 {
            ours.push(import);
            our_starts.push(start);
            theirs.extend(native.map(|native| native.0));
            their_starts.extend(native.map(|native| native.1));
        }
    }
    let mut row = |what: &str, key: &str, value: f64, beside: Option<f64>| match beside {
        Some(beside) => figures.add_with_ratio(key, what, value, "ms", value / beside),
        None => figures.add(key, what, value, "ms"),
    };
    let beside = subject.native.then(|| (median(theirs), median(their_starts)));
    row(&format!("importing {name}"), &format!("import.{key}"), median(ours), beside.map(|beside| beside.0));
    let what = format!("process start to /health 200, {name}");
    row(&what, &format!("import.{key}.start"), median(our_starts), beside.map(|beside| beside.1));
    if let Some((import, start)) = beside {
        row(&format!("the import on CPython, {name}"), &format!("import.{key}.native"), import, None);
        row(&format!("uvicorn's start to 200, {name}"), &format!("import.{key}.start.native"), start, None);
    }
    Ok(())
}

/// How long a request waits while another one blocks in `requests.get`.
fn blocked(place: &Place, rounds: usize, figures: &mut Figures) -> Outcome<()> {
    let agent = place.agent("blocking", BLOCKING, "requests==2.34.2")?;
    let [uv] = place.variables();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for instances in [1, 2] {
        let mut waits = Vec::new();
        for round in 1..=rounds {
            say(&format!("waiting behind a synchronous client, {instances} instances, round {round} of {rounds}"));
            let upstream = runtime.block_on(Upstream::http());
            let url = upstream.url("127.0.0.1", "/steps");
            let policy = format!(
                "version: 1\ngrant: {{outbound: [\"{}\"], outbound_addresses: [127.0.0.0/8]}}\n",
                upstream.url("127.0.0.1", "")
            );
            let variables = [uv, ("PAR_POLICY", policy.as_str())];
            let server = place.site.par_at(&agent, instances, &variables)?;
            std::thread::sleep(OTHERS);
            waits.push(runtime.block_on(wait_behind(&upstream, &url, server.address))?);
            server.stop()?;
        }
        let what = format!("wait of a request while another blocks for 1 s in `requests.get`, {instances} instances");
        figures.add(&format!("blocked.{instances}"), &what, median(waits), "ms");
    }
    Ok(())
}

/// The wait of a second request, in milliseconds.
async fn wait_behind(upstream: &Upstream, url: &str, address: SocketAddr) -> Outcome<f64> {
    let client = client()?;
    let mut first = tokio::spawn(client.get(format!("http://{address}/?{url}")).send());
    tokio::select! {
        () = upstream.arrived(1) => {}
        answer = &mut first => return Err(format!("the agent did not ask: {}", answer??.status()).into()),
    }
    let began = Instant::now();
    let second = tokio::spawn(client.get(format!("http://{address}/")).send());
    let opened = async {
        tokio::time::sleep(BLOCKED).await;
        for _ in 0..8 {
            upstream.step();
        }
    };
    let (second, ()) = tokio::join!(
        async {
            let answer = second.await;
            (answer, began.elapsed())
        },
        opened
    );
    let (answer, took) = second;
    for answer in [answer??, first.await??] {
        answer.error_for_status()?;
    }
    Ok(took.as_secs_f64() * 1e3)
}

fn client() -> Outcome<reqwest::Client> {
    #[expect(clippy::disallowed_methods, reason = "it asks agents on this machine")]
    let client = reqwest::Client::builder().no_proxy().build()?;
    Ok(client)
}

/// What the agent says.
fn imported(address: SocketAddr) -> Outcome<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = client()?;
        Ok(client.get(format!("http://{address}/")).send().await?.text().await?.parse()?)
    })
}

/// The same on this machine's own Python, from its bytecode.
fn imported_by(python: &Path, import: &str) -> Outcome<f64> {
    let program =
        format!("import time\nbegan = time.perf_counter()\n{import}\nprint((time.perf_counter() - began) * 1e3)");
    #[expect(clippy::disallowed_methods, reason = "the interpreter PAR is compared to")]
    let output = Command::new(python).args(["-c", &program]).stdin(Stdio::null()).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
