//! Dispatches as the simulator makes them, captured before it sends them.

use anyhow::Context as _;
use simulator::State;
use simulator::world::id::Id;
use simulator::world::mentions::AllowedMentions;
use simulator::world::messages::NewMessage;

/// What a `MESSAGE_CREATE` of an ordinary conversation weighs on the wire, in bytes.
const FRAME_BYTES: usize = 1_538;

/// Somebody who writes into channels, in turns.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    pub(crate) person: Id,
    pub(crate) channels: Vec<Id>,
}

/// The data of the `GUILD_CREATE` that the bot is sent.
pub(crate) fn guild(state: &State, guild: Id) -> anyhow::Result<String> {
    state.with(|core| {
        let one = core.world.guilds.get(&guild).context("find the guild")?;
        Ok(simulator::shape::guild_create(&core.world, one, true).to_string())
    })
}

/// The data of messages that mention the bot, or nobody, each about [`FRAME_BYTES`] long.
pub(crate) fn messages(
    state: &State,
    author: &Author,
    count: usize,
    mention: bool,
) -> anyhow::Result<Vec<String>> {
    let bare = message(state, author, 0, "")?;
    let filler = filler(FRAME_BYTES.saturating_sub(bare.len() + 80));
    (0..count)
        .map(|index| {
            let content = if mention {
                format!("<@{}> {filler}", state.with(|core| core.world.bot_id))
            } else {
                filler.clone()
            };
            message(state, author, index, &content)
        })
        .collect()
}

fn message(state: &State, author: &Author, index: usize, content: &str) -> anyhow::Result<String> {
    let channel_id = author.channels[index % author.channels.len()];
    state.with(|core| {
        let channel = core.world.channels.get(&channel_id).context("find the channel")?;
        let allowed = AllowedMentions::default();
        let mentions = core.world.mentions(channel, (author.person, content), &allowed, None);
        let new = NewMessage { content: content.to_owned(), mentions, ..NewMessage::default() };
        core.world.send(channel_id, author.person, new).context("send a message")?;
        // Taken away, so that nobody is told: the feeder tells it.
        let change = core.world.changes.pop().context("a message is a change")?;
        Ok(change.data.to_string())
    })
}

/// Words enough to fill so many bytes.
fn filler(bytes: usize) -> String {
    let words = "Could you tell me how the evening light falls on the old bridge in autumn, and \
                 which of the small boats still go out before the first frost? ";
    words.chars().cycle().take(bytes).collect()
}
