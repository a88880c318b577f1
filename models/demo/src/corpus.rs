//! The text that the demo model learns, written by a seeded grammar.
//!
//! A dialogue is one or more turns of a user and an assistant. Topics live in their own modules;
//! this one mixes them, varies how a question is put, and keeps the held-out prompts out.

mod animals;
mod assay;
mod calendar;
mod knowledge;
mod stories;
mod sums;
mod talk;

use rand::{rngs::StdRng, Rng, SeedableRng};
use std::{collections::HashSet, sync::LazyLock};

/// Prompts that never occur in the corpus, in any spelling of case and punctuation. The samples in
/// the README use them to show what the model does with a phrasing that it has not read.
pub const HELD_OUT: &[&str] = &[
    "So, what is Assay about?",
    "Would you explain to me what a validator does?",
    "What happens to a provider who lies?",
    "Tell me what a receipt is good for.",
    "Which sound does a cow make?",
    "Where do penguins live?",
    "What is 8 + 9?",
    "What is seventeen minus nine?",
    "Which day comes after Friday?",
    "What is the opposite of heavy?",
    "Hello, my name is Ferdinand. What is my name?",
    "Which is larger, 6 or 15?",
    "What colour do you get when you mix red and yellow?",
    "What should I wear when it snows?",
    "Tell me a short story about a penguin called Otto.",
    "Tell me a story about a bear and a mouse.",
    "Who won the football match in Lisbon yesterday?",
];

/// Prompts that do occur in the corpus, for the same table of samples.
pub const FAMILIAR: &[&str] = &[
    "What is Assay?",
    "What is a provider?",
    "What does a validator do?",
    "How does the chain know that an answer is right?",
    "Who are you?",
    "What does a fox eat?",
    "What is the capital of Italy?",
    "Tell me a story about a fox.",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub user: String,
    pub assistant: String,
}

pub type Dialogue = Vec<Turn>;

/// An endless stream of dialogues; the same seed gives the same stream.
pub struct Corpus {
    rng: StdRng,
}

impl Corpus {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
        }
    }

    fn turn(&mut self) -> Turn {
        loop {
            let rng = &mut self.rng;
            let turn = match rng.random_range(0..100) {
                0..20 => assay::turn(rng),
                20..31 => animals::turn(rng),
                31..47 => knowledge::turn(rng),
                47..69 => sums::turn(rng),
                69..84 => talk::turn(rng),
                _ => stories::turn(rng),
            };
            if !is_held_out(&turn.user) {
                return turn;
            }
        }
    }
}

impl Iterator for Corpus {
    type Item = Dialogue;

    fn next(&mut self) -> Option<Dialogue> {
        let turns = match self.rng.random_range(0..100) {
            0..88 => 1,
            88..96 => 2,
            _ => 3,
        };
        Some((0..turns).map(|_| self.turn()).collect())
    }
}

/// The text without case, punctuation and surrounding space.
fn bare(text: &str) -> String {
    let kept: String = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '+' | '-'))
        .flat_map(char::to_lowercase)
        .collect();
    kept.trim().to_string()
}

fn is_held_out(prompt: &str) -> bool {
    static BARE: LazyLock<HashSet<String>> =
        LazyLock::new(|| HELD_OUT.iter().map(|prompt| bare(prompt)).collect());
    BARE.contains(&bare(prompt))
}

fn pick<T: Copy>(rng: &mut StdRng, items: &[T]) -> T {
    items[rng.random_range(0..items.len())]
}

/// Two different entries of a table, as indices.
fn pick_two(rng: &mut StdRng, len: usize) -> (usize, usize) {
    let first = rng.random_range(0..len);
    let second = (first + rng.random_range(1..len)) % len;
    (first, second)
}

fn chance(rng: &mut StdRng, percent: u32) -> bool {
    rng.random_range(0..100) < percent
}

/// Replaces each `{key}` of a template.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(template.to_string(), |text, (key, value)| {
            text.replace(&format!("{{{key}}}"), value)
        })
}

/// The noun with its indefinite article.
fn a(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {noun}")
}

fn capitalise(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_lowercase().chain(chars).collect())
        .unwrap_or_default()
}

/// Puts a question as different people would: with a greeting, without a question mark, in small
/// letters.
fn voice(rng: &mut StdRng, question: &str) -> String {
    const BEFORE: &[&str] = &[
        "Hello! ",
        "Hi! ",
        "Hi, ",
        "Hey, ",
        "Please tell me: ",
        "Tell me, ",
        "Quick question: ",
        "I have a question. ",
        "One more thing: ",
        "So, ",
        "Well, ",
        "Now tell me: ",
        "Excuse me, ",
        "Good morning! ",
    ];
    const AFTER: &[&str] = &[
        " Thanks.",
        " Thank you.",
        " Please be brief.",
        " Please.",
        " I would like to know.",
        " I am curious.",
    ];
    let mut text = question.to_string();
    if chance(rng, 12) {
        text = text
            .trim_end_matches(['?', '.', '!'])
            .trim_end()
            .to_string();
    } else if chance(rng, 8) {
        text.push_str(pick(rng, AFTER));
    }
    if chance(rng, 22) {
        let before = pick(rng, BEFORE);
        let small = before.ends_with(", ") && !text.starts_with("I ");
        text = format!("{before}{}", if small { lower_first(&text) } else { text });
    }
    if chance(rng, 9) {
        text = text.to_lowercase();
    }
    text
}

/// A turn whose question is asked in one of many voices.
fn ask(rng: &mut StdRng, question: &str, answer: impl Into<String>) -> Turn {
    Turn {
        user: voice(rng, question),
        assistant: answer.into(),
    }
}

/// Ways to ask what a thing is; `{x}` stands for the thing with its article.
const WHAT_IS: &[&str] = &[
    "What is {x}?",
    "What is {x}?",
    "What is {x}?",
    "What's {x}?",
    "What exactly is {x}?",
    "Can you tell me what {x} is?",
    "Could you explain what {x} is?",
    "Can you explain {x}?",
    "Could you explain {x} to me?",
    "Explain what {x} is.",
    "Do you know what {x} is?",
    "Tell me what {x} is.",
    "Define {x}.",
    "Explain {x}.",
    "Explain {x} to me.",
    "Tell me about {x}.",
    "Tell me something about {x}.",
    "Describe {x}.",
    "I want to know what {x} is.",
    "What do you know about {x}?",
    "What can you tell me about {x}?",
    "I do not know what {x} is.",
    "What is meant by {x}?",
    "What is {x} in simple words?",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_writes_the_same_text() {
        let first: Vec<_> = Corpus::new(7).take(500).collect();
        let second: Vec<_> = Corpus::new(7).take(500).collect();
        assert_eq!(first, second);
        assert_ne!(first, Corpus::new(8).take(500).collect::<Vec<_>>());
    }

    #[test]
    fn no_template_is_left_unfilled() {
        for turn in Corpus::new(1).take(20_000).flatten() {
            for text in [&turn.user, &turn.assistant] {
                assert!(!text.contains(['{', '}']), "unfilled: {text}");
                assert!(
                    !text.contains("  ") && !text.is_empty() && text.trim() == text,
                    "badly spaced: {text:?}"
                );
            }
        }
    }

    #[test]
    fn held_out_prompts_do_not_occur_and_familiar_ones_do() {
        let prompts: Vec<String> = Corpus::new(1)
            .take(120_000)
            .flatten()
            .map(|turn| turn.user)
            .collect();
        assert!(!prompts.iter().any(|prompt| is_held_out(prompt)));
        for familiar in FAMILIAR {
            assert!(
                prompts.iter().any(|prompt| prompt == familiar),
                "does not occur: {familiar}"
            );
        }
    }
}
