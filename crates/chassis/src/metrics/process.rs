//! Figures of the process itself, read from `/proc` when they are asked for.

use std::fmt::Write as _;
use std::fs;

/// What the kernel knows of this process; `None` fields could not be read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sample {
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    threads: Option<u64>,
    cpu_seconds: Option<f64>,
    start_time_seconds: Option<f64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
}

impl Sample {
    /// Reads the figures now; `None` where there is no `/proc`.
    pub(super) fn take() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let mut sample =
            Self::parse(&stat, &status, &limits, &boot, rustix::param::clock_ticks_per_second());
        // The directory listing itself holds one descriptor open.
        sample.open_fds = fs::read_dir("/proc/self/fd")
            .ok()
            .and_then(|entries| u64::try_from(entries.count().saturating_sub(1)).ok());
        Some(sample)
    }

    fn parse(stat: &str, status: &str, limits: &str, boot: &str, ticks: u64) -> Self {
        // The second field is the program's name in brackets and may hold spaces.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_ascii_whitespace().collect())
            .unwrap_or_default();
        // Field numbers of proc(5) are counted from one; `fields` begins at the third.
        let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse().ok());
        let seconds = |ticks_spent: u64| precise(ticks_spent) / precise(ticks.max(1));
        let boot_time = labelled(boot, "btime ");
        Self {
            resident_bytes: labelled(status, "VmRSS:").map(|kilobytes| kilobytes * 1024),
            virtual_bytes: field(23),
            threads: field(20),
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| seconds(user + system)),
            start_time_seconds: field(22)
                .zip(boot_time)
                .map(|(since_boot, boot)| precise(boot) + seconds(since_boot)),
            open_fds: None,
            max_fds: labelled(limits, "Max open files"),
        }
    }

    /// The sample in Prometheus' text format, with the names its client libraries agree on.
    pub(super) fn render(&self) -> String {
        let whole = |value: Option<u64>| value.map(|value| value.to_string());
        let fraction = |value: Option<f64>| value.map(|value| value.to_string());
        let rows = [
            (
                "process_resident_memory_bytes",
                "gauge",
                "Memory held in RAM.",
                whole(self.resident_bytes),
            ),
            (
                "process_virtual_memory_bytes",
                "gauge",
                "Address space in use.",
                whole(self.virtual_bytes),
            ),
            ("process_threads", "gauge", "Threads.", whole(self.threads)),
            (
                "process_cpu_seconds_total",
                "counter",
                "CPU time, user and system.",
                fraction(self.cpu_seconds),
            ),
            (
                "process_start_time_seconds",
                "gauge",
                "Start as Unix time.",
                fraction(self.start_time_seconds),
            ),
            ("process_open_fds", "gauge", "Open file descriptors.", whole(self.open_fds)),
            ("process_max_fds", "gauge", "Limit of open file descriptors.", whole(self.max_fds)),
        ];
        let mut text = String::new();
        for (name, kind, help, value) in rows {
            if let Some(value) = value {
                writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}")
                    .expect("a string takes any text");
            }
        }
        text
    }
}

/// The first number on the line that starts with `label`.
fn labelled(text: &str, label: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "ticks and Unix seconds stay far below 2^53")]
fn precise(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4321 (odd) name) S 1 4321 4321 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 7 0 \
                        1000 987654321 500 18446744073709551615 1 1";

    #[test]
    fn figures_are_found_behind_a_name_with_brackets_and_spaces() {
        let sample = Sample::parse(
            STAT,
            "Name:\todd) name\nVmRSS:\t    2048 kB\n",
            "Limit Soft Hard\nMax open files            1024                 4096   files\n",
            "cpu 1 2 3\nbtime 1700000000\n",
            100,
        );
        assert_eq!(
            sample,
            Sample {
                resident_bytes: Some(2_097_152),
                virtual_bytes: Some(987_654_321),
                threads: Some(7),
                cpu_seconds: Some(3.0),
                start_time_seconds: Some(1_700_000_010.0),
                open_fds: None,
                max_fds: Some(1024),
            }
        );
        assert!(sample.render().contains("\nprocess_cpu_seconds_total 3\n"));
    }

    #[test]
    fn unreadable_figures_are_left_out() {
        assert_eq!(Sample::parse("garbage", "", "", "", 100), Sample::default());
        assert_eq!(Sample::default().render(), "");
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let sample = Sample::take().unwrap();
        assert!(sample.resident_bytes.unwrap() > 100_000);
        assert!(sample.open_fds.unwrap() >= 3);
        assert!(sample.start_time_seconds.unwrap() > 1_600_000_000.0);
    }
}
