//! Finds the best place to cut: between paragraphs, lines, sentences, words, or graphemes.

use unicode_segmentation::GraphemeCursor;

use crate::render::fences::Fences;

/// How much of a part must be filled before a better border is preferred to a fuller part.
const FILLED: (usize, usize) = (1, 2);
/// The same for borders that are hardly better than none.
const WELL_FILLED: (usize, usize) = (3, 4);

/// The borders of a text after a position.
pub(super) struct Borders<'a> {
    pub(super) text: &'a str,
    pub(super) fences: &'a Fences<'a>,
    pub(super) begin: usize,
}

/// What stands at a border, the better ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Border {
    Paragraph,
    Line,
    Sentence,
    CodeLine,
    Word,
}

impl Borders<'_> {
    /// The best cut at or before `end`, by what stands before it only: what follows may still
    /// be growing.
    pub(super) fn best_before(&self, end: usize) -> usize {
        let window = &self.text[self.begin..end];
        let mut best: Option<(Border, usize)> = None;
        let mut previous = None;
        for (index, c) in window.char_indices() {
            let after = self.begin + index + c.len_utf8();
            if let Some(border) = self.border(previous, c, after)
                && self.is_filled(border, after, end)
                && best.is_none_or(|(kind, _)| border <= kind)
                && self.fences.may_cut(after)
                && self.is_grapheme_border(after)
            {
                best = Some((border, after));
            }
            previous = Some(c);
        }
        best.map_or_else(|| self.hard_cut(end), |(_, position)| position)
    }

    /// What kind of border stands after `c`.
    fn border(&self, previous: Option<char>, c: char, after: usize) -> Option<Border> {
        let in_code = || self.fences.block_begin(after).is_some();
        match c {
            '\n' if in_code() => Some(Border::CodeLine),
            '\n' if previous == Some('\n') => Some(Border::Paragraph),
            '\n' => Some(Border::Line),
            '。' | '！' | '？' | '」' | '』' | '）' if !in_code() => Some(Border::Sentence),
            ' ' if matches!(previous, Some('.' | '!' | '?')) && !in_code() => {
                Some(Border::Sentence)
            }
            ' ' | '\t' | '\u{3000}' | '、' | ',' => Some(Border::Word),
            _ => None,
        }
    }

    fn is_filled(&self, border: Border, position: usize, end: usize) -> bool {
        let (part, whole) = if border == Border::Word { WELL_FILLED } else { FILLED };
        (position - self.begin) * whole >= (end - self.begin) * part
    }

    /// No border will do: cut between graphemes, and where not even that is possible, between
    /// code points.
    fn hard_cut(&self, end: usize) -> usize {
        let halfway = self.begin + (end - self.begin) / 2;
        let candidates = || {
            let window = &self.text[self.begin..end];
            window
                .char_indices()
                .rev()
                .map(|(index, c)| self.begin + index + c.len_utf8())
                .take_while(|position| *position > halfway)
        };
        candidates()
            .find(|at| self.fences.may_cut(*at) && self.is_grapheme_border(*at))
            .or_else(|| {
                candidates()
                    .find(|at| self.is_outside_fence_marks(*at) && self.is_grapheme_border(*at))
            })
            .or_else(|| candidates().find(|at| self.is_outside_fence_marks(*at)))
            .unwrap_or(end)
    }

    /// Whether no three backticks are torn apart here.
    fn is_outside_fence_marks(&self, position: usize) -> bool {
        let bytes = self.text.as_bytes();
        !(position > 0
            && position < bytes.len()
            && bytes[position - 1] == b'`'
            && bytes[position] == b'`')
    }

    fn is_grapheme_border(&self, position: usize) -> bool {
        GraphemeCursor::new(position, self.text.len(), true)
            .is_boundary(self.text, 0)
            .unwrap_or(true)
    }
}
