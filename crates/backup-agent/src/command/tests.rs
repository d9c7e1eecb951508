//! Words are read, answers are written.

use super::*;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn options_take_their_value_in_both_ways() {
    let known = ["--at=", "--online"];
    let read = Words::read(&words("--at latest one --online --to-come"), &known);
    assert!(read.unwrap_err().contains("--at VALUE, --online, --json"));
    let read = Words::read(&words("--at=latest one --online"), &known).unwrap();
    assert_eq!(read.value("--at="), Some("latest"));
    assert!(read.has("--online") && !read.has("--json"));
    assert_eq!(read.rest, ["one"]);
    assert_eq!(Words::read(&words("--at latest"), &known).unwrap().value("--at="), Some("latest"));
    for (wrong, why) in [
        ("--at", "needs a value"),
        ("--online=yes", "takes no value"),
        ("--online --online", "twice"),
    ] {
        assert!(Words::read(&words(wrong), &known).unwrap_err().contains(why), "{wrong}");
    }
}

#[test]
fn an_answer_is_for_people_or_for_programs() {
    let done = || Done { lines: vec!["one".to_owned(), "two".to_owned()], report: 3.into() };
    assert_eq!(answer(&words(""), &[], |_words| Ok(done())).out, "one\ntwo\n");
    assert_eq!(answer(&words("--json"), &[], |_words| Ok(done())).out, "3\n");
    let refused = answer(&words("--json"), &[], |_words| Err(Refusal::failed("no room")));
    assert_eq!((refused.out.as_str(), refused.code), ("{\"refused\":\"no room\"}\n", 1));
    let misread = answer(&words("--frobnicate"), &[], |_words| Ok(done()));
    assert_eq!(misread.code, USAGE);
    assert!(misread.complaint.contains("--frobnicate"), "{}", misread.complaint);
}

#[test]
fn a_job_is_asked_of_the_agent_and_without_one_the_code_says_unavailable() {
    let mut reader = Reader::new(chassis::Source::new(|key| {
        (key == "BACKUP_SOCKET").then(|| "no-such-folder/agent.sock".to_owned())
    }));
    let said = (jobs::NOW.run)(&mut reader, &words("differential"));
    assert_eq!(said.code, UNAVAILABLE);
    assert!(said.complaint.contains("start it"), "{}", said.complaint);
    assert_eq!((jobs::NOW.run)(&mut reader, &words("yesterday")).code, USAGE);
}
