//! The choice of a token again, in blocks of the vocabulary.

use alloc::vec::Vec;

use assay_exact::{
    leaf::{LeafError, Operand},
    op,
    sampling::{self, Candidate, Cut, BINS, VOCABULARY_BLOCK},
};

use super::{
    files::{Candidates, Choice},
    Judge, Judged,
};

impl Judged for Candidates {
    fn judged(&self, judge: &Judge) -> Result<Self, LeafError> {
        let largest = self.logits[0];
        let candidates = all_candidates(&self.logits, largest, self.temperature, judge)?;
        let (weights, distances) = candidates
            .into_iter()
            .map(|candidate| (candidate.weight, candidate.distance))
            .unzip();
        Ok(Self {
            weights,
            distances,
            ..self.clone()
        })
    }
}

fn all_candidates(
    logits: &[i32],
    largest: i32,
    temperature: u32,
    judge: &Judge,
) -> Result<Vec<Candidate>, LeafError> {
    logits
        .iter()
        .map(|logit| sampling::candidate(*logit, largest, temperature, judge.exp2))
        .collect()
}

impl Judged for Choice {
    fn judged(&self, judge: &Judge) -> Result<Self, LeafError> {
        let logits = self.penalised()?;
        let blocks = blocks(&logits).map(|(first, block)| sampling::greedy(block, first));
        let (largest, token) = blocks
            .flatten()
            .reduce(|best, block| if block.0 > best.0 { block } else { best })
            .ok_or(Operand::Length)?;
        let token = if self.temperature == 0 {
            token
        } else {
            self.drawn(&self.kept(&logits, largest, judge)?, judge)?
        };
        Ok(Self {
            token,
            ..self.clone()
        })
    }
}

/// Blocks of a row over the vocabulary, each with its first token.
fn blocks<T>(row: &[T]) -> impl Iterator<Item = (u32, &[T])> {
    (0..)
        .step_by(VOCABULARY_BLOCK)
        .zip(row.chunks(VOCABULARY_BLOCK))
}

impl Choice {
    /// Step 1.
    fn penalised(&self) -> Result<Vec<i32>, LeafError> {
        (0..)
            .zip(&self.logits)
            .map(|(token, logit)| match self.seen.contains(&token) {
                true => sampling::penalised(*logit, self.penalty),
                false => Ok(*logit),
            })
            .collect()
    }

    /// Steps 3 to 6: the weights of all tokens, 0 for those that are dropped.
    fn kept(&self, logits: &[i32], largest: i32, judge: &Judge) -> Result<Vec<i64>, LeafError> {
        let cut = self.cut(logits);
        let mut kept = all_candidates(logits, largest, self.temperature, judge)?;
        for ((token, logit), candidate) in (0..).zip(logits).zip(&mut kept) {
            if !sampling::passes_min_p(candidate.weight, self.min_p) || !cut.keeps(*logit, token) {
                candidate.weight = 0;
            }
        }
        if i64::from(self.top_p) < sampling::ONE {
            let mut bins = alloc::vec![0i64; BINS];
            for (_, block) in blocks(&kept) {
                for candidate in block {
                    bins[sampling::bin(candidate.distance)] += candidate.weight;
                }
            }
            let last = sampling::last_bin(&bins, self.top_p)?;
            for candidate in &mut kept {
                if sampling::bin(candidate.distance) > last {
                    candidate.weight = 0;
                }
            }
        }
        Ok(kept.iter().map(|candidate| candidate.weight).collect())
    }

    /// Step 5: four passes of counts find the logit, a count of equals the token.
    fn cut(&self, logits: &[i32]) -> Cut {
        if self.top_k == 0 || self.top_k as usize >= logits.len() {
            return Cut::NONE;
        }
        let mut left = self.top_k;
        // Its bytes with the sign bit flipped, so that they sort as logits do.
        let mut found = 0u32;
        let logit_of = |found: u32| (found ^ (1 << 31)) as i32;
        for pass in 0..4 {
            let mut counts = [0u32; 256];
            for (_, block) in blocks(logits) {
                let of_block = sampling::counts(block, logit_of(found), pass);
                counts.iter_mut().zip(of_block).for_each(|(a, b)| *a += b);
            }
            let mut byte = 255;
            while left > counts[byte] {
                left -= counts[byte];
                byte -= 1;
            }
            found |= (byte as u32) << (24 - 8 * pass);
        }
        let logit = logit_of(found);
        let mut equals = (0..).zip(logits).filter(|(_, other)| **other == logit);
        let last = equals.nth(left as usize - 1);
        Cut {
            logit,
            token: last.map_or(u32::MAX, |(token, _)| token),
        }
    }

    /// Step 7.
    fn drawn(&self, weights: &[i64], judge: &Judge) -> Result<u32, LeafError> {
        let message = sampling::draw_message(&[self.seed; 32], self.position);
        let random = sampling::random(&(judge.hash)(&message));
        let sums: Vec<i64> = blocks(weights)
            .map(|(_, block)| block.iter().sum())
            .collect();
        let target = sampling::target(random, op::sum(&sums)?)?;
        let mut before = 0;
        for ((first, block), sum) in blocks(weights).zip(sums) {
            if let Some(token) = sampling::passing(block, before, first, target) {
                return Ok(token);
            }
            before += sum;
        }
        Err(Operand::Sum.into())
    }
}
