//! What a call costs, in whole nano-dollars.

use std::str::FromStr;

use crate::event::Usage;

/// A price per million tokens, kept exactly: one unit is a millionth of a dollar per million
/// tokens, which is one pico-dollar per token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsdPerMtok(u64);

/// A price that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no price: write US dollars per million tokens, e.g. 0.15, with at most six decimals"
)]
pub struct BadPrice(String);

impl UsdPerMtok {
    const DECIMALS: usize = 6;

    fn cost_pico(self, tokens: u64) -> u128 {
        u128::from(self.0) * u128::from(tokens)
    }
}

impl FromStr for UsdPerMtok {
    type Err = BadPrice;

    fn from_str(text: &str) -> Result<Self, BadPrice> {
        let bad = || BadPrice(text.chars().take(40).collect());
        let trimmed = text.trim();
        let (whole, fraction) = trimmed.split_once('.').unwrap_or((trimmed, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() && fraction.is_empty()
            || !digits(whole)
            || !digits(fraction)
            || fraction.len() > Self::DECIMALS
        {
            return Err(bad());
        }
        let units = format!("{whole}{fraction:0<width$}", width = Self::DECIMALS);
        // What is left to fail is a number too large.
        units.parse().map(Self).or(Err(bad()))
    }
}

/// The prices of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// For input that no cache held.
    pub input: UsdPerMtok,
    /// For output, thinking included.
    pub output: UsdPerMtok,
    /// For input read from a cache; `None` bills it as plain input.
    pub cache_read: Option<UsdPerMtok>,
    /// For input written to a cache; `None` bills it as plain input.
    pub cache_write: Option<UsdPerMtok>,
}

impl Prices {
    /// Prices without cache tiers.
    pub fn flat(input: UsdPerMtok, output: UsdPerMtok) -> Self {
        Self { input, output, cache_read: None, cache_write: None }
    }

    /// The cost of `usage` in nano-dollars, rounded up, so that no call that used a priced token
    /// is free.
    pub fn cost_nano_usd(&self, usage: &Usage) -> u64 {
        let read = usage.cache_read_tokens.min(usage.input_tokens);
        let write = usage.cache_write_tokens.min(usage.input_tokens - read);
        let plain = usage.input_tokens - read - write;
        let pico = self
            .input
            .cost_pico(plain)
            .saturating_add(self.cache_read.unwrap_or(self.input).cost_pico(read))
            .saturating_add(self.cache_write.unwrap_or(self.input).cost_pico(write))
            .saturating_add(self.output.cost_pico(usage.output_tokens));
        u64::try_from(pico.div_ceil(1000)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(text: &str) -> UsdPerMtok {
        text.parse().unwrap()
    }

    #[test]
    fn a_known_call_costs_what_the_price_list_says() {
        let prices = Prices {
            cache_read: Some(price("0.075")),
            ..Prices::flat(price("0.15"), price("0.60"))
        };
        let usage = Usage {
            input_tokens: 1_000,
            cache_read_tokens: 400,
            output_tokens: 500,
            ..Usage::default()
        };
        // 600 × 150 + 400 × 75 + 500 × 600 nano-dollars.
        assert_eq!(prices.cost_nano_usd(&usage), 420_000);
    }

    #[test]
    fn a_fraction_of_a_nano_dollar_is_rounded_up() {
        let prices = Prices::flat(price("0.0001"), price("0"));
        assert_eq!(prices.cost_nano_usd(&Usage { input_tokens: 1, ..Usage::default() }), 1);
        assert_eq!(prices.cost_nano_usd(&Usage::default()), 0);
    }

    #[test]
    fn prices_are_read_exactly_or_refused() {
        assert_eq!(price(" 2 "), UsdPerMtok(2_000_000));
        assert_eq!(price(".5"), UsdPerMtok(500_000));
        assert_eq!(price("0.000001"), UsdPerMtok(1));
        for bad in ["", ".", "-1", "1e3", "0.0000001", "1.2.3", "1,5", "$1", "99999999999999999999"]
        {
            assert!(bad.parse::<UsdPerMtok>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn cost_never_overflows_and_grows_with_use(
            input in any::<u64>(), read in any::<u64>(), output in 0..u64::MAX, rate in any::<u64>()
        ) {
            let prices = Prices::flat(UsdPerMtok(rate), UsdPerMtok(rate));
            let usage = Usage {
                input_tokens: input, cache_read_tokens: read, output_tokens: output,
                ..Usage::default()
            };
            let more = Usage { output_tokens: output + 1, ..usage };
            prop_assert!(prices.cost_nano_usd(&more) >= prices.cost_nano_usd(&usage));
        }
    }
}
