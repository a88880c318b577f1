//! The choice of the next token from its logits: seeded integer arithmetic (format page §5).
//!
//! [`choose`] is the whole choice; the functions above it are its elements, which a judge re-runs.
//! Probabilities are values in parts per million, logits i32 in Q16, weights i64 in Q30.

use alloc::{vec, vec::Vec};

use crate::{
    leaf::{require, Entries, LeafError, Operand},
    number::{floor_div, round, sat},
    op::exp2::power,
};

/// One, in parts per million.
pub const ONE: i64 = 1_000_000;
/// log2(e) in Q20.
const LOG2_E: i64 = 1_512_775;
const DRAW_DOMAIN: &[u8; 13] = b"assay/draw/v1";

/// Bins of top-p: 1/128 of a factor of two each.
pub const BINS: usize = 4096;
/// Tokens in one block of a sum over the vocabulary.
pub const VOCABULARY_BLOCK: usize = 512;

/// What a request asks of the choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Parts per million: 0 is greedy, else 1,000 to 10^7.
    pub temperature: u32,
    /// Keep this many of the largest logits; 0 keeps all.
    pub top_k: u32,
    /// Parts per million, 1 to 10^6; 10^6 keeps all.
    pub top_p: u32,
    /// Parts per million of the likeliest token's weight, 0 to 10^6; 0 keeps all.
    pub min_p: u32,
    /// Repetition penalty in parts per million, 500,000 to 4,000,000; 10^6 is none.
    pub penalty: u32,
}

impl Settings {
    /// The likeliest token, always.
    pub const GREEDY: Self = Self {
        temperature: 0,
        top_k: 0,
        top_p: 1_000_000,
        min_p: 0,
        penalty: 1_000_000,
    };

    /// Whether the values are in range.
    pub fn validate(&self) -> Result<(), LeafError> {
        require(
            (self.temperature == 0 || (1_000..=10_000_000).contains(&self.temperature))
                && (1..=1_000_000).contains(&self.top_p)
                && self.min_p <= 1_000_000
                && (500_000..=4_000_000).contains(&self.penalty),
            Operand::Request,
        )
    }
}

/// Step 1: the logit of a token that occurred before, once, however often it did.
pub fn penalised(logit: i32, penalty: u32) -> Result<i32, LeafError> {
    require((500_000..=4_000_000).contains(&penalty), Operand::Request)?;
    let (logit, penalty) = (i64::from(logit), i64::from(penalty));
    Ok(if logit > 0 {
        sat(floor_div(logit.wrapping_mul(ONE), penalty))
    } else {
        sat(floor_div(logit.wrapping_neg().wrapping_mul(penalty), ONE).wrapping_neg())
    })
}

/// Step 2: the largest logit of a block that starts at token `first`, the lowest id among equals.
/// Blocks' results, in order of their ids, are combined by taking the first largest.
pub fn greedy(logits: &[i32], first: u32) -> Option<(i32, u32)> {
    let most = *logits.iter().max()?;
    let place = logits.iter().position(|logit| *logit == most)?;
    Some((most, first.checked_add(place as u32)?))
}

/// A token's weight, and how far its logit is below the largest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// e, Q30: 2^30 for the largest logit.
    pub weight: i64,
    /// x, in log2 units at the temperature, Q16.
    pub distance: i64,
}

/// Step 3: a token's candidate. `largest` is the largest logit, `temperature` not 0.
#[inline]
pub fn candidate<E: Entries + ?Sized>(
    logit: i32,
    largest: i32,
    temperature: u32,
    exp2: &E,
) -> Result<Candidate, LeafError> {
    require(
        (1_000..=10_000_000).contains(&temperature),
        Operand::Request,
    )?;
    require(logit <= largest, Operand::Maximum)?;
    let temperature = i64::from(temperature);
    let factor = floor_div(
        (LOG2_E.wrapping_mul(ONE)).wrapping_add(temperature >> 1),
        temperature,
    );
    let below = i64::from(largest)
        .wrapping_sub(logit.into())
        .min(i32::MAX.into());
    let distance = round(below.wrapping_mul(factor), 20);
    let whole = (distance >> 16) as i32;
    Ok(Candidate {
        weight: round(power(distance & 0xffff, exp2)?, whole),
        distance,
    })
}

/// Step 4: whether min-p keeps a weight.
#[inline]
pub fn passes_min_p(weight: i64, min_p: u32) -> bool {
    weight.saturating_mul(ONE) >= i64::from(min_p) << 30
}

/// Step 5: the last token that top-k keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    pub logit: i32,
    pub token: u32,
}

impl Cut {
    /// Keeps every token.
    pub const NONE: Self = Self {
        logit: i32::MIN,
        token: u32::MAX,
    };

    /// Whether a token stands at the cut or before it: by logit, among equals by id.
    #[inline]
    pub fn keeps(&self, logit: i32, token: u32) -> bool {
        logit > self.logit || (logit == self.logit && token <= self.token)
    }
}

/// Byte `pass` (0 is the highest) of a logit whose sign bit is flipped, so that bytes sort as logits.
#[inline]
pub fn digit(logit: i32, pass: u32) -> u8 {
    let flipped = (logit as u32) ^ (1 << 31);
    (flipped >> 24u32.saturating_sub(pass.min(3).saturating_mul(8))) as u8
}

/// Tokens of a block whose first `pass` bytes are those of `prefix`, counted by their next byte.
pub fn counts(logits: &[i32], prefix: i32, pass: u32) -> [u32; 256] {
    let mut counts = [0u32; 256];
    // Without the bytes that are still open, for `pass` from 1 on.
    let open = 32u32.saturating_sub(pass.min(4).saturating_mul(8));
    let known = |logit: i32| (logit ^ prefix) as u32 >> open.min(31);
    let matching = logits
        .iter()
        .filter(|logit| pass == 0 || known(**logit) == 0);
    for logit in matching {
        if let Some(count) = counts.get_mut(usize::from(digit(*logit, pass))) {
            *count = count.saturating_add(1);
        }
    }
    counts
}

/// The cut that keeps the `top_k` largest: four passes over the bytes find its logit, a count of
/// equals its token.
pub fn cut(logits: &[i32], top_k: u32) -> Cut {
    if top_k == 0 || top_k as usize >= logits.len() {
        return Cut::NONE;
    }
    let mut left = top_k;
    let mut found: u32 = 0;
    for pass in 0..4 {
        let counts = counts(logits, (found ^ (1 << 31)) as i32, pass);
        for (byte, count) in (0u32..).zip(counts).collect::<Vec<_>>().into_iter().rev() {
            if left <= count {
                found |= byte << 24u32.saturating_sub(pass.saturating_mul(8));
                break;
            }
            left = left.saturating_sub(count);
        }
    }
    let logit = (found ^ (1 << 31)) as i32;
    let equals = (0u32..).zip(logits).filter(|(_, other)| **other == logit);
    let token = equals
        .map(|(token, _)| token)
        .nth(left.saturating_sub(1) as usize);
    Cut {
        logit,
        token: token.unwrap_or(u32::MAX),
    }
}

/// Step 6: the bin of a distance.
#[inline]
pub fn bin(distance: i64) -> usize {
    (distance.max(0) >> 9).min(BINS.saturating_sub(1) as i64) as usize
}

/// Step 6: τ, the sum of weights that the bins which top-p keeps have to reach, out of `total`.
pub fn wanted(total: i64, top_p: u32) -> Result<i64, LeafError> {
    require((1..=1_000_000).contains(&top_p), Operand::Request)?;
    require((0..=1 << 52).contains(&total), Operand::Sum)?;
    let top_p = i64::from(top_p);
    let whole = floor_div(total, ONE);
    let rest = total.wrapping_sub(whole.wrapping_mul(ONE));
    Ok(whole
        .wrapping_mul(top_p)
        .wrapping_add(floor_div(rest.wrapping_mul(top_p), ONE))
        .max(1))
}

/// Step 6: the last bin that top-p keeps, from the kept weights' sums by bin.
pub fn last_bin(bins: &[i64], top_p: u32) -> Result<usize, LeafError> {
    require(bins.len() == BINS, Operand::Length)?;
    let wanted = wanted(total(bins.iter().copied())?, top_p)?;
    let mut sum = 0i64;
    let reached = bins.iter().position(|weight| {
        sum = sum.saturating_add(*weight);
        sum >= wanted
    });
    Ok(reached.ok_or(Operand::Sum)?)
}

/// Sum of weights of at most 2^22 tokens, 2^30 each.
fn total(mut weights: impl Iterator<Item = i64>) -> Result<i64, LeafError> {
    weights.try_fold(0i64, |total, weight| {
        let total = total.saturating_add(weight);
        require(weight >= 0 && total <= 1 << 52, Operand::Sum)?;
        Ok(total)
    })
}

/// Step 7: the message whose BLAKE2b-256 decides the draw at `position`, the index of the token
/// that is chosen, prompt included.
pub fn draw_message(seed: &[u8; 32], position: u32) -> [u8; 49] {
    let mut message = [0; 49];
    let parts = DRAW_DOMAIN.iter().chain(seed).copied();
    for (slot, byte) in message.iter_mut().zip(parts.chain(position.to_le_bytes())) {
        *slot = byte;
    }
    message
}

/// Step 7: the draw's random number, from the hash of [`draw_message`].
pub fn random(hash: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Step 7: where in the kept weights' sum the draw falls: r mod total.
pub fn target(random: u64, total: i64) -> Result<i64, LeafError> {
    require((1..=1 << 52).contains(&total), Operand::Sum)?;
    let remainder = random.checked_rem(total as u64).ok_or(Operand::Sum)?;
    Ok(remainder as i64)
}

/// Step 7: the token of a block at which the running sum of kept weights passes `target`. `before`
/// is the sum ahead of the block, `first` its first token.
pub fn passing(weights: &[i64], before: i64, first: u32, target: i64) -> Option<u32> {
    let mut sum = before;
    let place = weights.iter().position(|weight| {
        sum = sum.saturating_add(*weight);
        sum > target
    })?;
    first.checked_add(place as u32)
}

/// The next token. `seen` holds the tokens of the prompt and the answer so far, in any order;
/// `random` is [`random`] of the position, and unused when the settings are greedy.
pub fn choose(
    logits: &[i32],
    seen: &[u32],
    settings: &Settings,
    random: u64,
    exp2: &[i32],
) -> Result<u32, LeafError> {
    settings.validate()?;
    let penalised;
    let logits = if i64::from(settings.penalty) == ONE {
        logits
    } else {
        penalised = all_penalised(logits, seen, settings.penalty)?;
        &penalised
    };
    let (largest, token) = greedy(logits, 0).ok_or(Operand::Length)?;
    if settings.temperature == 0 {
        return Ok(token);
    }
    let weights = kept(logits, largest, settings, exp2)?;
    let target = target(random, total(weights.iter().copied())?)?;
    Ok(passing(&weights, 0, 0, target).ok_or(Operand::Sum)?)
}

fn all_penalised(logits: &[i32], seen: &[u32], penalty: u32) -> Result<Vec<i32>, LeafError> {
    let mut out = logits.to_vec();
    for token in seen {
        let token = *token as usize;
        // From the original, so that a token's second occurrence changes nothing.
        if let (Some(slot), Some(logit)) = (out.get_mut(token), logits.get(token)) {
            *slot = penalised(*logit, penalty)?;
        }
    }
    Ok(out)
}

/// The weights of all tokens, 0 for those that steps 4 to 6 drop.
fn kept(
    logits: &[i32],
    largest: i32,
    settings: &Settings,
    exp2: &[i32],
) -> Result<Vec<i64>, LeafError> {
    let cut = cut(logits, settings.top_k);
    let mut kept = Vec::with_capacity(logits.len());
    let dropped = Candidate {
        weight: 0,
        distance: 0,
    };
    for (token, logit) in (0u32..).zip(logits) {
        let candidate = if cut.keeps(*logit, token) {
            candidate(*logit, largest, settings.temperature, exp2)?
        } else {
            dropped
        };
        let passes = passes_min_p(candidate.weight, settings.min_p);
        kept.push(if passes { candidate } else { dropped });
    }
    if i64::from(settings.top_p) != ONE {
        let mut bins = vec![0i64; BINS];
        for candidate in &kept {
            if let Some(sum) = bins.get_mut(bin(candidate.distance)) {
                *sum = sum.saturating_add(candidate.weight);
            }
        }
        let last = last_bin(&bins, settings.top_p)?;
        for candidate in &mut kept {
            if bin(candidate.distance) > last {
                candidate.weight = 0;
            }
        }
    }
    Ok(kept.into_iter().map(|candidate| candidate.weight).collect())
}
