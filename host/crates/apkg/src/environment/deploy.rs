//! `deploy.json`, which builders add: only its `environment` is read.

use serde_json::Value as Json;

use super::is_variable_name;
use super::merge::Value;
use crate::quote::Quoted;

/// Where it is in a package.
pub(crate) const DEPLOY_FILE: &str = "deploy.json";

/// Largest file that is read. Unit: bytes.
pub(crate) const LARGEST_DEPLOY: usize = 256 * 1024;

/// A `deploy.json` that is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The file is not a JSON object.
    #[error("`{DEPLOY_FILE}` is not a JSON object")]
    Json(#[source] serde_json::Error),
    /// `environment` is something else than an object.
    #[error("invalid `environment` in `{DEPLOY_FILE}`: expected an object")]
    NotAnObject,
    /// A value that cannot be an environment variable.
    #[error("invalid `environment.{}` in `{DEPLOY_FILE}`: expected a string, a number or a boolean", Quoted(.0))]
    Variable(String),
    /// A name that cannot be an environment variable.
    #[error("invalid `environment` in `{DEPLOY_FILE}`: `{}` is not the name of an environment variable", Quoted(.0))]
    Name(String),
}

/// Reads the variables.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<(String, Value)>, DeployError> {
    let mut deploy: serde_json::Map<String, Json> = serde_json::from_slice(bytes).map_err(DeployError::Json)?;
    let variables = match deploy.remove("environment") {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Object(variables)) => variables,
        Some(_) => return Err(DeployError::NotAnObject),
    };
    let read = |(name, value): (String, Json)| {
        if !is_variable_name(&name) {
            return Err(DeployError::Name(name));
        }
        let text = match value {
            Json::String(text) if !text.contains('\0') => text,
            Json::Number(number) => number.to_string(),
            Json::Bool(flag) => flag.to_string(),
            Json::String(_) | Json::Null | Json::Array(_) | Json::Object(_) => return Err(DeployError::Variable(name)),
        };
        Ok((name, Value::Template(text)))
    };
    variables.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_environment_is_read() {
        let json = br#"{"expose":["rest"],"ports":{"rest":8080},"environment":{"A":"x","B":1.50,"C":true}}"#;

        let template = |text: &str| Value::Template(text.to_owned());
        let expected = [("A", template("x")), ("B", template("1.5")), ("C", template("true"))];
        assert_eq!(parse(json).unwrap(), expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(parse(b"{}").unwrap(), []);
    }

    #[test]
    fn values_that_are_no_text_are_refused_by_name() {
        assert_eq!(
            parse(br#"{"environment":{"A":{"b":1}}}"#).unwrap_err().to_string(),
            "invalid `environment.A` in `deploy.json`: expected a string, a number or a boolean"
        );
        assert_eq!(
            parse(br#"{"environment":{"A B":"1"}}"#).unwrap_err().to_string(),
            "invalid `environment` in `deploy.json`: `A B` is not the name of an environment variable"
        );
        assert_eq!(
            parse(br#"{"environment":["A=1"]}"#).unwrap_err().to_string(),
            "invalid `environment` in `deploy.json`: expected an object"
        );
        assert_eq!(parse(b"[]").unwrap_err().to_string(), "`deploy.json` is not a JSON object");
    }
}
