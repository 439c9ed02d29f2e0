//! Instances that hang, trap or leave: who was waiting gets a typed error, whoever comes next
//! an answer.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use par_tests::{Package, RunningHost, TestHost};
use reqwest::Method;
use serde_json::{Value, json};

use crate::streaming::{next, upload};

fn probe() -> TestHost {
    TestHost::agent(&Package::asgi(include_str!("python/probe.py")))
}

async fn identity(host: &RunningHost) -> Value {
    let reply = host.get("/identity").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Waits until `count` instances have started.
async fn started(host: &RunningHost, count: usize) {
    let seen = std::sync::Mutex::new(std::collections::BTreeSet::new());
    host.wait_for(&format!("{count} instances"), |line| {
        let text = line.text_of("text");
        let mut seen = seen.lock().unwrap();
        if text.starts_with("instance ") && text.ends_with(" started") {
            seen.insert(text.to_owned());
        }
        seen.len() >= count
    })
    .await;
}

/// hostile 74, 89: code that never yields is a typed 504 at its deadline, while another instance keeps answering;
/// the lost instance is replaced.
#[tokio::test]
async fn code_that_never_yields_is_a_typed_504_while_others_answer() {
    let deadline = Duration::from_secs(3);
    let host = probe().env("REQUEST_TIMEOUT_SEC", "3").env("PAR_INSTANCES", "2").start().await;
    started(&host, 2).await;
    let begun = Instant::now();
    let spinning = host.send(host.request(Method::GET, "/spin"));
    tokio::pin!(spinning);

    let (mut answered, mut identities) = (0, std::collections::BTreeSet::new());
    let reply = loop {
        tokio::select! {
            biased;
            reply = &mut spinning => break reply,
            other = identity(&host), if host.events("Agent log").iter().any(|line| line.text_of("text") == "spinning") => {
                answered += 1;
                identities.insert(other.to_string());
            }
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    };

    assert_eq!((reply.status, reply.error_code().as_str()), (504, "call_timeout"));
    assert_eq!(reply.json()["message"], "agent `app-1` did not answer within 3 s");
    let took = begun.elapsed();
    assert!(took >= deadline && took < deadline + Duration::from_secs(2), "{took:?}");
    assert!(answered > 10, "{answered} answers meanwhile");
    assert_eq!(identities.len(), 1, "all from the other instance");
    started(&host, 3).await;
    let id = reply.header("x-request-id");
    host.wait_for("the timeout", |line| line.text_of("request_id") == id && line.level() == "error").await;
}

/// Waits until the process takes next to no time of a core any more.
pub(crate) async fn comes_to_rest(host: &RunningHost, after: &str) {
    for _ in 0..150 {
        let before = host.processor_time();
        tokio::time::sleep(Duration::from_millis(200)).await;
        if host.processor_time() - before < Duration::from_millis(50) {
            return;
        }
    }
    panic!("after {after} the process still computes");
}

/// hostile 74: so is one call of C that never returns, whatever it does; its instance ends, and the next one answers.
#[tokio::test]
async fn computation_in_c_is_stopped_as_well() {
    let host = TestHost::agent(&Package::asgi(include_str!("python/computing.py")));
    let host = host.env("REQUEST_TIMEOUT_SEC", "1").env("PAR_INSTANCES", "1").start().await;
    for path in ["/pattern", "/factorial", "/sum", "/copies", "/calls", "/jump"] {
        let reply = host.get(path).await;

        assert_eq!((reply.status, reply.error_code().as_str()), (504, "call_timeout"), "{path}");
        assert_eq!(host.get("/").await.text(), "done", "{path}");
        // An answer could be had while it goes on in the dark; the process comes to rest when it has stopped.
        comes_to_rest(&host, path).await;
    }
}

/// hostile 77: so is a call that blocks in the host, which no safepoint interrupts, and one that waits for ever.
#[tokio::test]
async fn code_that_blocks_or_waits_for_ever_is_a_typed_504() {
    let host = probe().env("REQUEST_TIMEOUT_SEC", "1").start().await;
    for path in ["/block?seconds=3600", "/hold?name=never"] {
        let reply = host.get(path).await;

        assert_eq!((reply.status, reply.error_code().as_str()), (504, "call_timeout"), "{path}");
        assert_eq!(host.get("/ping").await.json(), "pong", "{path}");
    }
}

/// hostile 88: a request that waited past its deadline does not cost the others their answers; the instance that
/// served it takes no further requests.
#[tokio::test]
async fn a_request_that_waits_past_its_deadline_leaves_the_others_alone() {
    let host = probe().env("REQUEST_TIMEOUT_SEC", "4").start().await;
    let before = identity(&host).await;
    let late = host.send(host.request(Method::GET, "/hold?name=late"));
    let later = async {
        host.wait_for_agent("holding late").await;
        host.get("/wait?seconds=2").await;
        // In flight when the other one times out, and for a second after.
        host.get("/wait?seconds=3").await
    };

    let (late, later) = tokio::join!(late, later);

    assert_eq!((late.status, late.error_code().as_str()), (504, "call_timeout"));
    assert_eq!((later.status, later.json()["instance"].clone()), (200, before.clone()));
    assert_ne!(identity(&host).await, before);
}

/// An instance that traps or leaves fails every request it was serving with a typed error; the next
/// request is served by a fresh one.
#[tokio::test]
async fn an_instance_that_is_lost_fails_its_requests_and_is_replaced() {
    for path in ["/leave", "/abort"] {
        let host = probe().start().await;
        let before = identity(&host).await;
        let held = host.send(host.request(Method::GET, "/hold?name=a"));
        let lost = async {
            host.wait_for_agent("holding a").await;
            host.get(path).await
        };

        let (held, lost) = tokio::join!(held, lost);

        for reply in [held, lost] {
            assert_eq!((reply.status, reply.error_code().as_str()), (502, "instance_lost"), "{path}");
        }
        let after = identity(&host).await;
        assert_ne!(after, before, "{path}");
        assert_eq!(host.health().await.status, 200);
    }
}

/// The log says of each step when it happens: the instance takes no new calls, another one has taken its place, and it
/// has ended. One that answered its last request ends when the answer is over, with its successor long in service.
#[tokio::test]
async fn an_instance_that_is_replaced_is_logged_step_by_step() {
    let policy = "version: 1\nlimits: {requests_per_instance: 1, instances: 1}\n";
    let host = TestHost::agent(&Package::asgi(include_str!("python/streams.py")));
    let host = host.env("PAR_POLICY", policy).env("LOG_LEVEL", "debug").start().await;
    let (sender, body) = upload();
    sender.send("before".into()).await.unwrap();

    let mut pieces = host.request(Method::POST, "/echo").body(body).send().await.unwrap().bytes_stream();
    assert_eq!(next(&mut pieces).await, "before");
    let left = host.wait_for_event("Instance taken out of service").await;
    let replaced = host.wait_for_event("Instance replaced after its last request").await;

    assert_eq!((left.text_of("reason"), left.detail("instances")), ("worn", &json!(0)));
    assert_eq!(replaced.detail("instances"), 1);
    assert!(replaced.detail("gap_ms").as_f64().unwrap() > 0.0, "{}", replaced.text);
    sender.send("after".into()).await.unwrap();
    assert_eq!(next(&mut pieces).await, "after");
    assert!(host.events("Instance ended").is_empty(), "{}", host.log_text());
    drop(sender);
    assert!(pieces.next().await.is_none());
    assert_eq!(host.wait_for_event("Instance ended").await.text_of("reason"), "worn");
}

/// One that is lost has ended before another one is there, and the log says why.
#[tokio::test]
async fn an_instance_that_is_lost_is_logged_with_its_cause() {
    let host = probe().start().await;

    assert_eq!(host.get("/leave").await.status, 502);

    let replaced = host.wait_for_event("Instance replaced").await;
    let ended = host.wait_for_event("Instance ended").await;
    let left = &host.events("Instance taken out of service")[0];
    assert!([left, &ended, &replaced].iter().all(|line| line.level() == "warning"), "{}", host.log_text());
    assert_eq!((left.text_of("reason"), ended.text_of("reason")), ("lost", "lost"));
    assert!(!ended.text_of("cause").is_empty(), "{}", ended.text);
    let steps = ["Instance taken out of service", "Instance replaced"];
    let lines = host.lines();
    let places = steps.map(|step| lines.iter().position(|line| line.event() == step).unwrap());
    assert!(places.is_sorted(), "{}", host.log_text());
}

/// hostile 86: an agent that traps in every request is given a rest: who comes then is told to come back, and is served
/// afterwards.
#[tokio::test]
async fn an_agent_that_traps_again_and_again_is_given_a_rest() {
    let host = probe().start().await;
    let mut refused = host.get("/abort").await;
    let mut traps = 1;
    while refused.error_code() == "instance_lost" {
        refused = host.get("/abort").await;
        traps += 1;
        assert!(traps < 50, "{}", host.log_text());
    }

    assert_eq!((refused.status, refused.error_code().as_str()), (503, "circuit_open"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(traps > 10, "{traps}");
    assert!(!host.wait_for_denial("circuit_open").await.text_of("request_id").is_empty());
    assert_eq!(host.health().await.status, 200);
    assert_eq!(host.get_once_served("/ping").await.json(), "pong");
}

/// `sys.exit` in a request is an exception like any other.
#[tokio::test]
async fn an_exit_in_a_request_is_the_error_of_that_request() {
    let host = probe().start().await;
    let before = identity(&host).await;

    let reply = host.get("/quit").await;

    assert_eq!((reply.status, reply.error_code().as_str()), (500, "agent_error"));
    assert_eq!(identity(&host).await, before, "the same instance");
}

/// An instance that hangs does not hold up the shutdown.
#[tokio::test]
async fn an_instance_that_hangs_does_not_hold_up_the_shutdown() {
    let mut host = probe().env("GRACEFUL_SHUTDOWN_TIMEOUT_SEC", "1").start().await;
    let spinning = tokio::spawn(host.request(Method::GET, "/spin").send());
    host.wait_for_agent("spinning").await;

    assert_eq!(host.stop().await, 0);

    assert!(spinning.await.unwrap().is_err());
}

/// 200 requests are inside one instance at once: none of them answers before all have come.
#[tokio::test]
async fn two_hundred_requests_run_at_once_on_one_instance() {
    let host = probe().start().await;
    let requests = (0..200).map(|_| host.get("/together?count=200"));

    let replies = futures::future::join_all(requests).await;

    for reply in replies {
        assert_eq!((reply.status, reply.json()), (200, Value::from(200)));
    }
}

/// 200 requests that wait 50 ms each all succeed on one instance.
#[tokio::test]
async fn two_hundred_waits_succeed_on_one_instance() {
    let host = probe().start().await;
    let before = identity(&host).await;
    let requests = (0..200).map(|_| host.get("/wait?seconds=0.05"));

    let replies = futures::future::join_all(requests).await;

    for reply in replies {
        assert_eq!((reply.status, &reply.json()["instance"]), (200, &before));
    }
}

/// A wait so short that it is over before anybody waits for it ends all the same, and so do those after it: nobody
/// else asks for anything meanwhile.
#[tokio::test]
async fn the_shortest_waits_end() {
    let host = TestHost::agent(&Package::asgi(include_str!("python/probe.py"))).env("PAR_INSTANCES", "1").start().await;

    for number in 0..2000 {
        let seconds = ["0.0000001", "0.000001", "0.00001", "0.0001"][number % 4];
        let reply = host.get(&format!("/wait?seconds={seconds}")).await;
        assert_eq!(reply.status, 200, "{number}: {}", reply.text());
    }
}
