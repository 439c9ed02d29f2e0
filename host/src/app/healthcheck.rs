//! `par healthcheck`: a question to the process in the same container, for images without `curl`.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::error::BootError;
use crate::config::{self, Environment};

/// How long the answer may take; orchestrators ask with 5 s.
const PATIENCE: Duration = Duration::from_secs(3);

/// The status line is all that is read of the answer.
const STATUS_LINE: u64 = 64;

/// Asks `/health` on `REST_PORT` of this machine.
pub(super) fn ask(environment: &Environment) -> Result<String, BootError> {
    let port = config::rest_port_of(environment).map_err(BootError::Configuration)?.get();
    let status = status(port).map_err(|source| BootError::Silent { port, source })?;
    if status == "200" {
        return Ok(format!("`/health` on port {port} answers 200\n"));
    }
    Err(BootError::Unhealthy { port, status })
}

/// The status of the answer, as the wire has it.
fn status(port: u16) -> io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(STATUS_LINE).read_to_end(&mut answer)?;
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next()) {
        (Some(b"HTTP/1.1"), Some(status)) if status.len() == 3 && status.iter().all(u8::is_ascii_digit) => {
            Ok(String::from_utf8_lossy(status).into_owned())
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "that is no answer of HTTP/1.1")),
    }
}
