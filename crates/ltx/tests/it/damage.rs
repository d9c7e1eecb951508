//! Damage of every kind is an error: never a panic, never other pages, never much memory.

use std::io::Cursor;

use ltx::{Decoder, Error, PageIndex};
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::Index;

use crate::database::{files, history};
use crate::round_trip::{read, read_by_index};

proptest! {
    #[test]
    fn a_changed_byte_is_found_or_changes_nothing(
        steps in history(2),
        at in any::<Index>(),
        change in 1..=u8::MAX,
    ) {
        for whole in files(&steps) {
            let mut bytes = whole.clone();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            // LZ4 can say one page in several ways, and the writer's own number means nothing.
            if let Ok(pages) = read(&bytes) {
                prop_assert_eq!(pages, read(&whole).unwrap());
            }
            if let Ok(pages) = read_by_index(&bytes) {
                prop_assert_eq!(pages, read(&whole).unwrap());
            }
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused(steps in history(2), at in any::<Index>()) {
        for whole in files(&steps) {
            let cut = &whole[..at.index(whole.len())];
            prop_assert!(read(cut).is_err());
            prop_assert!(PageIndex::read(Cursor::new(cut)).is_err());
        }
    }

    #[test]
    fn bytes_after_the_end_are_refused(steps in history(1), more in vec(any::<u8>(), 1..30)) {
        let mut bytes = files(&steps).remove(0);
        bytes.extend(more);
        prop_assert!(read(&bytes).is_err());
        prop_assert!(read_by_index(&bytes).is_err());
    }

    #[test]
    fn any_bytes_after_a_good_header_are_read_without_harm(
        steps in history(1),
        rest in vec(any::<u8>(), 0..2000),
    ) {
        let mut bytes = files(&steps).remove(0);
        bytes.truncate(ltx::HEADER_BYTES);
        bytes.extend(rest);
        prop_assert!(read(&bytes).is_err());
        prop_assert!(PageIndex::read(Cursor::new(&bytes)).is_err());
    }
}

#[test]
fn lengths_are_held_to_the_page_before_anything_is_allocated() {
    let steps = vec![crate::database::Step {
        commit: 1,
        pages: [(1, vec![3; crate::database::PAGE_SIZE as usize])].into(),
    }];
    let mut bytes = files(&steps).remove(0);
    let length = ltx::HEADER_BYTES + 6;
    bytes[length..length + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(read(&bytes), Err(Error::Frame { page: 1, .. })));
    let index = bytes.len() - 24;
    bytes[index..index + 8].copy_from_slice(&u64::MAX.to_be_bytes());
    assert!(matches!(PageIndex::read(Cursor::new(&bytes)), Err(Error::Index(_))));
}

#[test]
fn what_is_something_else_is_named_so() {
    let sqlite = [b"SQLite format 3\0".as_slice(), &[0; 200]].concat();
    assert!(matches!(Decoder::new(sqlite.as_slice()), Err(Error::NotLtx)));
    assert!(matches!(Decoder::new([].as_slice()), Err(Error::Truncated("header"))));
    assert!(matches!(Decoder::new(&sqlite[..9]), Err(Error::Truncated("header"))));
}
