//! A headless Chromium, driven over the `WebDriver` protocol.
//!
//! The protocol is JSON over plain HTTP, and most of what these tests need is Chromium's own
//! part of it (device metrics, media features, files, the console), so it is spoken directly.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the page may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// The key `WebDriver` keeps an element's reference under.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A screen to look at the page on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) touch: bool,
    pub(super) dark: bool,
    pub(super) language: &'static str,
}

/// A desk, light, in English.
pub(super) const DESK: Screen =
    Screen { width: 1440, height: 900, touch: false, dark: false, language: "en" };

/// A phone, light, in Japanese.
pub(super) const PHONE: Screen =
    Screen { width: 390, height: 844, touch: true, dark: false, language: "ja" };

/// One browser with one window; it ends with the value.
pub(super) struct Browser {
    client: Client,
    session: String,
    driver: Child,
    profile: TempDir,
}

impl Browser {
    /// Starts a browser, or says that there is none on this machine.
    pub(super) async fn start(screen: Screen) -> Option<Self> {
        let found = program("KOTONOHA_CHROMEDRIVER", "chromedriver")
            .zip(program("KOTONOHA_CHROMIUM", "chromium"));
        let Some((chromedriver, chromium)) = found else {
            println!("skipped: no Chromium");
            return None;
        };
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::new();
        let profile = tempfile::tempdir().unwrap();
        let (driver, base) = start_driver(&client, &chromedriver, profile.path()).await;
        let mut browser = Self { client, session: base, driver, profile };
        browser.open_session(&chromium, screen).await;
        browser.show_on(screen).await;
        Some(browser)
    }

    async fn open_session(&mut self, chromium: &Path, screen: Screen) {
        let profile = self.profile.path().display();
        // Without a mouse attached, Chromium says that nothing can hover.
        let hovers = if screen.touch {
            "--blink-settings=primaryHoverType=1,availableHoverTypes=1"
        } else {
            "--blink-settings=primaryHoverType=2,availableHoverTypes=2"
        };
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            hovers,
            &format!("--lang={}", screen.language),
            &format!("--user-data-dir={profile}"),
        ];
        let options = json!({
            "binary": chromium,
            "args": args,
            "prefs": {"intl.accept_languages": screen.language},
        });
        let answer = self
            .send(
                Method::POST,
                "/session",
                Some(json!({"capabilities": {"alwaysMatch": {
                    "browserName": "chrome",
                    "goog:chromeOptions": options,
                    "goog:loggingPrefs": {"browser": "ALL"},
                }}})),
            )
            .await;
        let id = answer["sessionId"].as_str().unwrap();
        self.session = format!("{}/session/{id}", self.session);
    }

    /// Changes the screen under the page.
    pub(super) async fn show_on(&self, screen: Screen) {
        let Screen { width, height, touch, dark, .. } = screen;
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch});
        self.cdp("Emulation.setDeviceMetricsOverride", metrics).await;
        self.cdp("Emulation.setTouchEmulationEnabled", json!({"enabled": touch})).await;
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.cdp("Emulation.setEmulatedMedia", json!({"features": [feature]})).await;
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}{path}", self.session);
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let good = response.status().is_success();
        let mut answer: Value = response.json().await.unwrap();
        assert!(good, "{path}: {}", answer["value"]["message"]);
        answer["value"].take()
    }

    async fn cdp(&self, command: &str, params: Value) -> Value {
        let body = json!({"cmd": command, "params": params});
        self.send(Method::POST, "/goog/cdp/execute", Some(body)).await
    }

    /// Opens an address. Where this machine's networks change just then, as containers that come and
    /// go make them, the browser drops what it is loading: then it is opened again.
    pub(super) async fn go(&self, url: &str) {
        for _try in 0..3 {
            self.send(Method::POST, "/url", Some(json!({"url": url}))).await;
            let said = self.console().await;
            if !said.iter().any(|line| line.contains("ERR_NETWORK_CHANGED")) {
                assert_eq!(said, Vec::<String>::new(), "{url}");
                return;
            }
        }
        panic!("the networks of this machine change all the time: {url}");
    }

    /// Runs the body of a function in the page and returns what it returns.
    pub(super) async fn run(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.send(Method::POST, "/execute/sync", Some(body)).await
    }

    /// Waits until an expression is true in the page.
    pub(super) async fn until(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.run(&format!("return Boolean({expression});")).await != json!(true) {
            let shown = "return document.body.innerText.slice(0, 1500);";
            assert!(
                Instant::now() < deadline,
                "not in time: {expression}\npage: {}\nconsole: {:?}",
                self.run(shown).await,
                self.console().await,
            );
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    async fn element(&self, selector: &str) -> String {
        self.until(&format!("document.querySelector({selector:?})")).await;
        let body = json!({"using": "css selector", "value": selector});
        let answer = self.send(Method::POST, "/element", Some(body)).await;
        answer[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Presses an element as a person would: it must be visible and not covered.
    pub(super) async fn press(&self, selector: &str) {
        let id = self.element(selector).await;
        self.send(Method::POST, &format!("/element/{id}/click"), Some(json!({}))).await;
    }

    /// Types into an element, key by key. `\u{E007}` is Enter, `\u{E008}` holds Shift.
    pub(super) async fn write(&self, selector: &str, keys: &str) {
        let id = self.element(selector).await;
        let body = json!({"text": keys});
        self.send(Method::POST, &format!("/element/{id}/value"), Some(body)).await;
    }

    /// Puts the pointer over the middle of an element.
    pub(super) async fn hover(&self, selector: &str) {
        let id = self.element(selector).await;
        let origin = json!({ELEMENT: id});
        let steps = json!([{"type": "pointerMove", "origin": origin, "x": 0, "y": 0}]);
        let actions = json!([{"type": "pointer", "id": "mouse", "actions": steps}]);
        self.send(Method::POST, "/actions", Some(json!({"actions": actions}))).await;
    }

    /// What the console said since the last time: errors, warnings, policy violations.
    pub(super) async fn console(&self) -> Vec<String> {
        let list = self.send(Method::POST, "/se/log", Some(json!({"type": "browser"}))).await;
        let list = list.as_array().unwrap().clone();
        list.iter().map(|entry| format!("{} {}", entry["level"], entry["message"])).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver takes the browser with it when it is asked to end.
        let _ended = Command::new("kill").arg(self.driver.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.driver.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > deadline {
                let _killed = self.driver.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

async fn start_driver(client: &Client, chromedriver: &Path, temporary: &Path) -> (Child, String) {
    // The port is free now; should another take it meanwhile, the next try finds a new one.
    for _ in 0..5 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut driver = Command::new(chromedriver)
            .arg(format!("--port={port}"))
            // Chromium leaves folders behind; they go with the profile.
            .env("TMPDIR", temporary)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && driver.try_wait().unwrap().is_none() {
            if client.get(format!("{base}/status")).send().await.is_ok() {
                return (driver, base);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        drop(driver.kill());
    }
    panic!("chromedriver did not start; run `chromedriver --version` to see why");
}

/// A program named by `variable` or found on `PATH`.
#[expect(clippy::disallowed_methods, reason = "where this machine keeps its browser is no setting")]
fn program(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
