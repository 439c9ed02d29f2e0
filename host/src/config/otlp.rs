//! The standard variables of OpenTelemetry that PAR understands.
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::mistake::Expected;
use super::places;
use super::reader::{Reader, boolean, number, positive_duration};
use super::variables::{self as v, Fallback, Variable};
use crate::otlp::{Destination, Root, Sampler, Settings};
use crate::redact::{RedactedUrl, Secret};

/// Where a collector listens that nobody names.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";

/// What one signal is sent with, and the variables that say so.
struct Names {
    exporter: &'static Variable,
    endpoint: &'static Variable,
    protocol: &'static Variable,
    headers: &'static Variable,
    timeout: &'static Variable,
    path: &'static str,
}

/// What both signals are sent with.
struct Common {
    endpoint: Option<RedactedUrl>,
    headers: Option<Secret<HeaderMap>>,
    timeout: Duration,
}

/// Reads all of them, also where they decide nothing: a wrong one is a mistake all the same.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Settings> {
    let disabled = value(reader, &v::OTEL_SDK_DISABLED, boolean);
    let endpoint = reader.optional(&v::OTEL_EXPORTER_OTLP_ENDPOINT, endpoint);
    let protocol = value(reader, &v::OTEL_EXPORTER_OTLP_PROTOCOL, protocol);
    let headers = reader.optional(&v::OTEL_EXPORTER_OTLP_HEADERS, headers);
    let timeout = value(reader, &v::OTEL_EXPORTER_OTLP_TIMEOUT, milliseconds);
    let common = match (endpoint, protocol, headers, timeout) {
        (Some(endpoint), Some(()), Some(headers), Some(timeout)) => Some(Common { endpoint, headers, timeout }),
        _ => None,
    };
    let traces = signal(
        reader,
        common.as_ref(),
        &Names {
            exporter: &v::OTEL_TRACES_EXPORTER,
            endpoint: &v::OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
            protocol: &v::OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
            headers: &v::OTEL_EXPORTER_OTLP_TRACES_HEADERS,
            timeout: &v::OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
            path: "v1/traces",
        },
    );
    let logs = signal(
        reader,
        common.as_ref(),
        &Names {
            exporter: &v::OTEL_LOGS_EXPORTER,
            endpoint: &v::OTEL_EXPORTER_OTLP_LOGS_ENDPOINT,
            protocol: &v::OTEL_EXPORTER_OTLP_LOGS_PROTOCOL,
            headers: &v::OTEL_EXPORTER_OTLP_LOGS_HEADERS,
            timeout: &v::OTEL_EXPORTER_OTLP_LOGS_TIMEOUT,
            path: "v1/logs",
        },
    );
    let certificate = reader.optional(&v::OTEL_EXPORTER_OTLP_CERTIFICATE, places::directory);
    let service_name = reader.optional(&v::OTEL_SERVICE_NAME, |text| Ok(text.to_owned()));
    let attributes = reader.optional(&v::OTEL_RESOURCE_ATTRIBUTES, attributes);
    let share = value(reader, &v::OTEL_TRACES_SAMPLER_ARG, share);
    let sampler = value(reader, &v::OTEL_TRACES_SAMPLER, |text| sampler(text, share.unwrap_or(1.0)));

    let sends = !disabled?;
    Some(Settings {
        traces: traces?.filter(|_| sends),
        logs: logs?.filter(|_| sends),
        sampler: sampler.filter(|_| share.is_some())?,
        service_name: service_name?,
        attributes: attributes?.unwrap_or_default(),
        certificate: certificate?,
    })
}

/// The value of a variable with a default. An empty one counts as not set, as the standard has it.
fn value<T>(
    reader: &mut Reader<'_>,
    variable: &'static Variable,
    parse: impl Fn(&str) -> Result<T, Expected>,
) -> Option<T> {
    match (reader.optional(variable, &parse)?, variable.default) {
        (Some(value), _) => Some(value),
        (None, Fallback::Value(text)) => parse(text).ok(),
        (None, _) => None,
    }
}

fn milliseconds(text: &str) -> Result<Duration, Expected> {
    positive_duration(text, 0.001)
}

/// Where one signal goes, if it goes anywhere.
fn signal(reader: &mut Reader<'_>, common: Option<&Common>, names: &Names) -> Option<Option<Destination>> {
    let exporter = reader.optional(names.exporter, exporter);
    let endpoint = reader.optional(names.endpoint, self::endpoint);
    let protocol = reader.optional(names.protocol, protocol);
    let headers = reader.optional(names.headers, self::headers);
    let timeout = reader.optional(names.timeout, milliseconds);
    let (exporter, endpoint, headers, timeout) = (exporter?, endpoint?, headers?, timeout?);
    protocol?;
    let common = common?;
    let is_named = endpoint.is_some() || common.endpoint.is_some();
    if !exporter.unwrap_or(is_named) {
        return Some(None);
    }
    let url = match (endpoint, &common.endpoint) {
        (Some(whole), _) => whole,
        (None, Some(base)) => below(base.expose().as_str(), names.path)?,
        (None, None) => below(DEFAULT_ENDPOINT, names.path)?,
    };
    let headers = headers.or_else(|| common.headers.clone()).unwrap_or_else(|| Secret::new(HeaderMap::new()));
    Some(Some(Destination { url, headers, timeout: timeout.unwrap_or(common.timeout) }))
}

fn below(base: &str, path: &str) -> Option<RedactedUrl> {
    RedactedUrl::parse(&format!("{}/{path}", base.trim_end_matches('/'))).ok()
}

fn exporter(text: &str) -> Result<bool, Expected> {
    match text.trim() {
        "otlp" => Ok(true),
        "none" => Ok(false),
        _ => Err(Expected::new("`otlp` or `none`")),
    }
}

fn protocol(text: &str) -> Result<(), Expected> {
    if text.trim() == "http/protobuf" { Ok(()) } else { Err(Expected::new("`http/protobuf`")) }
}

fn endpoint(text: &str) -> Result<RedactedUrl, Expected> {
    let url = RedactedUrl::parse(text.trim()).ok().filter(|url| {
        let url = url.expose();
        let is_plain = url.has_host() && url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "https" | "http") && is_plain && url.query().is_none() && url.fragment().is_none()
    });
    url.ok_or_else(|| Expected::new("a URL that begins with `https://` or `http://`, without user, password and query"))
}

/// `key=value,key=value`, values percent-encoded.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let members = text.split(',').map(str::trim).filter(|member| !member.is_empty());
    let pair = |member: &str| {
        let (key, value) = member.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((key.trim().to_owned(), value.into_owned())).filter(|(key, _)| !key.is_empty())
    };
    members.map(pair).collect()
}

fn headers(text: &str) -> Result<Secret<HeaderMap>, Expected> {
    let header = |(key, value): (String, String)| {
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(key.as_bytes()).ok()?, value))
    };
    let map = pairs(text).and_then(|pairs| pairs.into_iter().map(header).collect());
    map.map(Secret::new).ok_or_else(|| Expected::new("`key=value,key=value` with the names and values of headers"))
}

fn attributes(text: &str) -> Result<Vec<(String, String)>, Expected> {
    pairs(text).ok_or_else(|| Expected::new("`key=value,key=value`"))
}

fn sampler(text: &str, share: f64) -> Result<Sampler, Expected> {
    let name = text.trim();
    let root = match name.strip_prefix("parentbased_").unwrap_or(name) {
        "always_on" => Root::Always,
        "always_off" => Root::Never,
        "traceidratio" => Root::Share(share),
        _ => {
            return Err(Expected::new(
                "`always_on`, `always_off`, `traceidratio`, or one of them after `parentbased_`",
            ));
        }
    };
    Ok(Sampler { by_parent: name.starts_with("parentbased_"), root })
}

fn share(text: &str) -> Result<f64, Expected> {
    number(text).filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| Expected::new("a number from 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let environment = super::super::Environment::of_pairs(pairs.iter().copied());
        let mut reader = Reader::new(&environment);
        let settings = super::read(&mut reader);
        settings.ok_or_else(|| reader.mistakes.iter().map(ToString::to_string).collect())
    }

    fn urls(pairs: &[(&str, &str)]) -> [Option<String>; 2] {
        let settings = read(pairs).unwrap();
        [settings.traces, settings.logs].map(|to| to.map(|to| to.url.expose().to_string()))
    }

    fn some(traces: &str, logs: &str) -> [Option<String>; 2] {
        [traces, logs].map(|url| Some(url.to_owned()).filter(|url| !url.is_empty()))
    }

    #[test]
    fn nothing_is_sent_unless_somebody_says_where_or_that() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/otlp/");

        assert_eq!(urls(&[]), [None, None]);
        assert_eq!(urls(&[("OTEL_SERVICE_NAME", "shop"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), [None, None]);
        assert_eq!(
            urls(&[endpoint]),
            some("http://collector:4318/otlp/v1/traces", "http://collector:4318/otlp/v1/logs")
        );
        assert_eq!(urls(&[endpoint, ("OTEL_SDK_DISABLED", "true")]), [None, None]);
        assert_eq!(urls(&[endpoint, ("OTEL_LOGS_EXPORTER", "none")]), some("http://collector:4318/otlp/v1/traces", ""));
        assert_eq!(urls(&[("OTEL_LOGS_EXPORTER", "otlp")]), some("", "http://localhost:4318/v1/logs"));
        assert_eq!(
            urls(&[endpoint, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example/")]),
            some("https://traces.example/", "http://collector:4318/otlp/v1/logs")
        );
    }

    #[test]
    fn what_is_said_of_one_signal_wins() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b, x-other=c"),
            ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-key=d"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
        ])
        .unwrap();
        let (traces, logs) = (settings.traces.unwrap(), settings.logs.unwrap());

        assert_eq!(traces.headers.expose()["x-key"], "a b");
        assert_eq!((logs.headers.expose().len(), &logs.headers.expose()["x-key"]), (1, &HeaderValue::from_static("d")));
        assert_eq!((traces.timeout, logs.timeout), (Duration::from_millis(250), Duration::from_secs(10)));
    }

    #[test]
    fn samplers_have_the_names_of_the_standard() {
        let of = |name: &str, share: &str| {
            read(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", share)]).unwrap().sampler
        };

        assert_eq!(read(&[]).unwrap().sampler, Sampler::default());
        assert_eq!(of("", ""), Sampler::default());
        assert_eq!(of("always_off", "1"), Sampler { by_parent: false, root: Root::Never });
        assert_eq!(of("parentbased_traceidratio", "0.25"), Sampler { by_parent: true, root: Root::Share(0.25) });
    }

    #[test]
    fn wrong_values_are_mistakes_and_secrets_are_in_none() {
        for (variable, value) in [
            ("OTEL_SDK_DISABLED", "perhaps"),
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_LOGS_EXPORTER", "otlp,none"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:5ec4e7@collector/"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://collector/?key=5ec4e7"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "5ec4e7"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-key=5ec4e7%0A"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ] {
            let mistakes = read(&[(variable, value)]).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(mistakes[0].contains(variable) && !mistakes[0].contains("5ec4e7"), "{mistakes:?}");
        }
        let settings = read(&[("OTEL_LOGS_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=5ec4e7")]);
        assert!(!format!("{settings:?}").contains("5ec4e7"));
    }
}
