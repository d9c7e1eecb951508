//! Who a text pings, once `allowed_mentions` has had its say.

use serde_json::Value;

use crate::world::World;
use crate::world::entity::{Channel, Mentions, Reference};
use crate::world::id::Id;
use crate::world::permissions::MENTION_EVERYONE;

/// Which mentions of a text may ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedMentions {
    /// All users, or these.
    pub users: Allowed,
    /// All roles, or these.
    pub roles: Allowed,
    /// `@everyone` and `@here`.
    pub everyone: bool,
    /// The author of the message that is answered.
    pub replied_user: bool,
}

/// All of a kind, or some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// All.
    All,
    /// Only these; none when empty.
    Only(Vec<Id>),
}

impl Allowed {
    fn allows(&self, id: Id) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&id),
        }
    }
}

impl Default for AllowedMentions {
    /// What holds when nothing is said: everything pings, as for ordinary messages.
    fn default() -> Self {
        Self { users: Allowed::All, roles: Allowed::All, everyone: true, replied_user: true }
    }
}

impl AllowedMentions {
    /// Reads the validated object of the wire.
    pub fn from_value(value: &Value) -> Self {
        let parses = |word: &str| {
            value["parse"].as_array().is_some_and(|list| list.iter().any(|one| one == word))
        };
        let listed = |key: &str| {
            let ids = value[key].as_array().map_or(&[][..], Vec::as_slice);
            Allowed::Only(ids.iter().filter_map(Id::from_value).collect())
        };
        Self {
            users: if parses("users") { Allowed::All } else { listed("users") },
            roles: if parses("roles") { Allowed::All } else { listed("roles") },
            everyone: parses("everyone"),
            replied_user: value["replied_user"].as_bool().unwrap_or(false),
        }
    }
}

impl World {
    /// The pings of `content`, sent by `author_id` into `channel` in answer to `reference`.
    pub fn mentions(
        &self,
        channel: &Channel,
        (author_id, content): (Id, &str),
        allowed: &AllowedMentions,
        reference: Option<&Reference>,
    ) -> Mentions {
        let replied = reference
            .and_then(|one| self.message(one.channel_id, one.message_id?))
            .map(|message| message.author_id);
        let guild = channel.guild_id.and_then(|id| self.guilds.get(&id));
        let may_ping_all = self.permissions(author_id, channel) & MENTION_EVERYONE != 0;
        let mut found = Mentions::default();
        for (sign, id) in tokens(content) {
            if sign == "@&" {
                let role = guild.and_then(|guild| guild.roles.get(&id));
                let pings = role.is_some_and(|role| role.mentionable || may_ping_all);
                if pings && allowed.roles.allows(id) && !found.roles.contains(&id) {
                    found.roles.push(id);
                }
            } else if self.users.contains_key(&id)
                && allowed.users.allows(id)
                && !found.users.contains(&id)
            {
                found.users.push(id);
            }
        }
        if let Some(id) = replied
            && allowed.replied_user
            && id != author_id
            && !found.users.contains(&id)
        {
            found.users.push(id);
        }
        let calls_all = content.contains("@everyone") || content.contains("@here");
        found.everyone = guild.is_some() && calls_all && may_ping_all && allowed.everyone;
        found
    }
}

/// The `<@1>`, `<@!1>` and `<@&1>` of a text, as (`@` or `@&`, id).
fn tokens(content: &str) -> impl Iterator<Item = (&'static str, Id)> {
    content.match_indices("<@").filter_map(|(start, _)| {
        let rest = &content[start + 2..];
        let (inner, _) = rest.split_once('>')?;
        if let Some(role) = inner.strip_prefix('&') {
            return Some(("@&", digits(role)?));
        }
        Some(("@", digits(inner.strip_prefix('!').unwrap_or(inner))?))
    })
}

fn digits(text: &str) -> Option<Id> {
    let is_id = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_id { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_found_and_lookalikes_are_not() {
        let found: Vec<_> = tokens("a <@1> <@!2> <@&3> <@x> <@ 4> <#5> <@6").collect();
        assert_eq!(found, [("@", Id(1)), ("@", Id(2)), ("@&", Id(3))]);
    }

    #[test]
    fn an_empty_parse_list_allows_nothing() {
        let allowed = AllowedMentions::from_value(&json!({"parse": []}));
        assert!(!allowed.users.allows(Id(1)));
        assert!(!allowed.everyone);
        assert!(!allowed.replied_user);
    }
}
