//! The shape of a bot's token, so that another thing of the portal's is known before Discord sees it.

use chassis::Words;

/// The parts of a token by their least length: the bot's id, a time, a signature.
const PARTS: [usize; 3] = [16, 5, 20];
/// The length in characters of the application's public key, in hexadecimal digits.
const PUBLIC_KEY_LENGTH: usize = 64;
/// The length in characters of the `OAuth2` client secret.
const CLIENT_SECRET_LENGTH: usize = 32;

/// What is wrong with the shape of `token`, if anything. The words hold nothing of the token.
pub(crate) fn misshapen(token: &str) -> Option<Words> {
    let token = token.strip_prefix("Bot ").unwrap_or(token);
    let parts: Vec<&str> = token.split('.').collect();
    let plain = |text: &str| {
        text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
    };
    let well = parts.len() == PARTS.len()
        && parts.iter().zip(PARTS).all(|(part, least)| part.len() >= least && plain(part));
    if well {
        return None;
    }
    let words = if token
        .contains(|letter: char| letter.is_whitespace() || "\"'`<>".contains(letter))
    {
        (
            "holds spaces, quotes or brackets, which no bot token does",
            "に空白・引用符・括弧が入っています(Bot のトークンには入りません)",
        )
    } else if token.chars().all(|letter| letter.is_ascii_digit()) {
        (
            "is a number, as the application's id is; a bot token has three parts with dots between",
            "が数字だけです(アプリケーション ID のようです)。Bot のトークンは、点で区切られた 3 つの部分です",
        )
    } else if token.len() == PUBLIC_KEY_LENGTH
        && token.chars().all(|letter| letter.is_ascii_hexdigit())
    {
        (
            "looks like the application's public key, not like the bot's token",
            "が公開鍵(Public Key)のようです。Bot のトークンではありません",
        )
    } else if token.len() == CLIENT_SECRET_LENGTH && plain(token) {
        (
            "looks like the OAuth2 client secret, not like the bot's token",
            "が OAuth2 のクライアントシークレットのようです。Bot のトークンではありません",
        )
    } else {
        (
            "is not shaped like a bot token: three parts with dots between, copied whole",
            "が Bot のトークンの形ではありません(点で区切られた 3 つの部分を、全部写してください)",
        )
    };
    Some(words.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.not-a-real-signature-only-its-shape";

    #[test]
    fn a_token_of_the_right_shape_is_taken_with_or_without_its_scheme() {
        assert_eq!(misshapen(WELL), None);
        assert_eq!(misshapen(&format!("Bot {WELL}")), None);
    }

    #[test]
    fn what_people_copy_instead_is_named_and_never_shown() {
        let public_key = "0123456789abcdef".repeat(4);
        let secret = "aB3_-".repeat(6) + "xy";
        for (token, part) in [
            ("1234567890123456789", "id"),
            (public_key.as_str(), "public key"),
            (secret.as_str(), "client secret"),
            (&format!("\"{WELL}\""), "quotes"),
            (&format!("{WELL} {WELL}"), "spaces"),
            (&WELL[..20], "three parts"),
            (&WELL[..40], "three parts"),
            ("<your token>", "brackets"),
            ("あいう.えお.かき", "three parts"),
        ] {
            let words = misshapen(token).unwrap();
            assert!(words.english().contains(part), "{token}: {words}");
            assert!(words.japanese().is_some() && !words.contains(token), "{words}");
        }
    }
}
