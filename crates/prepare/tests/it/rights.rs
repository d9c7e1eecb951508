//! What each user may and may not, tried subject by subject against a real nats-server.

use std::collections::BTreeSet;

use bus::server::NatsServer;
use contracts::access::{self, ROLES, Role};
use contracts::stream::{BUCKETS, STREAMS};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A connection that speaks the protocol itself, so that each refusal is heard.
struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    async fn connect(server: &NatsServer, user: &str, password: &str) -> std::io::Result<Self> {
        let address = server.url().replace("nats://", "");
        let mut wire = Self { stream: BufReader::new(TcpStream::connect(address).await?) };
        let options = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\
             \"no_responders\":true,\"user\":\"{user}\",\"pass\":\"{password}\"}}"
        );
        wire.line().await?;
        wire.say(&options).await?;
        Ok(wire)
    }

    async fn say(&mut self, command: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{command}\r\n").as_bytes()).await
    }

    async fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim().to_owned())
    }

    /// Which of these commands the server took: it answers a PING after each, and refuses before.
    async fn takes(&mut self, commands: &[String]) -> std::io::Result<Vec<bool>> {
        let all: String = commands.iter().map(|command| format!("{command}\r\nPING\r\n")).collect();
        self.stream.write_all(all.as_bytes()).await?;
        let mut outcomes = Vec::new();
        let mut taken = true;
        while outcomes.len() < commands.len() {
            let line = self.line().await?;
            if line == "PONG" {
                outcomes.push(std::mem::replace(&mut taken, true));
            }
            // What comes to a subscription that was allowed is not of interest.
            if line.starts_with("MSG") || line.starts_with("HMSG") {
                let size = line.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
                let mut body = vec![0; size + 2];
                self.stream.read_exact(&mut body).await?;
            }
            if line.starts_with("-ERR 'Permissions Violation") {
                taken = false;
            }
        }
        Ok(outcomes)
    }
}

/// Every subject that means something in this system, and some that mean trouble.
fn subjects() -> BTreeSet<String> {
    let mut all: BTreeSet<String> = [
        "discord.event.MESSAGE_CREATE.1.2",
        "discord.command.open.2",
        "discord.draft.9",
        "discord.result.9.0.0.open",
        "conversation.usage.openai",
        "gateway.status.0",
        "gateway.ask",
        "ops.heartbeat.backup",
        "ops.audit.owner",
        "ops.other",
        "dead.gateway.oversize",
        "dead.conversation-worker.undecodable",
        "dead.other.reason",
        "somewhere.else",
        "_INBOX.anyone",
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.LIST",
        "$JS.API.STREAM.CREATE.ANOTHER",
        "$JS.API.ACCOUNT.PURGE.x",
        "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.x.y",
        "$JS.EVENT.ADVISORY.API",
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.USER.INFO",
        "$SRV.PING",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    for role in ROLES {
        all.insert(format!("{}.x.y", role.inbox()));
        // Every pattern of every user, made concrete, is tried for every other.
        let rights = role.rights();
        for pattern in rights.publish.iter().chain(&rights.publish_not).chain(&rights.subscribe) {
            all.insert(pattern.replace('*', "star").replace('>', "more.still"));
        }
    }
    for stream in access::declared() {
        for verb in ["INFO", "CREATE", "UPDATE", "DELETE", "PURGE", "SNAPSHOT", "RESTORE"] {
            all.insert(format!("$JS.API.STREAM.{verb}.{stream}"));
        }
        for verb in ["STREAM.MSG.GET", "STREAM.MSG.DELETE", "DIRECT.GET", "CONSUMER.LIST"] {
            all.insert(format!("$JS.API.{verb}.{stream}"));
        }
        for name in ["gateway", "conversation-worker", "mine"] {
            for verb in ["CREATE", "DURABLE.CREATE", "DELETE", "INFO", "MSG.NEXT"] {
                all.insert(format!("$JS.API.CONSUMER.{verb}.{stream}.{name}"));
            }
            all.insert(format!("$JS.ACK.{stream}.{name}.1.2.3.4.5"));
            all.insert(format!("$JS.ACK.hub.ABC.{stream}.{name}.1.2.3.4.5.r"));
        }
    }
    for bucket in BUCKETS {
        all.insert(format!("$KV.{}.some.key", bucket.name));
    }
    all
}

/// What a nosy user would listen to.
fn wiretaps() -> BTreeSet<String> {
    let mut all = subjects();
    for whole in [">", "*", "*.>", "discord.>", "$JS.>", "$KV.>", "$SYS.>", "_INBOX.>", "gateway.*"]
    {
        all.insert(whole.to_owned());
    }
    all.extend(STREAMS.iter().flat_map(|stream| stream.subjects).map(|kept| (*kept).to_owned()));
    all.extend(ROLES.iter().map(|role| format!("{}.>", role.inbox())));
    all
}

async fn try_all(server: &NatsServer, role: &Role) -> anyhow::Result<(usize, usize)> {
    let rights = role.rights();
    let mut wire = Wire::connect(server, role.user, crate::PASSWORD).await?;
    let (mut allowed, mut refused) = (0, 0);
    let mut count = |is: bool| if is { allowed += 1 } else { refused += 1 };
    let subjects = Vec::from_iter(subjects());
    let commands: Vec<String> =
        subjects.iter().map(|subject| format!("PUB {subject} 0\r\n")).collect();
    for (subject, taken) in subjects.iter().zip(wire.takes(&commands).await?) {
        assert_eq!(taken, rights.may_publish(subject), "{} publishes {subject}", role.user);
        count(taken);
    }
    let wiretaps = Vec::from_iter(wiretaps());
    let commands: Vec<String> =
        wiretaps.iter().enumerate().map(|(id, subject)| format!("SUB {subject} {id}")).collect();
    for (subject, taken) in wiretaps.iter().zip(wire.takes(&commands).await?) {
        assert_eq!(taken, rights.may_subscribe(subject), "{} hears {subject}", role.user);
        count(taken);
    }
    Ok((allowed, refused))
}

#[tokio::test]
async fn every_subject_is_granted_or_refused_to_every_user_as_the_table_says() -> anyhow::Result<()>
{
    // Without JetStream behind it, so that what is granted does no harm: rights come first.
    let server = NatsServer::start_bare(&crate::users()).await?;
    for role in ROLES {
        let (allowed, refused) = try_all(&server, &role).await?;
        assert!(allowed >= 10 && refused >= 300, "{}: {allowed} and {refused}", role.user);
    }
    Ok(())
}

#[tokio::test]
async fn who_has_no_password_or_a_wrong_one_is_not_let_in() -> anyhow::Result<()> {
    let server = NatsServer::start_bare(&crate::users()).await?;
    for (user, password) in [("gateway", "wrong"), ("", ""), ("nobody", crate::PASSWORD)] {
        let mut wire = Wire::connect(&server, user, password).await?;
        let outcome = wire.takes(&["PUB discord.event.X.1.2 0\r\n".to_owned()]).await;
        assert!(outcome.is_err(), "{user}: {outcome:?}");
    }
    Ok(())
}
