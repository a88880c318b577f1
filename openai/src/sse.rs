//! Server-sent events: how a stream of chunks travels, and how to read one.
//!
//! Events have no names: clients of OpenAI's interface know none.

use std::collections::VecDeque;

use axum::body::Bytes;
use serde::Serialize;

/// What the last event of a whole stream says.
pub const DONE: &str = "[DONE]";

/// An event of one JSON value.
pub fn data(value: &impl Serialize) -> Bytes {
    let mut event = b"data: ".to_vec();
    let written = serde_json::to_writer(&mut event, value);
    debug_assert!(written.is_ok(), "keys that are no strings: {written:?}");
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// The event that says that the stream is whole.
pub fn done() -> Bytes {
    format!("data: {DONE}\n\n").into()
}

/// Bytes that mean nothing and keep a connection open.
pub fn keep_alive() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}

/// What a stream brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The lines of `data` of one event.
    Data(String),
    /// A comment, which says that the other side is alive.
    Comment(String),
}

/// Why a stream is not read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("an event of the stream has more than {limit} bytes")]
    TooLong { limit: usize },
    #[error("the stream is not UTF-8")]
    Encoding,
}

/// Reads a stream that comes in parts of any size.
pub struct Parser {
    limit: usize,
    /// The line that has not ended.
    line: Vec<u8>,
    /// Lines of data of the event that has not ended.
    event: Option<String>,
    /// The last byte was a carriage return, which alone ends a line, and with a line feed ends one line.
    after_return: bool,
    is_first_line: bool,
    ready: VecDeque<Event>,
}

impl Parser {
    /// No line and no event may have more bytes than `limit`.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            event: None,
            after_return: false,
            is_first_line: true,
            ready: VecDeque::new(),
        }
    }

    /// Takes the next bytes. After an error the stream cannot be read on.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ParseError> {
        for byte in bytes {
            match byte {
                b'\n' if self.after_return => {}
                b'\n' | b'\r' => self.end_line()?,
                _ if self.line.len() >= self.limit => return Err(self.too_long()),
                other => self.line.push(*other),
            }
            self.after_return = *byte == b'\r';
        }
        Ok(())
    }

    /// The next event that is whole.
    pub fn next_event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn end_line(&mut self) -> Result<(), ParseError> {
        let line = std::mem::take(&mut self.line);
        let mut line = std::str::from_utf8(&line).map_err(|_| ParseError::Encoding)?;
        if std::mem::take(&mut self.is_first_line) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            self.ready.extend(self.event.take().map(Event::Data));
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.ready.push_back(Event::Comment(value.into())),
            "data" => match &mut self.event {
                None => self.event = Some(value.into()),
                Some(event) if event.len() + value.len() >= self.limit => {
                    return Err(self.too_long());
                }
                Some(event) => {
                    event.push('\n');
                    event.push_str(value);
                }
            },
            // Names, ids and waiting times of events.
            _ => {}
        }
        Ok(())
    }

    fn too_long(&self) -> ParseError {
        ParseError::TooLong { limit: self.limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(parts: &[&[u8]]) -> Result<Vec<Event>, ParseError> {
        let mut parser = Parser::new(64);
        for part in parts {
            parser.push(part)?;
        }
        Ok(std::iter::from_fn(|| parser.next_event()).collect())
    }

    fn data(text: &str) -> Event {
        Event::Data(text.into())
    }

    #[test]
    fn what_is_written_is_read() {
        let value = serde_json::json!({ "text": "two\nlines\r and ü" });
        let written = [super::data(&value), keep_alive(), done()].concat();
        let expected = [
            data(&value.to_string()),
            Event::Comment("keep-alive".into()),
            data(DONE),
        ];
        assert_eq!(parsed(&[&written]).unwrap(), expected);
    }

    #[test]
    fn fields_comments_and_line_ends_are_as_the_standard_has_them() {
        let stream = "\u{feff}: hello\r\nevent: named\rid: 7\nretry: 10\ndata:  two\r\ndata\ndata:x\n\n\n:\ndata: late\n\n";
        let expected = [
            Event::Comment("hello".into()),
            data(" two\n\nx"),
            Event::Comment(String::new()),
            data("late"),
        ];
        assert_eq!(parsed(&[stream.as_bytes()]).unwrap(), expected);
        // An event that has not ended is none.
        assert_eq!(parsed(&[b"data: half\n"]).unwrap(), []);
    }

    #[test]
    fn lines_and_events_are_bounded_and_text() {
        let too_long = Err(ParseError::TooLong { limit: 64 });
        assert!(parsed(&[&[b'x'; 64]]).is_ok());
        assert_eq!(parsed(&[&[b'x'; 65]]), too_long);
        assert_eq!(parsed(&[&b"data: twelve\n".repeat(16)]), too_long);
        assert_eq!(parsed(&[b"data: \xff\n"]), Err(ParseError::Encoding));
    }

    proptest! {
        #[test]
        fn the_parts_make_no_difference(stream in "(data:|:|[a ü\r\n]){0,24}", cuts in prop::collection::vec(0usize..80, 0..6)) {
            let stream = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(parsed(&parts), parsed(&[stream]));
        }
    }
}
