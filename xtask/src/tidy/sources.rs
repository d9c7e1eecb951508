//! Rules for Rust source files: their first line, length, and what they may not contain.

use super::Finding;
use super::code;
use super::tree::Tree;

/// Longer files hold more than one idea.
const LONGEST_LINES: usize = 500;

/// What no source may contain, and what to do instead.
const FORBIDDEN: [(&str, &str); 3] = [
    ("#[ignore", "an ignored test is no test: make it run, or let it say `skipped:` and why"),
    ("todo!(", "finish it, or leave it out"),
    ("unimplemented!(", "finish it, or leave it out"),
];

/// Folders in which code may look at the environment by itself: chassis is the services' only
/// door to it, the chores have their own, tests set up processes (bus brings them a nats-server).
const OWN_ENVIRONMENT: [&str; 4] =
    ["crates/chassis/", "crates/system-tests/", "crates/bus/src/server.rs", "xtask/"];

/// Ways to read or change the environment.
const ENVIRONMENT: [&str; 6] = [
    "env::var(",
    "env::var_os(",
    "env::vars(",
    "env::vars_os(",
    "env::set_var(",
    "env::remove_var(",
];

/// Checks every Rust file.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.with_ending(".rs").flat_map(|(path, text)| file(path, text)).collect()
}

fn file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_test = path.contains("/tests/");
    if !text.starts_with("//! ") {
        findings.push(Finding::at_line(
            path,
            1,
            "open the file with one `//!` sentence that says what it is",
        ));
    }
    let lines = text.lines().count();
    if lines > LONGEST_LINES && !is_test {
        findings.push(Finding::of_file(
            path,
            format!("has {lines} lines; {LONGEST_LINES} is the limit"),
        ));
    }
    if path.ends_with("/mod.rs") {
        findings.push(Finding::of_file(path, "name the file after its module, beside the folder"));
    }
    let code = code::only(text);
    for (number, line) in (1..).zip(code.lines()) {
        for (word, advice) in FORBIDDEN {
            if line.contains(word) {
                findings.push(Finding::at_line(path, number, format!("`{word}`: {advice}")));
            }
        }
    }
    if !is_test && !OWN_ENVIRONMENT.iter().any(|folder| path.starts_with(folder)) {
        findings.extend(environment(path, &code));
    }
    findings
}

fn environment(path: &str, code: &str) -> Vec<Finding> {
    let looks = |line: &str| ENVIRONMENT.iter().any(|way| line.contains(way));
    (1..)
        .zip(code::above_tests(code).lines())
        .filter(|(_, line)| looks(line))
        .map(|(number, _)| {
            Finding::at_line(path, number, "settings are read through chassis, not the environment")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::file;

    fn found(path: &str, text: &str) -> Vec<String> {
        file(path, text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_file_has_nothing_to_mend() {
        let text = "//! What it is.\n\n/// todo!() in a comment is no code.\nfn a() { b(\"#[ignore]\") }\n";
        assert_eq!(found("crates/bus/src/a.rs", text), [""; 0]);
    }

    #[test]
    fn a_file_must_say_what_it_is() {
        assert!(
            found("crates/bus/src/a.rs", "fn a() {}\n")[0]
                .starts_with("crates/bus/src/a.rs:1: open")
        );
    }

    #[test]
    fn long_files_are_found_but_not_among_tests() {
        let text = format!("//! Long.\n{}", "\n".repeat(500));
        assert_eq!(found("crates/bus/src/a.rs", &text).len(), 1);
        assert_eq!(found("crates/bus/tests/it/a.rs", &text).len(), 0);
    }

    #[test]
    fn unfinished_code_is_found_at_its_line() {
        let text =
            "//! A.\nfn a() { todo!() }\n#[ignore = \"slow\"]\nfn b() { unimplemented!() }\n";
        let found = found("crates/bus/src/a.rs", text);
        assert!(found[0].starts_with("crates/bus/src/a.rs:2:"), "{found:?}");
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_module_is_no_folder_file() {
        assert_eq!(found("crates/bus/src/a/mod.rs", "//! A.\n").len(), 1);
    }

    #[test]
    fn only_chassis_reads_the_environment() {
        let text = "//! A.\nfn a() { std::env::var(\"X\") }\n#[cfg(test)]\nmod tests {\n    std::env::var(\"Y\")\n}\n";
        assert_eq!(found("crates/bus/src/a.rs", text).len(), 1);
        assert_eq!(found("crates/chassis/src/a.rs", text).len(), 0);
        assert_eq!(found("crates/bus/tests/it/a.rs", text).len(), 0);
    }
}
