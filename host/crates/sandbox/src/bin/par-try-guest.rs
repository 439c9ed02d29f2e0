//! Starts one agent on a guest and asks it for `/`:
//! `par-try-guest GUEST PACKAGE MODULE:APPLICATION`.
//!
//! The build of the guest runs it before it publishes one, so that what was published has
//! answered a request in the engine that will run it.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use par_policy::policy::{Policy, Requested};
use par_policy::{Grants, InstanceCount, Limits};
use par_sandbox::call::{HttpCall, ReplyBody, RequestBody, Surface};
use par_sandbox::{AgentSpec, Engine, Guest, NoAudit, OutboundSetup, RestEntry, Sandbox, SandboxSpec, StartError};

/// How long the instance has to stop; the result is known by then.
const STOP_WITHIN: Duration = Duration::from_secs(5);

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the whole interface of this program")]
async fn main() -> ExitCode {
    match try_guest().await {
        Ok(body) => {
            println!("{body}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", chain(error.as_ref()));
            if let Some(StartError::Agent { traceback, .. }) = error.downcast_ref() {
                eprintln!("{traceback}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn try_guest() -> Result<String, Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [guest, package, application] = arguments.as_slice() else {
        return Err("expected three arguments: a guest, a package and `module:application`".into());
    };
    let limits = Limits::default_with(InstanceCount::new(1)?);
    let deadline = Instant::now() + limits.request_timeout.duration();
    let spec = SandboxSpec {
        guest: Guest::at(guest),
        package: package.into(),
        dependencies: None,
        grants: Grants::resolve(&Requested::default(), &Policy::default(), limits)?,
        agent: agent(application),
        scratch: std::env::temp_dir(),
        outbound: OutboundSetup::default(),
        audit: Arc::new(NoAudit),
    };
    let (sandbox, _) = Sandbox::start(&Engine::new()?, spec).await?;
    let reply = sandbox.http(get_root(deadline)?).await?;
    let (head, body) = reply.into_parts();
    let body = match body {
        ReplyBody::Complete(bytes) => String::from_utf8(bytes.into())?,
        ReplyBody::Streamed(_) => return Err("the agent streamed its answer".into()),
    };
    sandbox.stop(Instant::now() + STOP_WITHIN).await;
    if head.status == http::StatusCode::OK { Ok(body) } else { Err(format!("{}: {body}", head.status).into()) }
}

fn agent(application: &str) -> AgentSpec {
    AgentSpec {
        name: "trial".to_owned(),
        version: "0".to_owned(),
        description: String::new(),
        python_path: vec![String::new()],
        rest: Some(RestEntry::Application(application.to_owned())),
        actions: None,
        ui: None,
        a2a: None,
        base_path: String::new(),
    }
}

fn get_root(deadline: Instant) -> Result<HttpCall, http::Error> {
    let (head, ()) = http::Request::get("/").header(http::header::HOST, "trial").body(())?.into_parts();
    Ok(HttpCall {
        surface: Surface::Rest,
        head,
        body: RequestBody::Complete(bytes::Bytes::new()),
        root_path: "".into(),
        client: None,
        server: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        deadline,
        request_id: "trial".into(),
    })
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
