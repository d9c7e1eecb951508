//! The `healthcheck` subcommand: a real HTTP request to the running service's own probe.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{EXIT_FAILURE, say};
use crate::settings::Common;

/// Shorter than the 10 s Docker gives a health check, so that our own words are what it shows.
const TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Asks the service configured by `common` at `path`; exit 0 when it answers 200.
pub(super) fn check(common: &Common, path: &str) -> ExitCode {
    let verdict = target(common).and_then(|address| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        runtime.block_on(ask(address, path))
    });
    match verdict {
        Ok(body) => say(&format!("{}\n", body.trim_end())),
        Err(problem) => {
            say(&format!("unhealthy: {problem}\n"));
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// The address to ask: the configured one, or for port 0 the one in the ready file.
fn target(common: &Common) -> Result<SocketAddr, String> {
    let mut address = common.health_listen;
    if address.port() == 0 {
        let Some(path) = &common.ready_file else {
            return Err("HEALTH_LISTEN has port 0 and READY_FILE is not set".to_owned());
        };
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{shown} cannot be read ({error}); is the service up?"))?;
        address = text.trim().parse().map_err(|error| format!("{shown} is damaged: {error}"))?;
    }
    if address.ip().is_unspecified() {
        let loopback = match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        address.set_ip(loopback);
    }
    Ok(address)
}

/// Asks an HTTP probe: the body of a 200; anything else is an error in words.
///
/// # Errors
/// When nobody answers within 5 s, or the answer is not 200.
pub async fn ask(address: SocketAddr, path: &str) -> Result<String, String> {
    let answer = tokio::time::timeout(TIMEOUT, get(address, path))
        .await
        .map_err(|_elapsed| format!("{address} did not answer within {} s", TIMEOUT.as_secs()))?
        .map_err(|error| format!("{address} cannot be asked: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer.as_str(), ""));
    let status = head.split_ascii_whitespace().nth(1).unwrap_or("nothing");
    if head.starts_with("HTTP/1.") && status == "200" {
        Ok(body.to_owned())
    } else {
        Err(format!("{address} answered {status} {}", body.trim_end()))
    }
}

async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    // HTTP/1.0 keeps the answer free of chunks and closes the connection after it.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
