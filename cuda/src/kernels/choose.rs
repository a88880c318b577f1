//! Launches of `choose.cu`, and what it is told about each row.

use assay_exact::sampling::{Settings, ONE};

use super::rows::row_threads;
use crate::device::{
    Argument::{U32, U64},
    Launch,
};

/// log2(e) in Q20.
const LOG2_E: u64 = 1_512_775;

/// How a row chooses (format page, §5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    /// Whose logits.
    pub row: u32,
    /// In their ranges.
    pub settings: Settings,
    /// Of the draw.
    pub random: u64,
}

impl Choice {
    /// Words of a choice in device memory.
    pub const WORDS: usize = 8;

    /// As it lies there.
    pub fn words(&self, vocabulary: u32) -> [u32; Self::WORDS] {
        let settings = &self.settings;
        let one = ONE as u64;
        let temperature = u64::from(settings.temperature);
        // The temperature 0 is greedy, for which the kernel looks at nothing else.
        let factor = (LOG2_E * one + temperature / 2).checked_div(temperature);
        let least = (u64::from(settings.min_p) << 30).div_ceil(one);
        let top_k = match settings.top_k {
            0 => vocabulary,
            top_k => top_k.min(vocabulary),
        };
        [
            self.random as u32,
            (self.random >> 32) as u32,
            self.row,
            settings.penalty,
            factor.unwrap_or_default() as u32,
            least as u32,
            top_k,
            settings.top_p,
        ]
    }

    /// Whether tokens that occurred count for less.
    pub fn is_penalised(&self) -> bool {
        i64::from(self.settings.penalty) != ONE
    }
}

/// Words of one choice's marks.
pub fn mark_words(vocabulary: u32) -> usize {
    vocabulary.div_ceil(32) as usize
}

/// A bit for each token of the vocabulary: whether it is among `seen`.
pub fn marks(seen: &[u32], vocabulary: u32) -> Vec<u32> {
    let mut marks = vec![0; mark_words(vocabulary)];
    for token in seen.iter().filter(|token| **token < vocabulary) {
        if let Some(word) = marks.get_mut((token / 32) as usize) {
            *word |= 1 << (token % 32);
        }
    }
    marks
}

/// The tokens that rows of logits choose. What is penalised of their logits stays so.
#[derive(Clone, Copy, Debug)]
pub struct Choose {
    /// How many choices.
    pub choices: u32,
    pub vocabulary: u32,
    pub logits: u64,
    /// [`Choice::words`] of each.
    pub asked: u64,
    /// [`marks`] of each; of those without a penalty they are not read.
    pub seen: u64,
    /// E.
    pub exp2: u64,
    /// One token for each choice.
    pub tokens: u64,
}

impl Choose {
    pub fn launch(&self) -> Launch {
        Launch {
            kernel: "choose",
            grid: [self.choices, 1, 1],
            block: [row_threads(self.vocabulary), 1, 1],
            shared: 0,
            arguments: vec![
                U64(self.logits),
                U32(self.vocabulary),
                U64(self.asked),
                U64(self.seen),
                U64(self.exp2),
                U64(self.tokens),
            ],
        }
    }
}
