//! A report is the state of all checks at one moment, as `/health` answers it.

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::check::{Entry, Outcome};
use super::{Figure, Headline};
use crate::lifecycle::ServiceInfo;
use crate::telemetry::redact_text;

/// The state of all checks at one moment.
pub(super) struct Report {
    service: ServiceInfo,
    outcomes: Vec<(String, Outcome)>,
    headlines: Vec<Headline>,
    figures: Vec<(String, String, u64)>,
    draining: bool,
    timestamp: Timestamp,
}

impl Report {
    pub(super) fn new(
        service: ServiceInfo,
        entries: &[Entry],
        headlines: Vec<Headline>,
        draining: bool,
    ) -> Self {
        let outcomes = entries.iter().map(|entry| (entry.name.clone(), entry.outcome())).collect();
        let (figures, timestamp) = (Vec::new(), Timestamp::now());
        Self { service, outcomes, headlines, figures, draining, timestamp }
    }

    /// The same report with these numbers beside its checks.
    pub(super) fn with(mut self, figures: &[Figure]) -> Self {
        let shown =
            |figure: &Figure| (figure.check.clone(), figure.name.clone(), (figure.compute)());
        self.figures = figures.iter().map(shown).collect();
        self
    }

    pub(super) fn is_healthy(&self) -> bool {
        !self.outcomes.iter().any(|(_, outcome)| outcome.is_failing())
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.draining && self.is_healthy()
    }

    pub(super) fn into_outcomes(self) -> Vec<(String, Outcome)> {
        self.outcomes
    }

    /// The names of the failing checks.
    pub(super) fn failing(&self) -> Vec<&str> {
        self.outcomes
            .iter()
            .filter(|(_, outcome)| outcome.is_failing())
            .map(|(name, _)| name.as_str())
            .collect()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }

    /// The state as Prometheus gauges: 1 for a check that does not fail.
    pub(super) fn to_metrics(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::from(
            "# HELP health_check_ok Whether a check does not fail.\n# TYPE health_check_ok gauge\n",
        );
        for (name, outcome) in &self.outcomes {
            let value = u8::from(!outcome.is_failing());
            let name = name.replace('\\', r"\\").replace('"', "\\\"").replace('\n', " ");
            writeln!(text, "health_check_ok{{check=\"{name}\"}} {value}")
                .expect("a string takes any text");
        }
        text
    }

    /// The headline's word; a headline without its check counts as bad.
    fn headline<'a>(&self, headline: &'a Headline) -> &'a str {
        let outcome = self.outcomes.iter().find(|(name, _)| *name == headline.name);
        match outcome {
            Some((_, outcome)) if !outcome.is_failing() => &headline.good,
            _ => &headline.bad,
        }
    }
}

/// The order of the first fields is a promise to those who read it, so it is written by hand.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let status = if self.is_healthy() { "healthy" } else { "unhealthy" };
        map.serialize_entry("status", status)?;
        for headline in &self.headlines {
            map.serialize_entry(&headline.name, self.headline(headline))?;
        }
        map.serialize_entry("timestamp", &format!("{:.3}", self.timestamp))?;
        map.serialize_entry("version", self.service.version)?;
        map.serialize_entry("service", self.service.name)?;
        map.serialize_entry("checks", &Checks(self))?;
        map.end()
    }
}

struct Checks<'a>(&'a Report);

impl Serialize for Checks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Report { outcomes, figures, .. } = self.0;
        serializer.collect_map(outcomes.iter().map(|(name, outcome)| {
            let figures = figures.iter().filter(|(check, _, _)| check == name);
            (name, Shown { outcome, figures: figures.collect() })
        }))
    }
}

struct Shown<'a> {
    outcome: &'a Outcome,
    figures: Vec<&'a (String, String, u64)>,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("status", self.outcome.status())?;
        if let Some((reason, remedy)) = self.outcome.explanation() {
            // A reason often quotes an error, and an error may quote a URL with a password.
            map.serialize_entry("reason", redact_text(reason.english()).as_ref())?;
            map.serialize_entry("remedy", redact_text(remedy.english()).as_ref())?;
            for (name, words) in [("reason_ja", reason), ("remedy_ja", remedy)] {
                if let Some(japanese) = words.japanese() {
                    map.serialize_entry(name, redact_text(japanese).as_ref())?;
                }
            }
        }
        for (_, name, value) in &self.figures {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
