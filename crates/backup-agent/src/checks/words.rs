//! What the checks say to people, in both languages.

use std::time::Duration;

use chassis::Outcome;
use jiff::Timestamp;
use replica::follow::{Fault, Repair};

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

pub(super) fn not_followed(why: &str) -> Outcome {
    Outcome::failing(
        (
            format!("what is written is not being copied: {why}"),
            format!("書かれたものの控えを取れていません: {why}"),
        ),
        (
            "do what the message says; what was written meanwhile is copied as soon as it works",
            "上の内容に従ってください。直れば、その間に書かれたものも控えに入ります",
        ),
    )
}

pub(super) fn cannot_follow(fault: &Fault) -> Outcome {
    not_followed(&format!("{} (since {:.0})", fault.said, fault.since))
}

pub(super) fn no_database(fault: &Fault) -> Outcome {
    Outcome::degraded(
        (fault.said.clone(), format!("データベースがまだありません: {}", fault.said)),
        (
            "wait: its service makes it at its first start; else correct BACKUP_DATABASES",
            "担当のサービスが最初の起動で作ります。作られないときは BACKUP_DATABASES を直してください",
        ),
    )
}

pub(super) fn following_begins() -> Outcome {
    Outcome::degraded(
        ("following begins", "控えを取りはじめています"),
        ("wait a moment", "少しお待ちください"),
    )
}

pub(super) fn hangs(silent: Duration) -> Outcome {
    let seconds = silent.as_secs();
    Outcome::failing(
        (
            format!("nobody has looked for new writes for {seconds} s"),
            format!("{seconds} 秒間、新しい書きこみを見ていません"),
        ),
        (
            "restart the container kotonoha-backup, and report this as a bug with its log",
            "kotonoha-backup を再起動し、ログを添えて不具合としてお知らせください",
        ),
    )
}

pub(super) fn behind(lag: Duration) -> Outcome {
    let seconds = lag.as_secs();
    Outcome::failing(
        (
            format!("what was written {seconds} s ago is not copied yet"),
            format!("{seconds} 秒前に書かれたものの控えが、まだありません"),
        ),
        (
            "look whether the disk of the copies is slow or full, and at the log of kotonoha-backup",
            "控えのディスクが遅い、または一杯ではないか、kotonoha-backup のログを見てください",
        ),
    )
}

pub(super) fn log_too_long(bytes: u64) -> Outcome {
    let megabytes = bytes / 1_000_000;
    Outcome::failing(
        (
            format!("the database's log of writes has grown to {megabytes} MB"),
            format!("データベースの書きこみ記録が {megabytes} MB になっています"),
        ),
        (
            "something holds a long transaction: restart the bot; nothing is lost by it",
            "長い処理が残っています。Bot を再起動してください。何も失われません",
        ),
    )
}

pub(super) fn gap_repaired(gap: &Repair) -> Outcome {
    let (at, pages, why) = (gap.at, gap.pages, &gap.why);
    Outcome::degraded(
        (
            format!("a gap was repaired at {at:.0} ({pages} pages): {why}"),
            format!("{at:.0} に途切れた控えを補いました({pages} ページ): {why}"),
        ),
        (
            "nothing to do after a restart of the agent; where it comes again by itself, some \
             other program writes or truncates the database's log",
            "控えのサービスを再起動した後なら問題ありません。何度も出るときは、ほかのプログラムが\
             データベースに触れていないか確かめてください",
        ),
    )
}
