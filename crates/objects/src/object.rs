//! What a listing tells of one object.

/// One whole object on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its path below the target's root, with `/` between names and none in front.
    pub path: String,
    /// Its size in bytes, as the far side says it.
    pub size: u64,
    /// When it was last changed by the far side's clock, in milliseconds since 1970, where told.
    pub modified_ms: Option<i64>,
}
