//! The worker's settings.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chassis::{Reader, SecretString};
use llm::price::{Prices, UsdPerMtok};

use crate::prompt::Limits;
use crate::store::Caps;

const CONTEXT_TOKENS_DEFAULT: u64 = 8192;
const OUTPUT_TOKENS_DEFAULT: u32 = 1024;
const TURNS_PER_USER_DEFAULT: u32 = 50;
const TURNS_PER_GUILD_DEFAULT: u32 = 500;
const CALLS_DEFAULT: usize = 64;
const CALLS_MAX: usize = 10_000;
const TURN_SECONDS_DEFAULT: Duration = Duration::from_mins(5);

/// The worker's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database file (`DATABASE_PATH`).
    pub database: PathBuf,
    /// Whom to ask.
    pub model: ModelConfig,
    /// The folder of `ja.md` and `en.md` (`PERSONA_DIR`); unset = the built-in personas.
    pub personas: Option<PathBuf>,
    /// How many turns a day there may be (`TURNS_PER_USER_PER_DAY`, `TURNS_PER_GUILD_PER_DAY`).
    pub caps: Caps,
    /// Where a day begins (`TZ`).
    pub time_zone: jiff::tz::TimeZone,
    /// How many models may be speaking at once (`MODEL_CALLS_MAX`).
    pub calls_max: usize,
    /// How long a turn may take from its claim to its end, retries included
    /// (`TURN_SECONDS_MAX`).
    pub turn_time_max: Duration,
    /// Who holds the lanes (`INSTANCE_NAME`): the same name after a restart takes them up at once.
    pub instance: String,
    /// Where Ollama is, for its two routes (`OLLAMA_URL`).
    pub ollama_url: String,
}

/// Whom to ask, and how much.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The provider's name in records and metrics (`MODEL_PROVIDER`).
    pub provider: String,
    /// Its address (`MODEL_BASE_URL`).
    pub base_url: String,
    /// Its key (`MODEL_API_KEY`); local servers need none.
    pub api_key: Option<SecretString>,
    /// The model (`MODEL_NAME`).
    pub name: String,
    /// Its window and the room for an answer (`MODEL_CONTEXT_TOKENS`, `MODEL_MAX_OUTPUT_TOKENS`).
    pub limits: Limits,
    /// What it costs (`MODEL_PRICE_INPUT_USD_PER_MTOK`, `MODEL_PRICE_OUTPUT_USD_PER_MTOK`).
    pub prices: Option<Prices>,
}

impl Config {
    /// Reads the settings; `None` where a fault was recorded.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let database = database(reader);
        reader.needs_database("DATABASE_PATH", &database);
        let model = ModelConfig::read(reader);
        let personas = reader.optional("PERSONA_DIR");
        let caps = Caps {
            user: reader.or("TURNS_PER_USER_PER_DAY", TURNS_PER_USER_DEFAULT),
            guild: reader.or("TURNS_PER_GUILD_PER_DAY", TURNS_PER_GUILD_DEFAULT),
        };
        let time_zone = reader.time_zone();
        let calls_max = reader.in_range("MODEL_CALLS_MAX", CALLS_DEFAULT, 1..=CALLS_MAX);
        let turn_time_max = reader.duration_seconds("TURN_SECONDS_MAX", TURN_SECONDS_DEFAULT);
        let instance = reader.or("INSTANCE_NAME", "conversation-worker".to_owned());
        let ollama = HttpAddress("http://127.0.0.1:11434".to_owned());
        let ollama_url = reader.or("OLLAMA_URL", ollama).0;
        Some(Self {
            database,
            model: model?,
            personas,
            caps,
            time_zone: time_zone?,
            calls_max,
            turn_time_max,
            instance,
            ollama_url,
        })
    }
}

/// The database file (`DATABASE_PATH`), which `migrate` needs without all the rest.
pub(crate) fn database(reader: &mut Reader) -> PathBuf {
    reader.path_or("DATABASE_PATH", "data/conversation.db")
}

impl ModelConfig {
    fn read(reader: &mut Reader) -> Option<Self> {
        let provider = reader.or("MODEL_PROVIDER", "openai".to_owned());
        let base_url: Option<HttpAddress> = reader.required(
            "MODEL_BASE_URL",
            (
                "set it to the provider's address, such as https://api.openai.com/v1 or \
                 http://ollama:11434",
                "モデルの提供元のアドレスを設定してください(例: http://ollama:11434)",
            ),
        );
        let api_key = reader.optional_secret("MODEL_API_KEY");
        let name = reader.required(
            "MODEL_NAME",
            (
                "set it to the model's name as its provider spells it",
                "使うモデルの名前を設定してください",
            ),
        );
        let context_tokens =
            reader.in_range("MODEL_CONTEXT_TOKENS", CONTEXT_TOKENS_DEFAULT, 1024..=10_000_000);
        let output_tokens =
            reader.in_range("MODEL_MAX_OUTPUT_TOKENS", OUTPUT_TOKENS_DEFAULT, 16..=1_000_000);
        let limits = Limits { context_tokens, output_tokens: u64::from(output_tokens) };
        if limits.output_tokens * 2 > limits.context_tokens {
            reader.fault(
                "MODEL_MAX_OUTPUT_TOKENS",
                (
                    "is more than half of MODEL_CONTEXT_TOKENS, which leaves too little room for \
                     the conversation",
                    "が MODEL_CONTEXT_TOKENS の半分を超えていて、会話の入る余地がありません",
                ),
                (
                    "lower it, or raise MODEL_CONTEXT_TOKENS to what the model is served with",
                    "小さくするか、MODEL_CONTEXT_TOKENS をモデルの実際の大きさに上げてください",
                ),
            );
        }
        let input: Option<UsdPerMtok> = reader.optional("MODEL_PRICE_INPUT_USD_PER_MTOK");
        let output: Option<UsdPerMtok> = reader.optional("MODEL_PRICE_OUTPUT_USD_PER_MTOK");
        if input.is_some() != output.is_some() {
            reader.fault(
                "MODEL_PRICE_INPUT_USD_PER_MTOK",
                (
                    "and MODEL_PRICE_OUTPUT_USD_PER_MTOK only make sense together",
                    "と MODEL_PRICE_OUTPUT_USD_PER_MTOK は、両方そろって意味を持ちます",
                ),
                ("set both, or neither", "両方設定するか、両方外してください"),
            );
        }
        let prices = input.zip(output).map(|(input, output)| Prices::flat(input, output));
        Some(Self { provider, base_url: base_url?.0, api_key, name: name?, limits, prices })
    }
}

/// The address of an HTTP API.
struct HttpAddress(String);

impl FromStr for HttpAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = reqwest::Url::parse(text).ok();
        url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .map(|_url| Self(text.to_owned()))
            .ok_or("write an address such as https://api.openai.com/v1")
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chassis::{Common, Source};

    fn read(settings: &'static [(&'static str, &'static str)]) -> Result<Config, String> {
        let source = Source::new(|key| {
            settings.iter().find(|(known, _)| *known == key).map(|(_, value)| (*value).to_owned())
        });
        let mut reader = Reader::new(source);
        Common::read(&mut reader);
        let config = Config::read(&mut reader);
        reader.finish(config).map_err(|faults| faults.to_string())
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let text = read(&[
            ("TZ", "Atlantis/Capital"),
            ("MODEL_CALLS_MAX", "0"),
            ("MODEL_MAX_OUTPUT_TOKENS", "8000"),
            ("MODEL_PRICE_INPUT_USD_PER_MTOK", "1"),
        ])
        .unwrap_err();
        for key in [
            "MODEL_BASE_URL",
            "MODEL_NAME",
            "TZ",
            "MODEL_CALLS_MAX",
            "MODEL_MAX_OUTPUT_TOKENS",
            "MODEL_PRICE_INPUT_USD_PER_MTOK",
        ] {
            assert!(text.contains(key), "{key} is missing in {text}");
        }
    }

    #[test]
    fn two_settings_are_enough() {
        let config =
            read(&[("MODEL_BASE_URL", "http://ollama:11434"), ("MODEL_NAME", "gemma3")]).unwrap();
        assert_eq!(config.caps, Caps { user: 50, guild: 500 });
        assert_eq!(config.calls_max, 64);
        assert_eq!(config.time_zone.iana_name(), Some("Asia/Tokyo"));
        assert!(config.model.prices.is_none() && config.model.api_key.is_none());
    }
}
