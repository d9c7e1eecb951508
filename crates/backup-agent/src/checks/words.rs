//! What the checks say to people, in both languages.

use chassis::Outcome;
use jiff::Timestamp;

use super::Room;
use crate::job::Job;
use crate::record::{Failure, Standing};

fn hours(since: Timestamp, now: Timestamp) -> i64 {
    now.duration_since(since).as_hours()
}

pub(super) fn first_full() -> Outcome {
    Outcome::degraded(
        ("the first full copy is not made yet", "最初の完全な控えを、まだ取り終えていません"),
        ("wait: it is being made", "しばらくお待ちください。いま取っています"),
    )
}

pub(super) fn full_too_old(standing: &Standing, since: Timestamp, now: Timestamp) -> Outcome {
    let hours = hours(since, now);
    let why =
        standing.failure.as_ref().map_or(String::new(), |failure| format!(": {}", failure.error));
    Outcome::failing(
        (
            format!("the last full copy is {hours} h old{why}"),
            format!("最後の完全な控えから {hours} 時間たっています{why}"),
        ),
        (
            "look at the log (docker logs kotonoha-backup), then ask for one: `backup-agent now`",
            "ログ(docker logs kotonoha-backup)を見て、`backup-agent now` で取り直してください",
        ),
    )
}

pub(super) fn job_failed(job: Job, failure: &Failure) -> Outcome {
    let error = &failure.error;
    Outcome::degraded(
        (
            format!("the last {job} copy failed: {error}"),
            format!("直近の控え({job})を取れませんでした: {error}"),
        ),
        (
            "it is tried again by itself; if this lasts, do what the message says",
            "自動でもう一度試します。続くときは、上の内容に従ってください",
        ),
    )
}

pub(super) fn audit_failed(failure: &Failure) -> Outcome {
    let error = &failure.error;
    Outcome::failing(
        (
            format!("the nightly comparison of copies and originals failed: {error}"),
            format!("控えと元のデータの照合に失敗しました: {error}"),
        ),
        (
            "ask for a full copy (`backup-agent now`), then for the comparison again \
             (`backup-agent audit`); keep the older copies until both are well",
            "`backup-agent now` で取り直してから `backup-agent audit` で確かめてください。\
             両方うまくいくまで、古い控えは消さないでください",
        ),
    )
}

pub(super) fn not_verified(failure: &Failure) -> Outcome {
    let error = &failure.error;
    Outcome::failing(
        (
            format!("the last trial restore failed: {error}"),
            format!("控えから試しに戻せませんでした: {error}"),
        ),
        (
            "the data itself is not touched; mend what the message names, then run \
             `backup-agent verify`",
            "元のデータは無事です。上の内容を直してから `backup-agent verify` を実行してください",
        ),
    )
}

pub(super) fn verification_too_old(since: Timestamp, now: Timestamp) -> Outcome {
    let days = hours(since, now) / 24;
    Outcome::failing(
        (
            format!("no restore has been tried for {days} days"),
            format!("{days} 日間、試しに戻すことをしていません"),
        ),
        ("run `backup-agent verify`", "`backup-agent verify` を実行してください"),
    )
}

pub(super) fn disk_unknown() -> Outcome {
    Outcome::degraded(
        ("the room on the disk of the copies is not known", "控えの置き場所の空きが分かりません"),
        ("look whether BACKUP_DIR is there", "BACKUP_DIR があるか確かめてください"),
    )
}

pub(super) fn disk_full(percent: u64, room: Room) -> Outcome {
    let free = room.free / 1_000_000;
    Outcome::failing(
        (
            format!("the disk of the copies has {percent} % left ({free} MB)"),
            format!("控えの置き場所の空きが {percent} % です({free} MB)"),
        ),
        (
            "free some room on that disk; what goes at the next retention is shown by \
             `backup-agent list`",
            "ディスクを空けてください。次に消える控えは `backup-agent list` で分かります",
        ),
    )
}

pub(super) fn sheet_unconfirmed() -> Outcome {
    Outcome::degraded(
        (
            "the recovery sheet has not been put away: without it nobody can read the copies \
             when this machine is lost",
            "復旧シートをまだ保管していません。この機器が失われたとき、シートなしでは控えを開けません",
        ),
        (
            "open data/backup-agent/recovery-sheet.html, print it or save it elsewhere, and give \
             the code on it: `backup-agent sheet confirm CODE`, or BACKUP_SHEET_CODE=CODE in .env",
            "data/backup-agent/recovery-sheet.html を開いて印刷するか別の場所に保存し、\
             書いてある確認コードを `backup-agent sheet confirm コード` か、.env の \
             BACKUP_SHEET_CODE=コード で入力してください",
        ),
    )
}

pub(super) fn one_volume() -> Outcome {
    Outcome::degraded(
        (
            "every copy lies on the same volume as the data: if it is lost, all is lost",
            "控えがすべて、元のデータと同じボリュームにあります。そのボリュームが壊れると、全部失われます",
        ),
        (
            "name a place elsewhere in BACKUP_TARGETS, or put BACKUP_DIR on another disk",
            "BACKUP_TARGETS に別の置き場所を書くか、BACKUP_DIR を別のディスクにしてください",
        ),
    )
}
