//! The build step that notes which compiler built the crate, for `/version`.

use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "cargo passes its parameters in the environment")]
fn main() {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(compiler)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_default();
    // `rustc 1.95.0 (0123abcd 2026-04-16)`: the number is what people ask for.
    let number = version.split_ascii_whitespace().nth(1).unwrap_or("unknown");
    emit(&format!("cargo:rustc-env=CHASSIS_RUST_VERSION={number}"));
    emit("cargo:rerun-if-changed=build.rs");
}

fn emit(line: &str) {
    println!("{line}");
}
