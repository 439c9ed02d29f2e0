//! What the requests of one instance share, the loop and the modules, and what each has for itself.

use futures::future::join_all;
use par_tests::{Inside, RunningInside};
use serde_json::{Value, json};

/// As many as `python/shared.py` waits for.
const REQUESTS: usize = 10;

async fn start() -> RunningInside {
    Inside::asgi(include_str!("python/shared.py")).start().await
}

/// The answers of as many requests at once.
async fn at_once(host: &RunningInside, path: &str) -> Vec<Value> {
    let paths: Vec<String> = (0..REQUESTS).map(|number| format!("/{path}/{number}")).collect();
    join_all(paths.iter().map(|path| host.ask(path))).await
}

/// A queue, an event and a condition that one request waits for and another one serves.
#[tokio::test]
async fn requests_wait_for_each_other() {
    let host = start().await;

    let (put, taken, waited, told) =
        tokio::join!(host.ask("/put/7"), host.ask("/take"), host.ask("/wait"), host.ask("/tell"));

    assert_eq!((put, taken), (json!("put"), json!([["7", 0], ["7", 1], ["7", 2]])));
    assert_eq!((waited, told), (json!("waited"), json!("told")));
}

/// Context variables are those of one request, of the tasks it starts and the functions it has run in threads; what
/// these set stays theirs.
#[tokio::test]
async fn a_context_variable_is_that_of_one_request() {
    let host = start().await;

    let seen = at_once(&host, "context").await;

    let expected: Vec<Value> = (0..REQUESTS).map(|number| json!(vec![number.to_string(); 5])).collect();
    assert_eq!(seen, expected);
}

/// A lock that is held over a wait keeps the others out.
#[tokio::test]
async fn a_lock_lets_one_request_in_at_a_time() {
    let host = start().await;
    assert_eq!(at_once(&host, "exclusive").await, vec![json!(true); REQUESTS]);
}

/// Cancellation reaches a task with its message and lets it clean up, `shield` protects, `wait` and `as_completed`
/// tell what is done, executors run.
#[tokio::test]
async fn cancelling_shielding_and_executors_are_those_of_python() {
    let host = start().await;
    let expected = json!(["cleaned up", "enough", "timed out", "survived", [1, 1], [1, 2], 3, [4]]);
    assert_eq!(host.ask("/cancelled").await, expected);
}
