//! A copy of `.env` for the backups: only root may read every `.env`, and only a copy can be kept.

use std::path::Path;

use rustix::fs::FileType;

use crate::folder::{Folder, Owner, kind};
use crate::report::{Report, words};

/// The settings of the whole house, in the project folder.
const ENV: &str = ".env";
/// The copy, in the folder that the backup agent alone is given.
pub(crate) const COPY: &str = "settings.env";
/// Only its owner may look.
const MODE: u32 = 0o400;

/// Brings the copy in `secrets`, the backup agent's own folder, to what `.env` in `root` is now.
///
/// Where `.env` is gone the last copy stays: that is what a copy is for.
pub(crate) fn prepare(root: &Folder, secrets: &Folder, owner: Owner, report: &mut Report) {
    let Ok(stat) = root.look_at(ENV) else { return };
    if kind(&stat) != FileType::RegularFile {
        return;
    }
    let text = match root.read(ENV) {
        Ok(Some(text)) => text,
        Ok(None) => return,
        Err(error) => return not_copied(&error.to_string(), report),
    };
    match secrets.read(COPY) {
        Ok(Some(there)) if there == text => {}
        Ok(_) | Err(_) => match secrets.write(COPY, &text, (owner, MODE), true) {
            Ok(_) => report.did(format!("{} written", secrets.path_of(COPY).display())),
            Err(error) => not_copied(&error.to_string(), report),
        },
    }
}

/// The house runs without the copy; a person should know that the backup is without `.env`.
fn not_copied(why: &str, report: &mut Report) {
    report.warn(
        Path::new(ENV),
        words(
            format!("could not be copied for the backups ({why})"),
            format!("を、バックアップ用に写せませんでした（{why}）"),
        ),
        words(
            "save it as UTF-8 text; until then keep a copy of it yourself",
            "UTF-8 のテキストとして保存してください。それまでは、ご自身で控えを取っておいてください",
        ),
    );
}
