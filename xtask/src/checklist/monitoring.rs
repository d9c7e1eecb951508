//! The check of the alerts: there is an address to write to, and it answers.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::say;
use crate::surroundings;

/// A Discord webhook (or anything that takes the same JSON) of the people who look after it.
const ADDRESS: &str = "ALERT_WEBHOOK_URL";

/// Asks the address for itself; nothing is written there.
pub(crate) fn check() -> Result<()> {
    let address = surroundings::variable(ADDRESS).and_then(|value| value.into_string().ok());
    let address = address.with_context(|| {
        format!("find {ADDRESS}: make a webhook in the channel of those who look after the bot, and set it as a secret of the environment")
    })?;
    reach(&address)?;
    say::aside("monitoring: the alerts' address answers");
    Ok(())
}

/// The address is a secret, so it goes to curl by standard input and never into a list of processes.
fn reach(address: &str) -> Result<()> {
    let plain = address.starts_with("https://") || address.starts_with("http://127.0.0.1:");
    let unquoted = !address.contains(['"', '\\', '\n']);
    ensure!(plain && unquoted, "read {ADDRESS}: it must be one https address");
    let mut curl = Command::new("curl")
        .args(["--silent", "--fail", "--max-time", "20", "--output", "/dev/null", "--config", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .context("start curl")?;
    let mut input = curl.stdin.take().context("write to curl")?;
    writeln!(input, "url = \"{address}\"").context("tell curl the address")?;
    drop(input);
    let status = curl.wait().context("wait for curl")?;
    ensure!(
        status.success(),
        "reach the address in {ADDRESS}: it does not answer; make a new webhook and set it again"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::reach;

    /// Answers one request with this status and gives what was asked.
    fn webhook(status: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/api/webhooks/1/made-up", listener.local_addr().unwrap());
        let answered = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let length = connection.read(&mut asked).unwrap();
            write!(connection, "HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}").unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        (address, answered)
    }

    #[test]
    fn an_address_that_answers_is_asked_and_not_written_to() {
        let (address, answered) = webhook("200 OK");
        reach(&address).unwrap();
        assert!(answered.join().unwrap().starts_with("GET /api/webhooks/1/made-up"));
    }

    #[test]
    fn a_webhook_that_was_removed_is_told_without_its_secret() {
        let (address, answered) = webhook("404 Not Found");
        let said = format!("{:#}", reach(&address).unwrap_err());
        answered.join().unwrap();
        assert!(said.contains("make a new webhook") && !said.contains("made-up"), "{said}");
    }

    #[test]
    fn an_address_must_be_encrypted() {
        assert!(reach("http://example.org/hook").is_err());
        assert!(reach("https://example.org/\"\noutput = x").is_err());
    }
}
