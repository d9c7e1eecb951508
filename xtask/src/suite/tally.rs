//! Counting what passed, failed and was skipped, from what the test runners write.

/// What a test prints at the start of a line when it cannot run here.
const SKIPPED: &str = "skipped: ";

/// One test that said it could not run, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) test: String,
    pub(crate) reason: String,
}

/// The counts of one run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skips: Vec<Skip>,
}

impl Tally {
    /// Adds another runner's counts.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skips.extend(other.skips);
    }

    /// The one line that ends the chore.
    pub(crate) fn closing_line(&self) -> String {
        let Self { passed, failed, skips } = self;
        format!("{passed} passed, {failed} failed, {} skipped", skips.len())
    }

    /// Reads the report of nextest, in the shape of `JUnit`.
    pub(crate) fn from_junit(report: &str) -> Self {
        let mut tally = Self::default();
        for case in report.split("<testcase ").skip(1) {
            let case = case.split("</testcase>").next().unwrap_or(case);
            if case.contains("<failure") || case.contains("<error") {
                tally.failed += 1;
                continue;
            }
            let test = format!("{} {}", attribute(case, "classname"), attribute(case, "name"));
            match case.lines().find_map(|line| reason(text_of(line))) {
                Some(reason) => tally.skips.push(Skip { test, reason: unescaped(reason) }),
                None => tally.passed += 1,
            }
        }
        tally
    }

    /// Reads what libtest prints with `--show-output`, for any number of test binaries.
    pub(crate) fn from_libtest(output: &str) -> Self {
        let mut tally = Self::default();
        let mut test = String::new();
        for line in output.lines() {
            if let Some(name) = line.strip_prefix("---- ") {
                let name = name.trim_end_matches('-').trim().trim_end_matches(" stdout");
                name.clone_into(&mut test);
            } else if let Some(counts) = line.strip_prefix("test result: ") {
                tally.passed += count(counts, "passed");
                tally.failed += count(counts, "failed");
            } else if let Some(name) = ignored(line) {
                tally.skips.push(Skip { test: name.to_owned(), reason: "ignored".to_owned() });
            } else if let Some(reason) = reason(line)
                && tally.skips.last().is_none_or(|last| last.test != test)
            {
                let reason = reason.to_owned();
                tally.skips.push(Skip { test: test.clone(), reason });
            }
        }
        // libtest counts a test that only said "skipped" as passed, an ignored one as neither.
        let said = tally.skips.iter().filter(|skip| skip.reason != "ignored").count();
        tally.passed = tally.passed.saturating_sub(said);
        tally
    }
}

fn reason(line: &str) -> Option<&str> {
    line.trim().strip_prefix(SKIPPED).map(str::trim)
}

/// A line of output without the XML tag that opens or closes around it.
fn text_of(line: &str) -> &str {
    let line = line.split("</system-").next().unwrap_or(line);
    line.rsplit_once('>').map_or(line, |(_, text)| text)
}

fn attribute(tag: &str, name: &str) -> String {
    let head = format!(" {}", tag.split('>').next().unwrap_or(tag));
    let value =
        head.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split('"').next());
    value.unwrap_or_default().to_owned()
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

fn ignored(line: &str) -> Option<&str> {
    let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    verdict.starts_with("ignored").then_some(name)
}

fn count(counts: &str, what: &str) -> usize {
    counts
        .split([';', '.'])
        .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Skip, Tally};

    const JUNIT: &str = r#"<?xml version="1.0"?><testsuites name="r" tests="4" failures="1">
    <testsuite name="simulator::it" tests="3" disabled="0" errors="0" failures="1">
        <testcase name="page::looks_good" classname="simulator::it" time="0.1">
            <system-out>
running 1 test
skipped: no browser, &quot;chromium&quot; &amp; co
test page::looks_good ... ok
</system-out>
        </testcase>
        <testcase name="rest::answers" classname="simulator::it" time="0.1"><system-out>ok</system-out></testcase>
        <testcase name="rest::fails" classname="simulator::it" time="0.1">
            <failure message="skipped: no"/><system-err>skipped: half</system-err>
        </testcase>
        <testcase name="rest::quiet" classname="simulator::it" time="0.1"/>
    </testsuite></testsuites>"#;

    #[test]
    fn a_junit_report_tells_passed_failed_and_skipped_apart() {
        let tally = Tally::from_junit(JUNIT);
        assert_eq!(tally.closing_line(), "2 passed, 1 failed, 1 skipped");
        let skip = Skip {
            test: "simulator::it page::looks_good".to_owned(),
            reason: "no browser, \"chromium\" & co".to_owned(),
        };
        assert_eq!(tally.skips, [skip]);
    }

    #[test]
    fn libtest_output_is_counted_over_all_binaries() {
        let output = "running 2 tests\ntest a ... ok\ntest b ... ok\n\nsuccesses:\n\n\
            ---- b stdout ----\nskipped: no venv\nskipped: no venv\n\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
            running 2 tests\ntest c - x (line 3) ... ignored\ntest d ... FAILED\n\
            test result: FAILED. 0 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n";
        let tally = Tally::from_libtest(output);
        assert_eq!(tally.closing_line(), "1 passed, 1 failed, 2 skipped");
        assert_eq!(tally.skips[0].test, "b");
    }

    #[test]
    fn counts_of_two_runners_add_up() {
        let mut tally = Tally::from_junit(JUNIT);
        tally.add(Tally::from_libtest("test result: ok. 3 passed; 0 failed; 0 ignored"));
        assert_eq!(tally.closing_line(), "5 passed, 1 failed, 1 skipped");
    }
}
