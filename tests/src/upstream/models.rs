//! Models of the two vendors whose shapes the field speaks: what their servers send, event by event.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::{Shared, record};

/// Words of an answer; each is sent when the test says so, with `Upstream::step`.
const WORDS: [&str; 3] = ["word0 ", "word1 ", "word2 "];

/// Chat completions as `OpenAI` has them: chunks without names, and a last one that is no JSON.
pub(super) async fn completions(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if !asks_for_stream(&shared, request).await {
        let message = json!({"role": "assistant", "content": WORDS.concat()});
        return axum::Json(json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
        }))
        .into_response();
    }
    let chunk = |delta: &Value, finish: Value| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        let event =
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices});
        format!("data: {event}\n\n")
    };
    let words = WORDS.map(|word| chunk(&json!({"role": "assistant", "content": word}), Value::Null));
    let end = format!("{}data: [DONE]\n\n", chunk(&json!({}), json!("stop")));
    paced(shared, String::new(), words, end)
}

/// Messages as Anthropic has them: events with names, in a fixed order, with pings between them.
pub(super) async fn messages(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let message = |content: Value, reason: Value| {
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
            "stop_reason": reason, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 3},
        })
    };
    if !asks_for_stream(&shared, request).await {
        let content = json!([{"type": "text", "text": WORDS.concat()}]);
        return axum::Json(message(content, json!("end_turn"))).into_response();
    }
    let event = |value: Value| format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or_default());
    let begin = [
        event(json!({"type": "message_start", "message": message(json!([]), Value::Null)})),
        event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
        event(json!({"type": "ping"})),
    ];
    let words = WORDS.map(|word| {
        event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}))
    });
    let end = [
        event(json!({"type": "content_block_stop", "index": 0})),
        event(json!({
            "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"output_tokens": 3},
        })),
        event(json!({"type": "message_stop"})),
    ];
    paced(shared, begin.concat(), words, end.concat())
}

async fn asks_for_stream(shared: &Shared, request: Request) -> bool {
    let body = record(shared, request).await.body;
    serde_json::from_slice::<Value>(&body).is_ok_and(|body| body["stream"] == true)
}

/// Server-sent events: the beginning at once, each word when the test lets it, the end after the last.
fn paced(shared: Arc<Shared>, begin: String, words: [String; WORDS.len()], end: String) -> Response {
    let first = futures::stream::once(async move { begin }).filter(|text| std::future::ready(!text.is_empty()));
    let words = futures::stream::iter(words).then(move |word| {
        let shared = Arc::clone(&shared);
        async move {
            shared.steps.acquire().await.unwrap().forget();
            word
        }
    });
    let last = futures::stream::once(async move { end });
    let pieces = first.chain(words).chain(last).map(|text| Ok::<_, Infallible>(Bytes::from(text)));
    ([("content-type", "text/event-stream")], Body::from_stream(pieces)).into_response()
}
