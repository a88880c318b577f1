//! Strings that end an answer.

/// Passes text on up to the first stop string, which is the one that is complete first, and of those that end at the
/// same place the longest. How the text comes in parts makes no difference.
pub struct StopStrings {
    strings: Vec<String>,
    /// Text that may be the beginning of a stop string.
    held: String,
}

/// Text that may be shown.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    Text(String),
    /// The text before a stop string, which ends the answer.
    Last(String),
}

impl StopStrings {
    /// None of the strings is empty.
    pub fn new(strings: Vec<String>) -> Self {
        Self {
            strings,
            held: String::new(),
        }
    }

    pub fn push(&mut self, text: &str) -> Shown {
        self.held.push_str(text);
        if let Some(start) = self.find() {
            self.held.truncate(start);
            return Shown::Last(std::mem::take(&mut self.held));
        }
        let beginning = self.held.split_off(self.held.len() - self.beginning());
        Shown::Text(std::mem::replace(&mut self.held, beginning))
    }

    /// What was held back. No text follows.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Where the first stop string begins.
    fn find(&self) -> Option<usize> {
        let found = self.strings.iter().filter_map(|stop| {
            let start = self.held.find(stop.as_str())?;
            Some((start + stop.len(), start))
        });
        found.min().map(|(_, start)| start)
    }

    /// Length of the longest end of the held text that is the beginning of a stop string.
    fn beginning(&self) -> usize {
        let of = |stop: &String| {
            let mut lengths = (1..stop.len()).rev();
            lengths.find(|length| {
                stop.is_char_boundary(*length) && self.held.ends_with(&stop[..*length])
            })
        };
        self.strings.iter().filter_map(of).max().unwrap_or(0)
    }
}
