//! From logits to a token, in floating point: repetition penalty, temperature, min-p and top-k, then
//! top-p, then one draw from a stream that the request's seed fixes.

use std::{cmp::Ordering, collections::HashSet};

use assay_primitives::PPM_ONE;
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha20Rng,
};

use super::EngineError;

/// How the next token is chosen. The same seed over the same logits gives the same tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Temperature in parts per million; zero is greedy, whatever the other fields say.
    pub temperature: u32,
    /// Keep only this many of the likeliest tokens; zero keeps all.
    pub top_k: u32,
    /// Of what `top_k` and `min_p` left, keep the smallest set of likeliest tokens whose share
    /// reaches this many parts per million; [`PPM_ONE`] keeps all.
    pub top_p: u32,
    /// Keep only tokens that are at least this likely, in parts per million of the likeliest one's
    /// probability; zero keeps all.
    pub min_p: u32,
    /// Divisor of the positive logits, and factor of the others, of tokens that prompt or answer have
    /// already, in parts per million; [`PPM_ONE`] changes nothing.
    pub penalty: u32,
    pub seed: [u8; 32],
}

impl Sampling {
    /// The likeliest token, always.
    #[cfg(test)]
    pub const GREEDY: Self = Self {
        temperature: 0,
        top_k: 0,
        top_p: PPM_ONE,
        min_p: 0,
        penalty: PPM_ONE,
        seed: [0; 32],
    };

    /// Whether the values are in the chain's ranges.
    pub fn validate(&self) -> Result<(), EngineError> {
        let on_chain = assay_primitives::Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            penalty: self.penalty,
            nonce: 0,
        };
        on_chain.validate().map_err(EngineError::Sampling)
    }
}

/// The state of one answer's sampling.
pub(super) struct Sampler {
    sampling: Sampling,
    stream: ChaCha20Rng,
    /// The tokens of the prompt and of the answer so far.
    seen: HashSet<u32>,
}

impl Sampler {
    pub(super) fn new(sampling: Sampling, prompt: &[u32]) -> Self {
        Self {
            sampling,
            stream: ChaCha20Rng::from_seed(sampling.seed),
            seen: prompt.iter().copied().collect(),
        }
    }

    /// The next token, given the logit of every id. The error says what was found in `logits`
    /// that is not a number to choose by.
    pub(super) fn next(&mut self, mut logits: Vec<f32>) -> Result<u32, String> {
        self.penalise(&mut logits);
        let token = self.choose(&logits)?;
        self.seen.insert(token);
        Ok(token)
    }

    /// Makes tokens that came before less likely, each once, however often it came.
    fn penalise(&self, logits: &mut [f32]) {
        if self.sampling.penalty == PPM_ONE {
            return;
        }
        let penalty = self.sampling.penalty as f32 / PPM_ONE as f32;
        for token in &self.seen {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit = match *logit > 0.0 {
                    true => *logit / penalty,
                    false => *logit * penalty,
                };
            }
        }
    }

    fn choose(&mut self, logits: &[f32]) -> Result<u32, String> {
        let best = argmax(logits)?;
        if self.sampling.temperature == 0 {
            return Ok(best);
        }
        let mut candidates: Vec<(u32, f32)> = (0u32..).zip(logits.iter().copied()).collect();
        candidates.sort_unstable_by(likelier_first);
        if self.sampling.top_k > 0 {
            candidates.truncate(self.sampling.top_k as usize);
        }
        Ok(self.draw(&candidates).unwrap_or(best))
    }

    /// Draws among `candidates`, which are in falling order. One draw takes one number from the
    /// stream, so the i-th token of an answer depends on the i-th number alone.
    fn draw(&mut self, candidates: &[(u32, f32)]) -> Option<u32> {
        let temperature = f64::from(self.sampling.temperature) / f64::from(PPM_ONE);
        let top = f64::from(candidates.first()?.1);
        let least = f64::from(self.sampling.min_p) / f64::from(PPM_ONE);
        let weights: Vec<f64> = candidates
            .iter()
            .map(|(_, logit)| ((f64::from(*logit) - top) / temperature).exp())
            .take_while(|weight| *weight >= least)
            .collect();

        let mut total: f64 = weights.iter().sum();
        let mut kept = weights.len();
        if self.sampling.top_p < PPM_ONE {
            let wanted = total * f64::from(self.sampling.top_p) / f64::from(PPM_ONE);
            let mut reached = 0.0;
            for (index, weight) in weights.iter().enumerate() {
                reached += weight;
                if reached >= wanted {
                    (kept, total) = (index + 1, reached);
                    break;
                }
            }
        }

        // The top 53 bits are the most that an f64 in [0, 1) can hold exactly.
        let unit = (self.stream.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let mark = unit * total;
        let mut reached = 0.0;
        for ((token, _), weight) in candidates.iter().zip(&weights).take(kept) {
            reached += weight;
            if mark < reached {
                return Some(*token);
            }
        }
        None
    }
}

/// The id with the largest logit, the lowest id winning ties.
pub(super) fn argmax(logits: &[f32]) -> Result<u32, String> {
    let mut best = None;
    for (id, logit) in (0u32..).zip(logits.iter().copied()) {
        if logit.is_nan() || logit == f32::INFINITY {
            return Err(format!("{logit} for token {id}"));
        }
        // Minus infinity is a token that the model rules out.
        if logit > best.map_or(f32::NEG_INFINITY, |(_, top)| top) {
            best = Some((id, logit));
        }
    }
    best.map(|(id, _)| id)
        .ok_or_else(|| "no finite value".into())
}

fn likelier_first(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    // Not total_cmp, which would put a negative zero behind a positive one of a higher id.
    b.1.partial_cmp(&a.1)
        .unwrap_or(Ordering::Equal)
        .then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WARM: Sampling = Sampling {
        temperature: PPM_ONE,
        ..Sampling::GREEDY
    };

    fn draws(sampling: Sampling, logits: &[f32], count: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling, &[]);
        (0..count)
            .map(|_| sampler.next(logits.to_vec()).unwrap())
            .collect()
    }

    /// Every token that comes up.
    fn drawn(sampling: Sampling, logits: &[f32]) -> Vec<u32> {
        let mut drawn = draws(sampling, logits, 2_000);
        drawn.sort_unstable();
        drawn.dedup();
        drawn
    }

    #[test]
    fn greedy_takes_the_lowest_id_of_a_tie() {
        assert_eq!(draws(Sampling::GREEDY, &[0.5, 2.0, -1.0, 2.0], 2), [1, 1]);
        assert_eq!(draws(Sampling::GREEDY, &[-0.0, 0.0], 1), [0]);
    }

    #[test]
    fn a_seed_fixes_the_draws_and_another_seed_changes_them() {
        let logits: Vec<f32> = (0..50).map(|id| (id % 7) as f32 * 0.3).collect();
        let other = Sampling {
            seed: [1; 32],
            ..WARM
        };
        assert_eq!(draws(WARM, &logits, 40), draws(WARM, &logits, 40));
        assert_ne!(draws(WARM, &logits, 40), draws(other, &logits, 40));
    }

    #[test]
    fn the_stream_is_chacha20_with_one_number_per_token() {
        // The first words of the key stream for the all-zero key and nonce are 76 b8 e0 ad
        // a0 f1 3d 90 (RFC 8439, A.1), 40 5d 6a e5 53 86 bd 28: as shares, 0.563 and 0.159.
        let uniform = [0.0; 1000];
        assert_eq!(draws(WARM, &uniform, 2), [563, 159]);
    }

    #[test]
    fn draws_follow_the_softmax_at_the_temperature() {
        let logits = [3.0f32.ln(), 0.0];
        let share = |sampling| {
            let ones = draws(sampling, &logits, 20_000)
                .iter()
                .filter(|t| **t == 1)
                .count();
            ones as f64 / 20_000.0
        };
        assert!((share(WARM) - 0.25).abs() < 0.01);
        let cold = Sampling {
            temperature: PPM_ONE / 2,
            ..WARM
        };
        assert!((share(cold) - 0.1).abs() < 0.01);
        let frozen = Sampling {
            temperature: 1_000,
            ..WARM
        };
        assert_eq!(share(frozen), 0.0);
    }

    #[test]
    fn top_k_keeps_the_likeliest_and_the_lowest_ids_of_a_tie() {
        let logits = [1.0, 2.0, 1.0, 2.0, 1.0];
        let seen = |top_k| drawn(Sampling { top_k, ..WARM }, &logits);
        assert_eq!(seen(1), [1]);
        assert_eq!(seen(3), [0, 1, 3]);
        assert_eq!(seen(0), [0, 1, 2, 3, 4]);
        assert_eq!(seen(u32::MAX), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn top_p_keeps_the_smallest_set_that_reaches_it() {
        let logits: Vec<f32> = [0.5f32, 0.25, 0.125, 0.125]
            .iter()
            .map(|p| p.ln())
            .collect();
        let seen = |top_p| drawn(Sampling { top_p, ..WARM }, &logits);
        assert_eq!(seen(1), [0]);
        assert_eq!(seen(400_000), [0]);
        assert_eq!(seen(600_000), [0, 1]);
        assert_eq!(seen(800_000), [0, 1, 2]);
        assert_eq!(seen(PPM_ONE), [0, 1, 2, 3]);
    }

    #[test]
    fn min_p_is_a_share_of_the_likeliest_at_the_temperature() {
        let logits: Vec<f32> = [0.1f32, 0.5, 0.3, 0.1].iter().map(|p| p.ln()).collect();
        let seen = |min_p| drawn(Sampling { min_p, ..WARM }, &logits);
        assert_eq!(seen(0), [0, 1, 2, 3]);
        assert_eq!(seen(199_000), [0, 1, 2, 3]);
        assert_eq!(seen(201_000), [1, 2]);
        assert_eq!(seen(599_000), [1, 2]);
        assert_eq!(seen(601_000), [1]);
        assert_eq!(seen(PPM_ONE), [1]);
        // At twice the temperature 0.3 of 0.5 is the square root of 0.6: 0.775.
        let hot = |min_p| Sampling {
            min_p,
            temperature: 2 * PPM_ONE,
            ..WARM
        };
        assert_eq!(drawn(hot(774_000), &logits), [1, 2]);
        assert_eq!(drawn(hot(776_000), &logits), [1]);
        // A token must pass min-p and top-k, and top-p counts what is left.
        let both = Sampling {
            min_p: 201_000,
            top_k: 3,
            ..WARM
        };
        assert_eq!(drawn(both, &logits), [1, 2]);
        let nucleus = Sampling {
            min_p: 201_000,
            top_p: 620_000,
            ..WARM
        };
        assert_eq!(drawn(nucleus, &logits), [1]);
    }

    #[test]
    fn a_penalty_divides_positive_logits_and_multiplies_the_others() {
        let penalised = |penalty, prompt: &[u32], logits: &[f32]| {
            let sampling = Sampling {
                penalty,
                ..Sampling::GREEDY
            };
            let mut penalised = logits.to_vec();
            Sampler::new(sampling, prompt).penalise(&mut penalised);
            penalised
        };
        let logits = [3.0, -1.0, 0.0, 2.0, f32::NEG_INFINITY];
        let once = [1.5, -2.0, 0.0, 2.0, f32::NEG_INFINITY];
        assert_eq!(penalised(2 * PPM_ONE, &[0, 1, 2, 4], &logits), once);
        // A token that came three times counts once, and one beyond the logits not at all.
        let prompt = [0, 1, 0, 2, 4, 0, 9];
        assert_eq!(penalised(2 * PPM_ONE, &prompt, &logits), once);
        let likelier = [6.0, -0.5, 0.0, 2.0, f32::NEG_INFINITY];
        assert_eq!(penalised(PPM_ONE / 2, &prompt, &logits), likelier);
        assert_eq!(penalised(PPM_ONE, &prompt, &logits), logits);
    }

    #[test]
    fn a_penalty_counts_the_prompt_and_the_answer_so_far() {
        let sampling = Sampling {
            penalty: 2 * PPM_ONE,
            ..Sampling::GREEDY
        };
        let mut sampler = Sampler::new(sampling, &[3]);
        let mut next = || sampler.next(vec![2.0, 1.5, 1.2, 3.0]).unwrap();
        // 3 is 1.5 from the start, then 0 is 1.0 and 1 is 0.75; 3 is above 2 and remains so.
        assert_eq!([next(), next(), next(), next()], [0, 1, 3, 3]);
    }

    #[test]
    fn logits_that_are_no_numbers_are_an_error_and_excluded_tokens_are_not() {
        let mut sampler = Sampler::new(WARM, &[]);
        assert!(sampler
            .next(vec![0.0, f32::NAN])
            .unwrap_err()
            .contains("NaN for token 1"));
        assert!(sampler
            .next(vec![f32::INFINITY, 0.0])
            .unwrap_err()
            .contains("inf for token 0"));
        assert!(sampler.next(vec![f32::NEG_INFINITY; 2]).is_err());
        assert!(sampler.next(vec![]).is_err());
        assert_eq!(draws(WARM, &[f32::NEG_INFINITY, 0.0], 100), [1; 100]);
    }
}
