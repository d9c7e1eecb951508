//! The checksum of LTX files, CRC-64/GO-ISO, which can be put together from sums of parts.

use crc::{CRC_64_GO_ISO, Crc, Digest, Table};

/// Set in every checksum that is written, so that none is ever zero.
const WRITTEN: u64 = 1 << 63;
/// The polynomial x⁶⁴ + x⁴ + x³ + x + 1 without its first term, lowest power first.
const POLYNOMIAL: u64 = 0xd800_0000_0000_0000;
/// x⁰ in that notation.
const ONE: u64 = 1 << 63;
/// x⁸ in that notation: what a sum is multiplied with for each byte that follows.
const BYTE: u64 = 1 << 55;

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_GO_ISO);

/// The checksum of a run of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    crc: u64,
    bytes: u64,
}

impl Sum {
    /// The sum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut summing = Summing::default();
        summing.add(bytes);
        summing.sum()
    }

    /// The sum of these bytes followed by `after`, without looking at either again.
    #[must_use]
    pub fn then(self, after: Self) -> Self {
        let crc = multiply(power(BYTE, after.bytes), self.crc) ^ after.crc;
        Self { crc, bytes: self.bytes + after.bytes }
    }

    /// As it stands in a file's trailer.
    pub(crate) fn written(self) -> u64 {
        self.crc | WRITTEN
    }

    /// Whether a trailer's field is a checksum at all.
    pub(crate) fn is_written(field: u64) -> bool {
        field & WRITTEN != 0
    }
}

/// A checksum in the making.
#[derive(Clone)]
pub struct Summing {
    digest: Digest<'static, u64, Table<16>>,
    bytes: u64,
}

impl Summing {
    /// Takes in more bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// The sum of everything so far.
    pub fn sum(&self) -> Sum {
        Sum { crc: self.digest.clone().finalize(), bytes: self.bytes }
    }
}

impl Default for Summing {
    fn default() -> Self {
        Self { digest: CRC.digest(), bytes: 0 }
    }
}

impl std::fmt::Debug for Summing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Summing").field(&self.sum()).finish()
    }
}

/// The product of two polynomials over GF(2), modulo [`POLYNOMIAL`], lowest power first.
fn multiply(one: u64, mut other: u64) -> u64 {
    let mut product = 0;
    for power in (0..u64::BITS).rev() {
        if one >> power & 1 == 1 {
            product ^= other;
        }
        other = if other & 1 == 1 { (other >> 1) ^ POLYNOMIAL } else { other >> 1 };
    }
    product
}

fn power(mut base: u64, mut exponent: u64) -> u64 {
    let mut product = ONE;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = multiply(base, product);
        }
        base = multiply(base, base);
        exponent >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::Sum;

    #[test]
    fn the_sum_is_the_one_that_catalogues_of_checksums_give() {
        assert_eq!(Sum::of(b"123456789").crc, 0xb909_56c7_75a4_1001);
        assert_eq!(Sum::of(b"").crc, 0);
    }

    proptest! {
        #[test]
        fn sums_of_parts_make_the_sum_of_the_whole(
            bytes in vec(any::<u8>(), 0..3000),
            at in 0_usize..3000,
        ) {
            let (before, after) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(Sum::of(before).then(Sum::of(after)), Sum::of(&bytes));
        }
    }
}
