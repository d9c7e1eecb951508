//! Bytes of a 200 answer in, events out: the part of a stream that needs no network.

use std::collections::VecDeque;

use crate::error::ErrorKind;
use crate::event::{Event, Usage};
use crate::openai;
use crate::provider::{Caps, Wire};
use crate::sse::{Frame, Parser, TooLong};

/// Why an answer cannot go on, before its circumstances are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// How the bytes are framed, as the answer's content type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events.
    Events,
    /// One JSON document: the server ignored `stream`, or tells of an error with status 200.
    Document,
}

/// Turns the bytes of one answer into its events.
#[derive(Debug)]
pub(crate) struct Decoder {
    framing: Framing,
    caps: Caps,
    received_bytes: usize,
    events: Parser,
    document: Vec<u8>,
    reader: openai::Reader,
}

impl Decoder {
    pub(crate) fn new(wire: &Wire, framing: Framing, caps: Caps) -> Self {
        let reader = match wire {
            Wire::OpenAi(_) => openai::Reader::default(),
        };
        Self {
            framing,
            caps,
            received_bytes: 0,
            events: Parser::new(caps.line_bytes),
            document: Vec::new(),
            reader,
        }
    }

    /// Reads `bytes` and appends what they mean to `out`. A failure may follow good events of
    /// the same bytes, so `out` is to be delivered first.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        out: &mut VecDeque<Event>,
    ) -> Result<(), Failure> {
        self.received_bytes = self.received_bytes.saturating_add(bytes.len());
        if self.received_bytes > self.caps.answer_bytes {
            return Err(too_long("the answer", self.caps.answer_bytes));
        }
        match self.framing {
            Framing::Document => {
                self.document.extend_from_slice(bytes);
                Ok(())
            }
            Framing::Events => {
                while let Some(frame) = self
                    .events
                    .next(&mut bytes)
                    .map_err(|TooLong| too_long("one event", self.caps.line_bytes))?
                {
                    self.read(&frame, out)?;
                }
                Ok(())
            }
        }
    }

    /// The input ended cleanly: the last frame may still be open.
    ///
    /// A frame that cannot be read here was cut off, so it is left to
    /// [`conclude`](Self::conclude) to call the answer truncated.
    pub(crate) fn end_of_input(&mut self, out: &mut VecDeque<Event>) -> Result<(), Failure> {
        match self.framing {
            Framing::Document => self.reader.on_document(&self.document, out),
            Framing::Events => match self.events.finish() {
                Ok(Some(Frame::Event { name, data })) if openai::is_readable(&data) => {
                    self.reader.on_event(&name, &data, out)
                }
                Ok(Some(frame @ Frame::Stray(_))) => self.read(&frame, out),
                Ok(_) | Err(TooLong) => Ok(()),
            },
        }
    }

    fn read(&mut self, frame: &Frame, out: &mut VecDeque<Event>) -> Result<(), Failure> {
        match frame {
            Frame::Event { name, data } => self.reader.on_event(name, data, out),
            Frame::Comment => {
                out.push_back(Event::Ping);
                Ok(())
            }
            Frame::Stray(line) => self.reader.on_stray(line),
        }
    }

    /// The model has said why it stopped; at most usage and the end mark are still to come.
    pub(crate) fn is_whole(&self) -> bool {
        self.reader.is_whole()
    }

    /// Nothing that matters can follow.
    pub(crate) fn is_over(&self) -> bool {
        self.reader.is_over()
    }

    /// The last word: [`Event::Done`], or why there is none.
    pub(crate) fn conclude(&mut self) -> Result<Event, Failure> {
        self.reader.conclude()
    }

    /// What was counted so far.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.reader.usage()
    }

    /// The model as the provider names it.
    pub(crate) fn model(&self) -> Option<&str> {
        self.reader.model()
    }
}

fn too_long(what: &str, cap: usize) -> Failure {
    Failure::new(ErrorKind::Server, format!("{what} is longer than {cap} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stop;
    use crate::provider::OpenAiOptions;
    use proptest::prelude::*;
    use serde_json::json;

    type Read = (Vec<Event>, Result<Event, Failure>);

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, framing: Framing) -> Read {
        let wire = Wire::OpenAi(OpenAiOptions::compatible());
        let mut decoder = Decoder::new(&wire, framing, Caps::default());
        let mut out = VecDeque::new();
        for piece in pieces {
            if let Err(failure) = decoder.feed(piece, &mut out) {
                return (out.into(), Err(failure));
            }
        }
        let end = decoder.end_of_input(&mut out).and_then(|()| decoder.conclude());
        (out.into(), end)
    }

    fn frame() -> impl Strategy<Value = String> {
        let chunk = |delta| format!("data: {}", json!({"choices": [{"index": 0, "delta": delta}]}));
        prop_oneof![
            6 => "[a-z 語🎌é\"\\\\\n]{1,9}".prop_map(move |text| chunk(json!({"content": text}))),
            1 => "[a-zか]{1,9}".prop_map(move |text| chunk(json!({"reasoning_content": text}))),
            1 => Just(": alive".to_owned()),
            1 => Just(format!("data: {}", json!({"choices": [], "usage": {"prompt_tokens": 3}}))),
            1 => Just("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}".to_owned()),
            1 => Just("event: error\ndata: {\"message\":\"x\"}".to_owned()),
            1 => Just("data: {\"error\":\"x\"}".to_owned()),
            1 => Just("data: [DONE]".to_owned()),
            1 => Just("data: {\"cut".to_owned()),
        ]
    }

    #[test]
    fn a_character_cut_in_the_middle_is_put_together_again() {
        let body = "data: {\"choices\":[{\"delta\":{\"content\":\"日本🎌\"}}]}\n\ndata: [DONE]\n\n";
        let (events, end) = read(body.as_bytes().chunks(1), Framing::Events);
        assert_eq!(events, [Event::Text("日本🎌".into())]);
        assert_eq!(end, Ok(Event::Done { stop: Stop::Other("unspecified".into()), usage: None }));
    }

    proptest! {
        #[test]
        fn any_split_of_an_answer_gives_the_same_events(
            frames in prop::collection::vec(frame(), 0..12),
            end in prop_oneof!["\n", "\r\n", "\r"],
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            lost in 0_usize..4,
        ) {
            let text: String =
                frames.iter().map(|frame| frame.replace('\n', &end) + &end + &end).collect();
            let bytes = &text.as_bytes()[..text.len().saturating_sub(lost)];
            let whole = read([bytes], Framing::Events);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(&read(pieces, Framing::Events), &whole);
            prop_assert_eq!(&read(bytes.chunks(1), Framing::Events), &whole);
        }

        #[test]
        fn no_bytes_make_it_panic_or_pass_for_an_answer_without_a_mark(
            bytes in prop::collection::vec(any::<u8>(), 0..400)
        ) {
            for framing in [Framing::Events, Framing::Document] {
                prop_assert!(read([&bytes[..]], framing).1.is_err());
            }
        }
    }
}
