//! Values as collectors read them.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde_json::{Map, Value};

pub(super) fn text(text: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Any::StringValue(text.into())) }
}

pub(super) fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// The fields of a line. What is none has no value there either.
pub(super) fn pairs(fields: &Map<String, Value>) -> Vec<KeyValue> {
    fields.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| pair(key, json(value))).collect()
}

fn json(value: &Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(flag) => Some(Any::BoolValue(*flag)),
        Value::Number(number) => Some(match number.as_i64() {
            Some(whole) => Any::IntValue(whole),
            None => Any::DoubleValue(number.as_f64().unwrap_or(f64::MAX)),
        }),
        Value::String(text) => Some(Any::StringValue(text.clone())),
        Value::Array(values) => Some(Any::ArrayValue(ArrayValue { values: values.iter().map(json).collect() })),
        Value::Object(fields) => Some(Any::KvlistValue(KeyValueList { values: pairs(fields) })),
    };
    AnyValue { value }
}

/// The bytes of an id that is written in hexadecimal digits; nothing for any other text.
pub(super) fn id(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_bytes() {
        assert_eq!(id("00f067aa0ba902b7"), Some(vec![0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]));
        for wrong in ["0", "0g", "é0"] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn fields_keep_their_kind_and_those_without_a_value_are_left_out() {
        let Value::Object(fields) = json!({"a": 1, "b": [true, 0.5], "c": null, "d": {"e": "f"}}) else { panic!() };

        let pairs = pairs(&fields);

        assert_eq!(pairs.iter().map(|pair| pair.key.as_str()).collect::<Vec<_>>(), ["a", "b", "d"]);
        assert_eq!(pairs[0].value, Some(AnyValue { value: Some(Any::IntValue(1)) }));
        let Some(Any::KvlistValue(inner)) = pairs[2].value.clone().unwrap().value else { panic!() };
        assert_eq!(inner.values, [pair("e", text("f"))]);
    }
}
