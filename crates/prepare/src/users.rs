//! The users of nats-server and their rights, written down as it reads them.

use contracts::access::{Rights, Role};

/// nats-server's certificate, where it is to speak TLS.
pub const CERTIFICATE: &str = "server.pem";
/// The key of that certificate.
pub const KEY: &str = "server.key";

/// A user, the password, and what it may do.
#[derive(Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password, in plain text: the file that holds it is for nats-server's eyes alone.
    pub password: String,
    /// What it may publish and subscribe.
    pub rights: Rights,
}

impl User {
    /// The user of a role.
    pub fn of(role: &Role, password: String) -> Self {
        Self { name: role.user.to_owned(), password, rights: role.rights() }
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The part of nats-server's configuration that holds users and rights.
///
/// Source: docs.nats.io, "Authorization". A list of `allow` denies everything else, `deny` wins.
pub fn configuration(users: &[User]) -> String {
    let mut text = "# Written by `prepare folders` from the passwords beside it and the table of \
                    rights in docs/nats.md; changes are overwritten.\n\
                    authorization {\n  timeout: 2\n  users: [\n"
        .to_owned();
    for user in users {
        push_user(&mut text, user);
    }
    text.push_str("  ]\n}\n");
    text
}

fn push_user(text: &mut String, user: &User) {
    let rights = &user.rights;
    let mut line = |words: &str| {
        text.push_str("    ");
        text.push_str(words);
        text.push('\n');
    };
    line("{");
    line(&format!("  user: {}", quoted(&user.name)));
    line(&format!("  password: {}", quoted(&user.password)));
    line("  permissions: {");
    line(&format!("    publish: {{ {}", list("allow", &rights.publish)));
    if !rights.publish_not.is_empty() {
        line(&format!("      {}", list("deny", &rights.publish_not)));
    }
    line("    }");
    line(&format!("    subscribe: {{ {} }}", list("allow", &rights.subscribe)));
    line("  }");
    line("}");
}

fn list(title: &str, subjects: &[String]) -> String {
    let subjects: Vec<String> = subjects.iter().map(|subject| quoted(subject)).collect();
    format!("{title}: [\n        {}\n      ]", subjects.join("\n        "))
}

/// The part that makes nats-server speak TLS only, with the certificate and key in `folder`.
pub fn encryption(folder: &str) -> String {
    let path = |file: &str| quoted(&format!("{folder}/{file}"));
    // A handshake on a small machine may take a moment.
    format!(
        "tls {{\n  cert_file: {}\n  key_file: {}\n  timeout: 5\n}}\n",
        path(CERTIFICATE),
        path(KEY)
    )
}

/// A string of that language: double quotes, with quotes and backslashes escaped.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Why a password cannot be used, if so.
pub fn unfit(password: &str) -> Option<&'static str> {
    if password.is_empty() {
        Some("is empty")
    } else if password.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        Some("holds spaces, line breaks or control characters")
    } else if password.starts_with("$2") {
        // nats-server takes such a text for a bcrypt hash, which the service could not say.
        Some("begins with $2 and would be taken for a hash")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_do_not_end_a_string() {
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }

    #[test]
    fn a_password_that_nats_would_misread_is_refused() {
        for unfit_one in ["", "a b", "a\nb", "$2a$11$abc"] {
            assert!(unfit(unfit_one).is_some(), "{unfit_one}");
        }
        assert_eq!(unfit("0f1e"), None);
    }

    #[test]
    fn debug_shows_no_password() {
        let user = User::of(&contracts::access::GATEWAY, "geheim".to_owned());
        assert!(!format!("{user:?}").contains("geheim"));
    }
}
