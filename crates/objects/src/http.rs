//! The way opendal speaks HTTP here: one client on ring, with the web's roots built in.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future;
use futures_util::stream::TryStreamExt as _;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode};
use opendal::{
    Buffer, Error, ErrorKind, HttpBody, HttpTransport, HttpTransporter, OperationContext, Operator,
};
use reqwest::redirect;

use crate::fault::{FaultKind, Trouble, chain};
use crate::tls;

/// How many times a far side may send us somewhere else.
const REDIRECTS: usize = 3;
/// How much of a refusal's text is read.
const REFUSAL_LIMIT: usize = 2048;
const CONNECT: Duration = Duration::from_secs(10);
/// Shorter than the idle limit of the usual load balancers.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// An HTTP client for one target.
pub(crate) fn client(
    extra_pem: Option<&[u8]>,
    stall: Duration,
) -> Result<reqwest::Client, Trouble> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls::config(extra_pem)?)
        .user_agent(concat!("kotonoha/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        // From one piece of an answer to the next, and not for the whole: objects may be large.
        .read_timeout(stall)
        .pool_idle_timeout(POOL_IDLE)
        .redirect(redirect::Policy::custom(follow))
        .referer(false)
        .no_proxy()
        .build()
        .map_err(|error| Trouble::new(FaultKind::Unfit, chain(&error)))
}

/// S3 sends a client on to the region of its bucket; nobody sends it on to an open line.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let was_closed = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > REDIRECTS || (was_closed && attempt.url().scheme() != "https") {
        attempt.stop()
    } else {
        attempt.follow()
    }
}

/// An operator whose requests go through this client.
pub(crate) fn operator(
    builder: impl opendal::Builder,
    client: &reqwest::Client,
) -> Result<Operator, Trouble> {
    let operator = Operator::new(builder).map_err(|error| trouble(&error))?;
    let transport = HttpTransporter::new(Transport { client: client.clone() });
    Ok(operator.with_context(OperationContext::new().with_http_transport(transport)))
}

/// opendal's seam for whoever speaks HTTP.
struct Transport {
    client: reqwest::Client,
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let (parts, body) = request.into_parts();
        let head = parts.method == Method::HEAD;
        let uri = parts.uri.clone();
        let answer = self
            .client
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .body(body.to_bytes())
            .send()
            .await
            .map_err(|error| temporary(Wire::of_reqwest(&error)))?;
        let status = answer.status();
        if let Some(kind) = kind_of(status) {
            let text = short_text(answer).await;
            return Err(Error::new(ErrorKind::Unexpected, "refused")
                .set_source(Wire { kind, detail: format!("{status} {text}") }));
        }
        let mut response = Response::builder().status(status).version(answer.version());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        // opendal reads the address of the request from here when it tells an error.
        response = response.extension(uri);
        let length = answer.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let pieces = answer
            .bytes_stream()
            .try_filter(|piece| future::ready(!piece.is_empty()))
            .map_ok(Buffer::from)
            .map_err(|error| temporary(Wire::of_reqwest(&error)));
        // The answer to HEAD tells the length of a body it does not have.
        let body = HttpBody::new(pieces, if head { None } else { length });
        response.body(body).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "an answer that is none").set_source(error)
        })
    }
}

/// What the line or a plain status says, where opendal has no word for it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
struct Wire {
    kind: FaultKind,
    detail: String,
}

impl Wire {
    /// Without the address: it may carry a signature.
    fn of_reqwest(error: &reqwest::Error) -> Self {
        let kind = if error.is_builder() { FaultKind::Unfit } else { FaultKind::Unreachable };
        let mut detail = String::from(if error.is_timeout() { "no answer in time" } else { "" });
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            if !detail.is_empty() {
                detail.push_str(": ");
            }
            detail.push_str(&cause.to_string());
            next = cause.source();
        }
        // A line on which nobody agrees about trust does not mend itself.
        let kind = if detail.contains("certificate") { FaultKind::Refused } else { kind };
        Self { kind, detail }
    }
}

fn temporary(wire: Wire) -> Error {
    Error::new(ErrorKind::Unexpected, "the line").set_source(wire).set_temporary()
}

/// The statuses whose class does not depend on the protocol above.
fn kind_of(status: StatusCode) -> Option<FaultKind> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Some(FaultKind::Refused)
        }
        StatusCode::INSUFFICIENT_STORAGE | StatusCode::PAYLOAD_TOO_LARGE => Some(FaultKind::NoRoom),
        StatusCode::TOO_MANY_REQUESTS => Some(FaultKind::Unreachable),
        _ => None,
    }
}

async fn short_text(mut answer: reqwest::Response) -> String {
    let mut text = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        text.extend_from_slice(&piece);
        if text.len() > REFUSAL_LIMIT {
            break;
        }
    }
    text.truncate(REFUSAL_LIMIT);
    String::from_utf8_lossy(&text).into_owned()
}

/// Sends one request of ours, past opendal, and tells a refusal in the same classes.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Result<StatusCode, Trouble> {
    let answer = request.send().await.map_err(|error| {
        // Our own stream's trouble comes back inside the client's error.
        inner_trouble(&error).unwrap_or_else(|| {
            let wire = Wire::of_reqwest(&error);
            Trouble::new(wire.kind, wire.detail)
        })
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(status);
    }
    let kind = kind_of(status).unwrap_or(match status {
        StatusCode::FORBIDDEN => FaultKind::Refused,
        StatusCode::NOT_FOUND | StatusCode::CONFLICT => FaultKind::NotFound,
        StatusCode::LOCKED => FaultKind::Unreachable,
        status if status.is_server_error() => FaultKind::Unreachable,
        _ => FaultKind::Unfit,
    });
    let text = short_text(answer).await;
    Err(Trouble::new(full(kind, &text), format!("{status} {text}")))
}

/// The trouble of a body's own stream, as an error that can be found again.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.detail)]
pub(crate) struct BodyTrouble(pub(crate) Trouble);

fn inner_trouble(error: &reqwest::Error) -> Option<Trouble> {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(BodyTrouble(trouble)) = cause.downcast_ref() {
            return Some(trouble.clone());
        }
        next = cause.source();
    }
    None
}

/// Turns opendal's error into ours.
pub(crate) fn trouble(error: &Error) -> Trouble {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(wire) = cause.downcast_ref::<Wire>() {
            return Trouble::new(wire.kind, &wire.detail);
        }
        // The signer packs what the line said into an error of its own.
        if let Some(inner) = cause.downcast_ref::<Error>() {
            return trouble(inner);
        }
        next = cause.source();
    }
    let kind = match error.kind() {
        ErrorKind::NotFound => FaultKind::NotFound,
        ErrorKind::PermissionDenied => FaultKind::Refused,
        ErrorKind::RateLimited => FaultKind::Unreachable,
        ErrorKind::ConditionNotMatch | ErrorKind::AlreadyExists | ErrorKind::Conflict => {
            FaultKind::Changed
        }
        ErrorKind::ConfigInvalid
        | ErrorKind::Unsupported
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory => FaultKind::Unfit,
        _ if error.is_temporary() => FaultKind::Unreachable,
        _ => FaultKind::Unfit,
    };
    let mut detail = error.message().to_owned();
    if let Some(cause) = std::error::Error::source(error) {
        detail = format!("{detail}: {}", chain(cause));
    }
    if detail.is_empty() {
        detail = error.kind().to_string();
    }
    Trouble::new(full(kind, &detail), detail)
}

/// Stores say that they are full in their own ways, some of them as a refusal.
fn full(kind: FaultKind, text: &str) -> FaultKind {
    const WORDS: [&str; 6] = [
        "StorageFull",
        "cap exceeded",
        "QuotaExceeded",
        "quota exceeded",
        "no space left",
        "Insufficient Storage",
    ];
    if WORDS.iter().any(|word| text.contains(word)) { FaultKind::NoRoom } else { kind }
}

/// Pieces of an object as ours.
pub(crate) fn chunks(
    pieces: impl futures_util::Stream<Item = opendal::Result<Buffer>> + Send + 'static,
) -> crate::content::Chunks {
    use futures_util::StreamExt as _;
    pieces.map_ok(|piece| -> Bytes { piece.to_bytes() }).map_err(|error| trouble(&error)).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_full_is_told_from_one_that_refuses() {
        let refused = "AccessDenied: Cannot upload files, storage cap exceeded.";
        assert_eq!(full(FaultKind::Refused, refused), FaultKind::NoRoom);
        assert_eq!(full(FaultKind::Refused, "AccessDenied"), FaultKind::Refused);
        let said = Error::new(ErrorKind::Unexpected, "XMinioStorageFull: no room");
        assert_eq!(trouble(&said).kind, FaultKind::NoRoom);
    }

    #[test]
    fn a_broken_line_is_found_inside_another_error() {
        let wire = Wire { kind: FaultKind::Unreachable, detail: "reset".to_owned() };
        let outer = Error::new(ErrorKind::Unexpected, "signing").set_source(temporary(wire));
        let told = trouble(&outer);
        assert_eq!((told.kind, told.detail.as_str()), (FaultKind::Unreachable, "reset"));
    }
}
