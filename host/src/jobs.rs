//! Jobs for the sandbox that are no agent: compiling a deps layer, building a source distribution.
//!
//! Each runs in an instance of its own, which ends with the job: nothing a hostile file did to its
//! interpreter outlives it, and none of it meets an agent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::StatusCode;
use par_policy::policy::{Policy, Requested};
use par_policy::{Grants, InstanceCount, Limits, RequestTimeout};
use par_sandbox::call::{HttpCall, ReplyBody, RequestBody, Surface};
use par_sandbox::{AgentSpec, AuditSink, Engine, Guest, OutboundSetup, RestEntry, Sandbox, SandboxSpec};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::install::jobs::{Build, BuildStep, GuestJobs, JobError};

/// The programs, which run in the guest as an agent would.
const COMPILE: &str = include_str!("../../guest-python/jobs/compile_layer.py");
const BUILD: &str = include_str!("../../guest-python/jobs/build_wheel.py");
const SCAN: &str = include_str!("../../guest-python/jobs/scan_imports.py");

/// How long an instance has to stop once its job is done.
const STOP_WITHIN: Duration = Duration::from_millis(200);

/// Longest time of a job, whatever its caller says.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Largest bytecode of one file: a source of 4 MiB makes less than four times as much.
const LARGEST_BYTECODE: usize = 16 << 20;

/// Most bytes of an answer that is no bytecode: a wheel.
const LARGEST_ANSWER: usize = 128 << 20;

/// The sandbox, for jobs.
#[derive(Debug, Clone)]
pub struct SandboxJobs {
    guest: Guest,
    limits: Limits,
    audit: Arc<dyn AuditSink>,
}

impl SandboxJobs {
    /// Jobs in a guest, each under the limits of one instance. `audit` hears what they try.
    #[must_use]
    pub fn new(guest: Guest, limits: Limits, audit: Arc<dyn AuditSink>) -> Self {
        Self { guest, limits, audit }
    }

    /// What is worth saying of the imports of `files`, which are parsed and not run. Modules in
    /// `known` come from elsewhere.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub async fn scan(
        &self,
        files: &BTreeMap<String, String>,
        known: &BTreeSet<String>,
        deadline: Instant,
    ) -> Result<Vec<Import>, JobError> {
        let job = self.start(SCAN, None, None, BTreeMap::new(), None).await?;
        let question = serde_json::to_vec(&serde_json::json!({"files": files, "known": known})).map_err(failed)?;
        let answer = job.asking("/", question, deadline).await;
        job.stop().await;
        serde_json::from_slice(&answer?).map_err(|_| failed("its answer is not in its form"))
    }

    /// An instance that runs `program`.
    async fn start(
        &self,
        program: &str,
        sdist: Option<&Path>,
        layer: Option<&Path>,
        environment: BTreeMap<String, String>,
        build: Option<&Path>,
    ) -> Result<Job, JobError> {
        let package = tempfile::Builder::new().prefix("par-job-").tempdir().map_err(failed)?;
        fs_err::write(package.path().join("job.py"), program).map_err(failed)?;
        if let Some(sdist) = sdist {
            fs_err::copy(sdist, package.path().join("sdist")).map_err(failed)?;
        }
        // What a job has of time its caller says.
        let request_timeout = RequestTimeout::new(LONGEST).map_err(failed)?;
        let limits = Limits { instances: InstanceCount::new(1).map_err(failed)?, request_timeout, ..self.limits };
        // Nothing is requested, so nothing is granted, whatever the operator allows agents.
        let grants = Grants::resolve(&Requested::default(), &Policy::default(), limits).map_err(failed)?;
        let spec = SandboxSpec {
            guest: self.guest.clone(),
            package: package.path().to_owned(),
            dependencies: layer.map(Path::to_owned),
            grants: grants.with_environment(environment),
            agent: AgentSpec {
                name: "job".to_owned(),
                version: "0".to_owned(),
                description: String::new(),
                python_path: vec![String::new()],
                rest: Some(RestEntry::Application("job:app".to_owned())),
                actions: None,
                ui: None,
                a2a: None,
                base_path: String::new(),
            },
            scratch: package.path().to_owned(),
            outbound: OutboundSetup::default(),
            audit: Arc::clone(&self.audit),
        };
        let engine = Engine::new().map_err(failed)?;
        let started = match build {
            Some(directory) => Sandbox::start_build(&engine, spec, directory.to_owned()).await,
            None => Sandbox::start(&engine, spec).await,
        };
        let (sandbox, _) = started.map_err(failed)?;
        Ok(Job { sandbox, _package: package })
    }
}

impl GuestJobs for SandboxJobs {
    fn compile<'a>(
        &'a self,
        layer: &'a Path,
        files: &'a [String],
        deadline: Instant,
        keep: &'a mut (dyn FnMut(usize, &[u8]) + Send),
    ) -> BoxFuture<'a, Result<(), JobError>> {
        Box::pin(async move {
            let job = self.start(COMPILE, None, Some(layer), BTreeMap::new(), None).await?;
            let list = serde_json::to_vec(files).map_err(failed)?;
            let (_, body) = job.ask("/", list, deadline).await?;
            let mut frames = Frames { buffer: Vec::new(), next: 0, keep };
            match body {
                ReplyBody::Complete(bytes) => frames.add(&bytes)?,
                ReplyBody::Streamed(mut chunks) => {
                    while let Some(chunk) = chunks.recv().await {
                        frames.add(&chunk.map_err(failed)?)?;
                    }
                }
            }
            let done = frames.next;
            job.stop().await;
            if done == files.len() { Ok(()) } else { Err(failed("the compiler ended early")) }
        })
    }

    fn build<'a>(&'a self, build: Build<'a>) -> BoxFuture<'a, Result<BuildStep, JobError>> {
        Box::pin(async move {
            let environment = [
                ("HOME", "/build"),
                ("TMPDIR", "/build/tmp"),
                // Archives hold no time of this build: the same source makes the same wheel.
                ("SOURCE_DATE_EPOCH", "315532800"),
            ];
            let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            fs_err::create_dir(build.directory.join("tmp")).map_err(failed)?;
            let job = self.start(BUILD, Some(build.sdist), build.layer, environment, Some(build.directory)).await?;
            let outcome = steps(&job, &build).await;
            job.stop().await;
            outcome
        })
    }
}

/// Unpack, find out what the build needs, build.
async fn steps(job: &Job, build: &Build<'_>) -> Result<BuildStep, JobError> {
    let is_missing = |wanted: &[String]| wanted.iter().any(|line| !build.installed.contains(line));
    let mut required: Vec<String> = parsed(&job.answer("/unpack", build.deadline).await?)?;
    if is_missing(&required) {
        return Ok(BuildStep::Requires(required));
    }
    let more: Vec<String> = parsed(&job.answer("/requires", build.deadline).await?)?;
    if is_missing(&more) {
        required.extend(more.into_iter().filter(|line| !build.installed.contains(line)));
        return Ok(BuildStep::Requires(required));
    }
    let answer = job.answer("/wheel", build.deadline).await?;
    let parts = answer.split_at_checked(2).and_then(|(length, rest)| {
        let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
        let (file, content) = rest.split_at_checked(length)?;
        Some((std::str::from_utf8(file).ok()?, content))
    });
    let (file, content) = parts.ok_or_else(|| failed("its answer is not in its form"))?;
    Ok(BuildStep::Wheel { file: file.to_owned(), content: content.to_vec() })
}

/// Requirements as the guest lists them. Hostile: no more than anybody needs.
fn parsed(answer: &[u8]) -> Result<Vec<String>, JobError> {
    const MOST: usize = 100;
    let list: Vec<String> = serde_json::from_slice(answer).map_err(|_| failed("its answer is not in its form"))?;
    if list.len() > MOST { Err(failed("it has more than 100 build requirements")) } else { Ok(list) }
}

/// An import of a package that does not just work. As the guest says it, which is not believed in more
/// than this.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Import {
    /// The file, relative to the package.
    pub file: String,
    /// The line, from 1; 0 when it is not known.
    pub line: u32,
    /// The module.
    pub module: String,
    /// What is the matter with it.
    pub kind: ImportKind,
    /// Whether the code goes on without it.
    pub optional: bool,
    /// More about it; may be empty.
    pub because: String,
}

/// What is the matter with an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportKind {
    /// A module of the standard library that the guest lacks.
    Absent,
    /// A module that is there, and refuses what it is for.
    Refuses,
    /// A module that nothing required brings.
    NotInstalled,
    /// The file is not Python as the guest reads it.
    Unreadable,
}

/// One instance at work. Dropping it ends the instance.
struct Job {
    sandbox: Sandbox,
    _package: TempDir,
}

impl Job {
    async fn ask(
        &self,
        path: &'static str,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Result<(StatusCode, ReplyBody), JobError> {
        let request = http::Request::post(path).header(http::header::HOST, "job").body(()).map_err(failed)?;
        let call = HttpCall {
            surface: Surface::Rest,
            head: request.into_parts().0,
            body: RequestBody::Complete(Bytes::from(body)),
            root_path: "".into(),
            client: None,
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            deadline,
            request_id: "job".into(),
        };
        let (head, body) = self.sandbox.http(call).await.map_err(failed)?.into_parts();
        Ok((head.status, body))
    }

    /// The whole answer to a step of a build.
    async fn answer(&self, path: &'static str, deadline: Instant) -> Result<Vec<u8>, JobError> {
        self.asking(path, Vec::new(), deadline).await
    }

    /// The whole answer to a question.
    async fn asking(&self, path: &'static str, question: Vec<u8>, deadline: Instant) -> Result<Vec<u8>, JobError> {
        let (status, body) = self.ask(path, question, deadline).await?;
        let mut answer = Vec::new();
        match body {
            ReplyBody::Complete(bytes) => answer.extend_from_slice(&bytes),
            ReplyBody::Streamed(mut chunks) => {
                while let Some(chunk) = chunks.recv().await {
                    answer.extend_from_slice(&chunk.map_err(failed)?);
                    if answer.len() > LARGEST_ANSWER {
                        return Err(failed("its answer is larger than any wheel"));
                    }
                }
            }
        }
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let failure: Failure = serde_json::from_slice(&answer).map_err(|_| failed("its answer is not in its form"))?;
        let because = failure.error.chars().take(300).map(|letter| if letter.is_control() { ' ' } else { letter });
        Err(JobError { because: because.collect(), output: format!("{}{}", failure.output, failure.traceback) })
    }

    async fn stop(self) {
        self.sandbox.stop(Instant::now() + STOP_WITHIN).await;
    }
}

/// What a step of a build answers when it raised.
#[derive(Deserialize)]
struct Failure {
    error: String,
    output: String,
    traceback: String,
}

/// Bytecode as it arrives: four bytes of length, then that many.
struct Frames<'a> {
    buffer: Vec<u8>,
    next: usize,
    keep: &'a mut (dyn FnMut(usize, &[u8]) + Send),
}

impl Frames<'_> {
    fn add(&mut self, bytes: &[u8]) -> Result<(), JobError> {
        self.buffer.extend_from_slice(bytes);
        let mut rest = self.buffer.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if length > LARGEST_BYTECODE {
                return Err(failed("the bytecode of a file is larger than any"));
            }
            let Some((bytecode, after)) = after.split_at_checked(length) else { break };
            (self.keep)(self.next, bytecode);
            self.next += 1;
            rest = after;
        }
        let read = self.buffer.len() - rest.len();
        self.buffer.drain(..read);
        Ok(())
    }
}

/// An error with everything that led to it in one sentence.
fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> JobError {
    let error = error.into();
    let chain = std::iter::successors(Some(error.as_ref() as &dyn std::error::Error), |error| error.source());
    let because = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    JobError { because, output: String::new() }
}
