//! The log files stand where operators look for them, and the seeds' own searches find things.

use serde_json::{Value, json};
use system_tests::{House, Options};

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_s_file_shows_rate_limits_and_no_file_holds_words_or_keys() -> anyhow::Result<()>
{
    let logs = tempfile::tempdir()?;
    let folder = logs.path().display().to_string();
    let options = Options {
        gateway: vec![("LOG_DIR", folder.clone())],
        worker: vec![("LOG_DIR", folder)],
        ..Options::default()
    };
    let mut house = House::start(options).await?;
    let limited = json!({"match": "genki", "times": 1, "status": 429});
    let answered = json!({"match": "genki", "reply": "元気ですよ"});
    house.discord.script(json!({"rules": [limited, answered]})).await?;
    let question = house.discord.mention(&house.channel, &house.person, "genki?").await?;
    house.discord.replies_until(&question, 1, "元気ですよ").await?;
    house.worker.stop().await?;
    house.gateway.stop().await?;

    let worker = std::fs::read_to_string(logs.path().join("kotonoha.log"))?;
    let found: Vec<&str> = worker.lines().filter(|line| line.contains("rate limit")).collect();
    assert!(!found.is_empty(), "{worker}");
    let line: Value = serde_json::from_str(found[0])?;
    assert_eq!(line["severity"], "WARN", "{line}");
    let gateway = std::fs::read_to_string(logs.path().join("gateway.log"))?;
    for log in [&worker, &gateway] {
        assert!(!log.contains("元気ですよ") && !log.contains("genki"), "no words of people: {log}");
        assert!(!log.contains("sk-simulated"), "no keys: {log}");
    }
    Ok(())
}
