//! The chat page in a real browser.

#![cfg(test)]

mod browser;

use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use simulator::{Config, RunningSimulator, Simulator};

use self::browser::{Browser, DESK, PHONE, Screen};

const COMPOSER: &str = "#composer-main";
const ENTER: &str = "\u{E007}";
const CHECKS: &str = include_str!("page/checks.js");

/// The page on a screen, and the demo world behind it.
struct Visit {
    simulator: RunningSimulator,
    client: Client,
    browser: Browser,
    world: Value,
}

impl Visit {
    async fn start(screen: Screen) -> Option<Self> {
        let browser = Browser::start(screen).await?;
        let simulator = Simulator::start(Config { seed: 5, ..Config::default() }).await.unwrap();
        let client = Client::new();
        let visit = Self { simulator, client, browser, world: Value::Null };
        let world = visit.control("GET", "world", Value::Null).await;
        Some(Self { world, ..visit })
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/control/{path}", self.simulator.base_url());
        let mut request = self.client.request(method.parse().unwrap(), url);
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    fn channel(&self) -> String {
        self.world["guilds"][0]["channels"]
            .as_array()
            .unwrap()
            .iter()
            .find(|channel| channel["type"] == 0)
            .and_then(|channel| channel["id"].as_str())
            .unwrap()
            .to_owned()
    }

    fn bot(&self) -> &str {
        self.world["bot"]["id"].as_str().unwrap()
    }

    /// A person of the demo world.
    fn person(&self, index: usize) -> &Value {
        let people = self.world["users"].as_array().unwrap();
        people.iter().filter(|user| user["bot"] != true).nth(index).unwrap()
    }

    async fn say(&self, author: &str, content: &str) -> String {
        let path = format!("channels/{}/messages", self.channel());
        let body = json!({"author_id": author, "content": content});
        self.control("POST", &path, body).await["id"].as_str().unwrap().to_owned()
    }

    async fn messages(&self) -> Vec<Value> {
        let path = format!("channels/{}/messages", self.channel());
        self.control("GET", &path, Value::Null).await.as_array().unwrap().clone()
    }

    /// Waits until the room's messages satisfy `enough`.
    async fn messages_until(&self, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let messages = self.messages().await;
            if enough(&messages) {
                return messages;
            }
            assert!(Instant::now() < deadline, "{messages:?}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Opens the page at the demo world's first channel.
    async fn open(&self) {
        self.browser.go(&format!("{}/#/{}", self.simulator.base_url(), self.channel())).await;
        self.browser.until("document.querySelector('#pane-main .bar h2 small')").await;
    }

    /// Everything visible can be pressed and read, nothing scrolls sideways, nothing failed.
    async fn assert_fine(&self, place: &str) {
        let wrong = self.browser.run(CHECKS).await;
        assert_eq!(wrong["targets"], json!([]), "{place}: too small to press");
        assert_eq!(wrong["contrast"], json!([]), "{place}: too faint to read");
        assert_eq!(wrong["sideways"], json!([]), "{place}: scrolls sideways");
        assert_eq!(self.browser.console().await, Vec::<String>::new(), "{place}");
    }
}

fn text_of(message: &str) -> String {
    format!("document.querySelector('[data-id=\"{message}\"] .body')?.textContent")
}

#[tokio::test]
async fn a_person_writes_and_sees_the_bots_answer_grow() {
    let Some(visit) = Visit::start(DESK).await else { return };
    visit.open().await;
    visit.browser.write(COMPOSER, &format!("hello there{ENTER}")).await;
    let messages = visit.messages_until(|list| !list.is_empty()).await;
    assert_eq!(messages[0]["content"], "hello there");
    let first = messages[0]["id"].as_str().unwrap();
    visit.browser.until(&format!("{} === 'hello there'", text_of(first))).await;
    visit.browser.until(&format!("document.querySelector('{COMPOSER}').value === ''")).await;

    let answer = visit.say(visit.bot(), "A").await;
    visit.browser.until(&format!("{} === 'A'", text_of(&answer))).await;
    let path = format!("channels/{}/messages/{answer}", visit.channel());
    for content in ["A word", "A word and **more**"] {
        let body = json!({"author_id": visit.bot(), "content": content});
        visit.control("PATCH", &path, body).await;
        let shown = content.replace("**", "");
        visit.browser.until(&format!("{}?.startsWith({shown:?})", text_of(&answer))).await;
        visit
            .browser
            .until(&format!("document.querySelector('.streaming[data-id=\"{answer}\"]')"))
            .await;
    }
    let edited =
        format!("document.querySelector('[data-id=\"{answer}\"]:not(.streaming) .edited')");
    visit.browser.until(&edited).await;
    let read_out = "document.getElementById('announcer').textContent.includes('A word and more')";
    visit.browser.until(read_out).await;
    visit.assert_fine("after an answer").await;
}

#[tokio::test]
async fn enter_during_kana_conversion_never_sends_and_shift_enter_breaks_the_line() {
    let Some(visit) = Visit::start(Screen { language: "ja", ..DESK }).await else { return };
    visit.open().await;
    visit.browser.write(COMPOSER, "きょう").await;
    let press = |how: &str| {
        format!(
            "const field = document.querySelector('{COMPOSER}');
             const event = new KeyboardEvent('keydown', {{key: 'Enter', bubbles: true, cancelable: true, {how}}});
             field.dispatchEvent(event);
             return event.defaultPrevented;"
        )
    };
    for composing in ["isComposing: true", "keyCode: 229", "isComposing: true, keyCode: 229"] {
        assert_eq!(visit.browser.run(&press(composing)).await, json!(false), "{composing}");
    }
    let kept =
        visit.browser.run(&format!("return document.querySelector('{COMPOSER}').value")).await;
    assert_eq!(kept, "きょう");
    visit.browser.write(COMPOSER, &format!("\u{E008}{ENTER}\u{E000}は")).await;
    assert_eq!(visit.messages().await.len(), 0, "nothing was sent yet");
    assert_eq!(visit.browser.run(&press("keyCode: 13")).await, json!(true));
    let messages = visit.messages_until(|list| !list.is_empty()).await;
    assert_eq!(messages[0]["content"], "きょう\nは");
    assert_eq!(messages.len(), 1);
}

#[tokio::test]
async fn anybody_can_be_spoken_as_and_the_bot_mentioned_and_replied_to() {
    let Some(visit) = Visit::start(DESK).await else { return };
    let said = visit.say(visit.bot(), "ask me").await;
    visit.open().await;
    let second = visit.person(1)["id"].as_str().unwrap();
    let choose = format!(
        "const select = document.querySelector('#pane-main .speaker select');
         select.value = '{second}';
         select.dispatchEvent(new Event('change'));"
    );
    visit.browser.until("document.querySelectorAll('#pane-main .speaker option').length > 1").await;
    visit.browser.run(&choose).await;
    visit.browser.hover(&format!("[data-id='{said}'] .body")).await;
    visit.browser.press(&format!("[data-id='{said}'] [data-do='reply']")).await;
    visit.browser.press("#pane-main [data-do='mention']").await;
    visit
        .browser
        .until(
            "document.querySelector('#pane-main .picker:not([hidden]) [role=option]')?.textContent",
        )
        .await;
    visit.assert_fine("with the list of people").await;
    visit.browser.write(COMPOSER, &format!("{ENTER}are you there?{ENTER}")).await;
    let messages = visit.messages_until(|list| list.len() == 2).await;
    assert_eq!(messages[1]["author"]["id"], second);
    assert_eq!(messages[1]["content"], format!("<@{}> are you there?", visit.bot()));
    assert_eq!(messages[1]["message_reference"]["message_id"], said);
    visit.browser.until("document.querySelector('#pane-main .body .mention')").await;
    visit
        .browser
        .until("document.querySelector('#pane-main .quoted .what')?.textContent === 'ask me'")
        .await;
}

#[tokio::test]
async fn people_text_never_becomes_markup() {
    let Some(visit) = Visit::start(DESK).await else { return };
    let evil = "<img src=x onerror=alert(1)> **<b>bold</b>** `<i>` ```html\n<script>x</script>``` \
                [x](javascript:alert(1)) https://example.test/?a=<b>";
    let id = visit.say(visit.person(0)["id"].as_str().unwrap(), evil).await;
    visit.open().await;
    visit.browser.until(&format!("{}?.includes('onerror')", text_of(&id))).await;
    let tags = visit
        .browser
        .run(&format!(
            "return [...document.querySelectorAll('[data-id=\"{id}\"] .body *')]
               .map((element) => element.tagName.toLowerCase()).sort()"
        ))
        .await;
    assert_eq!(tags, json!(["code", "code", "pre", "span", "strong"]));
    visit.assert_fine("with hostile text").await;
}

#[tokio::test]
async fn a_thread_opens_beside_its_channel() {
    let Some(visit) = Visit::start(DESK).await else { return };
    let author = visit.person(0)["id"].as_str().unwrap().to_owned();
    let start = visit.say(&author, "let us talk").await;
    visit.open().await;
    visit.browser.hover(&format!("[data-id='{start}'] .body")).await;
    visit.browser.press(&format!("[data-id='{start}'] [data-do='thread']")).await;
    visit.browser.until("document.querySelector('#ask[open] input')").await;
    visit.assert_fine("the question for a name").await;
    visit.browser.press("#ask button[type=submit]").await;
    visit.browser.until("document.querySelector('#pane-thread:not([hidden]) h2')?.textContent.includes('let us talk')").await;
    visit.browser.write("#composer-thread", &format!("inside{ENTER}")).await;
    let inside = "[...document.querySelectorAll('#pane-thread .body')].some((body) => body.textContent === 'inside')";
    visit.browser.until(inside).await;
    visit.browser.until("document.querySelector('#pane-main .open-thread')").await;
    visit.browser.until("document.querySelector('.room.of-thread[aria-current=page]')").await;
    visit.assert_fine("with a thread").await;
    visit.browser.press("#pane-thread .close-thread").await;
    visit.browser.until("document.querySelector('#pane-thread').hidden").await;
    visit.browser.press("#pane-main .open-thread").await;
    visit.browser.until(inside).await;
}

#[tokio::test]
async fn a_reaction_and_a_file_arrive() {
    let Some(visit) = Visit::start(DESK).await else { return };
    let said = visit.say(visit.bot(), "look").await;
    visit.open().await;
    visit.browser.hover(&format!("[data-id='{said}'] .body")).await;
    visit.browser.press(&format!("[data-id='{said}'] [data-do='react']")).await;
    visit.assert_fine("with the reactions").await;
    visit.browser.press(&format!("[data-id='{said}'] .emoji-tray button")).await;
    visit.messages_until(|list| list[0]["reactions"][0]["count"] == 1).await;
    visit
        .browser
        .until(&format!(
            "document.querySelector('[data-id=\"{said}\"] .chips .count')?.textContent === '1'"
        ))
        .await;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("覚え書き.txt");
    std::fs::write(&file, "quiet words").unwrap();
    visit.browser.write("#pane-main input[type=file]", file.to_str().unwrap()).await;
    visit.browser.until("document.querySelector('#pane-main .chosen-files button')").await;
    visit.assert_fine("with a chosen file").await;
    visit.browser.press("#pane-main .send").await;
    let messages = visit.messages_until(|list| list.len() == 2).await;
    assert_eq!(messages[1]["attachments"][0]["filename"], "覚え書き.txt");
    let url = messages[1]["attachments"][0]["url"].as_str().unwrap();
    let content = visit.client.get(url).send().await.unwrap().text().await.unwrap();
    assert_eq!(content, "quiet words");
    visit.browser.until("document.querySelector('#pane-main .files a[download]')").await;
    visit.assert_fine("with a file").await;
}

#[tokio::test]
async fn a_switch_in_the_drawer_makes_a_fault_and_takes_it_back() {
    let Some(visit) = Visit::start(DESK).await else { return };
    visit.open().await;
    visit.browser.press("[data-open-drawer]").await;
    visit.browser.until("document.querySelector('#drawer[open] [data-fault=model500]')").await;
    visit.assert_fine("the drawer").await;
    let faults = visit.simulator.state().faults();
    for key in ["model500", "restDelay"] {
        visit.browser.press(&format!("[data-fault={key}]")).await;
        visit
            .browser
            .until(&format!("document.querySelector('[data-fault={key}][aria-checked=true]')"))
            .await;
    }
    let list = serde_json::to_value(faults.list()).unwrap();
    assert_eq!(list[0]["target"], "model");
    assert_eq!(list[0]["status"], 500);
    assert_eq!(list[1]["kind"], "delay");
    visit.assert_fine("the drawer with faults").await;
    visit.browser.press("[data-fault=model500]").await;
    visit
        .browser
        .until("document.querySelector('[data-fault=model500][aria-checked=false]')")
        .await;
    let list = serde_json::to_value(faults.list()).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["kind"], "delay");
    visit.browser.until("document.querySelectorAll('#entries li').length > 1").await;
}

#[tokio::test]
async fn the_page_is_fine_on_every_screen_in_light_and_dark() {
    for base in [PHONE, DESK] {
        let Some(visit) = Visit::start(base).await else { return };
        let author = visit.person(0)["id"].as_str().unwrap().to_owned();
        let start = visit.say(&author, &format!("<@{}> こんにちは", visit.bot())).await;
        let long = "とても長い".repeat(60);
        let wide = "x".repeat(300);
        visit
            .say(
                visit.bot(),
                &format!("# 見出し\n> 引用 {long}\n`code` {wide}\n```rust\n{wide}\n```"),
            )
            .await;
        let path = format!("channels/{}/threads", visit.channel());
        let body = json!({"author_id": author, "name": wide[..90], "message_id": start});
        let thread = visit.control("POST", &path, body).await["id"].as_str().unwrap().to_owned();
        for dark in [false, true] {
            visit.browser.show_on(Screen { dark, ..base }).await;
            let root = visit.simulator.base_url();
            let place = |name: &str| format!("{name} at {} dark={dark}", base.width);
            visit.browser.go(&format!("{root}/")).await;
            visit.browser.until("document.querySelectorAll('.room').length > 3").await;
            visit.assert_fine(&place("rooms")).await;
            visit.open().await;
            visit
                .browser
                .until("document.querySelectorAll('#pane-main .message').length > 1")
                .await;
            visit.assert_fine(&place("channel")).await;
            visit.browser.go(&format!("{root}/#/{}/{thread}", visit.channel())).await;
            visit.browser.until("document.body.dataset.view === 'thread'").await;
            visit.assert_fine(&place("thread")).await;
            visit.browser.go(&format!("{root}/#/")).await;
            visit.browser.until("document.body.dataset.view === 'rooms'").await;
            visit.browser.press("[data-open-drawer]").await;
            visit.browser.until("document.querySelector('#drawer[open] .links')").await;
            visit.assert_fine(&place("drawer")).await;
        }
    }
}

#[tokio::test]
async fn the_checks_find_what_is_too_small_too_faint_or_too_wide() {
    let Some(visit) = Visit::start(PHONE).await else { return };
    visit.browser.go(&visit.simulator.base_url()).await;
    visit.browser.until("document.querySelectorAll('.room').length > 3").await;
    let plant = "const button = document.createElement('button');
        button.textContent = 'planted';
        button.style.cssText = 'min-height: 20px; height: 20px; width: 60px; color: #9a9a9a; background: #fff';
        const wide = document.createElement('p');
        wide.style.cssText = 'position: absolute; top: 0; left: 0; width: 900px';
        wide.textContent = 'planted';
        document.body.append(button, wide);";
    visit.browser.run(plant).await;
    let wrong = visit.browser.run(CHECKS).await;
    assert_eq!(wrong["targets"].as_array().unwrap().len(), 1, "{wrong}");
    assert_eq!(wrong["contrast"].as_array().unwrap().len(), 1, "{wrong}");
    assert!(!wrong["sideways"].as_array().unwrap().is_empty(), "{wrong}");
}

#[tokio::test]
async fn the_language_follows_the_browser_and_the_toggle() {
    let Some(visit) = Visit::start(PHONE).await else { return };
    visit.browser.go(&visit.simulator.base_url()).await;
    visit.browser.until("document.documentElement.lang === 'ja'").await;
    visit
        .browser
        .until("document.querySelector('[data-open-drawer]').innerText.includes('障害')")
        .await;
    visit.browser.press("#language").await;
    visit
        .browser
        .until("document.querySelector('[data-open-drawer]').innerText.includes('Faults')")
        .await;
    visit.browser.press("#theme").await;
    visit.browser.until("document.documentElement.dataset.theme === 'dark'").await;
    visit.browser.go(&visit.simulator.base_url()).await;
    visit.browser.until("document.documentElement.lang === 'en' && document.documentElement.dataset.theme === 'dark'").await;
    visit.assert_fine("after the toggles").await;
}

#[tokio::test]
async fn a_lost_connection_is_told_and_found_again() {
    let Some(visit) = Visit::start(PHONE).await else { return };
    visit.open().await;
    visit.browser.until("document.querySelector('#offline').hidden").await;
    let Visit { simulator, browser, .. } = visit;
    let listen = simulator.address();
    simulator.stop().await.unwrap();
    browser.until("!document.querySelector('#offline').hidden").await;
    browser.write(COMPOSER, "kept").await;
    browser.press("#pane-main .send").await;
    browser.until("document.querySelector('.toast.error')").await;
    assert_eq!(browser.run("return document.querySelector('#composer-main').value").await, "kept");
    let again = Simulator::start(Config { listen, seed: 5, ..Config::default() }).await.unwrap();
    browser.until("document.querySelector('#offline').hidden").await;
    again.stop().await.unwrap();
}

#[tokio::test]
async fn the_page_says_how_to_connect_a_bot_that_is_missing() {
    let Some(visit) = Visit::start(DESK).await else { return };
    visit.open().await;
    let address = visit.simulator.base_url();
    let told = format!("document.querySelector('#presence').innerText.includes({address:?})");
    visit.browser.until(&told).await;
    visit.assert_fine("without a bot").await;
}

#[tokio::test]
async fn every_file_of_the_page_is_served_under_a_strict_policy() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = Client::new();
    let get = async |path: &str| {
        client.get(format!("{}{path}", simulator.base_url())).send().await.unwrap()
    };
    let index = get("/").await;
    let policy = index.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
    let html = index.text().await.unwrap();
    let files: Vec<&str> = html
        .split('"')
        .filter(|part| part.starts_with("/page/"))
        .map(|part| part.split('#').next().unwrap())
        .collect();
    assert!(files.len() > 5);
    for file in files {
        let response = get(file).await;
        assert_eq!(response.status(), 200, "{file}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
    assert_eq!(get("/page/nothing.js").await.status(), 404);
}
