//! Numbers of one to ten bytes, seven bits a byte, lowest first: as the page index has them.

const MORE: u8 = 0x80;
/// Seven bits each; a tenth byte holds the last one.
const BYTES_MAX: usize = 10;

pub(crate) fn put(into: &mut Vec<u8>, mut number: u64) {
    while number >= u64::from(MORE) {
        into.push(number.to_le_bytes()[0] | MORE);
        number >>= 7;
    }
    into.push(number.to_le_bytes()[0]);
}

/// Takes a number off the front; `None` where none stands there, or not in its shortest form.
pub(crate) fn take(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for (position, byte) in from.iter().take(BYTES_MAX).enumerate() {
        let bits = u64::from(byte & !MORE);
        let shifted = bits << (7 * position);
        if shifted >> (7 * position) != bits {
            return None;
        }
        number |= shifted;
        if byte & MORE == 0 {
            *from = &from[position + 1..];
            return (position == 0 || *byte != 0).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{put, take};

    proptest! {
        #[test]
        fn a_number_comes_back(number in any::<u64>()) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            bytes.push(7);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(take(&mut rest), Some(number));
            prop_assert_eq!(rest, &[7]);
        }
    }

    #[test]
    fn what_is_too_long_or_cut_off_is_no_number() {
        let mut of_eleven: &[u8] = &[0xff; 11];
        assert_eq!(take(&mut of_eleven), None);
        let mut too_large: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        assert_eq!(take(&mut too_large), None);
        assert_eq!(take(&mut [0x80].as_slice()), None);
        assert_eq!(take(&mut [0x80, 0].as_slice()), None);
        assert_eq!(take(&mut [].as_slice()), None);
    }
}
