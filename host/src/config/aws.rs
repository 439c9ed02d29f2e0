//! The standard variables of AWS that fetching from S3 understands.

use std::path::PathBuf;

use super::mistake::Expected;
use super::places;
use super::reader::Reader;
use super::variables::{self as v, Variable};
use crate::fetch::{Authorization, CredentialSource, S3Settings, is_bucket};
use crate::redact::{RedactedUrl, Secret};

/// Where ECS gives the credentials of a task.
const TASK_CREDENTIALS: &str = "http://169.254.170.2";

/// Hosts the platform may give credentials at without encryption: ECS, and EKS in its two forms.
const PLAIN_CREDENTIAL_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

pub(super) fn s3(reader: &mut Reader<'_>) -> Option<S3Settings> {
    let region = reader.value(&v::AWS_REGION, |text| Ok(text.trim().to_owned()));
    let bucket = reader.value(&v::S3_BUCKET, bucket);
    let bucket_owner = reader.optional(&v::S3_BUCKET_OWNER, account);
    let endpoint = reader.optional(&v::AWS_ENDPOINT_URL_S3, endpoint);
    let ca_bundle = reader.optional(&v::AWS_CA_BUNDLE, places::directory);
    let credentials = credentials(reader);

    if let Some(region) = region.as_ref().filter(|region| !is_region(region)) {
        reader.remark(&v::AWS_REGION, region.clone(), "not of the form `us-east-2`; used as it is");
    }
    if let Some(Some(url)) =
        endpoint.as_ref().filter(|url| url.as_ref().is_some_and(|url| url.expose().scheme() == "http"))
    {
        let remark = "packages come unencrypted; set `PACKAGE_SHA256` as well";
        reader.remark(&v::AWS_ENDPOINT_URL_S3, url.to_string(), remark);
    }
    Some(S3Settings {
        region: region?,
        endpoint: endpoint?,
        bucket: bucket?,
        bucket_owner: bucket_owner?,
        credentials: credentials?,
        ca_bundle: ca_bundle?,
    })
}

/// Keys in the environment, else the role of the task.
fn credentials(reader: &mut Reader<'_>) -> Option<CredentialSource> {
    let id = reader.optional(&v::AWS_ACCESS_KEY_ID, secret);
    let key = reader.optional(&v::AWS_SECRET_ACCESS_KEY, secret);
    let session = reader.optional(&v::AWS_SESSION_TOKEN, secret);
    let relative = reader.optional(&v::AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, relative_uri);
    let full = reader.optional(&v::AWS_CONTAINER_CREDENTIALS_FULL_URI, full_uri);
    let token = reader.optional(&v::AWS_CONTAINER_AUTHORIZATION_TOKEN, secret);
    let token_file = reader.optional(&v::AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, places::directory);

    let (session, token, token_file) = (session?, token?, token_file?);
    let task = |url| CredentialSource::Task { url, authorization: authorization(token, token_file) };
    match (id?, key?, relative?, full?) {
        (Some(id), Some(secret), _, _) => Some(CredentialSource::Keys { id, secret, session }),
        (Some(_), None, _, _) => missing(reader, &v::AWS_SECRET_ACCESS_KEY),
        (None, Some(_), _, _) => missing(reader, &v::AWS_ACCESS_KEY_ID),
        (None, None, Some(url), _) | (None, None, None, Some(url)) => Some(task(url)),
        (None, None, None, None) => Some(CredentialSource::None),
    }
}

fn authorization(token: Option<Secret<String>>, file: Option<PathBuf>) -> Option<Authorization> {
    file.map(Authorization::File).or_else(|| token.map(Authorization::Token))
}

/// One half of a pair of keys.
fn missing(reader: &mut Reader<'_>, variable: &'static Variable) -> Option<CredentialSource> {
    reader.refuse(variable, String::new(), "a value, because its other half is set");
    None
}

/// `us-east-2`: two letters, a word, a number.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts[..], [country, area, number] if country.len() == 2 && letters(country) && letters(area) && digits(number))
}

fn bucket(text: &str) -> Result<String, Expected> {
    Some(text.to_owned()).filter(|text| is_bucket(text)).ok_or_else(|| {
        Expected::new("3 to 63 lower-case letters, digits, `.` and `-`, with a letter or digit at both ends")
    })
}

fn account(text: &str) -> Result<String, Expected> {
    let text = text.trim();
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    Some(text.to_owned()).filter(|_| is_account).ok_or_else(|| Expected::new("an account of 12 digits"))
}

fn endpoint(text: &str) -> Result<RedactedUrl, Expected> {
    parsed(text).filter(|url| matches!(url.expose().scheme(), "https" | "http")).ok_or_else(|| {
        Expected::new("a URL that begins with `https://` or `http://`, without user, password and query")
    })
}

/// A path on the host where ECS gives credentials.
fn relative_uri(text: &str) -> Result<RedactedUrl, Expected> {
    let url = text.starts_with('/').then(|| RedactedUrl::parse(&format!("{TASK_CREDENTIALS}{text}")).ok()).flatten();
    url.filter(|url| url.expose().host_str() == Some("169.254.170.2")).ok_or_else(|| Expected::new("a path"))
}

fn full_uri(text: &str) -> Result<RedactedUrl, Expected> {
    let url = RedactedUrl::parse(text.trim()).ok().filter(|url| url.expose().has_host());
    let is_trusted = |url: &RedactedUrl| match url.expose().scheme() {
        "https" => true,
        "http" => url.expose().host_str().is_some_and(|host| {
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            PLAIN_CREDENTIAL_HOSTS.contains(&host) || address.is_ok_and(|address| address.is_loopback())
        }),
        _ => false,
    };
    url.filter(is_trusted).ok_or_else(|| {
        Expected::new(
            "a URL that begins with `https://`, or with `http://` and the address where the platform gives credentials",
        )
    })
}

fn parsed(text: &str) -> Option<RedactedUrl> {
    let url = RedactedUrl::parse(text.trim()).ok()?;
    let parsed = url.expose();
    let is_plain = parsed.has_host() && parsed.username().is_empty() && parsed.password().is_none();
    (is_plain && parsed.query().is_none() && parsed.fragment().is_none()).then_some(url)
}

fn secret(text: &str) -> Result<Secret<String>, Expected> {
    let text = text.trim();
    let is_printable = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_printable
        .then(|| Secret::new(text.to_owned()))
        .ok_or_else(|| Expected::new("printable characters without blanks"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<S3Settings, Vec<String>> {
        let environment = super::super::Environment::of_pairs(pairs.iter().copied());
        let mut reader = Reader::new(&environment);
        let settings = s3(&mut reader);
        settings.ok_or_else(|| reader.mistakes.iter().map(ToString::to_string).collect())
    }

    fn task_url(pairs: &[(&str, &str)]) -> String {
        match read(pairs).unwrap().credentials {
            CredentialSource::Task { url, .. } => url.expose().to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_come_in_pairs_and_win_over_the_role_of_the_task() {
        let keys = [("AWS_ACCESS_KEY_ID", "AKIA5ec4e7"), ("AWS_SECRET_ACCESS_KEY", "5ec4e7+/=")];
        let role = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1");

        assert!(matches!(
            read(&[keys[0], keys[1], role]).unwrap().credentials,
            CredentialSource::Keys { session: None, .. }
        ));
        assert!(matches!(read(&[]).unwrap().credentials, CredentialSource::None));
        for one in keys {
            let mistakes = read(&[one, role]).unwrap_err();
            assert_eq!(mistakes.len(), 1);
            assert!(!mistakes[0].contains("5ec4e7"), "{mistakes:?}");
        }
    }

    #[test]
    fn the_role_of_the_task_is_asked_for_where_the_platform_gives_it() {
        let relative = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
        let full = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

        assert_eq!(task_url(&[(relative, "/v2/credentials/1?id=2")]), "http://169.254.170.2/v2/credentials/1?id=2");
        for url in [
            "http://127.0.0.1:8080/role",
            "http://[::1]/role",
            "http://169.254.170.23/v1/credentials",
            "https://role.example/",
        ] {
            assert_eq!(task_url(&[(full, url)]), url);
        }
        for (variable, value) in [
            (relative, "v2/credentials"),
            (relative, "@evil.example/"),
            (full, "http://role.example/"),
            (full, "http://10.0.0.1/"),
            (full, "ftp://127.0.0.1/"),
        ] {
            assert!(read(&[(variable, value)]).is_err(), "{value}");
        }
    }

    #[test]
    fn an_endpoint_is_another_store_and_a_plain_one_is_remarked() {
        let environment = super::super::Environment::of_pairs([("AWS_ENDPOINT_URL", "http://minio.internal:9000")]);
        let mut reader = Reader::new(&environment);

        assert_eq!(s3(&mut reader).unwrap().endpoint.unwrap().to_string(), "http://minio.internal:9000/");
        assert_eq!(reader.remarks.len(), 1);
        for value in ["minio:9000", "ftp://minio/", "https://user:5ec4e7@minio/", "https://minio/?x=5ec4e7"] {
            let mistakes = read(&[("AWS_ENDPOINT_URL_S3", value)]).unwrap_err();
            assert!(!format!("{mistakes:?}").contains("5ec4e7"), "{mistakes:?}");
        }
    }

    #[test]
    fn secrets_are_no_part_of_any_text() {
        let settings = read(&[
            ("AWS_ACCESS_KEY_ID", "5ec4e7"),
            ("AWS_SECRET_ACCESS_KEY", "5ec4e7"),
            ("AWS_SESSION_TOKEN", "5ec4e7"),
        ]);
        assert!(!format!("{settings:?}").contains("5ec4e7"));

        let mistakes = read(&[("AWS_SECRET_ACCESS_KEY", "5ec4e7 with blanks")]).unwrap_err();
        assert!(!format!("{mistakes:?}").contains("5ec4e7"), "{mistakes:?}");
    }
}
