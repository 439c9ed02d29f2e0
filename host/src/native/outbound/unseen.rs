//! A connection the agent speaks TLS over with the host itself: bytes pass, and are counted.

use par_sandbox::{Failure, Unseen, UnseenRecord};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::unix;
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;

/// Room for what passes at once. Unit: bytes.
const PIECE: usize = 16 * 1024;

/// Passes bytes both ways until either end closes. `name` is the one in the greeting.
pub(super) async fn pass(connection: &Connection, first: Vec<u8>, name: Option<&str>, stream: UnixStream) {
    if let Some(other) = name.filter(|name| !is_same(name, &connection.host)) {
        let sentence = format!("TLS was started for `{other}` on a connection to `{}`", connection.host);
        connection.tell(&Failure::not_http(sentence));
        return;
    }
    let (flight, packages) = connection.behalf();
    let outbound = &connection.way.outbound;
    let opened = outbound.open_unseen(&connection.host, connection.port, flight.as_deref(), packages).await;
    let outcome = match opened {
        Ok(Unseen { stream: there, mut record }) => both_ways(first, stream, there, &mut record).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = outcome {
        connection.tell(&failure);
    }
}

fn is_same(name: &str, host: &str) -> bool {
    name.trim_end_matches('.').eq_ignore_ascii_case(host.trim_end_matches('.'))
}

async fn both_ways(
    first: Vec<u8>,
    here: UnixStream,
    there: tokio::net::TcpStream,
    record: &mut UnseenRecord,
) -> Result<(), Failure> {
    let (mut from_agent, mut to_agent) = here.into_split();
    let (mut from_host, mut to_host) = there.into_split();
    record.sent(first.len())?;
    if to_host.write_all(&first).await.is_err() {
        return Ok(());
    }
    let (mut sending, mut receiving) = (true, true);
    let (mut up, mut down) = (vec![0; PIECE], vec![0; PIECE]);
    while sending || receiving {
        let idle = Instant::now() + record.idle_timeout();
        let moved = timeout_at(idle.min(record.deadline()), async {
            tokio::select! {
                count = from_agent.read(&mut up), if sending => Moved::Up(count.unwrap_or(0)),
                count = from_host.read(&mut down), if receiving => Moved::Down(count.unwrap_or(0)),
            }
        });
        match moved.await {
            Ok(Moved::Up(count)) => sending = upwards(&up[..count], &mut to_host, record).await?,
            Ok(Moved::Down(count)) => receiving = downwards(&down[..count], &mut to_agent, record).await?,
            Err(_) if Instant::now() >= record.deadline() => return Err(record.late()),
            // A connection nobody uses.
            Err(_) => return Ok(()),
        }
    }
    drop::<(OwnedReadHalf, unix::OwnedReadHalf)>((from_host, from_agent));
    Ok(())
}

enum Moved {
    Up(usize),
    Down(usize),
}

/// Whether more may follow.
async fn upwards(bytes: &[u8], to: &mut OwnedWriteHalf, record: &mut UnseenRecord) -> Result<bool, Failure> {
    record.sent(bytes.len())?;
    let written = !bytes.is_empty() && within(record, to.write_all(bytes)).await?;
    if !written {
        let _ = to.shutdown().await;
    }
    Ok(written)
}

async fn downwards(bytes: &[u8], to: &mut unix::OwnedWriteHalf, record: &mut UnseenRecord) -> Result<bool, Failure> {
    record.received(bytes.len())?;
    let written = !bytes.is_empty() && within(record, to.write_all(bytes)).await?;
    if !written {
        let _ = to.shutdown().await;
    }
    Ok(written)
}

/// Whether it was written before the connection has to be over.
async fn within(record: &mut UnseenRecord, write: impl Future<Output = std::io::Result<()>>) -> Result<bool, Failure> {
    match timeout_at(record.deadline(), write).await {
        Ok(outcome) => Ok(outcome.is_ok()),
        Err(_) => Err(record.late()),
    }
}
