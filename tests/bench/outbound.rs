//! What an outbound request costs through the sandbox, beside the same from a bare hyper client.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use par_tests::{Inside, RunningInside, Upstream};

use crate::figures::{Figures, median};
use crate::{Effort, Outcome};

/// An agent that runs what it is sent.
const AGENT: &str = include_str!("../it/python/run.py");

pub(crate) fn measure(effort: &Effort, figures: &mut Figures) -> Outcome<()> {
    crate::figures::say("asking a server from inside the sandbox");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(rounds(effort, figures))
}

async fn rounds(effort: &Effort, figures: &mut Figures) -> Outcome<()> {
    let upstream = Upstream::http().await;
    let host = Inside::asgi(AGENT)
        .grant_addresses("127.0.0.0/8")
        .grant(&upstream.url("127.0.0.1", ""))
        .limits(|limits| limits.requests_per_request = u32::MAX)
        .start()
        .await;
    let (granted, denied) = (upstream.url("127.0.0.1", "/echo"), upstream.url("denied.example", "/echo"));
    let count = effort.questions;
    let (mut bare, mut ours, mut client, mut refused) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=effort.rounds {
        let measured = [
            directly(&granted, count).await?,
            inside(&host, &exchanges(&granted, count)).await?,
            inside(&host, &connection(&upstream, count)).await?,
            inside(&host, &exchanges(&denied, count)).await?,
        ];
        // The first round warms up.
        if round > 0 {
            for (list, value) in [&mut bare, &mut ours, &mut client, &mut refused].into_iter().zip(measured) {
                list.push(value);
            }
        }
    }
    let (bare, ours) = (median(bare), median(ours));
    figures.add("outbound.hyper", "p50 of a request of a bare hyper client", bare * 1e6, "µs");
    figures.add("outbound.par", "p50 of the same from the sandbox", ours * 1e6, "µs");
    figures.add("outbound.added", "added by PAR", (ours - bare) * 1e6, "µs");
    figures.add("outbound.client", "p50 of the same with `http.client` in the sandbox", median(client) * 1e6, "µs");
    figures.add("outbound.denied", "p50 of a request that is denied", median(refused) * 1e6, "µs");
    Ok(())
}

async fn directly(url: &str, count: usize) -> Outcome<f64> {
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let uri: http::Uri = url.parse()?;
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        client.get(uri.clone()).await?.into_body().collect().await?;
        times.push(began.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

/// Runs code that returns the times it took.
async fn inside(host: &RunningInside, code: &str) -> Outcome<f64> {
    let answer = host.post("/", code.to_owned()).await;
    let times = answer["done"].as_array().ok_or_else(|| format!("the agent answered {answer}"))?;
    Ok(median(times.iter().filter_map(serde_json::Value::as_f64).collect()))
}

/// The boundary itself, as every client crosses it.
fn exchanges(url: &str, count: usize) -> String {
    format!(
        "
from time import perf_counter
from componentize_py_types import Err
from wit_world.imports import outbound
times = []
for number in range(1 << 40, (1 << 40) + {count}):
    began = perf_counter()
    outbound.start(number, outbound.Request(None, b'GET\\0{url}', outbound.Body_Complete(b''), b''))
    try:
        await outbound.answer(number)
    except Err:
        pass
    times.append(perf_counter() - began)
return times
"
    )
}

/// Python's own client, on one connection.
fn connection(upstream: &Upstream, count: usize) -> String {
    format!(
        "
import http.client
from time import perf_counter
connection = http.client.HTTPConnection('127.0.0.1', {})
times = []
for _ in range({count}):
    began = perf_counter()
    connection.request('GET', '/echo')
    connection.getresponse().read()
    times.append(perf_counter() - began)
return times
",
        upstream.port()
    )
}
