//! The sheet as a page: one file without scripts, for screens and for paper, in both languages.

use jiff::Timestamp;

const TEMPLATE: &str = include_str!("page.html");

/// What stands on it.
pub(super) struct Content<'a> {
    /// When it was made.
    pub(super) made: Timestamp,
    /// What confirms it.
    pub(super) code: &'a str,
    /// The password of the snapshots.
    pub(super) password: &'a str,
    /// The secret half of the key; none where it stands on an earlier sheet alone.
    pub(super) identity: Option<&'a str>,
    /// The public half.
    pub(super) recipient: &'a str,
}

/// The whole page.
pub(super) fn write(content: &Content<'_>) -> String {
    let identity = content.identity.map_or_else(
        || {
            "<p class=\"careful\">前の復旧シートに書いてあります。そのシートも捨てないでください。 \
             <span lang=\"en\">It stands on the earlier sheet: keep that one too.</span></p>"
                .to_owned()
        },
        |identity| format!("<code class=\"secret\">{}</code>", escape(identity)),
    );
    let made = content.made.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let parts = [
        ("made", made),
        ("code", escape(content.code)),
        ("password", escape(content.password)),
        ("identity", identity),
        ("recipient", escape(content.recipient)),
    ];
    // In one go over the template, so that no value is taken for a place of another.
    let mut page = String::with_capacity(TEMPLATE.len() + 512);
    let mut rest = TEMPLATE;
    while let Some((before, behind)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = behind.split_once("}}").unwrap_or((behind, ""));
        let part = parts.iter().find(|(its, _)| *its == name);
        page.push_str(part.map_or("", |(_, text)| text.as_str()));
        rest = after;
    }
    page.push_str(rest);
    page
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
