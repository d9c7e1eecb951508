//! Server-sent events, read from any split of bytes and never beyond a bound.
//!
//! Written here because the maintained crate for it (`sse-stream` 0.3) buffers a line and an
//! event without end, hides comments (which are signs of life), and drops an unfinished last
//! event at the end of input, so that `data: [DONE]` without its blank line would be lost.
//!
//! Follows the HTML standard, §9.2.6: CR, LF or CRLF end a line; a byte order mark at the start
//! is skipped; bytes that are no UTF-8 become U+FFFD; `id` and `retry` mean nothing here.

/// What a stream of server-sent events is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// One event; `data` lines are joined by LF.
    Event {
        /// The `event:` field, empty when there was none.
        name: String,
        /// The `data:` fields.
        data: String,
    },
    /// A comment: the server is alive.
    Comment,
    /// A line that is no field but looks like JSON, which some servers send to tell of an error.
    Stray(String),
}

/// A line or an event grew past the cap.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Turns bytes into frames.
#[derive(Debug)]
pub(crate) struct Parser {
    cap_bytes: usize,
    line: Vec<u8>,
    name: String,
    data: Option<String>,
    at_start: bool,
    after_cr: bool,
}

impl Parser {
    pub(crate) fn new(cap_bytes: usize) -> Self {
        Self {
            cap_bytes,
            line: Vec::new(),
            name: String::new(),
            data: None,
            at_start: true,
            after_cr: false,
        }
    }

    /// The next frame in `input`, which is moved forward; `None` when it is used up.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, TooLong> {
        while !input.is_empty() {
            if std::mem::take(&mut self.after_cr) && input[0] == b'\n' {
                *input = &input[1..];
                continue;
            }
            let Some(end) = input.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.keep(input)?;
                *input = &[];
                break;
            };
            self.keep(&input[..end])?;
            self.after_cr = input[end] == b'\r';
            *input = &input[end + 1..];
            if let Some(frame) = self.end_line()? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// What was still open when the input ended.
    pub(crate) fn finish(&mut self) -> Result<Option<Frame>, TooLong> {
        if !self.line.is_empty()
            && let Some(frame) = self.end_line()?
            && frame != Frame::Comment
        {
            return Ok(Some(frame));
        }
        Ok(self.end_event())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + bytes.len() > self.cap_bytes {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Frame>, TooLong> {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let line = if std::mem::take(&mut self.at_start) {
            line.strip_prefix('\u{feff}').unwrap_or(&line)
        } else {
            &line
        };
        let frame = if line.is_empty() {
            self.end_event()
        } else if line.starts_with(':') {
            Some(Frame::Comment)
        } else if line.starts_with('{') {
            Some(Frame::Stray(line.to_owned()))
        } else {
            self.field(line)?;
            None
        };
        // The buffer is kept for the next line instead of growing a new one each time.
        self.line = bytes;
        self.line.clear();
        Ok(frame)
    }

    fn field(&mut self, line: &str) -> Result<(), TooLong> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                Some(data) if data.len() + 1 + value.len() > self.cap_bytes => return Err(TooLong),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            _ => {}
        }
        Ok(())
    }

    /// Without data there is no event, as the standard wants it.
    fn end_event(&mut self) -> Option<Frame> {
        let name = std::mem::take(&mut self.name);
        self.data.take().map(|data| Frame::Event { name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAP: usize = 4096;

    fn frames(pieces: &[&[u8]]) -> Vec<Frame> {
        let mut parser = Parser::new(CAP);
        let mut frames = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(frame) = parser.next(&mut input).unwrap() {
                frames.push(frame);
            }
        }
        frames.extend(parser.finish().unwrap());
        frames
    }

    fn event(name: &str, data: &str) -> Frame {
        Frame::Event { name: name.into(), data: data.into() }
    }

    #[test]
    fn fields_comments_and_every_line_end_are_understood() {
        let text = "\u{feff}: hi\r\n\r\nevent: a\rdata:1\rdata: 2\r\rid: 7\nretry: 1\ndata\n\n\
                    event: nothing\n\n{\"error\":1}\ndata:  two spaces\r\n\r\n";
        assert_eq!(
            frames(&[text.as_bytes()]),
            [
                Frame::Comment,
                event("a", "1\n2"),
                event("", ""),
                Frame::Stray("{\"error\":1}".into()),
                event("", " two spaces"),
            ]
        );
    }

    #[test]
    fn an_event_without_its_blank_line_is_given_at_the_end() {
        assert_eq!(frames(&[b"data: [DONE]"]), [event("", "[DONE]")]);
        assert_eq!(frames(&[b"data: [DONE]\r\n"]), [event("", "[DONE]")]);
        assert_eq!(frames(&[b"data: a\n: bye"]), [event("", "a")]);
    }

    #[test]
    fn bytes_that_are_no_text_do_not_stop_the_stream() {
        assert_eq!(frames(&[b"data: a\xffb\n\n"]), [event("", "a\u{fffd}b")]);
    }

    #[test]
    fn a_line_or_an_event_without_end_is_refused_at_the_cap() {
        let mut parser = Parser::new(16);
        assert_eq!(parser.next(&mut &[b'x'; 16][..]), Ok(None));
        assert_eq!(parser.next(&mut &b"y"[..]), Err(TooLong));

        let mut parser = Parser::new(16);
        let mut input = &b"data: 12345678\ndata: 12345678\n"[..];
        assert_eq!(parser.next(&mut input), Err(TooLong));
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_frames(
            lines in prop::collection::vec(
                prop_oneof![
                    "data: ?[a-zé語🎌 :]{0,12}", "event: [a-z]{0,5}", ": ?[a-z]{0,5}", Just(String::new()),
                    "\\{[a-z\":]{0,9}", "\\PC{0,20}",
                ], 0..12),
            ends in prop::collection::vec(prop_oneof!["\n", "\r\n", "\r"], 12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut text = String::new();
            for (line, end) in lines.iter().zip(&ends) {
                text.push_str(line);
                text.push_str(end);
            }
            let bytes = text.as_bytes();
            let whole = frames(&[bytes]);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(&frames(&pieces), &whole);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&frames(&single), &whole);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cap in 1_usize..200) {
            let mut parser = Parser::new(cap);
            let mut input = &bytes[..];
            while let Ok(Some(_)) = parser.next(&mut input) {}
        }
    }
}
