//! The rows of the choice of a token (docs/dispute.md §1.1, from `Penalised` on).

use crate::{
    leaf::{LeafError, Operand},
    sampling::{self, Candidate, Cut, BINS, VOCABULARY_BLOCK},
    trace::{row::pair, Layout, Row},
};

/// What a token is chosen from.
pub(super) struct Choice<'a> {
    pub layout: &'a Layout,
    pub logits: &'a [i32],
    /// Tokens of the prompt and the answer so far.
    pub seen: &'a [u32],
    /// Of the draw at this position.
    pub random: u64,
    pub exp2: &'a [i32],
}

impl Choice<'_> {
    /// The rows behind `Logits` in order, with their elements.
    pub fn rows(&self) -> Result<Vec<(Row, Vec<i64>)>, LeafError> {
        let settings = self.layout.settings();
        let mut rows = Vec::new();
        let penalised;
        let logits = if self.layout.has_penalty() {
            penalised = self.penalised()?;
            rows.push((Row::Penalised, widened(&penalised)));
            &penalised
        } else {
            self.logits
        };
        let (largest, token) = sampling::greedy(logits, 0).ok_or(Operand::Length)?;
        rows.push((Row::Largest, vec![pair(largest, token)]));
        if !self.layout.has_draw() {
            rows.push((Row::Token, vec![token.into()]));
            return Ok(rows);
        }
        let cut = sampling::cut(logits, settings.top_k);
        if self.layout.has_cut() {
            rows.push((Row::Cut, vec![pair(cut.logit, cut.token)]));
        }
        let candidates = self.candidates(logits, largest, &cut)?;
        let mut last_bin = BINS;
        if self.layout.has_bins() {
            let mut bins = vec![0i64; BINS];
            for candidate in &candidates {
                if let Some(sum) = bins.get_mut(sampling::bin(candidate.distance)) {
                    *sum = sum.saturating_add(candidate.weight);
                }
            }
            last_bin = sampling::last_bin(&bins, settings.top_p)?;
            rows.push((Row::Cumulative, running(bins)));
            rows.push((Row::LastBin, vec![last_bin as i64]));
        }
        let kept = |candidate: &Candidate| match sampling::bin(candidate.distance) <= last_bin {
            true => candidate.weight,
            false => 0,
        };
        let weights: Vec<i64> = candidates.iter().map(kept).collect();
        let blocks = weights.chunks(VOCABULARY_BLOCK);
        let sums = running(blocks.map(|block| block.iter().sum()).collect());
        let total = sums.last().copied().unwrap_or(0);
        let target = sampling::target(self.random, total)?;
        let token = sampling::passing(&weights, 0, 0, target).ok_or(Operand::Sum)?;
        rows.push((Row::Kept, sums));
        rows.push((Row::Token, vec![token.into()]));
        Ok(rows)
    }

    fn penalised(&self) -> Result<Vec<i32>, LeafError> {
        let mut out = self.logits.to_vec();
        for token in self.seen {
            let token = *token as usize;
            if let (Some(slot), Some(logit)) = (out.get_mut(token), self.logits.get(token)) {
                *slot = sampling::penalised(*logit, self.layout.settings().penalty)?;
            }
        }
        Ok(out)
    }

    /// Weights and distances of all tokens; a weight of 0 for those that min-p and the cut drop.
    fn candidates(
        &self,
        logits: &[i32],
        largest: i32,
        cut: &Cut,
    ) -> Result<Vec<Candidate>, LeafError> {
        let settings = self.layout.settings();
        let tokens = (0u32..).zip(logits);
        tokens
            .map(|(token, logit)| {
                let mut candidate =
                    sampling::candidate(*logit, largest, settings.temperature, self.exp2)?;
                let passes = sampling::passes_min_p(candidate.weight, settings.min_p);
                if !passes || !cut.keeps(*logit, token) {
                    candidate.weight = 0;
                }
                Ok(candidate)
            })
            .collect()
    }
}

fn widened(numbers: &[i32]) -> Vec<i64> {
    numbers.iter().map(|number| (*number).into()).collect()
}

fn running(mut sums: Vec<i64>) -> Vec<i64> {
    let mut total = 0i64;
    for sum in &mut sums {
        // 2^30 for each of at most 2^22 tokens.
        total = total.saturating_add(*sum);
        *sum = total;
    }
    sums
}
