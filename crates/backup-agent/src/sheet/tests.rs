//! A sheet from its first day to its second password.

use std::cell::Cell;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap()
}

fn pair() -> KeyPair {
    KeyPair {
        identity: "AGE-SECRET-KEY-1PLAYED".to_owned().into(),
        recipient: "age1played".to_owned(),
    }
}

fn open(folder: &Path, password: &str) -> Sheet {
    Sheet::open(folder, &password.to_owned().into(), now(), pair).unwrap()
}

#[test]
fn the_page_holds_all_that_is_needed_and_only_its_owner_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let sheet = open(folder.path(), "correct horse");
    let path = folder.path().join(PAGE);
    let page = fs::read_to_string(&path).unwrap();
    for part in ["correct horse", "AGE-SECRET-KEY-1PLAYED", "age1played", &sheet.facts.code] {
        assert!(page.contains(part), "{part}");
    }
    for name in [PAGE, FACTS, KEY] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let facts = fs::read_to_string(folder.path().join(FACTS)).unwrap();
    assert!(!facts.contains("horse") && !facts.contains("SECRET"), "{facts}");
}

#[test]
fn it_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), "one");
    let asked = Cell::new(false);
    let again = Sheet::open(folder.path(), &"one".to_owned().into(), now(), || {
        asked.set(true);
        pair()
    });
    assert_eq!(again.unwrap().facts, first.facts);
    assert!(!asked.get(), "no second key");
}

#[test]
fn its_code_is_taken_as_people_write_it_and_then_it_leaves_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let mut sheet = open(folder.path(), "one");
    let wrong = sheet.confirm("AAAA-0000", now());
    assert!(matches!(wrong, Err(SheetError::WrongCode { .. })));
    assert!(!is_confirmed(folder.path()) && folder.path().join(PAGE).exists());
    let written = format!(" {} ", sheet.facts.code.to_lowercase().replace('-', " "));
    sheet.confirm(&written, now()).unwrap();
    sheet.confirm(&written, now()).unwrap();
    assert!(is_confirmed(folder.path()));
    assert!(!folder.path().join(PAGE).exists() && !folder.path().join(KEY).exists());
    let again = open(folder.path(), "one");
    assert_eq!(again.confirmed(), Some(now()));
    assert!(again.identity().unwrap().is_none());
    assert_eq!(again.recipient(), "age1played", "copies are still locked for it");
}

#[test]
fn a_changed_password_makes_a_new_sheet_that_names_the_earlier_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut sheet = open(folder.path(), "one");
    let code = sheet.facts.code.clone();
    sheet.confirm(&code, now()).unwrap();
    let second = open(folder.path(), "two");
    assert!(second.confirmed().is_none());
    assert_eq!(second.recipient(), "age1played");
    let page = fs::read_to_string(folder.path().join(PAGE)).unwrap();
    assert!(page.contains("two") && page.contains("age1played"), "{page}");
    assert!(!page.contains("AGE-SECRET-KEY"), "it is not here any more");
}

#[test]
fn damaged_facts_are_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), "one");
    fs::write(folder.path().join(FACTS), "{").unwrap();
    let error = Sheet::open(folder.path(), &"one".to_owned().into(), now(), pair).unwrap_err();
    assert!(matches!(error, SheetError::Damaged(_)), "{error}");
    assert_eq!(fs::read_to_string(folder.path().join(FACTS)).unwrap(), "{");
}

#[test]
fn no_secret_can_break_out_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), "<script>\"&'");
    let page = fs::read_to_string(folder.path().join(PAGE)).unwrap();
    assert!(page.contains("&lt;script&gt;&quot;&amp;&#39;"), "{page}");
    assert!(!page.contains("<script"), "{page}");
}

#[test]
fn a_code_can_be_read_from_paper() {
    for _ in 0..100 {
        let code = code();
        assert_eq!(code.len(), 9);
        assert!(!code.contains(['0', 'O', '1', 'I']), "{code}");
    }
}
