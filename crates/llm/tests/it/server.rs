//! A model server on a raw socket that does exactly what a test scripts, byte for byte.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use llm::{
    Answer, CancellationToken, Client, Error, Event, Message, Provider, Request, Stop, Usage,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Far beyond anything that happens here; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One thing the server does to a connection.
#[derive(Clone)]
pub(crate) enum Step {
    /// Writes these bytes in one piece.
    Send(Vec<u8>),
    /// Writes these bytes one by one, each in its own packet.
    Trickle(Vec<u8>),
    /// Waits until the test gives a permit.
    Wait(Arc<Semaphore>),
    /// Closes the sending side cleanly.
    Fin,
    /// Breaks the connection.
    Reset,
    /// Says nothing more, waits for the client to hang up, and counts it.
    Hang,
}

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct FaultServer {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    hangups: watch::Receiver<usize>,
}

type Script = Arc<dyn Fn(usize) -> Vec<Step> + Send + Sync>;

impl FaultServer {
    /// Plays the same steps for every request.
    pub(crate) async fn playing(steps: Vec<Step>) -> Self {
        Self::scripted(move |_| steps.clone()).await
    }

    /// Plays what `script` says for the n-th request, from 0.
    pub(crate) async fn scripted(
        script: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (hung_up, hangups) = watch::channel(0);
        let script: Script = Arc::new(script);
        let (log, count) = (Arc::clone(&seen), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).unwrap();
                let (log, script, hung_up) =
                    (Arc::clone(&log), Arc::clone(&script), hung_up.clone());
                tokio::spawn(async move { serve(stream, &log, &script, &hung_up).await });
            }
        });
        Self { address, seen, connections, hangups }
    }

    pub(crate) fn provider(&self) -> Provider {
        Provider::openai("fault", format!("http://{}", self.address))
    }

    pub(crate) fn ask(&self) -> Answer {
        ask(self.provider())
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until `count` clients have hung up in a [`Step::Hang`] or while being written to.
    pub(crate) async fn hung_up(&mut self, count: usize) {
        let waited = tokio::time::timeout(PATIENCE, self.hangups.wait_for(|n| *n >= count)).await;
        waited.expect("the server saw no disconnect").unwrap();
    }
}

pub(crate) fn request() -> Request {
    Request::new("m", "be kind").with(Message::user("おはよう"))
}

pub(crate) fn ask(provider: Provider) -> Answer {
    Client::new(provider).unwrap().stream(&request(), &CancellationToken::new())
}

async fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Seen>>,
    script: &Script,
    hung_up: &watch::Sender<usize>,
) {
    while let Some(request) = read_request(&mut stream).await {
        let number = {
            let mut log = log.lock().unwrap();
            log.push(request);
            log.len() - 1
        };
        for step in script(number) {
            let played = match step {
                Step::Send(bytes) => stream.write_all(&bytes).await,
                Step::Trickle(bytes) => trickle(&mut stream, &bytes).await,
                Step::Wait(gate) => {
                    gate.acquire().await.unwrap().forget();
                    Ok(())
                }
                Step::Fin => return drop(stream.shutdown().await),
                Step::Reset => return stream.set_zero_linger().unwrap(),
                Step::Hang => {
                    let mut rest = Vec::new();
                    drop(stream.read_to_end(&mut rest).await);
                    return hung_up.send_modify(|count| *count += 1);
                }
            };
            if played.is_err() {
                return hung_up.send_modify(|count| *count += 1);
            }
        }
    }
}

async fn trickle(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        stream.flush().await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |text| text.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(Seen { head, body: bytes[end + 4..end + 4 + length].to_vec() });
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

/// The head of a streamed answer that lasts until the connection closes.
pub(crate) const UNTIL_CLOSE: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// The head of a streamed answer in HTTP chunks.
pub(crate) const CHUNKED: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
                                  transfer-encoding: chunked\r\nx-request-id: req-1\r\n\r\n";

/// `body` as one HTTP chunk.
pub(crate) fn http_chunk(body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{:x}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// The end of an answer in HTTP chunks.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A whole answer with a length.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    let lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{head}{}\r\n{body}", lines.concat()).into_bytes()
}

/// An event with a piece of text.
pub(crate) fn text_frame(text: &str) -> String {
    let text = text.replace('"', "\\\"");
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"m-1\",\"choices\":\
         [{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}],\
         \"usage\":null}}\n\n"
    )
}

pub(crate) fn finish_frame(reason: &str) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}\n\n"
    )
}

pub(crate) const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
pub(crate) const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":30,\
    \"completion_tokens\":7,\"total_tokens\":37,\"prompt_tokens_details\":{\"cached_tokens\":20},\
    \"completion_tokens_details\":{\"reasoning_tokens\":2}}}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";

pub(crate) fn usage() -> Usage {
    Usage {
        input_tokens: 30,
        cache_read_tokens: 20,
        cache_write_tokens: 0,
        output_tokens: 7,
        reasoning_tokens: 2,
    }
}

/// The frames of an ordinary answer, one by one.
pub(crate) fn ordinary() -> Vec<String> {
    vec![
        ROLE.to_owned(),
        text_frame("お"),
        text_frame("はよう🎌 "),
        text_frame("\"hi\""),
        finish_frame("stop"),
        USAGE.to_owned(),
        DONE.to_owned(),
    ]
}

pub(crate) const ORDINARY_TEXT: &str = "おはよう🎌 \"hi\"";

/// Everything an answer said, and its one end.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) pings: usize,
    pub(crate) end: Result<(Stop, Option<Usage>), Error>,
}

impl Outcome {
    /// The error; a whole answer fails the test.
    pub(crate) fn error(self) -> Error {
        self.end.expect_err("the answer should have failed")
    }
}

/// Takes an answer to its end and makes sure that nothing follows it.
pub(crate) async fn outcome(answer: &mut Answer) -> Outcome {
    let taken = tokio::time::timeout(PATIENCE, async {
        let (mut text, mut reasoning, mut pings) = (String::new(), String::new(), 0);
        let end = loop {
            match answer.next().await.expect("an answer ends in Done or an error") {
                Ok(Event::Text(piece)) => {
                    assert_ne!(piece, "", "text is never empty");
                    text.push_str(&piece);
                }
                Ok(Event::Reasoning(piece)) => reasoning.push_str(&piece),
                Ok(Event::Ping) => pings += 1,
                Ok(Event::Done { stop, usage }) => break Ok((stop, usage)),
                Ok(other) => panic!("unexpected {other:?}"),
                Err(error) => break Err(error),
            }
        };
        for _ in 0..3 {
            assert!(answer.next().await.is_none(), "something followed the end");
        }
        Outcome { text, reasoning, pings, end }
    });
    taken.await.expect("the answer never ended")
}
