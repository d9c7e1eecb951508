//! What the owner sets for the gateway, and the limits it keeps to.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chassis::{ExposeSecret as _, Reader, SecretString};
use contracts::id::GuildId;

use crate::token::misshapen;

/// The gateway's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bot's token.
    pub token: SecretString,
    /// Where Discord's REST API is.
    pub api_url: HttpUrl,
    /// Where Discord's gateway is; none = ask `/gateway/bot`.
    pub gateway_url: Option<WebsocketUrl>,
    /// The guilds in which the bot speaks. Elsewhere it is silent.
    pub allowed_guilds: HashSet<GuildId>,
    /// How many requests a second Discord takes from this bot over all routes.
    pub requests_per_second: usize,
    /// The limits it keeps to.
    pub limits: Limits,
}

/// What Discord allows every bot; larger ones are granted more.
///
/// Source: Discord's reference, "Global Rate Limit".
const REQUESTS_PER_SECOND: usize = 50;

/// What to do about a token that is missing or is none.
const COPY_THE_TOKEN: (&str, &str) = (
    "copy the bot token from https://discord.com/developers/applications (Bot, Reset Token)",
    "https://discord.com/developers/applications の Bot で Reset Token を押し、表示されたトークンを設定してください",
);

/// Limits that only tests change.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many bytes of events may wait for the bus before the session is paused.
    pub held_bytes_max: usize,
    /// How many events may be on their way to the bus at once.
    pub publishes_in_flight_max: usize,
    /// How often the checkpoint is saved at most.
    pub checkpoint_every: Duration,
    /// The longest wait before a new connection in ordinary trouble.
    pub reconnect_delay_max: Duration,
    /// How often a refused login may be tried within an hour.
    pub refused_logins_per_hour_max: usize,
    /// How many requests Discord may refuse within ten minutes before sending pauses; it bans an
    /// address at 10,000.
    pub invalid_requests_max: u32,
    /// How long one request to Discord may take.
    pub request_timeout: Duration,
    /// How long a command may stay unanswered before the bus delivers it again.
    pub command_ack_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            held_bytes_max: 32 * 1024 * 1024,
            publishes_in_flight_max: 256,
            checkpoint_every: Duration::from_secs(1),
            reconnect_delay_max: Duration::from_secs(2),
            refused_logins_per_hour_max: 5,
            invalid_requests_max: 1_000,
            request_timeout: Duration::from_secs(10),
            command_ack_wait: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Reads the settings; a fault is recorded by the reader.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let token = reader.secret("DISCORD_TOKEN", COPY_THE_TOKEN);
        let api_url = reader.or("DISCORD_API_URL", HttpUrl::discord());
        // Elsewhere than at Discord, tokens may look as they like.
        if let Some(token) = token.as_ref().filter(|_| api_url == HttpUrl::discord())
            && let Some(problem) = misshapen(token.expose_secret())
        {
            reader.fault("DISCORD_TOKEN", problem, COPY_THE_TOKEN);
        }
        let gateway_url = reader.optional("DISCORD_GATEWAY_URL");
        let allowed_guilds = reader.list("DISCORD_ALLOWED_GUILDS").into_iter().collect();
        let requests_per_second =
            reader.in_range("DISCORD_REQUESTS_PER_SECOND", REQUESTS_PER_SECOND, 5..=100_000);
        Some(Self {
            token: token?,
            api_url,
            gateway_url,
            allowed_guilds,
            requests_per_second,
            limits: Limits::default(),
        })
    }
}

fn without_trailing_slash<'a>(text: &'a str, schemes: [&str; 2]) -> Option<&'a str> {
    let rest = schemes.into_iter().find_map(|scheme| text.strip_prefix(scheme))?;
    let host_begins = rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    let plain = !text.contains(|c: char| c.is_whitespace() || c == '?' || c == '#');
    (host_begins && plain).then(|| text.trim_end_matches('/'))
}

/// The address of an HTTP API, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(String);

impl HttpUrl {
    fn discord() -> Self {
        Self("https://discord.com".to_owned())
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HttpUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        without_trailing_slash(text, ["https://", "http://"])
            .map(|url| Self(url.to_owned()))
            .ok_or("write an address such as https://discord.com")
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The address of a gateway, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebsocketUrl(String);

impl WebsocketUrl {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebsocketUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        without_trailing_slash(text, ["wss://", "ws://"])
            .map(|url| Self(url.to_owned()))
            .ok_or("write an address such as wss://gateway.discord.gg")
    }
}

impl fmt::Display for WebsocketUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use chassis::Source;

    use super::*;

    fn read(pairs: &'static [(&str, &str)]) -> Result<Config, chassis::Faults> {
        let source = Source::new(move |key| {
            pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
        });
        let mut reader = Reader::new(source);
        let config = Config::read(&mut reader);
        reader.finish(config)
    }

    const TOKEN: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.not-a-real-signature-only-its-shape";

    #[test]
    fn only_the_token_is_needed_and_no_guild_is_allowed_by_default() {
        let config = read(&[("DISCORD_TOKEN", TOKEN)]).unwrap();
        assert_eq!(config.token.expose_secret(), TOKEN);
        assert_eq!(config.api_url.as_str(), "https://discord.com");
        assert_eq!(config.gateway_url, None);
        assert!(config.allowed_guilds.is_empty());
        assert_eq!(config.requests_per_second, 50);
        assert!(!format!("{config:?}").contains(TOKEN));
    }

    #[test]
    fn a_token_that_is_none_is_named_without_being_shown_except_where_tests_speak() {
        let faults = read(&[("DISCORD_TOKEN", "1234567890123456789")]).unwrap_err();
        let text = faults.to_string();
        assert!(text.contains("application's id") && text.contains("Reset Token"), "{text}");
        assert!(!text.contains("1234567890123456789"), "{text}");
        let elsewhere = [("DISCORD_TOKEN", "secret"), ("DISCORD_API_URL", "http://127.0.0.1:1")];
        let read_elsewhere = Source::new(move |key| {
            elsewhere.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
        });
        let mut reader = Reader::new(read_elsewhere);
        let config = Config::read(&mut reader);
        assert!(reader.finish(config).is_ok());
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let faults = read(&[
            ("DISCORD_API_URL", "discord.com"),
            ("DISCORD_GATEWAY_URL", "https://discord.com"),
            ("DISCORD_ALLOWED_GUILDS", "1, guild"),
        ])
        .unwrap_err();
        assert_eq!(faults.len(), 4, "{}", faults.one_line());
    }

    #[test]
    fn a_slash_at_the_end_of_an_address_is_dropped() {
        assert_eq!(
            "http://127.0.0.1:1/".parse::<HttpUrl>().unwrap().as_str(),
            "http://127.0.0.1:1"
        );
        assert!("ws://host/?v=10".parse::<WebsocketUrl>().is_err());
    }
}
