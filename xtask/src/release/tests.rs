//! Releases made in real repositories.

use super::repository::Repository;
use super::{Options, Plan, carry_out, plan, verify};

fn options(version: Option<&str>) -> Options {
    Options { dry_run: false, version: version.map(str::to_owned), verify: None }
}

fn planned(repository: &Repository, version: Option<&str>) -> Plan {
    plan(repository.path(), &options(version)).unwrap()
}

fn refused(repository: &Repository, version: Option<&str>) -> String {
    let error = plan(repository.path(), &options(version)).unwrap_err();
    assert!(error.is::<crate::fault::Usage>(), "{error:#}");
    format!("{error:#}")
}

/// A repository whose version 0.1.0 is out, with something under `Unreleased` again.
fn released() -> Repository {
    let repository = Repository::with_project();
    carry_out(repository.path(), &planned(&repository, None)).unwrap();
    let changelog = repository.read("CHANGELOG.md");
    repository.write(
        "CHANGELOG.md",
        &changelog.replace("## Unreleased\n", "## Unreleased\n\n- It remembers.\n"),
    );
    repository.commit("docs: tell what comes");
    repository
}

#[test]
fn the_first_release_is_the_version_that_stands_there() {
    let repository = Repository::with_project();
    let plan = planned(&repository, None);
    assert_eq!(plan.version.to_string(), "0.1.0");
    assert!(plan.reasons[0].contains("the first"), "{:?}", plan.reasons);
    carry_out(repository.path(), &plan).unwrap();
    assert_eq!(repository.git(&["tag", "--list"]), "v0.1.0\n");
    assert!(repository.read("CHANGELOG.md").contains("\n## 0.1.0 ("));
}

#[test]
fn a_release_is_a_commit_and_a_tag_that_carries_the_notes() {
    let repository = released();
    repository.commit("feat(worker): remember more (#12)");
    repository.commit("fix(gateway): keep the thread\n\nRelease-note: スレッドが切れないようにしました\nCloses: #13");
    let plan = planned(&repository, None);
    carry_out(repository.path(), &plan).unwrap();
    assert_eq!(plan.version.to_string(), "0.2.0");
    assert_eq!(repository.git(&["status", "--porcelain"]), "");
    assert_eq!(repository.git(&["log", "-1", "--format=%s"]), "chore: release 0.2.0\n");
    assert!(repository.read("Cargo.toml").contains("version = \"0.2.0\""));
    assert!(repository.read("compose.yaml").contains(":-0.2.0}"));
    assert_eq!(repository.read("deploy/nas/env"), "KOTONOHA_VERSION=0.2.0\n");
    let notes = repository.read("docs/releases/v0.2.0.md");
    assert!(notes.contains("## 新機能\n\n- Remember more (#12)\n"), "{notes}");
    assert!(notes.contains("## バグ修正\n\n- スレッドが切れないようにしました (#13)\n"), "{notes}");
    assert_eq!(
        repository.git(&["tag", "-l", "--format=%(contents)", "v0.2.0"]).trim(),
        notes.trim()
    );
    verify(repository.path(), "v0.2.0").unwrap();
    assert!(verify(repository.path(), "v0.3.0").is_err());
}

#[test]
fn a_look_changes_nothing_and_shows_the_difference() {
    let repository = released();
    repository.commit("fix(gateway): keep the thread");
    let before = repository.git(&["log", "--format=%H"]);
    let plan = planned(&repository, None);
    let difference = plan.changes.difference(repository.path()).unwrap();
    assert_eq!(plan.version.to_string(), "0.1.1");
    for line in
        ["-version = \"0.1.0\"", "+version = \"0.1.1\"", "+## 0.1.1 (", "+# v0.1.1 リリースノート"]
    {
        assert!(difference.lines().any(|it| it.starts_with(line)), "{line}:\n{difference}");
    }
    assert_eq!(repository.git(&["log", "--format=%H"]), before);
    assert_eq!(repository.git(&["status", "--porcelain"]), "");
}

#[test]
fn known_problems_and_upgrade_steps_come_from_files_trailers_and_the_tree() {
    let repository = released();
    repository.write(
        "docs/releases/known-issues.md",
        "# Known\n\n- 長い返事は遅いことがあります (#129)\n",
    );
    repository.write("docs/releases/upgrade.md", "# Steps\n\nOne a line.\n\n- キャッシュを消す\n");
    repository.write("migrations/worker/0001_a.up.sql", "create table a (b);\n");
    repository.write(".env.example", "DISCORD_TOKEN=\nNEW_FEATURE_FLAG=\n");
    repository
        .commit("feat(worker): keep more\n\nKnown-issue: 画像は読めません\nUpgrade: 設定を見直す");
    let plan = planned(&repository, None);
    let notes = &plan.changes.notes;
    assert!(
        notes.contains(
            "## 既知の問題\n\n- 長い返事は遅いことがあります (#129)\n- 画像は読めません\n"
        ),
        "{notes}"
    );
    let steps: Vec<&str> =
        notes.split("## アップグレード手順\n\n").nth(1).unwrap().lines().collect();
    assert_eq!(steps.len(), 4, "{steps:?}");
    assert_eq!(steps[0], "1. キャッシュを消す");
    assert!(steps[1].starts_with("2. ") && steps[1].contains("worker/0001_a"), "{steps:?}");
    assert_eq!(steps[2], "3. `.env` に `NEW_FEATURE_FLAG` を書き加えてください");
    assert_eq!(steps[3], "4. 設定を見直す");
    carry_out(repository.path(), &plan).unwrap();
    assert_eq!(repository.read("docs/releases/upgrade.md"), "# Steps\n\nOne a line.\n");
    assert!(repository.read("docs/releases/known-issues.md").contains("#129"), "it is still known");
}

#[test]
fn a_dirty_tree_or_another_branch_is_refused_with_what_to_do() {
    let repository = released();
    repository.commit("fix: x");
    repository.write("half-done.rs", "");
    repository.git(&["switch", "--quiet", "--create", "feature/x"]);
    let said = refused(&repository, None);
    assert!(said.contains("half-done.rs") && said.contains("git stash"), "{said}");
    assert!(said.contains("git switch main"), "{said}");
    let look = Options { dry_run: true, ..options(None) };
    let plan = plan(repository.path(), &look).unwrap();
    assert!(plan.reasons[0].contains("half-done.rs"), "{:?}", plan.reasons);
}

#[test]
fn a_version_that_does_not_grow_is_refused() {
    let repository = released();
    repository.commit("fix: x");
    assert!(refused(&repository, Some("0.1.0")).contains("does not grow"));
    assert!(refused(&repository, Some("0.0.9")).contains("does not grow"));
    assert!(refused(&repository, Some("one")).contains("three numbers"));
    assert_eq!(planned(&repository, Some("v1.0.0")).version.to_string(), "1.0.0");
}

#[test]
fn a_version_smaller_than_the_commits_ask_for_is_refused() {
    let repository = released();
    repository.commit("feat: open threads");
    let said = refused(&repository, Some("0.1.1"));
    assert!(said.contains("0.2.0 at least") && said.contains("open threads"), "{said}");
}

#[test]
fn breaking_changes_are_named_and_move_the_first_number_from_one_on() {
    let repository = released();
    repository.commit("feat(gateway)!: ask for a new token");
    let early = planned(&repository, None);
    assert_eq!(early.version.to_string(), "0.2.0");
    assert!(early.reasons.iter().any(|it| it.contains("BREAKING") && it.contains("new token")));
    assert!(early.reasons.iter().any(|it| it.contains("Upgrade:")), "{:?}", early.reasons);
    carry_out(repository.path(), &planned(&repository, Some("1.0.0"))).unwrap();
    let changelog = repository.read("CHANGELOG.md");
    repository.write(
        "CHANGELOG.md",
        &changelog.replace("## Unreleased\n", "## Unreleased\n\n- Other settings.\n"),
    );
    repository.commit("fix: x\n\nBREAKING CHANGE: 設定の名前が変わりました");
    let later = planned(&repository, None);
    assert_eq!(later.version.to_string(), "2.0.0");
    assert!(later.changes.notes.contains("1. 設定の名前が変わりました"));
}

#[test]
fn with_nothing_to_tell_there_is_no_release() {
    let repository = Repository::with_project();
    carry_out(repository.path(), &planned(&repository, None)).unwrap();
    assert!(refused(&repository, None).contains("no commit since v0.1.0"));
    repository.commit("chore: lock");
    assert!(refused(&repository, None).contains("--version"));
    repository.commit("fix: x");
    let error = plan(repository.path(), &options(None)).unwrap_err();
    assert!(format!("{error:#}").contains("CHANGELOG.md"), "{error:#}");
}

#[test]
fn a_folder_without_git_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = plan(folder.path(), &options(None)).unwrap_err();
    assert!(format!("{error:#}").contains("a git checkout"), "{error:#}");
}
