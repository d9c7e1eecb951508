//! What was measured: single figures with their baselines and aims, and samples with quantiles.

use serde::Serialize;

/// Everything one run of the bench found out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) date: String,
    pub(crate) machine: crate::machine::Machine,
    pub(crate) quick: bool,
    pub(crate) took_seconds: f64,
    pub(crate) sections: Vec<Section>,
}

/// The figures of one question.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) figures: Vec<Figure>,
    /// How it was measured, and what a reader must know to judge the figures.
    pub(crate) remarks: Vec<String>,
}

impl Section {
    pub(crate) fn new(key: &'static str, title: &'static str) -> Self {
        Self { key, title, figures: Vec::new(), remarks: Vec::new() }
    }

    pub(crate) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }
}

/// What a figure is wished to be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    /// The ratio to the baseline.
    RatioAtLeast(f64),
    /// The ratio to the baseline.
    RatioAtMost(f64),
    /// The value itself.
    AtMost(f64),
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) baseline: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aim: Option<Aim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) met: Option<bool>,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let name = name.into();
        Self { name, value, unit, baseline: None, ratio: None, aim: None, met: None }
    }

    /// Sets what it is compared with, measured in the same run and in the same unit.
    pub(crate) fn against(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self.ratio = (baseline > 0.0).then(|| self.value / baseline);
        self
    }

    /// Sets what it is wished to be. A figure that could not be taken meets nothing.
    pub(crate) fn aim(mut self, aim: Aim) -> Self {
        self.aim = Some(aim);
        self.met = Some(match aim {
            Aim::RatioAtLeast(least) => self.ratio.is_some_and(|ratio| ratio >= least),
            Aim::RatioAtMost(most) => self.ratio.is_some_and(|ratio| ratio <= most),
            Aim::AtMost(most) => self.value <= most,
        });
        self
    }
}

/// Measurements of one kind, in any order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value below which this share of the samples lies (nearest rank); NaN without samples.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (share * as_f64(sorted.len())).ceil().max(1.0);
        sorted.get(as_index(rank) - 1).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn p99(&self) -> f64 {
        self.quantile(0.99)
    }

    pub(crate) fn max(&self) -> f64 {
        self.quantile(1.0)
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) fn as_f64(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "times and sizes here are far below 2^52")]
pub(crate) fn wide(value: u64) -> f64 {
    value as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank is a whole number from 1 on"
)]
fn as_index(rank: f64) -> usize {
    rank as usize
}
