//! The book of claims: each has a name, and holds, fails or was skipped with a reason.

use std::time::Instant;

use anyhow::Result;

use crate::fault::Interrupted;
use crate::say;
use crate::suite::{Skip, Tally};

/// What was claimed so far.
#[derive(Debug, Default)]
pub(super) struct Book(Tally);

impl Book {
    /// Checks one claim and writes down how it went; only Ctrl-C is an error.
    pub(super) fn hold(&mut self, name: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
        let started = Instant::now();
        let outcome = check();
        let seconds = started.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                self.0.passed += 1;
                say::aside(&format!("ok      {name} ({seconds:.1} s)"));
            }
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                self.0.failed += 1;
                say::aside(&format!("FAILED  {name} ({seconds:.1} s): failed to {error:#}"));
            }
        }
        Ok(())
    }

    /// As [`hold`](Self::hold), and tells whether what comes after can be checked at all.
    pub(super) fn stands(
        &mut self,
        name: &str,
        check: impl FnOnce() -> Result<()>,
    ) -> Result<bool> {
        let failed = self.0.failed;
        self.hold(name, check)?;
        Ok(self.0.failed == failed)
    }

    /// Writes down what cannot be checked here, and why.
    pub(super) fn skip(&mut self, name: &str, reason: &str) {
        say::aside(&format!("skipped {name}: {reason}"));
        self.0.skips.push(Skip { test: format!("containers {name}"), reason: reason.to_owned() });
    }

    /// The counts.
    pub(super) fn into_tally(self) -> Tally {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Book;
    use crate::fault::Interrupted;

    #[test]
    fn claims_are_counted_as_they_went() {
        let mut book = Book::default();
        assert!(book.stands("fine", || Ok(())).unwrap());
        assert!(!book.stands("broken", || anyhow::bail!("see it whole")).unwrap());
        book.skip("elsewhere", "no Docker engine");
        assert_eq!(book.into_tally().closing_line(), "1 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn an_interrupt_ends_the_book() {
        let mut book = Book::default();
        assert!(book.hold("stopped", || Err(Interrupted.into())).unwrap_err().is::<Interrupted>());
    }
}
