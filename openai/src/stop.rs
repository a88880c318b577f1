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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is shown of a text that comes in these parts, and whether a stop string ended it.
    fn shown(stops: &[&str], parts: &[&str]) -> (String, bool) {
        let strings = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut stops = StopStrings::new(strings);
        let mut all = String::new();
        for part in parts {
            match stops.push(part) {
                Shown::Text(text) => all.push_str(&text),
                Shown::Last(text) => return (all + &text, true),
            }
        }
        (all + &stops.finish(), false)
    }

    #[test]
    fn a_stop_string_is_found_across_parts_and_not_shown() {
        let cases: [(&[&str], &[&str], &str, bool); 8] = [
            (&["END"], &["so E", "N", "D and more"], "so ", true),
            (&["END"], &["so EN", "EN", "E"], "so ENENE", false),
            (&["aab"], &["aa", "ab"], "a", true),
            (&["é!"], &["caf", "é", "?", "é!"], "café?", true),
            // The one that is complete first, whatever begins first.
            (&["abcd", "bc"], &["abcd"], "a", true),
            (&["abcd", "bc"], &["a", "b", "c", "d"], "a", true),
            // Of two that end together, the longer one.
            (&["c", "abc"], &["xab", "c"], "x", true),
            (&[], &["all", " of it"], "all of it", false),
        ];
        for (stops, parts, text, is_stopped) in cases {
            assert_eq!(
                shown(stops, parts),
                (text.to_owned(), is_stopped),
                "{parts:?}"
            );
        }
    }

    #[test]
    fn nothing_is_withheld_that_cannot_be_a_beginning() {
        let mut stops = StopStrings::new(vec!["\n\n".into(), "User:".into()]);
        assert_eq!(stops.push("Hello\n"), Shown::Text("Hello".into()));
        assert_eq!(stops.push("Us"), Shown::Text("\n".into()));
        assert_eq!(stops.push("ual"), Shown::Text("Usual".into()));
        assert_eq!(stops.push("User:"), Shown::Last(String::new()));
    }

    proptest! {
        #[test]
        fn the_parts_make_no_difference(
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
            parts in prop::collection::vec("[abé]{0,5}", 0..8),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let whole = parts.concat();
            // By definition: the text before the first place where it ends with a stop string.
            let ends = whole.char_indices().map(|(at, char)| at + char.len_utf8());
            let mut found = ends.filter_map(|end| {
                let lengths = stops.iter().filter(|stop| whole[..end].ends_with(**stop));
                Some(end - lengths.map(|stop| stop.len()).max()?)
            });
            let expected = match found.next() {
                Some(start) => (whole[..start].to_owned(), true),
                None => (whole.clone(), false),
            };
            prop_assert_eq!(shown(&stops, &parts), expected.clone());
            prop_assert_eq!(shown(&stops, &[&whole]), expected);
        }
    }
}
