//! What an `ActionRequest` asks for, in either of its forms.

use std::collections::BTreeMap;

use serde_json::Value;

use super::proto::{A2aMessage, ActionRequest};
use crate::backend::Parameters;

/// An action and its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) action: String,
    pub(super) parameters: Parameters,
}

/// Why a request asks for nothing. The texts are those of the original server.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unclear {
    #[error("Invalid JSON in A2A params_json: {0}")]
    Json(serde_json::Error),
    #[error("No action/skill specified in request")]
    NoAction,
    #[error("Failed to parse request format: {0}")]
    Format(&'static str),
}

/// Reads a request: the JSON-RPC form where there is one, the plain form otherwise.
pub(super) fn read(request: ActionRequest) -> Result<Wanted, Unclear> {
    let wanted = match request.message {
        Some(message) => from_message(&message, request.action)?,
        None => Wanted { action: request.action, parameters: text(request.parameters) },
    };
    if wanted.action.is_empty() { Err(Unclear::NoAction) } else { Ok(wanted) }
}

fn text(parameters: BTreeMap<String, String>) -> Parameters {
    Parameters::Text(parameters.into_iter().collect())
}

/// `message.metadata.skill` is the action, `message.metadata.params` are its parameters.
fn from_message(message: &A2aMessage, plain_action: String) -> Result<Wanted, Unclear> {
    let params: Value = match message.params_json.as_str() {
        "" => Value::Object(serde_json::Map::new()),
        text => serde_json::from_str(text).map_err(Unclear::Json)?,
    };
    if !params.is_object() {
        return Err(Unclear::Format("params_json is not an object"));
    }
    let metadata = &params["message"]["metadata"];
    let action = match &metadata["skill"] {
        Value::Null => plain_action,
        Value::String(skill) => skill.clone(),
        _ => return Err(Unclear::Format("message.metadata.skill is not a string")),
    };
    let parameters = match &metadata["params"] {
        Value::Null => "{}".to_owned(),
        params @ Value::Object(_) => params.to_string(),
        _ => return Err(Unclear::Format("message.metadata.params is not an object")),
    };
    Ok(Wanted { action, parameters: Parameters::Json(parameters) })
}

#[cfg(test)]
mod tests {
    use super::{Wanted, read};
    use crate::backend::Parameters;
    use crate::surfaces::a2a::proto::{A2aMessage, ActionRequest};

    fn message(params_json: &str) -> ActionRequest {
        let message = A2aMessage { params_json: params_json.to_owned(), ..A2aMessage::default() };
        ActionRequest { message: Some(message), ..ActionRequest::default() }
    }

    #[test]
    fn both_forms_are_read() {
        let plain = ActionRequest {
            action: "greet".into(),
            parameters: [("name".to_owned(), "Ada".to_owned())].into(),
            ..ActionRequest::default()
        };
        let expected =
            Wanted { action: "greet".into(), parameters: Parameters::Text(vec![("name".into(), "Ada".into())]) };
        assert_eq!(read(plain).unwrap(), expected);

        let rpc = message(r#"{"message":{"metadata":{"skill":"greet","params":{"b":[1],"a":null}}}}"#);
        let expected = Wanted { action: "greet".into(), parameters: Parameters::Json(r#"{"b":[1],"a":null}"#.into()) };
        assert_eq!(read(rpc).unwrap(), expected);

        let bare = message(r#"{"message":{"metadata":{"skill":"greet"}}}"#);
        assert_eq!(read(bare).unwrap().parameters, Parameters::Json("{}".into()));
    }

    #[test]
    fn what_is_unclear_is_said_in_the_words_clients_know() {
        for (request, text) in [
            (message("{"), "Invalid JSON in A2A params_json: EOF while parsing an object at line 1 column 1"),
            (
                message(&"[".repeat(100_000)),
                "Invalid JSON in A2A params_json: recursion limit exceeded at line 1 column 128",
            ),
            (message("{}"), "No action/skill specified in request"),
            (message(""), "No action/skill specified in request"),
            (ActionRequest::default(), "No action/skill specified in request"),
            (message("[]"), "Failed to parse request format: params_json is not an object"),
            (
                message(r#"{"message":{"metadata":{"skill":7}}}"#),
                "Failed to parse request format: message.metadata.skill is not a string",
            ),
            (
                message(r#"{"message":{"metadata":{"skill":"a","params":[]}}}"#),
                "Failed to parse request format: message.metadata.params is not an object",
            ),
        ] {
            assert_eq!(read(request).unwrap_err().to_string(), text);
        }
    }
}
