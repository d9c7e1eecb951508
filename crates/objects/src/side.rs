//! What every kind of far side must be able to do; the care around it is the target's.

use std::ops::Range;

use futures_util::future::BoxFuture;

use crate::content::{Chunks, Content};
use crate::fault::Trouble;
use crate::object::Object;

/// The end of the name of what is still under way. A listing never shows such names.
///
/// The name is made of the object's own, so that a repetition overwrites what a broken attempt
/// left behind, and nothing gathers.
pub(crate) const PART: &str = ".kotonoha-part";

/// What a side answers, later.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, Trouble>>;

/// One kind of far side. Paths are checked before they come here.
pub(crate) trait Side: Send + Sync {
    /// Makes or replaces an object in one step, seen by others only when it is whole.
    fn put<'a>(&'a self, path: &'a str, content: &'a Content) -> Answer<'a, ()>;

    /// Begins to read an object, or a range of it (which may end beyond the object's end).
    fn read<'a>(&'a self, path: &'a str, range: Option<Range<u64>>) -> Answer<'a, Chunks>;

    /// Every whole object below a folder (`""`, or a path that ends with `/`), in any order;
    /// nothing where there is no such folder.
    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Object>>;

    /// One object.
    fn stat<'a>(&'a self, path: &'a str) -> Answer<'a, Object>;

    /// Removes an object; one that is not there counts as removed.
    fn delete<'a>(&'a self, path: &'a str) -> Answer<'a, ()>;
}
