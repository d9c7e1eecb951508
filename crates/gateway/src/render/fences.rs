//! Finds the code blocks of a text, as Discord reads them.

const FENCE: &str = "```";
/// The longest language that is repeated when a block is reopened.
const LANGUAGE_CHARACTERS_MAX: usize = 32;

/// A code block's opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fence<'a> {
    /// The language named after it; empty where there is none.
    language: &'a str,
}

impl Fence<'_> {
    /// What opens the block again at the beginning of a part.
    pub(super) fn opening(&self) -> String {
        format!("{FENCE}{}\n", self.language)
    }

    /// How long that is, in code points.
    pub(super) fn opening_characters(&self) -> usize {
        // Languages are ASCII.
        FENCE.len() + self.language.len() + 1
    }
}

/// A code block: from its opening fence to the end of its closing one.
#[derive(Debug, Clone, Copy)]
struct Block<'a> {
    fence: Fence<'a>,
    /// Where the opening fence begins.
    begin: usize,
    /// Where the code begins, after the fence and its language.
    inside: usize,
    /// Where the closing fence begins; the text's end where there is none.
    closing: usize,
    /// Where the closing fence ends.
    end: usize,
}

/// The code blocks of a text, in order.
#[derive(Debug)]
pub(super) struct Fences<'a> {
    text: &'a str,
    blocks: Vec<Block<'a>>,
}

impl<'a> Fences<'a> {
    /// Finds them. Discord opens a block at any three backticks and closes it at the next three,
    /// wherever they stand; a language counts only where a line end follows it.
    pub(super) fn of(text: &'a str) -> Self {
        let mut blocks = Vec::new();
        let mut from = 0;
        while let Some(found) = text[from..].find(FENCE) {
            let begin = from + found;
            let (fence, inside) = opening(text, begin + FENCE.len());
            let closing = text[inside..].find(FENCE).map_or(text.len(), |at| inside + at);
            let end = (closing + FENCE.len()).min(text.len());
            blocks.push(Block { fence, begin, inside, closing, end });
            from = end;
        }
        Self { text, blocks }
    }

    /// The block that stands open at a position: code follows there, or its end is missing.
    pub(super) fn open_at(&self, position: usize) -> Option<Fence<'a>> {
        let block = self.block_at(position)?;
        let unclosed = block.closing == self.text.len();
        let inside = position >= block.inside && (position < block.end || unclosed);
        // A closing fence that ends with the text leaves nothing open.
        inside.then_some(block.fence)
    }

    /// Where the block that holds this position begins; none = it stands outside of blocks.
    pub(super) fn block_begin(&self, position: usize) -> Option<usize> {
        self.block_at(position).map(|block| block.begin)
    }

    /// Whether a text may be cut here: not inside a fence, and not so that nothing but white
    /// space would be left in the block on one side.
    pub(super) fn may_cut(&self, position: usize) -> bool {
        let Some(block) = self.block_at(position) else { return true };
        let before = self.text.get(block.inside..position).map(str::trim);
        let after = self.text.get(position..block.closing).map(str::trim);
        before.is_some_and(|code| !code.is_empty()) && after.is_some_and(|code| !code.is_empty())
    }

    /// The block around a position: after its first backtick, and before the end of its last.
    fn block_at(&self, position: usize) -> Option<&Block<'a>> {
        let index = self.blocks.partition_point(|block| block.begin < position).checked_sub(1)?;
        let block = &self.blocks[index];
        let unclosed = block.closing == self.text.len();
        (position < block.end || unclosed).then_some(block)
    }
}

/// Reads the language after an opening fence, and where the code begins.
fn opening(text: &str, after: usize) -> (Fence<'_>, usize) {
    let rest = &text[after..];
    let is_language = |c: char| c.is_ascii_alphanumeric() || "_+-.#".contains(c);
    let length = rest.find(|c| !is_language(c)).unwrap_or(rest.len());
    let language = &rest[..length];
    if rest[length..].starts_with('\n') && length <= LANGUAGE_CHARACTERS_MAX {
        (Fence { language }, after + length + 1)
    } else {
        (Fence { language: "" }, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_open_from_its_code_to_its_closing_fence() {
        let text = "a\n```rust\ncode\n```\nb";
        let fences = Fences::of(text);
        let at = |needle: &str| text.find(needle).unwrap();
        assert_eq!(fences.open_at(0), None);
        assert_eq!(fences.open_at(at("```")), None);
        assert_eq!(fences.open_at(at("code")), Some(Fence { language: "rust" }));
        assert_eq!(fences.open_at(at("\nb")), None);
        assert_eq!(fences.open_at(text.len()), None);
        assert!(!fences.may_cut(at("rust")) && fences.may_cut(at("ode")));
        assert!(fences.may_cut(at("```")) && !fences.may_cut(at("code")));
    }

    #[test]
    fn an_unclosed_block_stays_open_to_the_end() {
        let text = "```\ncode";
        assert_eq!(Fences::of(text).open_at(text.len()), Some(Fence { language: "" }));
        assert_eq!(Fences::of("```a``` b").open_at(8), None);
    }

    #[test]
    fn a_language_counts_only_before_a_line_end() {
        let inline = Fences::of("```rust is``` nice");
        assert_eq!(inline.open_at(5), Some(Fence { language: "" }));
    }
}
