//! The container's health check: one real request to the running simulator.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

/// Shorter than what the image gives the check, so that our own words are what people see.
const TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Asks the simulator at `address` whether it lives, and says what it heard.
pub(crate) fn ask(address: SocketAddr) -> ExitCode {
    let verdict = get(address).map_err(|error| format!("{address} cannot be asked: {error}"));
    let (said, code) = match verdict {
        Ok(answer) if is_fine(&answer) => (String::from("alive"), ExitCode::SUCCESS),
        Ok(answer) => {
            let first = answer.lines().next().unwrap_or("nothing");
            (format!("unhealthy: {address} answered {first}"), ExitCode::FAILURE)
        }
        Err(problem) => (format!("unhealthy: {problem}"), ExitCode::FAILURE),
    };
    // The exit code is the answer; the words are for whoever looks.
    drop(writeln!(std::io::stdout(), "{said}"));
    code
}

fn is_fine(answer: &str) -> bool {
    answer.starts_with("HTTP/1.") && answer.split_ascii_whitespace().nth(1) == Some("200")
}

fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // HTTP/1.0 closes the connection after the answer.
    write!(stream, "GET /health/live HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::is_fine;

    #[test]
    fn only_a_200_is_fine() {
        assert!(is_fine("HTTP/1.1 200 OK\r\n\r\n{}"));
        assert!(!is_fine("HTTP/1.1 503 Service Unavailable\r\n\r\n200"));
        assert!(!is_fine(""));
    }
}
