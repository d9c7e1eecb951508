//! A WebDAV server of our own on loopback, with the moods of a bad far side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use objects::{Patience, Settings, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is wrong with the far side just now.
#[derive(Debug, Default, Clone)]
pub(crate) struct Mood {
    /// It has room for so many bytes.
    pub(crate) room: Option<usize>,
    /// It refuses to remove anything.
    pub(crate) keeps: bool,
    /// It says that objects are larger than they are by so many bytes.
    pub(crate) boasts: usize,
    /// It refuses everything.
    pub(crate) refuses: bool,
}

#[derive(Debug, Default)]
struct Shelf {
    mood: Mood,
    files: BTreeMap<String, Bytes>,
    folders: BTreeSet<String>,
    /// What was put or moved to its name, in order.
    arrived: Vec<String>,
}

/// The server; it ends with the value.
pub(crate) struct Dav {
    shelf: Arc<Mutex<Shelf>>,
    port: u16,
    task: JoinHandle<()>,
}

impl Drop for Dav {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Dav {
    pub(crate) async fn start() -> Self {
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        shelf.lock().unwrap().folders.insert("/".to_owned());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shelf));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shelf, port, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn mood(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.shelf.lock().unwrap().mood);
    }

    /// What lies there, parts under way too.
    pub(crate) fn names(&self) -> Vec<String> {
        self.shelf.lock().unwrap().files.keys().cloned().collect()
    }

    /// The names in the order in which whole files came to be there, since this was last asked.
    pub(crate) fn arrived(&self) -> Vec<String> {
        std::mem::take(&mut self.shelf.lock().unwrap().arrived)
    }

    /// Changes what lies there behind everybody's back.
    pub(crate) fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Bytes>)) {
        change(&mut self.shelf.lock().unwrap().files);
    }
}

/// A target at a port of this machine.
pub(crate) fn target(name: &str, port: u16) -> Target {
    let address = format!("webdav+http://127.0.0.1:{port}");
    let mut settings = Settings::new(name, address.parse().unwrap());
    settings.patience = Patience {
        stall: std::time::Duration::from_secs(2),
        listing: std::time::Duration::from_secs(5),
    };
    Target::open(&settings).unwrap()
}

async fn answer(State(shelf): State<Arc<Mutex<Shelf>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = percent_decoded(parts.uri.path());
    if shelf.lock().unwrap().mood.refuses {
        return StatusCode::FORBIDDEN.into_response();
    }
    match parts.method.as_str() {
        "PUT" => put(&shelf, path, body).await,
        "PROPFIND" => find(&shelf.lock().unwrap(), &path, &parts.headers),
        "MKCOL" => make(&mut shelf.lock().unwrap(), &path),
        "MOVE" => rename(&mut shelf.lock().unwrap(), &path, &parts.headers),
        _ => plain(&mut shelf.lock().unwrap(), &parts.method, &path, &parts.headers),
    }
}

async fn put(shelf: &Mutex<Shelf>, path: String, body: Body) -> Response {
    let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent).to_owned() + "/";
    if !shelf.lock().unwrap().folders.contains(&parent) {
        return StatusCode::CONFLICT.into_response();
    }
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut shelf = shelf.lock().unwrap();
    let used: usize = shelf.files.values().map(Bytes::len).sum();
    if shelf.mood.room.is_some_and(|room| used + body.len() > room) {
        return StatusCode::INSUFFICIENT_STORAGE.into_response();
    }
    shelf.files.insert(path, body);
    StatusCode::CREATED.into_response()
}

fn find(shelf: &Shelf, path: &str, headers: &HeaderMap) -> Response {
    let folder = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
    let mut found = String::new();
    if let Some(body) = shelf.files.get(path) {
        found += &file(path, body.len() + shelf.mood.boasts);
    } else if shelf.folders.contains(&folder) {
        found += &collection(&folder);
        if headers.get("depth").is_some_and(|depth| depth == "1") {
            let here = |name: &str| {
                let rest = name.strip_prefix(&folder).unwrap_or_default();
                !rest.is_empty() && !rest.trim_end_matches('/').contains('/')
            };
            for name in shelf.folders.iter().filter(|name| here(name)) {
                found += &collection(name);
            }
            for (name, body) in shelf.files.iter().filter(|(name, _)| here(name)) {
                found += &file(name, body.len() + shelf.mood.boasts);
            }
        }
    } else {
        return StatusCode::NOT_FOUND.into_response();
    }
    let text =
        format!("<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">{found}</D:multistatus>");
    (StatusCode::MULTI_STATUS, text).into_response()
}

fn collection(name: &str) -> String {
    entry(name, "<D:resourcetype><D:collection/></D:resourcetype>")
}

fn file(name: &str, length: usize) -> String {
    entry(name, &format!("<D:getcontentlength>{length}</D:getcontentlength><D:resourcetype/>"))
}

fn entry(name: &str, properties: &str) -> String {
    format!(
        "<D:response><D:href>{name}</D:href><D:propstat><D:prop>{properties}\
         <D:getlastmodified>Sun, 22 Nov 2026 06:39:47 GMT</D:getlastmodified></D:prop>\
         <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
    )
}

fn make(shelf: &mut Shelf, path: &str) -> Response {
    let fresh = shelf.folders.insert(format!("{}/", path.trim_end_matches('/')));
    let status = if fresh { StatusCode::CREATED } else { StatusCode::METHOD_NOT_ALLOWED };
    status.into_response()
}

fn rename(shelf: &mut Shelf, path: &str, headers: &HeaderMap) -> Response {
    let to = headers.get("destination").unwrap().to_str().unwrap();
    let to = to.split_once("://").map_or(to, |(_, rest)| rest.split_once('/').unwrap().1);
    let to = percent_decoded(&format!("/{}", to.trim_start_matches('/')));
    let Some(body) = shelf.files.remove(path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    shelf.files.insert(to.clone(), body);
    shelf.arrived.push(to);
    StatusCode::CREATED.into_response()
}

fn plain(shelf: &mut Shelf, method: &Method, path: &str, headers: &HeaderMap) -> Response {
    let Some(body) = shelf.files.get(path).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match method.as_str() {
        "GET" => {
            let range = headers.get("range").and_then(|range| {
                let (from, to) = range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
                let to = to.parse::<usize>().map_or(body.len(), |to| to + 1);
                Some(from.parse().ok()?..to.min(body.len()))
            });
            match range {
                Some(range) => (StatusCode::PARTIAL_CONTENT, body.slice(range)).into_response(),
                None => body.into_response(),
            }
        }
        "DELETE" if shelf.mood.keeps => StatusCode::FORBIDDEN.into_response(),
        "DELETE" => {
            shelf.files.remove(path);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// Names in these tests need no more than this.
fn percent_decoded(path: &str) -> String {
    path.replace("%2D", "-").replace("%2E", ".").replace("%5F", "_")
}

/// A line to a server that is cut, in all its connections, after so many bytes have gone up.
pub(crate) struct Line {
    port: u16,
    left: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    pub(crate) async fn to(port: u16, bytes: usize) -> Self {
        let left = Arc::new(Mutex::new(bytes));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let allowance = Arc::clone(&left);
        let task = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(near, port, Arc::clone(&allowance)));
            }
        });
        Self { port: own, left, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Lets so many bytes through from now on.
    pub(crate) fn allow(&self, bytes: usize) {
        *self.left.lock().unwrap() = bytes;
    }
}

async fn carry(near: TcpStream, port: u16, left: Arc<Mutex<usize>>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let down = tokio::spawn(async move { tokio::io::copy(&mut far_read, &mut near_write).await });
    let mut piece = vec![0; 4096];
    while let Ok(read @ 1..) = near_read.read(&mut piece).await {
        let allowed = {
            let mut left = left.lock().unwrap();
            let allowed = read.min(*left);
            *left -= allowed;
            allowed
        };
        if far_write.write_all(&piece[..allowed]).await.is_err() || allowed < read {
            break;
        }
    }
    down.abort();
}
