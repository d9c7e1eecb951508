//! Tokens before they are counted: an estimate by kinds of characters, corrected by what
//! providers report.
//!
//! "Four characters a token" holds for English and is two to seven times too low for Japanese.
//! The weights here lie above every current tokenizer measured (o200k, Gemma 3) for prose in
//! each script; what is left per model is learned by [`Correction`] from the usage that comes
//! with every answer.

use crate::request::{Message, Request};

/// What a message costs besides its text: its role, its name, its frame.
const MESSAGE_TENTHS: u64 = 60;
/// What every prompt costs besides its messages.
const PROMPT_TENTHS: u64 = 40;
/// No answer says more about a tokenizer than this many-fold difference.
const RATIO_MIN: f64 = 0.2;
const RATIO_MAX: f64 = 5.0;
/// Each report moves the ratio by this share of the difference.
const EWMA_ALPHA: f64 = 0.2;
/// Below this the fixed overhead hides the text's ratio.
const SAMPLE_TOKENS_MIN: u64 = 50;
/// One part in this many is kept free on top of the estimate.
const MARGIN_DIVISOR: u64 = 10;

/// Tokens of `text` by the weight of its characters, rounded up.
pub fn text_tokens(text: &str) -> u64 {
    text.chars().map(tenths).sum::<u64>().div_ceil(10)
}

/// Tokens of `message`, its overhead included.
pub fn message_tokens(message: &Message) -> u64 {
    message_tenths(message).div_ceil(10)
}

/// Tokens of the whole prompt of `request`, overheads included.
pub fn request_tokens(request: &Request) -> u64 {
    let system = if request.system.is_empty() { 0 } else { system_tenths(&request.system) };
    let messages: u64 = request.messages.iter().map(message_tenths).sum();
    (PROMPT_TENTHS + system + messages).div_ceil(10)
}

/// Tokens of a system text with the overheads that any prompt has.
pub fn system_tokens(system: &str) -> u64 {
    (PROMPT_TENTHS + system_tenths(system)).div_ceil(10)
}

fn system_tenths(system: &str) -> u64 {
    MESSAGE_TENTHS + system.chars().map(tenths).sum::<u64>()
}

fn message_tenths(message: &Message) -> u64 {
    let name: u64 = message.name.iter().flat_map(|name| name.chars()).map(tenths).sum();
    MESSAGE_TENTHS + name + message.text().chars().map(tenths).sum::<u64>()
}

/// The weight of one character in tenths of a token.
fn tenths(c: char) -> u64 {
    match c {
        'a'..='z' | 'A'..='Z' | ' ' | '\n' => 3,
        // Digits (Gemma spells numbers digit by digit, and chat is full of ids), Hangul jamo and
        // syllables.
        '0'..='9' | '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}' => {
            10
        }
        '\0'..='\u{7f}' => 6,
        // Kana, CJK punctuation and ideographs, full-width forms.
        '\u{3000}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff00}'..='\u{ffef}' => 11,
        // Emoji with their joiners, selectors and flags; rare ideographs, which are spelled out
        // byte by byte.
        '\u{200d}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{2600}'..='\u{27bf}'
        | '\u{1f000}'..='\u{1faff}'
        | '\u{20000}'..='\u{3ffff}' => 27,
        _ => 15,
    }
}

/// What one model's tokenizer makes of our estimates: a moving ratio of reported to estimated.
///
/// Keep one for each provider and model, feed it with every reported usage, and ask it for every
/// decision about room or money.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correction {
    ratio: f64,
    seen: bool,
}

impl Default for Correction {
    fn default() -> Self {
        Self { ratio: 1.0, seen: false }
    }
}

impl Correction {
    /// A correction that was kept over a restart; nonsense counts as none.
    pub fn from_ratio(ratio: f64) -> Self {
        if ratio.is_finite() && ratio > 0.0 {
            Self { ratio: ratio.clamp(RATIO_MIN, RATIO_MAX), seen: true }
        } else {
            Self::default()
        }
    }

    /// The ratio to keep over a restart.
    pub fn ratio(&self) -> f64 {
        self.ratio
    }

    /// Learns from one answer: what was `estimated` for its prompt (uncorrected, as the
    /// functions of this module give it) and the input tokens its usage `reported`.
    ///
    /// Small prompts and absent counts teach nothing and are passed over.
    pub fn observe(&mut self, estimated: u64, reported: u64) {
        if estimated < SAMPLE_TOKENS_MIN || reported == 0 {
            return;
        }
        let sample = (as_f64(reported) / as_f64(estimated)).clamp(RATIO_MIN, RATIO_MAX);
        if self.seen {
            self.ratio += EWMA_ALPHA * (sample - self.ratio);
        } else {
            // The first report is worth more than a guess.
            self.ratio = sample;
            self.seen = true;
        }
    }

    /// The likely count for an estimate.
    pub fn expected(&self, estimated: u64) -> u64 {
        as_u64((as_f64(estimated) * self.ratio).ceil())
    }

    /// The count to reserve room for: the likely one and a tenth.
    pub fn reserved(&self, estimated: u64) -> u64 {
        let expected = self.expected(estimated);
        expected.saturating_add(expected.div_ceil(MARGIN_DIVISOR))
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 52 bits")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are never negative, and the cast saturates"
)]
fn as_u64(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Measured tokens per character of o200k and Gemma 3, the larger of the two, in hundredths.
    #[test]
    fn prose_of_every_script_is_estimated_above_the_measured_count_and_below_its_triple() {
        for (script, text, measured_percent) in [
            ("English", "It was a bright cold day in April and the clocks struck.", 21),
            ("Japanese", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。", 68),
            ("chat slang", "それなwwまじでやばいってｗ草生えるわ", 85),
            ("Chinese", "学而时习之,不亦说乎?有朋自远方来,不亦乐乎?", 71),
            ("Korean", "안녕하세요, 오늘 날씨가 참 좋네요.", 53),
            ("code", "fn main() { let x = vec![1, 2, 3]; call(&x)?; }", 45),
            ("ids", "<@123456789012345678> https://example.org/a/b?c=1", 67),
        ] {
            let measured = text.chars().count() as u64 * measured_percent / 100;
            let estimated = text_tokens(text);
            assert!(estimated * 10 >= measured * 9, "{script}: {estimated} of {measured}");
            assert!(estimated <= measured * 3, "{script}: {estimated} of {measured}");
        }
    }

    #[test]
    fn joined_emoji_and_flags_count_by_code_point() {
        assert_eq!(text_tokens("👨‍👩‍👧"), 14);
        assert_eq!(text_tokens("🇯🇵"), 6);
        assert_eq!(text_tokens(""), 0);
    }

    #[test]
    fn a_request_is_its_system_its_messages_and_their_frames() {
        let request = Request::new("m", "aaaaaaaaaa").with(Message::user("bbbbbbbbbb"));
        // 4 for the prompt, 6 for each message, 3 for each ten letters.
        assert_eq!(request_tokens(&request), 4 + 6 + 3 + 6 + 3);
        assert_eq!(system_tokens("aaaaaaaaaa"), 13);
        assert_eq!(message_tokens(&Message::user("bbbbbbbbbb").named("ccccc")), 11);
        assert_eq!(request_tokens(&Request::new("m", "")), 4);
    }

    #[test]
    fn the_ratio_is_learned_from_the_first_report_and_then_follows_slowly() {
        let mut correction = Correction::default();
        assert_eq!((correction.expected(100), correction.reserved(100)), (100, 110));
        correction.observe(1000, 500);
        assert_eq!(correction.expected(1000), 500);
        correction.observe(1000, 1000);
        assert_eq!(correction.expected(1000), 600);
        for _ in 0..50 {
            correction.observe(1000, 1500);
        }
        assert!((1490..=1500).contains(&correction.expected(1000)));
    }

    #[test]
    fn reports_that_teach_nothing_are_passed_over() {
        let mut correction = Correction::default();
        correction.observe(10, 500);
        correction.observe(1000, 0);
        assert_eq!(correction, Correction::default());
        for nonsense in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            assert_eq!(Correction::from_ratio(nonsense), Correction::default());
        }
        assert!((Correction::from_ratio(0.5).ratio() - 0.5).abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn text_put_together_costs_what_its_parts_cost(a in "\\PC{0,60}", b in "\\PC{0,60}") {
            let both = text_tokens(&format!("{a}{b}"));
            let parts = text_tokens(&a) + text_tokens(&b);
            prop_assert!(both <= parts && parts <= both + 1);
        }

        #[test]
        fn no_report_carries_the_ratio_away(
            reports in prop::collection::vec((any::<u64>(), any::<u64>()), 0..20), tokens in 0_u64..1_000_000
        ) {
            let mut correction = Correction::default();
            for (estimated, reported) in reports {
                correction.observe(estimated, reported);
            }
            prop_assert!((RATIO_MIN..=RATIO_MAX).contains(&correction.ratio()));
            prop_assert!(correction.reserved(tokens) >= correction.expected(tokens));
            prop_assert!(correction.expected(tokens) <= tokens * 5);
        }
    }
}
