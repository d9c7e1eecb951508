//! Discord's REST API, version 10: every request passes faults, token, limits and handler.

pub mod application;
pub mod body;
pub mod call;
pub mod channels;
mod command_body;
pub mod embeds;
pub mod error;
pub mod guilds;
pub mod members;
mod message_body;
pub mod messages;
pub mod pins;
pub mod reactions;
pub mod reply;
pub mod route;
mod sending;
pub mod threads;
pub mod users;

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Query, Request};
use axum::response::Response;
use axum::routing::any;
use serde::Serialize;
use serde_json::Value;

use crate::connection::Cut;
use crate::faults::{Fault, FaultKind, Target};
use crate::ledger::Kind;
use crate::limits::Verdict;
use crate::rest::body::Body;
use crate::rest::call::{Answer, Call};
use crate::rest::reply::Reply;
use crate::rest::route::{Found, Route};
use crate::state::{Core, State};

pub(crate) use crate::rest::message_body::safe_name;

/// The REST API below `/api`, `/api/v9` and `/api/v10`.
pub(crate) fn router(state: State) -> Router {
    let serve = move |connection: ConnectInfo<Cut>, request: Request| {
        let state = state.clone();
        async move { answer(&state, &connection.0, request).await }
    };
    Router::new().route("/api/{*path}", any(serve)).layer(DefaultBodyLimit::disable())
}

async fn answer(state: &State, cut: &Cut, request: Request) -> Response {
    let started = Instant::now();
    let method = request.method().to_string();
    let full_path = request.uri().path().to_owned();
    let uri = request.uri().to_string();
    let fault = state.faults().take(Target::Rest, &method, &full_path);
    if let Some(delay_ms) = fault.as_ref().and_then(|fault| fault.delay_ms) {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
    let found = route::find(&method, below_version(&full_path));
    let token = header(&request, "authorization");
    let query = Query::try_from_uri(request.uri()).map(|query| query.0).unwrap_or_default();
    let body = body::read(request).await;
    let recorded = body.as_ref().map_or(Value::Null, Body::recorded);
    let route = match &found {
        Found::Route(route, _) => Some(route.name),
        Found::OtherMethod | Found::Nothing => None,
    };
    let kind = fault.as_ref().map(|fault| fault.kind);
    let reply = if kind == Some(FaultKind::DropBefore) {
        Reply::plain(Answer { status: 0, body: None })
    } else {
        state.with(|core| {
            let incoming = Incoming { token, query, found, body };
            let reply = core.reply(fault.as_ref(), incoming);
            core.count_invalid(&reply);
            reply
        })
    };
    let entry = Entry {
        method: &method,
        path: &uri,
        route,
        status: reply.answer.status,
        request: &recorded,
        response: reply.answer.body.as_ref(),
        elapsed_ms: started.elapsed().as_millis(),
        fault: kind,
    };
    state.ledger().push(Kind::Rest, &entry);
    if matches!(kind, Some(FaultKind::DropBefore | FaultKind::DropAfter)) {
        cut.cut();
    }
    reply.into_response()
}

/// A request and its answer as the ledger keeps them. The status is 0 when the connection broke
/// before anything happened.
#[derive(Serialize)]
struct Entry<'a> {
    method: &'a str,
    path: &'a str,
    route: Option<&'a str>,
    status: u16,
    request: &'a Value,
    response: Option<&'a Value>,
    elapsed_ms: u128,
    fault: Option<FaultKind>,
}

/// A request on its way to the core.
struct Incoming {
    token: Option<String>,
    query: std::collections::HashMap<String, String>,
    found: Found,
    body: Result<Body, error::ApiError>,
}

impl Core {
    fn reply(&mut self, fault: Option<&Fault>, incoming: Incoming) -> Reply {
        let Incoming { token, query, found, body } = incoming;
        let (route, params) = match found {
            Found::Route(route, params) => (route, params),
            Found::OtherMethod => return Reply::refused(error::METHOD_NOT_ALLOWED),
            Found::Nothing => return Reply::refused(error::NOT_FOUND),
        };
        if let Some(reply) = fault.and_then(|fault| self.struck(fault, route)) {
            return reply;
        }
        if !route.open && !self.is_authorized(token.as_deref()) {
            return Reply::refused(error::UNAUTHORIZED);
        }
        let major = params.first().map_or("", String::as_str);
        let bucket = match self.limits.take(route.name, major, self.world.now_ms) {
            Verdict::Pass(bucket) => bucket,
            Verdict::Route(bucket) => return Reply::limited(bucket, "user"),
            Verdict::Global(wait_ms) => return Reply::limited_globally(wait_ms),
            Verdict::Banned(wait_ms) => return Reply::limited_without_headers(Some(wait_ms)),
        };
        let answer = body.and_then(|body| {
            let Body { json, files } = body;
            let call = Call { route: route.name, params, query, body: json, files };
            (route.handler)(self, &call)
        });
        let answer = answer.unwrap_or_else(error::ApiError::into_answer);
        Reply::plain(answer).with_bucket(bucket)
    }

    /// What a fault answers in the handler's place.
    fn struck(&self, fault: &Fault, route: &Route) -> Option<Reply> {
        let wait_ms = fault.retry_after_ms.unwrap_or(1000);
        let spent = || self.limits.spent(route.name, wait_ms, self.world.now_ms);
        match fault.kind {
            FaultKind::Delay | FaultKind::DropBefore | FaultKind::DropAfter => None,
            FaultKind::Status => Some(Reply::status(fault.status.unwrap_or(500))),
            FaultKind::RateLimitRoute => Some(Reply::limited(spent(), "user")),
            FaultKind::RateLimitShared => Some(Reply::limited(spent(), "shared")),
            FaultKind::RateLimitGlobal => Some(Reply::limited_globally(wait_ms)),
            FaultKind::RateLimitHeaderless => {
                Some(Reply::limited_without_headers(fault.retry_after_ms))
            }
        }
    }

    fn is_authorized(&self, token: Option<&str>) -> bool {
        let given = token.and_then(|token| token.strip_prefix("Bot "));
        self.token_valid && given == Some(self.token.as_str())
    }

    fn count_invalid(&mut self, reply: &Reply) {
        let counts = match reply.answer.status {
            401 | 403 => true,
            429 => reply.scope != Some("shared"),
            _ => false,
        };
        if counts {
            self.limits.count_invalid(self.world.now_ms);
        }
    }
}

fn header(request: &Request, name: &str) -> Option<String> {
    Some(request.headers().get(name)?.to_str().ok()?.to_owned())
}

/// The path without `/api` and the version.
fn below_version(path: &str) -> &str {
    let path = path.strip_prefix("/api").unwrap_or(path);
    let version = path.strip_prefix("/v").and_then(|rest| rest.split_once('/'));
    match version {
        Some((number, _)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            &path[number.len() + 2..]
        }
        _ => path,
    }
}
