//! Secrets: to whom they go, and that they do not come back.

use super::server::Server;
use super::{HELLO, bench};

/// hostile 126: a placeholder becomes the value towards the host the secret is for, and stays a
/// placeholder, with an alarm, towards every other.
#[tokio::test]
async fn a_secret_goes_to_its_host_and_to_no_other() {
    let server = Server::answering(HELLO).await;
    let mine = format!("http://mine.example:{}", server.port);
    let other = format!("http://other.example:{}", server.port);
    let mut bench = bench(&[&mine, &other]);
    bench.secrets = vec![("KEY", "hunter2", mine.clone())];
    let way = bench.build();
    let value = "Bearer par-secret://KEY, again par-secret://KEY.";

    way.send(&["GET", &format!("{mine}/"), "authorization", value]).await.unwrap();
    way.send(&["GET", &format!("{other}/"), "authorization", value]).await.unwrap();
    way.send(&["GET", &format!("{mine}/?q=par-secret://KEY"), "x-a", "par-secret://UNKNOWN"]).await.unwrap();

    let heard = server.heard();
    assert!(heard[0].contains("authorization: Bearer hunter2, again hunter2.\r\n"), "{}", heard[0]);
    assert!(heard[1].contains(&format!("authorization: {value}\r\n")), "{}", heard[1]);
    assert!(heard[2].contains("x-a: par-secret://UNKNOWN\r\n") && !heard[2].contains("hunter2"), "{}", heard[2]);
    let mut recorded = way.recorded();
    recorded.sort();
    assert_eq!(
        recorded,
        [
            "outbound allowed",
            "outbound allowed",
            "outbound allowed",
            "secrets allowed",
            "secrets denied secret_not_bound",
            "secrets denied secret_not_granted",
        ]
    );
}

fn basic(credentials: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
}

/// hostile 119: inside of `Basic` credentials a placeholder becomes the value as well, for its host.
#[tokio::test]
async fn a_secret_is_put_into_basic_credentials() {
    let server = Server::answering(HELLO).await;
    let mine = format!("http://mine.example:{}", server.port);
    let other = format!("http://other.example:{}", server.port);
    let mut bench = bench(&[&mine, &other]);
    bench.secrets = vec![("KEY", "hunter2-value", mine.clone())];
    let way = bench.build();
    let held = basic("user:par-secret://KEY");

    for host in [&mine, &other] {
        way.send(&["GET", &format!("{host}/"), "authorization", &held]).await.unwrap();
    }
    way.send(&["GET", &format!("{mine}/"), "authorization", "Basic ???"]).await.unwrap();

    let heard = server.heard();
    assert!(heard[0].contains(&format!("authorization: {}\r\n", basic("user:hunter2-value"))), "{}", heard[0]);
    assert!(heard[1].contains(&format!("authorization: {held}\r\n")), "{}", heard[1]);
    assert!(heard[2].contains("authorization: Basic ???\r\n"), "{}", heard[2]);
    assert!(way.recorded().contains(&"secrets denied secret_not_bound".to_owned()), "{:?}", way.recorded());
}

/// hostile 127: a host that echoes a secret, in a header or in its body, as it is or encoded, does not give it to
/// the agent.
#[tokio::test]
async fn a_secret_that_comes_back_is_masked() {
    let body = format!(
        "{{\"seen\": \"Bearer hunter2/value\", \"json\": \"hunter2\\/value\", \"url\": \"hunter2%2Fvalue\", \"basic\": \"{}\"}}",
        basic("user:hunter2/value")
    );
    let answer = format!("HTTP/1.1 200 OK\r\nx-echo: hunter2/value\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let server = Server::answering(answer).await;
    let mine = format!("http://mine.example:{}", server.port);
    let other = format!("http://other.example:{}", server.port);
    let mut bench = bench(&[&mine, &other]);
    bench.secrets = vec![("KEY", "hunter2/value", mine.clone())];
    let way = bench.build();
    let sent = basic("user:par-secret://KEY");

    let head = ["GET", &format!("{mine}/"), "authorization", &sent, "accept-encoding", "gzip"];
    let (_, headers, received) = way.send(&head).await.unwrap();

    let (headers, text) = (String::from_utf8(headers).unwrap(), String::from_utf8(received.to_vec()).unwrap());
    assert!(!headers.contains("hunter2") && headers.contains("x-echo\0*************"), "{headers:?}");
    assert!(!text.contains("hunter2") && !text.contains(&basic("user:hunter2/value")), "{text}");
    assert_eq!(text.len(), body.len());
    assert!(server.heard()[0].contains("accept-encoding: identity\r\n"), "{}", server.heard()[0]);
    let mut recorded = way.recorded();
    recorded.sort();
    assert_eq!(recorded, ["outbound allowed", "secrets allowed", "secrets denied secret_reflected"]);

    // A host the secret is not for does not have it: nothing is looked for.
    let (_, _, received) = way.send(&["GET", &format!("{other}/"), "accept-encoding", "gzip"]).await.unwrap();
    assert_eq!(received, body);
    assert!(server.heard()[1].contains("accept-encoding: gzip\r\n"));
}

/// hostile 120: what is on the record, and every `Debug` on the way, is without query and value.
#[tokio::test]
async fn no_secret_is_on_the_record() {
    let server = Server::answering(HELLO).await;
    let mine = format!("http://mine.example:{}", server.port);
    let mut bench = bench(&[&mine]);
    bench.secrets = vec![("KEY", "hunter2", mine.clone())];
    let way = bench.build();

    way.send(&["GET", &format!("{mine}/p?token=swordfish"), "authorization", "par-secret://KEY"]).await.unwrap();
    let _ = way.send(&["GET", "http://denied.example/?token=swordfish", "authorization", "par-secret://KEY"]).await;

    let shown = format!("{:?} {:?}", way.records.0.lock().unwrap(), way.outbound);
    assert!(!shown.contains("hunter2") && !shown.contains("swordfish"), "{shown}");
    assert!(server.heard()[0].contains("authorization: hunter2\r\n"));
}
