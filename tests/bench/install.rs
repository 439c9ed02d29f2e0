//! Installing thirty wheels from a wheelhouse, here and by the tools people know; and starts with
//! what was installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::figures::{Figures, median, say};
use crate::{Outcome, servers};

/// The agent that needs them.
const AGENT: &str = "many";

/// What the log says when the agent is ready, and when its dependencies have their bytecode.
const READY: &str = "Runtime ready";
const COMPILED: &str = "Dependencies compiled";

/// Measures `rounds` installations of each, in turns.
pub(crate) fn measure(uv: &Path, python: &Path, rounds: usize, results: &str) -> Outcome<()> {
    let site = Site::new(uv, python)?;
    say("filling the wheelhouse");
    // The guest has a `markupsafe` of its own, for which the other tools need a wheel.
    site.run(site.par().arg("wheelhouse").arg("add").arg(site.agent()).arg("markupsafe==3.0.3"))?;
    let wheels = fs_err::read_dir(site.wheelhouse())?.count();
    say(&format!("{wheels} wheels; locking them"));
    let locked = site.work.path().join("locked");
    copy(&site.agent(), &locked)?;
    site.run(site.par().env("WHEELHOUSE_OFFLINE", "true").arg("lock").arg(&locked))?;

    let mut times: [Vec<f64>; 10] = Default::default();
    for round in 0..rounds {
        say(&format!("round {} of {rounds}", round + 1));
        let [par, uv_plain, uv_compiled, pip, with_lock, unpacked, first, second, without, compiled] = &mut times;
        let boot = site.boot(&site.agent(), None, READY)?;
        par.push(boot.total);
        unpacked.push(boot.unpack);
        let boot = site.boot(&locked, None, COMPILED)?;
        with_lock.push(boot.total);
        first.push(boot.ready);
        compiled.push(boot.compile);
        second.push(site.boot(&locked, Some(&boot.cache), READY)?.ready);
        without.push(site.without_bytecode(&locked, &boot.cache)?);
        uv_plain.push(site.uv(false)?);
        uv_compiled.push(site.uv(true)?);
        pip.push(site.pip()?);
    }
    let [par, uv_plain, uv_compiled, pip, with_lock, unpacked, first, second, without, compiled] = times.map(median);
    let mut figures = Figures::new();
    figures.add("install.wheels", "wheels in the set", wheels as f64, "");
    figures.add_with_ratio("install.uv", "uv pip install --offline", uv_plain, "ms", 1.0);
    figures.add_with_ratio("install.par", "PAR, resolved", par, "ms", par / uv_plain);
    figures.add_with_ratio("install.par.lock", "PAR, locked", with_lock, "ms", with_lock / uv_plain);
    figures.add_with_ratio("install.par.unpack", "of it checking and unpacking", unpacked, "ms", unpacked / uv_plain);
    figures.add_with_ratio(
        "install.uv.compiled",
        "uv with --compile-bytecode",
        uv_compiled,
        "ms",
        uv_compiled / uv_plain,
    );
    figures.add_with_ratio("install.pip", "pip install --no-index --no-compile", pip, "ms", pip / uv_plain);
    figures.add("start.first", "process start to ready, offline, locked, nothing installed", first, "ms");
    figures.add("install.compile", "compiling, after that and beside the agent", compiled, "ms");
    figures.add("start.compiled", "process start to ready, offline, locked, installed, with bytecode", second, "ms");
    figures.add("start.source", "the same without bytecode", without, "ms");
    figures.print_beside("uv = 1");
    figures.write(results)
}

/// What is needed, and where.
struct Site {
    here: PathBuf,
    par: PathBuf,
    uv: PathBuf,
    python: PathBuf,
    work: tempfile::TempDir,
}

/// One start. Unit: milliseconds.
struct Boot {
    ready: f64,
    total: f64,
    unpack: f64,
    compile: f64,
    cache: PathBuf,
}

impl Site {
    fn new(uv: &Path, python: &Path) -> Outcome<Self> {
        let par = std::env::current_exe()?.with_file_name("par");
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench");
        let work = tempfile::tempdir()?;
        Ok(Self { here, par, uv: uv.to_owned(), python: python.to_owned(), work })
    }

    fn agent(&self) -> PathBuf {
        self.here.join("agents").join(AGENT)
    }

    fn wheelhouse(&self) -> PathBuf {
        self.work.path().join("wheels")
    }

    /// A directory nobody used before.
    fn fresh(&self) -> Outcome<PathBuf> {
        Ok(tempfile::Builder::new().tempdir_in(self.work.path())?.keep())
    }

    fn par(&self) -> Command {
        #[expect(clippy::disallowed_methods, reason = "the program that is measured")]
        let mut command = Command::new(&self.par);
        command.env("PAR_UV", &self.uv).env("WHEELHOUSE_DIR", self.wheelhouse()).env("AGENT_APP_ID", "bench");
        command.env("PAR_CACHE_DIR", self.work.path().join("cache"));
        command
    }

    /// Starts the agent, in a fresh cache or another one, until the log has an event.
    fn boot(&self, agent: &Path, cache: Option<&Path>, until: &str) -> Outcome<Boot> {
        let cache = cache.map_or_else(|| self.fresh(), |cache| Ok(cache.to_owned()))?;
        let log = self.work.path().join("par.log");
        let mut command = self.par();
        for port in ["REST_PORT", "A2A_PORT", "UI_PORT"] {
            command.env(port, servers::free_port()?.to_string());
        }
        command.env("PAR_CACHE_DIR", cache.join("par")).env("WHEELHOUSE_OFFLINE", "true").env("PAR_INSTANCES", "1");
        command.arg("run").arg(agent).arg("--log-format=json");
        command.stdin(Stdio::null()).stdout(fs_err::File::create(&log)?.into_file()).stderr(Stdio::null());
        let mut process = command.spawn()?;
        let found = loop {
            let lines = fs_err::read_to_string(&log)?;
            if let (Some(ready), Some(_)) = (event(&lines, READY), event(&lines, until)) {
                break Ok((ready, event(&lines, "Dependencies installed"), event(&lines, COMPILED)));
            }
            if process.try_wait()?.is_some() {
                break Err(format!("PAR did not start:\n{lines}"));
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        process.kill()?;
        process.wait()?;
        let (ready, installed, compiled) = found?;
        let of = |event: &Option<Value>, key: &str| {
            event.as_ref().and_then(|event| event["details"][key].as_f64()).unwrap_or_default()
        };
        Ok(Boot {
            ready: ready["details"]["boot_ms"].as_f64().ok_or("no `boot_ms`")?,
            total: ready["details"]["phases_ms"]["install"].as_f64().ok_or("no `install`")?,
            unpack: of(&installed, "unpack_ms"),
            compile: of(&compiled, "compile_ms"),
            cache,
        })
    }

    /// A start with the same layer, its bytecode removed.
    fn without_bytecode(&self, agent: &Path, cache: &Path) -> Outcome<f64> {
        remove_bytecode(&cache.join("par/deps"))?;
        Ok(self.boot(agent, Some(cache), READY)?.ready)
    }

    fn uv(&self, compile: bool) -> Outcome<f64> {
        let mut command = self.tool(&self.uv);
        command.args(["pip", "install", "--offline", "--no-index", "--no-config", "--python-version", "3.14"]);
        command.args(["--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:", "--quiet"]);
        command.arg("--cache-dir").arg(self.fresh()?);
        command.args(compile.then_some("--compile-bytecode"));
        self.timed(command)
    }

    fn pip(&self) -> Outcome<f64> {
        let mut command = self.tool(&self.python);
        command.args(["-m", "pip", "install", "--no-index", "--no-compile", "--python-version", "3.14"]);
        command.args([
            "--platform",
            "manylinux_2_28_x86_64",
            "--platform",
            "manylinux_2_17_x86_64",
            "--only-binary=:all:",
        ]);
        command.args(["--quiet", "--no-cache-dir", "--disable-pip-version-check", "--ignore-requires-python"]);
        self.timed(command)
    }

    fn tool(&self, program: &Path) -> Command {
        #[expect(clippy::disallowed_methods, reason = "the programs PAR is compared to")]
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        command
    }

    /// Runs an installer into a fresh directory.
    fn timed(&self, mut command: Command) -> Outcome<f64> {
        command.arg("--find-links").arg(self.wheelhouse()).arg("--target").arg(self.fresh()?);
        command.arg("--requirement").arg(self.agent().join("requirements.txt"));
        let started = Instant::now();
        self.run(&mut command)?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    }

    fn run(&self, command: &mut Command) -> Outcome<()> {
        let output = command.output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

/// The first line of an event.
fn event(log: &str, name: &str) -> Option<Value> {
    log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| line["event"] == name)
}

fn copy(from: &Path, to: &Path) -> Outcome<()> {
    fs_err::create_dir(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs_err::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn remove_bytecode(directory: &Path) -> Outcome<()> {
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        if path.ends_with("__pycache__") {
            fs_err::remove_dir_all(path)?;
        } else if path.is_dir() {
            remove_bytecode(&path)?;
        }
    }
    Ok(())
}
