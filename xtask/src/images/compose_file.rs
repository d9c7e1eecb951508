//! A Compose file as the tree its indentation makes: enough to take parts out and lay others over.
//!
//! It knows the shape of our own files (two spaces a level, one key a line, inline values whole),
//! keeps their comments, and is held to Compose's own reading by `cargo xtask containers`.

/// A whole file.
#[derive(Clone, Debug)]
pub(crate) struct ComposeFile {
    top: Vec<Node>,
}

/// One line with what is indented below it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Comments and empty lines above it.
    above: Vec<String>,
    /// `key: value`, `key:` or `- item`, without the indentation.
    line: String,
    pub(crate) below: Vec<Node>,
}

impl Node {
    /// What stands before the colon; none for an item of a list.
    pub(crate) fn key(&self) -> Option<&str> {
        let key = self.line.split(':').next().filter(|_| !self.line.starts_with("- "));
        key.map(str::trim)
    }

    /// What stands after the colon.
    pub(crate) fn value(&self) -> &str {
        self.line.split_once(':').map_or("", |(_, value)| value.trim())
    }

    /// The child of that key.
    pub(crate) fn child(&self, key: &str) -> Option<&Self> {
        self.below.iter().find(|node| node.key() == Some(key))
    }

    /// The words of an inline list such as `[home, dev]`.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.value().trim_matches(['[', ']']).split(',').map(|word| word.trim().trim_matches('"'))
    }

    /// Lays another node over this one: keys replace keys, deeper where both go deeper.
    fn overlay(&mut self, over: &Self) {
        for part in &over.below {
            let same = self.below.iter_mut().find(|node| node.key() == part.key());
            match same {
                Some(node) if !node.below.is_empty() && !part.below.is_empty() => {
                    node.overlay(part);
                }
                Some(node) => *node = part.clone(),
                None => self.below.push(part.clone()),
            }
        }
    }

    fn write(&self, depth: usize, text: &mut String) {
        let indentation = "  ".repeat(depth);
        for line in &self.above {
            if !line.is_empty() {
                text.push_str(&indentation);
                text.push_str(line);
            }
            text.push('\n');
        }
        text.push_str(&indentation);
        text.push_str(&self.line);
        text.push('\n');
        for node in &self.below {
            node.write(depth + 1, text);
        }
    }
}

impl ComposeFile {
    /// Reads the lines; comments go with the line below them.
    pub(crate) fn parse(text: &str) -> Self {
        let mut open: Vec<(usize, Node)> = Vec::new();
        let mut top = Vec::new();
        let mut above = Vec::new();
        for line in text.lines() {
            let words = line.trim();
            if words.is_empty() || words.starts_with('#') {
                above.push(words.to_owned());
                continue;
            }
            let depth = line.len() - line.trim_start().len();
            close(&mut open, &mut top, depth);
            let node = Node {
                above: std::mem::take(&mut above),
                line: words.to_owned(),
                below: Vec::new(),
            };
            open.push((depth, node));
        }
        close(&mut open, &mut top, 0);
        Self { top }
    }

    /// The entries of a top-level key, such as all services.
    pub(crate) fn entries(&self, key: &str) -> &[Node] {
        let found = self.top.iter().find(|node| node.key() == Some(key));
        found.map(|node| node.below.as_slice()).unwrap_or_default()
    }

    /// Keeps the services of one profile, which need no profile then, and their networks.
    pub(crate) fn keep_profile(&mut self, profile: &str) {
        let mut networks: Vec<String> = Vec::new();
        for part in &mut self.top {
            if part.key() == Some("services") {
                part.below.retain(|service| {
                    service
                        .child("profiles")
                        .is_some_and(|list| list.words().any(|word| word == profile))
                });
                for service in &mut part.below {
                    service.below.retain(|node| node.key() != Some("profiles"));
                    let used = service.child("networks").into_iter().flat_map(Node::words);
                    networks.extend(used.map(str::to_owned));
                }
            }
        }
        for part in self.top.iter_mut().filter(|part| part.key() == Some("networks")) {
            part.below.retain(|node| networks.iter().any(|name| node.key() == Some(name)));
        }
    }

    /// Lays another file over this one, as Compose does with a second `-f`.
    pub(crate) fn overlay(&mut self, over: &Self) {
        for part in &over.top {
            match self.top.iter_mut().find(|node| node.key() == part.key()) {
                Some(node) => node.overlay(part),
                None => self.top.push(part.clone()),
            }
        }
    }

    /// The text, below another beginning than the file had.
    pub(crate) fn text(&self, beginning: &str) -> String {
        let mut text = beginning.to_owned();
        for (number, node) in self.top.iter().enumerate() {
            let mut node = node.clone();
            if number == 0 {
                node.above = vec![String::new()];
            }
            node.write(0, &mut text);
        }
        text
    }
}

/// Hands every open node that is not above `depth` to the one it stands in.
fn close(open: &mut Vec<(usize, Node)>, top: &mut Vec<Node>, depth: usize) {
    while open.last().is_some_and(|(its, _)| *its >= depth) {
        let Some((_, node)) = open.pop() else { return };
        match open.last_mut() {
            Some((_, parent)) => parent.below.push(node),
            None => top.push(node),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ComposeFile;

    const BASE: &str = "# Head.\n\nname: a\n\nservices:\n  # One.\n  one:\n    <<: *service\n    profiles: [home, dev]\n    environment:\n      KEY: value\n      OTHER:\n    networks: [bus]\n\n  # --- demo\n\n  two:\n    profiles: [demo]\n    networks: [page]\n\nnetworks:\n  bus: {internal: true}\n  page: {}\n";

    #[test]
    fn a_file_comes_back_as_it_was() {
        assert_eq!(ComposeFile::parse(BASE).text("# Head.\n"), BASE);
    }

    #[test]
    fn only_one_profile_is_kept_with_its_networks() {
        let mut file = ComposeFile::parse(BASE);
        file.keep_profile("home");
        let text = file.text("# Flat.\n");
        assert_eq!(
            text,
            "# Flat.\n\nname: a\n\nservices:\n  # One.\n  one:\n    <<: *service\n    environment:\n      KEY: value\n      OTHER:\n    networks: [bus]\n\nnetworks:\n  bus: {internal: true}\n"
        );
    }

    #[test]
    fn an_override_replaces_adds_and_goes_deeper() {
        let mut file = ComposeFile::parse(BASE);
        file.overlay(&ComposeFile::parse(
            "services:\n  one:\n    environment:\n      KEY: new\n      MORE: x\n    cpu_shares: 2\n    networks: [page]\n",
        ));
        let one = file.entries("services").first().unwrap();
        let environment = one.child("environment").unwrap();
        assert_eq!(environment.child("KEY").unwrap().value(), "new");
        assert_eq!(environment.child("MORE").unwrap().value(), "x");
        assert_eq!(environment.child("OTHER").unwrap().value(), "");
        assert_eq!(one.child("cpu_shares").unwrap().value(), "2");
        assert_eq!(one.child("networks").unwrap().words().collect::<Vec<_>>(), ["page"]);
    }
}
