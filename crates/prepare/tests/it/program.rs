//! The program itself: exit codes and words.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use bus::server::NatsServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn run(words: &[&str], settings: &[(&str, &str)]) -> (i32, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_prepare"))
        .args(words)
        .env_clear()
        .envs(settings.iter().copied())
        .output()
        .expect("the program starts");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn owner() -> String {
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    format!("{}:{}", user.as_raw().max(1), group.as_raw().max(1))
}

fn folders(root: &Path) -> (i32, String) {
    let root = root.display().to_string();
    run(&["folders"], &[("PREPARE_ROOT", &root), ("PREPARE_OWNER", &owner())])
}

#[test]
fn what_cannot_be_understood_ends_with_64_and_says_what_can_be_asked() {
    for words in [&[][..], &["frobnicate"], &["probe"]] {
        let (code, text) = run(words, &[]);
        assert_eq!(code, 64);
        assert!(text.contains("prepare folders"), "{text}");
    }
    let (code, text) = run(&["folders"], &[("PREPARE_OWNER", "0:0")]);
    assert_eq!(code, 64);
    assert!(text.contains("PREPARE_OWNER") && text.contains("root"), "{text}");
    assert_eq!(run(&["--help"], &[]).0, 0);
    assert_eq!(run(&["--version"], &[]), (0, format!("prepare {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn folders_end_with_0_or_with_73_and_never_show_a_secret() {
    let root = tempfile::tempdir().unwrap();
    let (code, text) = folders(root.path());
    assert_eq!(code, 0, "{text}");
    let secret = root.path().join("data/secrets/gateway/nats-password");
    let secret = std::fs::read_to_string(secret).unwrap();
    assert!(!text.contains(secret.trim()) && text.contains("準備ができました"), "{text}");
    let (code, text) = folders(&root.path().join("not-there"));
    assert_eq!(code, 73);
    assert!(text.contains("not-there"), "{text}");
}

/// Nobody but root may write into a folder without the right to; its owner has to lend it.
#[test]
fn whoever_is_not_root_prepares_folders_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    // Where the tests were built may be closed to others.
    let program = root.path().join("prepare");
    std::fs::copy(env!("CARGO_BIN_EXE_prepare"), &program).unwrap();
    let house = root.path().join("house");
    std::fs::create_dir(&house).unwrap();
    let mut prepare = Command::new(&program);
    prepare.arg("folders").env_clear().env("PREPARE_ROOT", &house);
    if rustix::process::geteuid().is_root() {
        for path in [root.path(), &house] {
            std::os::unix::fs::chown(path, Some(1000), Some(1000)).unwrap();
        }
        prepare.env("PREPARE_OWNER", "1000:1000").uid(1000).gid(1000);
    } else {
        prepare.env("PREPARE_OWNER", owner());
    }
    let output = prepare.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(house.join("data/secrets/gateway").is_dir());
    let mode = house.join("data/secrets").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o222, 0, "nobody may write there afterwards either");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_0_or_with_69_and_the_remedy() -> anyhow::Result<()> {
    let server = NatsServer::start_with(&crate::users(), None).await?;
    let url = server.url();
    let user = [("NATS_URL", url.as_str()), ("NATS_USER", "admin")];
    let (code, text) = run(&["streams"], &[&user[..], &[("NATS_PASSWORD", "geheim")]].concat());
    assert_eq!(code, 0, "{text}");
    let impatient = ("PREPARE_WAIT_SECONDS", "1");
    let wrong = [&user[..], &[("NATS_PASSWORD", "falsch"), impatient]].concat();
    let (code, text) = run(&["streams"], &wrong);
    assert_eq!(code, 69, "{text}");
    assert!(text.contains("NATS_PASSWORD") && text.contains("対処"), "{text}");
    assert!(!text.contains("falsch"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_ends_with_0_only_where_the_answer_is_200() -> anyhow::Result<()> {
    for (status, code) in [("200 OK", 0), ("503 Service Unavailable", 1)] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/healthz", listener.local_addr()?);
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut request = [0; 1024];
            let size = stream.read(&mut request).await?;
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok");
            stream.write_all(answer.as_bytes()).await?;
            anyhow::Ok(String::from_utf8_lossy(&request[..size]).into_owned())
        });
        let (ended, text) = run(&["probe", &url], &[]);
        assert_eq!(ended, code, "{text}");
        assert!(served.await??.starts_with("GET /healthz HTTP/1.0\r\n"));
    }
    assert_eq!(run(&["probe", "http://127.0.0.1:1/"], &[]).0, 1);
    assert_eq!(run(&["probe", "https://127.0.0.1/"], &[]).0, 1);
    Ok(())
}
