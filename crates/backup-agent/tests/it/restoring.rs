//! What was written comes back: to a file, into the live database, and back again.

use crate::house::{House, rows_of};

fn say(connection: &rusqlite::Connection, what: &str) {
    connection.execute("INSERT INTO said (what) VALUES (?)", [what]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_point_comes_back_and_a_restore_can_itself_be_undone() {
    let house = House::build();
    let agent = house.agent().await;
    let bot = house.database();
    say(&bot, "first");
    let first = house.copied().await;
    say(&bot, "second");
    let second = house.copied().await;
    bot.execute("DELETE FROM said", []).unwrap();
    let empty = house.copied().await;
    assert!(first < second && second < empty);

    let at = format!("txid:{second}");
    let to = house.path("second.db").display().to_string();
    let report = house.done(&["restore", "--at", &at, "--to", &to]).await;
    assert_eq!(report["restored"]["txid"], second);
    assert_eq!(rows_of(&house.path("second.db")), ["first", "second"]);

    // Without being told so twice, nothing that lives is replaced.
    let asked = house.command(&["restore", "--at", &at, "--online"]).await;
    assert!(asked.code == 0 && asked.out.contains("--yes"), "{}", asked.out);
    assert!(asked.out.contains(&format!("--at txid:{empty}")), "how to undo it: {}", asked.out);
    assert_eq!(rows_of(&house.path("conversation.db")), [""; 0]);

    house.done(&["restore", "--at", &at, "--online", "--yes"]).await;
    assert_eq!(rows_of(&house.path("conversation.db")), ["first", "second"]);
    say(&bot, "third");
    let third = house.copied().await;
    let at = format!("txid:{empty}");
    house.done(&["restore", "--at", &at, "--online", "--yes"]).await;
    assert_eq!(rows_of(&house.path("conversation.db")), [""; 0]);
    let at = format!("txid:{third}");
    house.done(&["restore", "--at", &at, "--online", "--yes"]).await;
    assert_eq!(rows_of(&house.path("conversation.db")), ["first", "second", "third"]);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_is_said_and_nothing_is_overwritten() {
    let house = House::build();
    let agent = house.agent().await;
    say(&house.database(), "kept");
    house.copied().await;
    let file = house.path("mine.db");
    std::fs::write(&file, "mine").unwrap();
    let to = file.display().to_string();
    for (words, code, part) in [
        (vec!["restore", "--to", &to], 1, "is there already"),
        (vec!["restore"], 64, "--online"),
        (vec!["restore", "--to", &to, "--online"], 64, "say where it goes"),
        (vec!["restore", "--at", "yesterday", "--to", &to], 64, "wall clock"),
        (vec!["restore", "--at", "txid:99999", "--to", &to], 1, "has not been seen yet"),
        (vec!["restore", "--at", "2001-01-01", "--to", &to], 1, "nothing as old as that"),
        (vec!["plan", "--database", "photos"], 64, "there are conversations"),
        (vec!["restore", "--swap", "--yes"], 1, ""),
    ] {
        let said = house.command(&words).await;
        assert_eq!(said.code, code, "{words:?}: {} {}", said.out, said.complaint);
        assert!(said.complaint.contains(part), "{words:?}: {}", said.complaint);
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    assert_eq!(rows_of(&house.path("conversation.db")), ["kept"]);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_have_the_names_that_people_s_scripts_know() {
    let house = House::build();
    let agent = house.agent().await;
    say(&house.database(), "hello");
    house.copied().await;
    let said = house.command(&["export"]).await;
    let line = said.out.trim();
    let file = line.strip_prefix("Backup completed: ").expect(line);
    let name = file.rsplit('/').next().unwrap();
    assert!(name.starts_with("kotonoha_") && name.len() == "kotonoha_20261122_210533.db".len());
    assert_eq!(rows_of(file.as_ref()), ["hello"]);
    let said = house.command(&["export", "--archive"]).await;
    let file = said.out.trim().strip_prefix("Backup completed: ").expect(&said.out).to_owned();
    assert!(file.ends_with(".tar.gz") && file.contains("/backup_"), "{file}");
    let unpacked = house.path("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let packed = std::fs::File::open(&file).unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(packed)).unpack(&unpacked).unwrap();
    assert_eq!(rows_of(&unpacked.join("data/conversation.db")), ["hello"]);
    assert!(!unpacked.join("config").exists(), "settings stay in the locked snapshots");
    agent.stop().await;
}
