//! Packages that come from S3: from a real store that checks signatures, over TLS.

use par_tests::{Answer, Authority, Line, ObjectFault, ObjectStore, Package, PackageServer, TestHost};
use serde_json::json;

use super::fetched::{CACHE, archive, digest, leftovers, refused};

const BUCKET: &str = "pixell-agent-packages";
const URL: &str = "s3://pixell-agent-packages/4906/package.apkg";

/// A host that fetches from `store`, without anything to sign requests with.
fn anonymous(store: &ObjectStore, authority: &Authority) -> TestHost {
    TestHost::fetching(URL).env("AWS_ENDPOINT_URL_S3", store.endpoint()).env("AWS_CA_BUNDLE", authority.file())
}

fn fetching(store: &ObjectStore, authority: &Authority) -> TestHost {
    let host = anonymous(store, authority);
    host.env("AWS_ACCESS_KEY_ID", ObjectStore::KEY_ID).env("AWS_SECRET_ACCESS_KEY", ObjectStore::KEY)
}

/// A store that has the package, and does this before it gives it.
async fn store(authority: &Authority, package: &[u8], faults: impl Into<Vec<ObjectFault>>) -> ObjectStore {
    let store = ObjectStore::start(authority, BUCKET, faults).await;
    store.put(BUCKET, "4906/package.apkg", package);
    store
}

/// R041, R047, R048, R050, R209, R236: one GetObject, signed for the region, and nothing else.
#[tokio::test]
async fn a_package_comes_from_s3_with_one_get_object() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let store = store(&authority, &package, []).await;

    let host = fetching(&store, &authority).with_guest().env("PACKAGE_SHA256", digest(&package)).start().await;

    assert_eq!(host.get("/x").await.status, 200);
    let asked = store.requests();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].line().starts_with("GET /pixell-agent-packages/4906/package.apkg?x-id=GetObject"), "{asked:?}");
    let signature = asked[0].field("authorization").unwrap();
    assert!(signature.contains("/us-east-2/s3/aws4_request"), "{signature}");
    assert_eq!(host.events("S3 URL does not match expected bucket").len(), 0);
    assert_eq!(host.wait_for_event("Downloading package from S3").await.text_of("url"), URL);
}

/// R043, R050, R104: what may pass is asked for again; the rest of what is here, of the same object.
#[tokio::test]
async fn errors_of_the_store_that_may_pass_are_asked_again() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let faults =
        [ObjectFault::Status(503, "SlowDown"), ObjectFault::Cut(100), ObjectFault::Status(500, "InternalError")];
    let store = store(&authority, &package, faults).await;

    let host = fetching(&store, &authority).with_guest().env("PACKAGE_SHA256", digest(&package)).start().await;

    assert_eq!(host.get("/x").await.status, 200);
    let asked = store.requests();
    assert_eq!(asked.len(), 4);
    assert_eq!(asked[3].field("range"), Some("bytes=100-"));
    assert!(asked[3].field("if-match").is_some());
}

/// What is not there is final; what is forbidden is asked for once more, because a new role takes
/// a moment to be known everywhere. Either is an exit with the chain of reasons: R049, R052, R110,
/// hostile 16.
#[tokio::test]
async fn what_the_store_does_not_give_is_an_exit_with_the_reason() {
    let authority = Authority::new();
    for (fault, asked, error) in [
        (ObjectFault::Status(404, "NoSuchKey"), 1, "the server answered 404 (NoSuchKey)"),
        (ObjectFault::Status(403, "AccessDenied"), 2, "the server answered 403 (AccessDenied)"),
        (ObjectFault::Status(400, "InvalidRequest"), 1, "the server answered 400 (InvalidRequest)"),
        (ObjectFault::Status(301, "PermanentRedirect"), 1, "its bucket is not in the region `us-east-2`"),
        (ObjectFault::Status(412, "PreconditionFailed"), 1, "it was replaced while it was fetched"),
        (ObjectFault::Status(503, "SlowDown"), 4, "no success after 4 attempt(s)"),
    ] {
        let store = store(&authority, b"PK", vec![fault.clone(); 5]).await;

        let (line, _) = refused(fetching(&store, &authority)).await;

        assert!(line.text_of("error").contains(error), "{fault:?}: {}", line.text);
        assert_eq!(store.requests().len(), asked, "{fault:?}");
    }
}

/// A key the store does not know, and an object that is not there: what a real store says.
#[tokio::test]
async fn the_store_itself_refuses_wrong_keys_and_missing_objects() {
    let authority = Authority::new();
    let store = ObjectStore::start(&authority, BUCKET, []).await;
    let (line, _) = refused(fetching(&store, &authority)).await;
    assert!(line.text_of("error").contains("the server answered 404 (NoSuchKey)"), "{}", line.text);

    let forged = fetching(&store, &authority).env("AWS_SECRET_ACCESS_KEY", "wrong");
    let (line, host) = refused(forged).await;
    assert!(line.text_of("error").contains("403 (SignatureDoesNotMatch)"), "{}", line.text);
    assert!(line.text_of("hint").contains("s3:GetObject"), "{}", line.text);
    assert!(!host.log_text().contains(ObjectStore::KEY_ID), "{}", host.log_text());
}

/// Credentials missing: a typed error with a way out, and nothing is asked.
#[tokio::test]
async fn without_credentials_nothing_is_asked() {
    let authority = Authority::new();
    let store = store(&authority, b"PK", []).await;

    let (line, _) = refused(anonymous(&store, &authority)).await;

    assert!(line.text_of("error").contains("there are no credentials for S3"), "{}", line.text);
    assert!(line.text_of("hint").contains("AWS_ACCESS_KEY_ID"), "{}", line.text);
    assert_eq!(store.requests().len(), 0);
}

/// The role of an ECS task: asked for where the platform says, with what it wants to see.
#[tokio::test]
async fn the_role_of_the_task_signs_requests() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let store = store(&authority, &package, []).await;
    let body = json!({
        "AccessKeyId": ObjectStore::KEY_ID,
        "SecretAccessKey": ObjectStore::KEY,
        "Token": "5ec4e7-session",
        "Expiration": "2099-01-01T00:00:00Z",
        "RoleArn": "arn:aws:iam::123456789012:role/agent",
    });
    let text = body.to_string();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len());
    let platform = PackageServer::plain([Answer::status(500), Answer::Raw(answer.into_bytes())]).await;
    let role = platform.url("/role").replace("localhost", "127.0.0.1");

    let host = anonymous(&store, &authority).with_guest().env("AWS_CONTAINER_CREDENTIALS_FULL_URI", role);
    let host = host.env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "5ec4e7-token").start().await;

    assert_eq!(host.get("/x").await.status, 200);
    assert_eq!(platform.requests().len(), 2);
    assert_eq!(platform.requests()[1].line(), "GET /role HTTP/1.1");
    assert_eq!(platform.requests()[1].field("authorization"), Some("5ec4e7-token"));
    assert_eq!(store.requests()[0].field("x-amz-security-token"), Some("5ec4e7-session"));
    assert!(!host.log_text().contains("5ec4e7"), "{}", host.log_text());
}

/// A platform that gives no credentials is a typed error; what it said instead is in no line.
#[tokio::test]
async fn a_role_that_cannot_be_had_is_a_typed_error() {
    let authority = Authority::new();
    let store = store(&authority, b"PK", []).await;
    for (answer, error) in [
        (Answer::status(500), "the server answered 500"),
        (
            Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n5ec4e7".to_vec()),
            "the answer is not one with credentials",
        ),
    ] {
        let platform = PackageServer::plain([answer]).await;
        let role = platform.url("/role").replace("localhost", "127.0.0.1");

        let (line, host) = refused(anonymous(&store, &authority).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", role)).await;

        assert!(line.text_of("error").contains(error), "{}", line.text);
        assert_eq!(platform.requests().len(), 3);
        assert!(!host.log_text().contains("5ec4e7"), "{}", host.log_text());
    }
    assert_eq!(store.requests().len(), 0);
}

/// R131, R223: another bucket than packages are expected in is a warning, and works.
#[tokio::test]
async fn a_package_from_another_bucket_is_remarked() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let store = store(&authority, &package, []).await;

    let host = fetching(&store, &authority).with_guest().env("S3_BUCKET", "elsewhere").start().await;

    assert_eq!(host.get("/x").await.status, 200);
    let warning: Line = host.wait_for_event("S3 URL does not match expected bucket").await;
    assert_eq!(warning.level(), "warning");
    assert_eq!((warning.text_of("bucket"), warning.text_of("expected")), (BUCKET, "elsewhere"));
}

/// Hostile 19: an object that is replaced between two attempts is not put together from both.
#[tokio::test]
async fn an_object_that_is_replaced_meanwhile_is_refused() {
    let (authority, package) = (Authority::new(), archive(&Package::example("stdlib")));
    let faults = [ObjectFault::Cut(100), ObjectFault::Replace(vec![7; package.len()])];
    let store = store(&authority, &package, faults).await;

    let (line, _) = refused(fetching(&store, &authority)).await;

    assert!(line.text_of("error").contains("it was replaced while it was fetched"), "{}", line.text);
    assert_eq!(store.requests().len(), 2);
}

/// Hostile 9: an S3 URL names one object of one bucket; other forms are mistakes.
#[tokio::test]
async fn an_s3_url_that_names_no_object_is_a_mistake() {
    for url in [
        "s3://pixell-agent-packages",
        "s3://pixell-agent-packages/",
        "s3://pixell-agent-packages/a/../b",
        "s3://arn:aws:s3:us-east-2:123456789012:accesspoint/ap/a.apkg",
        "s3://key:5ec4e7@pixell-agent-packages/a.apkg",
    ] {
        let host = TestHost::fetching(url).refused().await;

        assert_eq!(
            host.wait_for_event("Configuration validation error").await.text_of("variable"),
            "PACKAGE_URL",
            "{url}"
        );
        assert!(!host.log_text().contains("5ec4e7"), "{}", host.log_text());
    }
}

/// The store is judged like every server: its certificate, and its address.
#[tokio::test]
async fn a_store_that_is_not_trusted_is_not_asked() {
    let authority = Authority::new();
    let store = store(&authority, b"PK", []).await;

    let (line, _) = refused(fetching(&store, &authority).env("AWS_CA_BUNDLE", Authority::new().file())).await;
    assert!(line.text_of("error").contains("the certificate of the server is not trusted"), "{}", line.text);

    let metadata = fetching(&store, &authority).env("AWS_ENDPOINT_URL_S3", "https://169.254.169.254");
    let (line, _) = refused(metadata).await;
    assert!(line.text_of("error").contains("`169.254.169.254` is refused"), "{}", line.text);
    assert_eq!(store.requests().len(), 0);
}

/// R046, hostile 14: the digest is over what comes from the store.
#[tokio::test]
async fn an_object_with_another_digest_is_refused() {
    let authority = Authority::new();
    let store = store(&authority, b"not even an archive", []).await;

    let (line, host) = refused(fetching(&store, &authority).env("PACKAGE_SHA256", "0".repeat(64))).await;

    assert!(line.text_of("error").contains("digest mismatch for `package.apkg`"), "{}", line.text);
    assert_eq!(leftovers(&host.setup().directory().join(CACHE)), Vec::<String>::new());
}
