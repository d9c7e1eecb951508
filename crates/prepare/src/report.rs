//! What was done, what deserves attention, and what stands in the way, told all at once.

use std::fmt;
use std::path::Path;

use chassis::Words;
use rustix::io::Errno;

/// A sentence in English and in Japanese.
pub(crate) fn words(english: impl Into<String>, japanese: impl Into<String>) -> Words {
    (english.into(), japanese.into()).into()
}

/// One thing that was met, and what a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file or folder.
    pub place: String,
    /// What is the matter with it.
    pub problem: Words,
    /// What to do.
    pub remedy: Words,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (problem, remedy) = (&self.problem, &self.remedy);
        writeln!(formatter, "{} {}", self.place, problem.english())?;
        writeln!(formatter, "     remedy: {}", remedy.english())?;
        writeln!(formatter, "     {}: {}", self.place, problem.japanese().unwrap_or_default())?;
        write!(formatter, "     対処: {}", remedy.japanese().unwrap_or_default())
    }
}

/// Everything that one run has to tell.
#[derive(Debug, Default)]
pub struct Report {
    /// What was changed.
    pub done: Vec<String>,
    /// What deserves attention and stops nobody.
    pub warnings: Vec<Finding>,
    /// What must be mended before the services can work.
    pub faults: Vec<Finding>,
}

impl Report {
    pub(crate) fn did(&mut self, what: impl Into<String>) {
        self.done.push(what.into());
    }

    pub(crate) fn warn(&mut self, place: &Path, problem: Words, remedy: Words) {
        self.warnings.push(Finding { place: place.display().to_string(), problem, remedy });
    }

    pub(crate) fn fault(&mut self, place: &Path, problem: Words, remedy: Words) {
        self.faults.push(Finding { place: place.display().to_string(), problem, remedy });
    }

    /// Takes up why something could not be done at `place`.
    pub(crate) fn refused(&mut self, place: &Path, doing: &str, error: Errno) {
        let (problem, remedy) = refusal(doing, error);
        self.fault(place, problem, remedy);
    }

    /// A value, or its refusal taken up.
    pub(crate) fn take<T>(
        &mut self,
        place: &Path,
        doing: &str,
        outcome: Result<T, Errno>,
    ) -> Option<T> {
        outcome.map_err(|error| self.refused(place, doing, error)).ok()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.done {
            writeln!(formatter, "{line}")?;
        }
        for (number, finding) in self.warnings.iter().enumerate() {
            writeln!(formatter, "warning / ご注意 {}: {finding}", number + 1)?;
        }
        for (number, finding) in self.faults.iter().enumerate() {
            writeln!(formatter, "fault / 要対応 {}: {finding}", number + 1)?;
        }
        let (changes, warnings) = (self.done.len(), self.warnings.len());
        match self.faults.len() {
            0 => write!(
                formatter,
                "ready: {changes} changes, {warnings} warnings / 準備ができました"
            ),
            faults => write!(
                formatter,
                "not ready: {faults} to be mended, then start `prepare` again / \
                 まだ準備ができていません。上の {faults} 件を直してから、もう一度始めてください"
            ),
        }
    }
}

/// What an error means to a person, and what helps.
fn refusal(doing: &str, error: Errno) -> (Words, Words) {
    match error {
        Errno::NOSPC | Errno::DQUOT => (
            words(
                format!("has no space left ({doing})"),
                format!("は空き容量がありません（{doing}）"),
            ),
            words(
                "free some space on that volume, or raise the quota",
                "そのボリュームの空きを増やすか、割り当てを広げてください",
            ),
        ),
        Errno::ROFS => (
            words(format!("is read-only ({doing})"), format!("は読み取り専用です（{doing}）")),
            words(
                "mount it into `prepare` without `:ro`; if the disk itself became read-only, check it",
                "`prepare` には `:ro` なしでつないでください。ディスク自体が読み取り専用になったときは、\
                 ディスクを調べてください",
            ),
        ),
        Errno::PERM | Errno::ACCESS => (
            words(
                format!("does not let us ({doing})"),
                format!("の変更が許されていません（{doing}）"),
            ),
            words(
                "let `prepare` run as root with CHOWN, DAC_OVERRIDE and FOWNER, as compose.yaml \
                 has it, and keep the project folder on a disk of this machine, not on a network \
                 share",
                "compose.yaml のとおり root で（CHOWN、DAC_OVERRIDE、FOWNER つきで）動かし、\
                 プロジェクトのフォルダはネットワーク共有ではなく、この機器のディスクに置いてください",
            ),
        ),
        Errno::NOTDIR | Errno::LOOP => (
            words(
                format!("is not a folder, or is a link ({doing})"),
                format!("がフォルダではないか、リンクです（{doing}）"),
            ),
            words(
                "move it away or replace it by a real folder; links are not followed",
                "よそへ移すか、本物のフォルダに替えてください（リンクはたどりません）",
            ),
        ),
        other => (
            words(
                format!("cannot be prepared ({doing}): {other}"),
                format!("を準備できません（{doing}: {other}）"),
            ),
            words(
                "check the disk and its file system; show these lines when you ask for help",
                "ディスクとファイルシステムを確かめてください。助けを求めるときは、この行を見せてください",
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_can_mend_is_said_in_both_languages() {
        for (error, english, japanese) in [
            (Errno::NOSPC, "no space left", "空き容量"),
            (Errno::ROFS, "read-only", "読み取り専用"),
            (Errno::PERM, "root", "root"),
            (Errno::LOOP, "link", "リンク"),
            (Errno::IO, "cannot be prepared", "準備できません"),
        ] {
            let mut report = Report::default();
            report.refused(Path::new("/project/data"), "make it", error);
            let text = report.to_string();
            assert!(text.contains(english) && text.contains(japanese), "{text}");
            assert!(text.contains("/project/data") && text.contains("対処"), "{text}");
        }
    }
}
