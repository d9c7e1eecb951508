//! docs/nats.md says of every user what the code grants.

use contracts::access::{Duty, ROLES, Role};

const DOCUMENT: &str = include_str!("../../../../docs/nats.md");

fn listed(items: &[String]) -> String {
    if items.is_empty() { "–".to_owned() } else { items.join(", ") }
}

fn duty(duty: &Duty) -> String {
    match duty {
        Duty::Declare => "makes streams and buckets".to_owned(),
        Duty::Erase(stream) => format!("erases messages of `{stream}`"),
        Duty::Copy => "copies every stream and bucket on file".to_owned(),
        Duty::Watch => "sees how full streams are and how far consumers have come".to_owned(),
        Duty::Look(stream) => format!("reads `{stream}`"),
        Duty::Inspect => "reads every stream by consumers of its own".to_owned(),
    }
}

fn row(role: &Role) -> String {
    let code = |subjects: &[&str]| -> Vec<String> {
        subjects.iter().map(|subject| format!("`{subject}`")).collect()
    };
    let reads: Vec<String> =
        role.reads.iter().map(|durable| format!("`{}`", durable.stream)).collect();
    let duties: Vec<String> = role.duties.iter().map(duty).collect();
    format!(
        "| `{}` | {} | {} | {} | {} | {} |",
        role.user,
        listed(&code(role.publishes)),
        listed(&code(role.hears)),
        listed(&reads),
        listed(&code(role.buckets)),
        listed(&duties)
    )
}

#[test]
fn the_table_of_rights_is_the_code_s() {
    for role in ROLES {
        let row = row(&role);
        assert!(DOCUMENT.contains(&row), "docs/nats.md must hold this row:\n{row}");
    }
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, ROLES.len(), "and no other");
}
