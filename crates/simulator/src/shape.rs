//! How the world looks on the wire: Discord's JSON objects.

mod channel;
mod guild;
mod message;
mod user;

pub use crate::shape::channel::{channel, thread_member};
pub use crate::shape::guild::{guild, guild_create, my_guild, role};
pub use crate::shape::message::{attachment_url, emoji, message};
pub use crate::shape::user::{
    APPLICATION_FLAGS, application, member, partial_member, private_user, user,
};
