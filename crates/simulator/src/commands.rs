//! Application commands, global and of guilds.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::world::id::Id;

/// The registered commands as Discord answers them; `None` holds the global ones.
#[derive(Debug, Default)]
pub struct Commands {
    /// Commands by scope, then by id.
    pub scopes: BTreeMap<Option<Id>, BTreeMap<Id, Value>>,
    /// When commands were created by scope, Unix milliseconds, for the daily cap.
    pub created_ms: BTreeMap<Option<Id>, Vec<u64>>,
}
