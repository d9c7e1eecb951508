//! The names of LTX files: the first and the last transaction in hexadecimal.

/// The folder of the levels, below the root.
pub(crate) const FOLDER: &str = "ltx";
/// What names of LTX files end with.
pub(crate) const ENDING: &str = ".ltx";
const DIGITS: usize = 16;

/// The name of the file that holds these transactions.
pub fn file_name(min_txid: u64, max_txid: u64) -> String {
    format!("{min_txid:016x}-{max_txid:016x}{ENDING}")
}

/// The transactions that a file of this name holds; `None` where it is no such name.
pub fn parse_file_name(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_suffix(ENDING)?.split_once('-')?;
    let (min_txid, max_txid) = (number(first)?, number(last)?);
    (min_txid > 0 && min_txid <= max_txid).then_some((min_txid, max_txid))
}

fn number(digits: &str) -> Option<u64> {
    let fits = digits.len() == DIGITS
        && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    fits.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{file_name, parse_file_name};

    proptest! {
        #[test]
        fn a_name_says_which_transactions(first in 1..u64::MAX, more in any::<u32>()) {
            let last = first.saturating_add(more.into());
            prop_assert_eq!(parse_file_name(&file_name(first, last)), Some((first, last)));
        }

        #[test]
        fn any_text_is_a_name_or_none(text in ".{0,60}") {
            if let Some((first, last)) = parse_file_name(&text) {
                prop_assert_eq!(file_name(first, last), text);
            }
        }
    }

    #[test]
    fn what_litestream_would_not_write_is_no_name() {
        for name in [
            "0000000000000002-0000000000000001.ltx",
            "0000000000000000-0000000000000001.ltx",
            "000000000000000A-000000000000000B.ltx",
            "1-2.ltx",
            "+000000000000001-0000000000000002.ltx",
            "0000000000000001-0000000000000002.ltx.tmp",
        ] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
