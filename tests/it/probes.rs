//! Health as load balancers ask for it: with the settings of `docs/platform/target-groups.json`, each time on a connection of its own.

use std::time::Duration;

use futures::StreamExt as _;
use par_tests::{AgentClient, Package, RunningHost, TestHost};
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::platform::json;
use crate::streaming::{next, upload};
use crate::termination::closed;

/// The health checks of one target group.
struct TargetGroup {
    settings: Value,
    port: u16,
}

impl TargetGroup {
    /// `rest` or `a2a` of the file. The ports in it are those of a container.
    fn of(name: &str, host: &RunningHost) -> Self {
        let settings = json("target-groups.json")[name].clone();
        let checked = settings["HealthCheckPort"].as_str().map(str::to_owned);
        let checked = checked.unwrap_or_else(|| settings["Port"].to_string());
        let port = match checked.as_str() {
            "8080" => host.rest_port(),
            "50051" => host.setup().port("A2A_PORT"),
            other => panic!("the container has no port {other}"),
        };
        Self { settings, port }
    }

    /// Whether one health check finds what the matcher wants, in the form the balancers of AWS ask.
    async fn check(&self) -> bool {
        assert_eq!(self.settings["HealthCheckProtocol"], "HTTP");
        // A machine that pauses is no answer of ours, so the limit of the check is taken many times.
        let patience = Duration::from_secs(10 * self.settings["HealthCheckTimeoutSeconds"].as_u64().unwrap());
        let asking = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            let path = self.settings["HealthCheckPath"].as_str().unwrap();
            let head = format!("GET {path} HTTP/1.1\r\nHost: 10.0.0.11:{}\r\n", self.port);
            let rest =
                "Connection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n";
            stream.write_all((head + rest).as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = timeout(patience, asking).await.expect("a health check has an answer").unwrap_or_default();
        let wanted = self.settings["Matcher"]["HttpCode"].as_str().unwrap();
        answer.split(' ').nth(1) == Some(wanted)
    }

    /// Checks as often as it takes to change its mind: to sending requests to the instance, or to sending none.
    async fn comes_to(&self, wanted: bool) {
        let key = if wanted { "HealthyThresholdCount" } else { "UnhealthyThresholdCount" };
        for _ in 0..self.settings[key].as_u64().unwrap() {
            assert_eq!(self.check().await, wanted, "{}", self.settings["Name"]);
        }
    }
}

/// What a network load balancer does where it checks TCP: a connection that is reset without a byte.
async fn connects(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    stream.set_zero_linger().unwrap();
    true
}

/// What a target group of protocol version gRPC asks, with the matcher 0: the standard health service says that it serves.
async fn serves(port: u16) -> bool {
    let status = AgentClient::connect(port).await.standard_health("").await;
    status.is_ok_and(|status| status == ServingStatus::Serving)
}

fn agent() -> TestHost {
    let package = Package::new("probe", "http_server: main:app\na2a:\n  service: service:create_service\n")
        .file("main.py", include_str!("python/streams.py"))
        .file("service.py", include_str!("python/service.py"));
    TestHost::agent(&package)
}

/// R238, R239: the documented target groups leave an instance out while it starts, take it when it is ready and leave it again from
/// TERM on, although it still works; checks of TCP change nothing.
#[tokio::test]
async fn target_groups_take_and_leave_an_instance_as_documented() {
    let starting = agent().env("TEST_BOOT_DELAY_MS", "250000").spawn();
    starting.wait_for_event("Listening").await;
    for name in ["rest", "a2a"] {
        assert!(!TargetGroup::of(name, &starting).check().await, "{name}: it starts");
    }

    let mut host = agent().start().await;
    let a2a = host.setup().port("A2A_PORT");
    let (for_rest, for_a2a) = (TargetGroup::of("rest", &host), TargetGroup::of("a2a", &host));
    for_rest.comes_to(true).await;
    for_a2a.comes_to(true).await;
    assert!(serves(a2a).await);
    for _ in 0..500 {
        assert!(connects(a2a).await && connects(host.rest_port()).await);
    }
    assert!(for_rest.check().await && for_a2a.check().await && serves(a2a).await);

    // The request keeps it alive while it drains.
    let (sender, body) = upload();
    sender.send("before".into()).await.unwrap();
    let mut pieces = host.request(Method::POST, "/echo").body(body).send().await.unwrap().bytes_stream();
    assert_eq!(next(&mut pieces).await, "before");
    host.terminate();
    host.wait_for_event("Waiting for in-flight requests to complete").await;
    for_rest.comes_to(false).await;
    for_a2a.comes_to(false).await;
    closed(a2a).await;
    drop(sender);
    assert!(pieces.next().await.is_none());
    assert_eq!(host.wait_exit().await, 0);
}

/// R239: through a balancer that passes bytes on, as one of TCP does, the A2A port is open and says that it serves.
#[tokio::test]
async fn the_health_of_a2a_is_told_through_a_balancer_of_tcp() {
    let host = agent().start().await;
    let behind = host.setup().port("A2A_PORT");
    let balancer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = balancer.local_addr().unwrap().port();
    let passing = tokio::spawn(async move {
        while let Ok((mut client, _)) = balancer.accept().await {
            let mut target = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut target).await });
        }
    });

    let client = AgentClient::connect(port).await;

    assert!(client.health().await.unwrap().ok);
    let mut standard = client.watch_health().await;
    assert_eq!(standard.next().await.unwrap().unwrap(), ServingStatus::Serving);
    passing.abort();
}
