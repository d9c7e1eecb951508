//! What each user may and may not, tried subject by subject against a real nats-server.

use std::collections::BTreeSet;
use std::time::Duration;

use bus::server::NatsServer;
use bus::{Bus, ConsumerSpec, Outgoing, Start};
use contracts::access::{
    self, ADMIN, BACKUP_AGENT, CONVERSATION_WORKER, GATEWAY, HEALTH_AGGREGATOR, OPERATOR, ROLES,
    Role,
};
use contracts::stream::{BUCKETS, STREAMS};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);

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
        let all: String = commands.join("\r\nPING\r\n") + "\r\nPING\r\n";
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

impl Wire {
    /// Asks, and gives what first comes into the user's own inbox.
    async fn ask(&mut self, role: &Role, subject: &str, body: &str) -> anyhow::Result<String> {
        let inbox = format!("{}.answer", role.inbox());
        self.say(&format!("SUB {inbox} 99")).await?;
        self.say(&format!("PUB {subject} {inbox} {}\r\n{body}", body.len())).await?;
        loop {
            let line = tokio::time::timeout(PATIENCE, self.line()).await??;
            anyhow::ensure!(!line.starts_with("-ERR"), "{subject}: {line}");
            if line.starts_with("MSG") || line.starts_with("HMSG") {
                let size: usize = line.rsplit(' ').next().unwrap_or_default().parse()?;
                let mut body = vec![0; size + 2];
                self.stream.read_exact(&mut body).await?;
                self.say("UNSUB 99").await?;
                return Ok(String::from_utf8_lossy(&body).into_owned());
            }
        }
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
        for verb in [
            "STREAM.MSG.GET",
            "STREAM.MSG.DELETE",
            "DIRECT.GET",
            "CONSUMER.LIST",
            "CONSUMER.CREATE",
        ] {
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

/// A server with users and streams.
async fn declared() -> anyhow::Result<NatsServer> {
    let server = NatsServer::start_with(&crate::users(), None).await?;
    prepare::streams::prepare(server.config_of(ADMIN.user, crate::PASSWORD), PATIENCE).await?;
    Ok(server)
}

async fn bus_of(server: &NatsServer, role: &Role) -> anyhow::Result<Bus> {
    let bus = Bus::connect(server.config_of(role.user, crate::PASSWORD)).await?;
    bus.wait_connected().await;
    Ok(bus)
}

fn message(subject: &str, id: &str) -> Outgoing {
    Outgoing {
        subject: subject.to_owned(),
        id: Some(id.to_owned()),
        payload: "{\"words\":\"こんにちは\"}".into(),
        ..Outgoing::default()
    }
}

fn reading(stream: &'static str, durable: &'static str, fresh: bool) -> ConsumerSpec {
    ConsumerSpec {
        stream,
        durable,
        filters: Vec::new(),
        start: Start::All,
        fresh,
        ack_wait: Duration::from_secs(5),
        in_flight_max: 8,
        deliver_max: None,
    }
}

#[tokio::test]
async fn the_services_do_their_whole_work_with_the_rights_they_have() -> anyhow::Result<()> {
    let server = declared().await?;
    let gateway = bus_of(&server, &GATEWAY).await?;
    let worker = bus_of(&server, &CONVERSATION_WORKER).await?;
    // Events in, read and erased.
    let stored = gateway.publish(&message("discord.event.MESSAGE_CREATE.1.2", "create:1")).await?;
    let mut events =
        worker.consume(&reading("DISCORD_EVENTS", access::WORKER_DURABLE, true)).await?;
    let event = events.next().await?;
    event.in_progress().await?;
    event.ack_confirmed().await?;
    assert!(worker.erase("DISCORD_EVENTS", stored.sequence).await?);
    worker.stream_state("DISCORD_EVENTS").await?;
    // Commands out, handed back once, then acknowledged; results come back.
    worker.publish(&message("discord.command.open.2", "1.0.0.open")).await?;
    let mut commands =
        gateway.consume(&reading("DISCORD_COMMANDS", access::GATEWAY_DURABLE, false)).await?;
    commands.next().await?.nak(Some(Duration::from_millis(1))).await?;
    commands.next().await?.ack_confirmed().await?;
    gateway.publish(&message("discord.result.1.0.0.open", "1.0.0.open")).await?;
    worker
        .consume(&reading("DISCORD_RESULTS", access::WORKER_DURABLE, false))
        .await?
        .next()
        .await?
        .ack_confirmed()
        .await?;
    let answered = worker.newest_on("DISCORD_RESULTS", "discord.result.1.0.0.open").await?;
    assert!(answered.is_some(), "an answer can be looked up after it was taken");
    assert_eq!(worker.newest_on("DISCORD_RESULTS", "discord.result.9.0.0.open").await?, None);
    // Core NATS.
    let mut drafts = gateway.subscribe("discord.draft.*").await?;
    gateway.flush().await?;
    // What is not kept is heard by those whom the server knows of, and the two connections are not
    // in step with each other: said until it is heard.
    let mut again = tokio::time::interval(Duration::from_millis(100));
    let heard = tokio::time::timeout(PATIENCE, async {
        loop {
            tokio::select! {
                draft = drafts.next() => break anyhow::Ok(draft),
                _ = again.tick() => {
                    worker.publish_core("discord.draft.9".to_owned(), b"text".to_vec()).await?;
                }
            }
        }
    });
    assert!(heard.await??.is_some());
    // Buckets.
    for name in GATEWAY.buckets {
        let bucket = gateway.bucket(name).await?;
        let revision = bucket.create("a.key", b"one".to_vec()).await?.expect("it is new");
        assert!(bucket.create("a.key", b"two".to_vec()).await?.is_none());
        assert!(bucket.update("a.key", b"two".to_vec(), revision).await?.is_some());
        bucket.put("another", b"three".to_vec()).await?;
        assert_eq!(bucket.keys("").await?.len(), 2);
        assert!(bucket.watch(">").await?.next().await?.value.is_some());
        bucket.delete("a.key").await?;
        assert!(bucket.get("a.key").await?.is_none());
    }
    for (bus, subject) in [
        (&gateway, "dead.gateway.oversize"),
        (&worker, "dead.conversation-worker.undecodable"),
        (&worker, "conversation.usage.openai"),
    ] {
        bus.publish(&message(subject, subject)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn backups_copy_streams_and_health_looks_at_them_with_the_rights_they_have()
-> anyhow::Result<()> {
    let server = declared().await?;
    let gateway = bus_of(&server, &GATEWAY).await?;
    gateway.publish(&message("discord.event.MESSAGE_CREATE.1.2", "create:1")).await?;
    let backup = bus_of(&server, &BACKUP_AGENT).await?;
    backup.publish(&message("ops.heartbeat.backup", "backup:1")).await?;
    let mut wire = Wire::connect(&server, BACKUP_AGENT.user, crate::PASSWORD).await?;
    let order = format!("{{\"deliver_subject\":\"{}.pieces\"}}", BACKUP_AGENT.inbox());
    let subject = "$JS.API.STREAM.SNAPSHOT.DISCORD_EVENTS";
    let answer = wire.ask(&BACKUP_AGENT, subject, &order).await?;
    assert!(answer.contains("\"state\"") && !answer.contains("\"error\""), "{answer}");

    let mut wire = Wire::connect(&server, HEALTH_AGGREGATOR.user, crate::PASSWORD).await?;
    for (subject, body, expected) in [
        ("$JS.API.INFO", "", "\"streams\""),
        ("$JS.API.STREAM.LIST", "", "DISCORD_EVENTS"),
        ("$JS.API.STREAM.INFO.DISCORD_EVENTS", "", "\"messages\":1"),
        ("$JS.API.CONSUMER.LIST.DISCORD_COMMANDS", "", "\"total\""),
        ("$JS.API.DIRECT.GET.OPS", "{\"seq\":1,\"next_by_subj\":\">\"}", "こんにちは"),
    ] {
        let answer = wire.ask(&HEALTH_AGGREGATOR, subject, body).await?;
        assert!(answer.contains(expected), "{subject}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn the_operator_looks_and_replays_and_disturbs_nobody() -> anyhow::Result<()> {
    let server = declared().await?;
    let gateway = bus_of(&server, &GATEWAY).await?;
    let worker = bus_of(&server, &CONVERSATION_WORKER).await?;
    let operator = bus_of(&server, &OPERATOR).await?;
    let event = message("discord.event.MESSAGE_CREATE.1.2", "create:1");
    gateway.publish(&event).await?;
    let own = worker.consume(&reading("DISCORD_EVENTS", access::WORKER_DURABLE, true)).await?;
    drop(own);
    let mut look = operator.consume(&reading("DISCORD_EVENTS", "replay1", false)).await?;
    look.next().await?.ack_confirmed().await?;
    assert!(operator.publish(&event).await?.duplicate, "what is replayed is recognised");
    let mut wire = Wire::connect(&server, OPERATOR.user, crate::PASSWORD).await?;
    let subject = "$JS.API.STREAM.MSG.GET.DISCORD_EVENTS";
    let answer = wire.ask(&OPERATOR, subject, "{\"seq\":1}").await?;
    assert!(answer.contains("\"message\""), "{answer}");
    let info = "$JS.API.CONSUMER.INFO.DISCORD_EVENTS.conversation-worker";
    let answer = wire.ask(&OPERATOR, info, "").await?;
    assert!(answer.contains("\"num_pending\":1"), "the worker's own is untouched: {answer}");
    let delete = "PUB $JS.API.CONSUMER.DELETE.DISCORD_EVENTS.conversation-worker 0\r\n";
    assert_eq!(wire.takes(&[delete.to_owned()]).await?, [false]);
    Ok(())
}
