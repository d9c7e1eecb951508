//! Other libraries' clients, where they are installed.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::harness::{World, from_environment};

/// The Python of `KOTONOHA_CLIENT_VENV`, which may name a virtualenv or an interpreter.
fn python() -> Option<PathBuf> {
    let given = from_environment("KOTONOHA_CLIENT_VENV")?;
    Some(if given.is_dir() { given.join("bin/python") } else { given })
}

#[tokio::test]
async fn discord_py_tells_its_whole_story() {
    let Some(python) = python() else {
        println!("skipped: discord.py not installed");
        return;
    };
    let world = World::start().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/discord_py.py");
    let address = world.running.address().to_string();
    let output = Command::new(python).arg(script).args([&address, world.token()]).output().await;
    let output = output.expect("python runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{shown}\n{errors}");
    let told: Value = serde_json::from_str(shown.trim()).expect("one JSON line");
    assert_eq!(told["steps"].as_array().map(Vec::len), Some(13), "{told}");
}
