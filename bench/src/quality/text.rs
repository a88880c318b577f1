//! The text that the engines read: dialogues of the demo model's grammar that its training did not.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use anyhow::{Context, Result};
use assay_demo_model::{
    corpus::Corpus,
    tokenizer::{render, Vocabulary},
};

/// The seed of the text that the demo model was trained on.
const TRAINING_SEED: u64 = 1;
/// More dialogues than the training read: 4.5 million tokens of about 40 each.
const TRAINING_DIALOGUES: usize = 150_000;
/// Tokens of the longest dialogue that was trained.
const TRAINED_POSITIONS: usize = 192;

/// What a token is to those who predict it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Nobody predicts the first token, and after a beginning that came up before, the engines would
    /// only give the same answer again.
    Passed,
    /// Said by the user: not trained, and much harder.
    Prompt,
    /// Said by the model.
    Answer,
}

/// Tokens that are read at the positions 0, 1, …
#[derive(Clone, Debug)]
pub struct Row {
    pub tokens: Vec<u32>,
    /// For each token.
    pub parts: Vec<Part>,
}

/// An endless stream of dialogues that are new to the demo model.
pub struct Unread<'a> {
    vocabulary: &'a Vocabulary,
    corpus: Corpus,
    /// What was trained, and what this stream gave already.
    read: HashSet<String>,
}

impl<'a> Unread<'a> {
    pub fn new(vocabulary: &'a Vocabulary, seed: u64) -> Self {
        let trained = Corpus::new(TRAINING_SEED).take(TRAINING_DIALOGUES);
        Self {
            vocabulary,
            corpus: Corpus::new(seed),
            read: trained.map(|dialogue| render(&dialogue)).collect(),
        }
    }

    /// The next dialogue, no longer than those that were trained.
    fn dialogue(&mut self) -> Result<Vec<u32>> {
        loop {
            let read = &self.read;
            let text = self
                .corpus
                .by_ref()
                .map(|dialogue| render(&dialogue))
                .find(|text| !read.contains(text))
                .context("the corpus has ended")?;
            let tokens = self.vocabulary.encode(&text)?;
            self.read.insert(text);
            if tokens.len() <= TRAINED_POSITIONS {
                return Ok(tokens);
            }
        }
    }

    /// Dialogues, each a row, until `positions` of their tokens are predicted.
    pub fn dialogues(&mut self, positions: usize) -> Result<Vec<Row>> {
        self.rows(positions, Self::dialogue)
    }

    /// Rows of `length` tokens, filled with one dialogue after the other and cut at the end.
    pub fn long(&mut self, length: usize, positions: usize) -> Result<Vec<Row>> {
        self.rows(positions, |unread| {
            let mut tokens = Vec::new();
            while tokens.len() < length {
                tokens.extend(unread.dialogue()?);
            }
            tokens.truncate(length);
            Ok(tokens)
        })
    }

    fn rows(
        &mut self,
        positions: usize,
        next: impl Fn(&mut Self) -> Result<Vec<u32>>,
    ) -> Result<Vec<Row>> {
        let mut beginnings = HashSet::new();
        let mut rows = Vec::new();
        let mut predicted = 0;
        while predicted < positions {
            let tokens = next(self)?;
            let mut beginning = DefaultHasher::new();
            let parts: Vec<_> = tokens
                .iter()
                .zip(self.vocabulary.answers(&tokens))
                .enumerate()
                .map(|(index, (token, answer))| {
                    let new = index > 0 && beginnings.insert(beginning.finish());
                    token.hash(&mut beginning);
                    match answer {
                        _ if !new => Part::Passed,
                        true => Part::Answer,
                        false => Part::Prompt,
                    }
                })
                .collect();
            predicted += parts.iter().filter(|part| **part != Part::Passed).count();
            rows.push(Row { tokens, parts });
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_demo_model::tokenizer;

    fn vocabulary() -> Vocabulary {
        Vocabulary::new(tokenizer::train(3, 1_000, 700).unwrap()).unwrap()
    }

    #[test]
    fn no_dialogue_was_trained_and_none_comes_twice() {
        let vocabulary = vocabulary();
        let mut unread = Unread::new(&vocabulary, 2);
        let rows = unread.dialogues(4_000).unwrap();
        let trained: HashSet<Vec<u32>> = Corpus::new(TRAINING_SEED)
            .take(20_000)
            .map(|dialogue| vocabulary.encode(&render(&dialogue)).unwrap())
            .collect();
        let mut seen = HashSet::new();
        for row in &rows {
            assert!(!trained.contains(&row.tokens));
            assert!(seen.insert(row.tokens.clone()));
        }
        // Without the filter, a stream of the training's own seed would begin with what was trained.
        let mut again = Unread::new(&vocabulary, TRAINING_SEED);
        assert!(!trained.contains(&again.dialogue().unwrap()));
    }

    #[test]
    fn a_beginning_is_predicted_once() {
        let vocabulary = vocabulary();
        let rows = Unread::new(&vocabulary, 2).dialogues(4_000).unwrap();
        let mut beginnings = HashSet::new();
        let mut predicted = 0;
        for row in &rows {
            assert_eq!(row.parts.len(), row.tokens.len());
            for (index, part) in row.parts.iter().enumerate() {
                let new = index > 0 && beginnings.insert(&row.tokens[..index]);
                assert_eq!(new, *part != Part::Passed);
                predicted += usize::from(new);
            }
        }
        assert!((4_000..4_000 + TRAINED_POSITIONS).contains(&predicted));
    }

    #[test]
    fn long_rows_are_full() {
        let vocabulary = vocabulary();
        let rows = Unread::new(&vocabulary, 2).long(300, 1_000).unwrap();
        assert!(rows.len() >= 4 && rows.iter().all(|row| row.tokens.len() == 300));
    }
}
