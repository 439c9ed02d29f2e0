//! The A2A surface: `pixell.agent.AgentService` over gRPC.

use std::collections::HashMap;

use par_tests::{A2aMessage, ActionRequest, ActionResult, Package, RunningHost, TestHost, WrongRequest};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

async fn service() -> RunningHost {
    TestHost::agent(&Package::actions(include_str!("python/service.py"))).start().await
}

/// R015, R075, R078, R080, R118: the unary methods of the service answer.
#[tokio::test]
async fn the_methods_of_the_service_answer() {
    let host = service().await;
    let client = host.a2a().await;

    let health = client.health().await.unwrap();
    let pong = client.ping().await.unwrap();
    let about = client.describe().await.unwrap();

    assert_eq!((health.ok, health.message.as_str()), (true, "Agent is healthy"));
    assert_eq!(pong.message, "pong");
    assert!(health.timestamp > 1_600_000_000_000 && pong.timestamp >= health.timestamp);
    assert_eq!(about.methods, ["Health", "DescribeCapabilities", "Invoke", "Ping"]);
    assert_eq!(about.metadata["name"], "probe");
    assert_eq!(about.metadata["version"], "1.0");
}

/// Handlers may be `async` or not, and what they return arrives as Python's `str()` of it.
#[tokio::test]
async fn results_are_exactly_what_python_says() {
    let host = service().await;
    let client = host.a2a().await;
    let mapping = "{'a': 1, 'b': [None, True, 1.5], 'c': \"it's\"}";

    for (action, expected) in [
        ("mapping", mapping),
        ("mapping_without_waiting", mapping),
        ("nothing", "None"),
        ("raw", "b'xy'"),
        ("text", "plain ümläut 🐍"),
        ("point", "Point(1, 2)"),
        ("reported", "{'success': False, 'error': \"of the agent's own\"}"),
    ] {
        let result = client.act(action, &[]).await;
        assert_eq!((result.success, result.result.as_str(), result.error.as_str()), (true, expected, ""), "{action}");
    }
}

/// Exceptions are the error of the action and not of the call; their traceback is in the log.
#[tokio::test]
async fn exceptions_are_the_error_of_the_action() {
    let host = service().await;
    let client = host.a2a().await;

    for (action, expected) in [
        ("key", "'missing'"),
        ("fails", "it went wrong"),
        ("unknown", "No handler found for action: unknown"),
        ("", "No action/skill specified in request"),
    ] {
        let result = client.act(action, &[]).await;
        assert_eq!((result.success, result.result.as_str(), result.error.as_str()), (false, "", expected), "{action}");
    }

    let line = host.wait_for("the traceback", |line| line.text_of("traceback").contains("it went wrong")).await;
    assert_eq!((line.event(), line.text_of("action")), ("Action invocation failed", "fails"));
    let left = client.act("leaves", &[]).await;
    assert!(!left.success && left.error.contains("SystemExit(3)"), "{left:?}");
    assert_eq!(client.act("nothing", &[]).await.result, "None");
}

/// Parameters arrive as text from the plain form and as JSON values from the other one.
#[tokio::test]
async fn both_forms_of_a_request_are_understood() {
    let host = service().await;
    let client = host.a2a().await;
    let message = |params: &str| ActionRequest {
        message: Some(A2aMessage {
            jsonrpc: "2.0".into(),
            id: "1".into(),
            method: "message/send".into(),
            params_json: params.into(),
        }),
        ..ActionRequest::default()
    };

    let plain = client.act("parameters", &[("b", "2"), ("a", "1")]).await;
    let rpc = r#"{"message":{"metadata":{"skill":"parameters","params":{"n":[1,null],"a":1.5}}}}"#;
    let rpc = client.invoke(message(rpc)).await.unwrap();
    let broken = client.invoke(message("{")).await.unwrap();

    assert_eq!(plain.result, "dict [('a', '1'), ('b', '2')]");
    assert_eq!(rpc.result, "dict [('a', 1.5), ('n', [1, None])]");
    assert!(!broken.success && broken.error.starts_with("Invalid JSON in A2A params_json: "), "{broken:?}");
}

/// The id of a request is echoed, or made up.
#[tokio::test]
async fn the_id_of_a_request_comes_back() {
    let host = service().await;
    let client = host.a2a().await;

    let request = ActionRequest { action: "nothing".into(), request_id: "mine".into(), ..ActionRequest::default() };
    let named = client.invoke(request).await.unwrap();
    let unnamed = client.act("nothing", &[]).await;

    assert_eq!(named.request_id, "mine");
    assert!(unnamed.request_id.strip_prefix("req_").is_some_and(|ms| ms.parse::<u64>().is_ok()), "{unnamed:?}");
    assert!(named.duration_ms >= 0 && named.metadata.is_empty());
}

/// The load balancer leaves `/agents/{id}/a2a` in front of the path; another agent's prefix is
/// no prefix.
#[tokio::test]
async fn the_prefix_of_the_load_balancer_is_accepted_for_this_agent_only() {
    let host = service().await;
    let client = host.a2a().await;

    assert_eq!(client.below("/agents/app-1/a2a").act("nothing", &[]).await.result, "None");
    let other = client.below("/agents/app-2/a2a").ping().await.unwrap_err();
    assert_eq!((other.code(), other.message()), (Code::Unimplemented, "Method not found!"));
}

/// R085, R118: the standard health service answers for the process and for the service.
#[tokio::test]
async fn the_standard_health_service_answers() {
    let host = service().await;
    let client = host.a2a().await;

    assert_eq!(client.standard_health("").await.unwrap(), ServingStatus::Serving);
    assert_eq!(client.standard_health("pixell.agent.AgentService").await.unwrap(), ServingStatus::Serving);
    assert_eq!(client.standard_health("other").await.unwrap_err().code(), Code::NotFound);
}

/// hostile 145, 152, 153: what is no request is refused with the codes clients know, and the next one is answered.
#[tokio::test]
async fn malformed_and_oversized_messages_are_refused() {
    let host = service().await;
    let client = host.a2a().await;
    let sized = |bytes: usize| ActionRequest {
        action: "nothing".into(),
        parameters: HashMap::from([("text".to_owned(), "x".repeat(bytes))]),
        ..ActionRequest::default()
    };

    let wrong = client.call::<_, ActionResult>("Invoke", WrongRequest { action: 7 }).await.unwrap_err();
    let missing = client.call::<_, ActionResult>("Missing", WrongRequest { action: 7 }).await.unwrap_err();
    let large = client.invoke(sized(4 << 20)).await.unwrap_err();
    let fitting = client.invoke(sized((4 << 20) - 100)).await.unwrap();

    assert_eq!(wrong.code(), Code::Unknown);
    assert_eq!((missing.code(), missing.message()), (Code::Unimplemented, "Method not found!"));
    assert_eq!(large.code(), Code::ResourceExhausted);
    assert_eq!(fitting.result, "None");
}

/// The limit of a message is the operator's.
#[tokio::test]
async fn the_limit_of_a_message_can_be_raised() {
    let package = Package::actions(include_str!("python/service.py"));
    let host = TestHost::agent(&package).env("A2A_MAX_MESSAGE_BYTES", "8388608").start().await;
    let parameters = HashMap::from([("text".to_owned(), "x".repeat(5 << 20))]);
    let request = ActionRequest { action: "nothing".into(), parameters, ..ActionRequest::default() };

    assert_eq!(host.a2a().await.invoke(request).await.unwrap().result, "None");
}

/// hostile 149: an action that never ends is a status with the code of the deadline.
#[tokio::test]
async fn an_action_past_its_deadline_is_a_typed_status() {
    let package = Package::actions(include_str!("python/service.py"));
    let host = TestHost::agent(&package).env("REQUEST_TIMEOUT_SEC", "1").start().await;
    let client = host.a2a().await;

    let request = ActionRequest { action: "spin".into(), ..ActionRequest::default() };
    let status = client.invoke(request).await.unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.metadata().get("x-error-code").unwrap(), "call_timeout");
    assert_eq!(client.act("nothing", &[]).await.result, "None");
}

/// Actions wait for each other on one instance.
#[tokio::test]
async fn actions_run_side_by_side() {
    let host = service().await;
    let client = host.a2a().await;

    let (held, released) = tokio::join!(client.act("hold", &[("name", "a")]), client.act("release", &[("name", "a")]));

    assert_eq!((held.result.as_str(), released.result.as_str()), ("released", "None"));
}

/// A service function that returns nothing is an agent without actions, not a failure.
#[tokio::test]
async fn a_service_that_returns_nothing_has_no_actions() {
    let package = Package::actions("def create_service():\n    print('no actions yet')\n");
    let host = TestHost::agent(&package).start().await;

    let result = host.a2a().await.act("anything", &[]).await;

    assert_eq!(result.error, "No handler found for action: anything");
    host.wait_for_agent("no actions yet").await;
}
