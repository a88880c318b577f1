//! Choices of a token that are drawn, and what they come to.

use assay_exact::{
    engine::Choice,
    folder::root::blake2_256,
    random::Numbers,
    sampling::{choose, draw_message, random, Settings},
};

/// Settings of any kind, and a seed.
pub(super) struct Drawn {
    settings: Settings,
    seed: [u8; 32],
}

impl Drawn {
    /// For a vocabulary of so many tokens. Each aid is used by some and not by others.
    pub fn new(numbers: &mut Numbers, vocabulary: u32) -> Self {
        let mut one_of = |values: &[u32], end: u32| {
            let any = numbers.below(end as usize) as u32;
            let index = numbers.below(values.len() + 1);
            values.get(index).copied().unwrap_or(any)
        };
        let settings = Settings {
            temperature: match one_of(&[0, 1_000_000, 10_000_000], 2_000_000) {
                0 => 0,
                // Less is out of range.
                temperature => temperature.max(1_000),
            },
            top_k: one_of(&[0, 1, 40], vocabulary + 2),
            top_p: one_of(&[1_000_000, 950_000], 1_000_000).max(1),
            min_p: one_of(&[0, 10_000], 1_000_001),
            penalty: one_of(&[1_000_000, 1_100_000], 4_000_001).max(500_000),
        };
        Self {
            settings,
            seed: [numbers.draw() as u8; 32],
        }
    }

    /// As the engine is told it for a sequence of `tokens`.
    pub fn of<'a>(&self, tokens: &'a [u32]) -> Choice<'a> {
        Choice {
            seen: tokens,
            settings: self.settings,
            seed: self.seed,
        }
    }

    /// The token behind `seen`.
    pub fn token(&self, logits: &[i32], seen: &[u32], exp2: &[i32]) -> Option<u32> {
        let message = draw_message(&self.seed, seen.len() as u32);
        let random = random(&blake2_256(&message).0);
        choose(logits, seen, &self.settings, random, exp2).ok()
    }
}
