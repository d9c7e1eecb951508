//! The table of routes, by the templates of Discord's own description.

use crate::rest::call::{Call, Outcome};
use crate::rest::{
    application, channels, guilds, members, messages, pins, reactions, sending, threads, users,
};
use crate::state::Core;

/// Answers a call under the lock of the core.
pub type Handler = fn(&mut Core, &Call) -> Outcome;

/// One route.
pub struct Route {
    /// Method and template.
    pub name: &'static str,
    /// What answers it.
    pub handler: Handler,
    /// Whether it is answered without a token.
    pub open: bool,
}

const fn route(name: &'static str, handler: Handler) -> Route {
    Route { name, handler, open: false }
}

const fn open(name: &'static str, handler: Handler) -> Route {
    Route { name, handler, open: true }
}

/// Every route that is simulated. The literal ones stand before those with braces.
pub static ROUTES: &[Route] = &[
    open("GET /gateway", application::gateway),
    route("GET /gateway/bot", application::gateway_bot),
    route("GET /oauth2/applications/@me", application::me),
    route("GET /applications/@me", application::me),
    route("PATCH /applications/@me", application::me),
    route("GET /applications/{application_id}/commands", application::list_commands),
    route("POST /applications/{application_id}/commands", application::create_command),
    route("PUT /applications/{application_id}/commands", application::replace_commands),
    route("GET /applications/{application_id}/commands/{command_id}", application::get_command),
    route("PATCH /applications/{application_id}/commands/{command_id}", application::edit_command),
    route(
        "DELETE /applications/{application_id}/commands/{command_id}",
        application::delete_command,
    ),
    route(
        "GET /applications/{application_id}/guilds/{guild_id}/commands",
        application::list_commands,
    ),
    route(
        "POST /applications/{application_id}/guilds/{guild_id}/commands",
        application::create_command,
    ),
    route(
        "PUT /applications/{application_id}/guilds/{guild_id}/commands",
        application::replace_commands,
    ),
    route(
        "GET /applications/{application_id}/guilds/{guild_id}/commands/{command_id}",
        application::get_command,
    ),
    route(
        "PATCH /applications/{application_id}/guilds/{guild_id}/commands/{command_id}",
        application::edit_command,
    ),
    route(
        "DELETE /applications/{application_id}/guilds/{guild_id}/commands/{command_id}",
        application::delete_command,
    ),
    route("GET /users/@me", users::me),
    route("PATCH /users/@me", users::edit_me),
    route("GET /users/@me/guilds", users::my_guilds),
    route("GET /users/@me/guilds/{guild_id}/member", users::my_member),
    route("DELETE /users/@me/guilds/{guild_id}", users::leave_guild),
    route("POST /users/@me/channels", users::open_direct),
    route("GET /users/{user_id}", users::get),
    route("GET /channels/{channel_id}", channels::get),
    route("PATCH /channels/{channel_id}", channels::edit),
    route("DELETE /channels/{channel_id}", channels::delete),
    route("POST /channels/{channel_id}/typing", channels::typing),
    route("PUT /channels/{channel_id}/permissions/{overwrite_id}", channels::set_overwrite),
    route("DELETE /channels/{channel_id}/permissions/{overwrite_id}", channels::delete_overwrite),
    route("GET /channels/{channel_id}/messages", messages::list),
    route("POST /channels/{channel_id}/messages", sending::create),
    route("POST /channels/{channel_id}/messages/bulk-delete", messages::bulk_delete),
    route("GET /channels/{channel_id}/messages/pins", pins::list),
    route("PUT /channels/{channel_id}/messages/pins/{message_id}", pins::pin),
    route("DELETE /channels/{channel_id}/messages/pins/{message_id}", pins::unpin),
    route("GET /channels/{channel_id}/pins", pins::list_old),
    route("PUT /channels/{channel_id}/pins/{message_id}", pins::pin),
    route("DELETE /channels/{channel_id}/pins/{message_id}", pins::unpin),
    route("GET /channels/{channel_id}/messages/{message_id}", messages::get),
    route("PATCH /channels/{channel_id}/messages/{message_id}", messages::edit),
    route("DELETE /channels/{channel_id}/messages/{message_id}", messages::delete),
    route("POST /channels/{channel_id}/messages/{message_id}/crosspost", messages::crosspost),
    route(
        "POST /channels/{channel_id}/messages/{message_id}/threads",
        threads::create_from_message,
    ),
    route("DELETE /channels/{channel_id}/messages/{message_id}/reactions", reactions::clear),
    route(
        "GET /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}",
        reactions::list,
    ),
    route(
        "DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}",
        reactions::clear_emoji,
    ),
    route(
        "PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me",
        reactions::add,
    ),
    route(
        "DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me",
        reactions::remove_own,
    ),
    route(
        "DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/{user_id}",
        reactions::remove,
    ),
    route("POST /channels/{channel_id}/threads", threads::create),
    route("GET /channels/{channel_id}/threads/archived/public", threads::archived_public),
    route("GET /channels/{channel_id}/threads/archived/private", threads::archived_private),
    route(
        "GET /channels/{channel_id}/users/@me/threads/archived/private",
        threads::archived_joined,
    ),
    route("GET /channels/{channel_id}/thread-members", threads::members),
    route("PUT /channels/{channel_id}/thread-members/@me", threads::join),
    route("DELETE /channels/{channel_id}/thread-members/@me", threads::leave),
    route("GET /channels/{channel_id}/thread-members/{user_id}", threads::member),
    route("PUT /channels/{channel_id}/thread-members/{user_id}", threads::add_member),
    route("DELETE /channels/{channel_id}/thread-members/{user_id}", threads::remove_member),
    route("GET /guilds/{guild_id}", guilds::get),
    route("GET /guilds/{guild_id}/channels", guilds::channels),
    route("POST /guilds/{guild_id}/channels", guilds::create_channel),
    route("GET /guilds/{guild_id}/threads/active", threads::active),
    route("GET /guilds/{guild_id}/roles", guilds::roles),
    route("POST /guilds/{guild_id}/roles", guilds::create_role),
    route("GET /guilds/{guild_id}/roles/{role_id}", guilds::role),
    route("PATCH /guilds/{guild_id}/roles/{role_id}", guilds::edit_role),
    route("DELETE /guilds/{guild_id}/roles/{role_id}", guilds::delete_role),
    route("GET /guilds/{guild_id}/members", members::list),
    route("GET /guilds/{guild_id}/members/search", members::search),
    route("PATCH /guilds/{guild_id}/members/@me", members::edit_me),
    route("GET /guilds/{guild_id}/members/{user_id}", members::get),
    route("PATCH /guilds/{guild_id}/members/{user_id}", members::edit),
    route("DELETE /guilds/{guild_id}/members/{user_id}", members::kick),
    route("PUT /guilds/{guild_id}/members/{user_id}/roles/{role_id}", members::add_role),
    route("DELETE /guilds/{guild_id}/members/{user_id}/roles/{role_id}", members::remove_role),
];

/// What a method and path lead to.
pub enum Found {
    /// A route, and the values of its braces.
    Route(&'static Route, Vec<String>),
    /// The path is known, the method is not.
    OtherMethod,
    /// Nothing.
    Nothing,
}

/// Finds the route of a path below the API's version. Braces named `…_id` match anything but
/// `@me`, so that the literal always wins.
pub fn find(method: &str, path: &str) -> Found {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut other_method = false;
    for route in ROUTES {
        let Some((wanted, template)) = route.name.split_once(' ') else { continue };
        let Some(params) = matched(template, &parts) else { continue };
        if wanted == method {
            return Found::Route(route, params);
        }
        other_method = true;
    }
    if other_method { Found::OtherMethod } else { Found::Nothing }
}

fn matched(template: &str, parts: &[&str]) -> Option<Vec<String>> {
    let mut params = Vec::new();
    let mut given = parts.iter();
    for wanted in template.split('/').filter(|part| !part.is_empty()) {
        let part = given.next()?;
        if wanted.starts_with('{') && *part != "@me" {
            params.push(percent_decoded(part));
        } else if wanted != *part {
            return None;
        }
    }
    given.next().is_none().then_some(params)
}

/// Undoes percent-encoding; what is not valid stays as it is.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = hex.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match byte {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_segments_win_over_braces() {
        let Found::Route(route, params) = find("GET", "/users/@me") else { panic!() };
        assert_eq!((route.name, params.len()), ("GET /users/@me", 0));
        let Found::Route(route, params) = find("GET", "/channels/1/messages/pins") else {
            panic!()
        };
        assert_eq!(route.name, "GET /channels/{channel_id}/messages/pins");
        assert_eq!(params, ["1"]);
    }

    #[test]
    fn emoji_are_decoded_and_wrong_methods_are_told_apart() {
        let path = "/channels/1/messages/2/reactions/%F0%9F%91%8D/@me";
        let Found::Route(_, params) = find("PUT", path) else { panic!() };
        assert_eq!(params, ["1", "2", "👍"]);
        assert!(matches!(find("PATCH", path), Found::OtherMethod));
        assert!(matches!(find("GET", "/nowhere"), Found::Nothing));
    }
}
