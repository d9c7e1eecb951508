//! `sheet`: the recovery sheet, to print or save, and the code that says that this was done.

use chassis::{Answer, Command, Reader};
use jiff::Timestamp;
use serde_json::json;

use super::{Refusal, answer, config};
use crate::runner::Done;
use crate::sheet::{PAGE, Sheet, SheetError};

/// `backup-agent sheet`.
pub(super) const COMMAND: Command = Command {
    name: "sheet",
    usage: "sheet [--html]            how the recovery sheet stands, or the sheet itself as a page\n\
            sheet confirm CODE        say that it was put away; it leaves this machine then",
    run,
};

fn run(reader: &mut Reader, words: &[String]) -> Answer {
    let mut page = None;
    let mut said = answer(words, &["--html"], |words| {
        let config = config(reader)?;
        let sheet = Sheet::existing(&config.state).map_err(Refusal::failed)?;
        let rest: Vec<&str> = words.rest.iter().map(String::as_str).collect();
        match rest.as_slice() {
            [] if words.has("--html") => {
                if sheet.confirmed().is_some() {
                    return Err(gone());
                }
                page = Some(sheet.page(&config.password).map_err(Refusal::failed)?);
                Ok(Done::default())
            }
            [] => Ok(standing(&sheet, &config.state.join(PAGE).display().to_string())),
            ["confirm", code] => confirm(sheet, code),
            ["confirm"] => Err(Refusal::usage("confirm needs the code that stands on the sheet")),
            [unknown, ..] => Err(Refusal::usage(format!(
                "{unknown} is not known here; say `sheet`, `sheet --html` or `sheet confirm CODE`"
            ))),
        }
    });
    if let Some(page) = page {
        said.out = page;
    }
    said
}

fn gone() -> Refusal {
    Refusal::failed(
        "the sheet was confirmed and is not on this machine any more; the password still is: \
         see data/secrets/backup-agent/repository-password",
    )
}

fn standing(sheet: &Sheet, path: &str) -> Done {
    let made = sheet.made();
    let lines = match sheet.confirmed() {
        Some(at) => vec![
            format!("the recovery sheet of {made:.0} was put away on {at:.0}"),
            format!("復旧シート({made:.0} 作成)は {at:.0} に保管を確認しました"),
        ],
        None => vec![
            format!(
                "the recovery sheet of {made:.0} is not put away yet: open {path}, or save it by"
            ),
            "  docker exec kotonoha-backup /backup-agent sheet --html > recovery-sheet.html"
                .to_owned(),
            "then give the code on it: backup-agent sheet confirm CODE".to_owned(),
            "復旧シートをまだ保管していません。印刷か保存をしてから、確認コードを入力してください"
                .to_owned(),
        ],
    };
    let report = json!({
        "made": made, "confirmed": sheet.confirmed(), "recipient": sheet.recipient(),
    });
    Done { lines, report }
}

fn confirm(mut sheet: Sheet, code: &str) -> Result<Done, Refusal> {
    sheet.confirm(code, Timestamp::now()).map_err(|error| match error {
        SheetError::WrongCode { .. } => Refusal::usage(error.to_string()),
        other => Refusal::failed(other),
    })?;
    Ok(Done {
        lines: vec![
            "confirmed: page and key have left this machine; keep the sheet well".to_owned(),
            "確認しました。シートと鍵は、この機器から消しました。大切に保管してください".to_owned(),
        ],
        report: json!({ "confirmed": sheet.confirmed() }),
    })
}
