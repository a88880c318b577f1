//! Batches of sequences that a device reads in pieces which begin and end anywhere, beside what the
//! portable engine makes of each alone.

use std::ops::Range;

use assay_exact::{
    cpu::Cpu, model::Model, random::Numbers, Cache, Engine, EngineError, Logits, Sequence,
};

use super::{all, SelftestError};
use crate::{device::Device, kernels::layout::slab_bytes, resident::Resident};

/// Sequences of a batch, at most.
const SEQUENCES: usize = 9;
/// Positions of a sequence, at most.
const POSITIONS: usize = 200;

/// Logits of some positions of a sequence.
pub(super) struct Read {
    pub positions: Range<usize>,
    pub logits: Vec<i32>,
}

/// How many positions of `read` there are, and how many of them are not as in `expected`, which has all
/// of the sequence.
pub(super) fn differ(vocabulary: usize, expected: &[i32], read: &[Read]) -> (usize, usize) {
    let (mut positions, mut wrong) = (0, 0);
    for Read {
        positions: of,
        logits,
    } in read
    {
        let expected = expected.chunks(vocabulary).skip(of.start).take(of.len());
        let pairs = expected.zip(logits.chunks(vocabulary));
        let right = pairs.filter(|(expected, found)| expected == found).count();
        positions += of.len();
        wrong += of.len() - right;
    }
    (positions, wrong)
}

/// Compares the sequences of one batch, of at most `tokens` positions each: how many positions, and how
/// many of them were wrong.
pub(super) fn compare(
    device: &Device,
    cpu: &Cpu,
    model: &Model,
    tokens: usize,
    numbers: &mut Numbers,
) -> Result<(usize, usize), SelftestError> {
    let alone = Engine::new(model, cpu)?;
    let count = 1 + numbers.below(SEQUENCES);
    let most = POSITIONS.min(tokens).min(model.shape.context as usize);
    let mut sequences = Vec::new();
    for _ in 0..count {
        let length = 1 + numbers.below(most.max(1));
        let tokens = numbers.tokens(length, model.shape);
        let expected = all(&alone, &mut alone.cache(), &tokens)?;
        sequences.push((tokens, expected));
    }
    // A clone takes one more.
    let memory = count * Resident::cache(model.shape, POSITIONS) + slab_bytes(model.shape);
    let resident = Resident::new(device.clone(), model, memory)?;
    let engine = Engine::new(model, cpu)?.on(&resident);
    let tokens: Vec<&[u32]> = sequences.iter().map(|(tokens, _)| &tokens[..]).collect();
    let found = ragged(&engine, model, &tokens, numbers)?;
    let vocabulary = model.shape.vocabulary as usize;
    let (mut positions, mut wrong) = (0, 0);
    for ((_, expected), found) in sequences.iter().zip(found) {
        let (of, not) = differ(vocabulary, expected, &found);
        positions += of;
        wrong += not;
    }
    Ok((positions, wrong))
}

/// Logits of all sequences. Some pieces are read for their cache alone, and the last of each for its
/// logits as well.
fn ragged(
    engine: &Engine,
    model: &Model,
    sequences: &[&[u32]],
    numbers: &mut Numbers,
) -> Result<Vec<Vec<Read>>, EngineError> {
    let mut caches: Vec<Cache> = sequences.iter().map(|_| engine.cache()).collect();
    let mut read: Vec<Vec<Read>> = sequences.iter().map(|_| Vec::new()).collect();
    loop {
        // One that goes another way from here on: neither may see what the other writes.
        let clone = match numbers.below(4) {
            0 => caches.get(numbers.below(caches.len().max(1))).cloned(),
            _ => None,
        };
        let mut of = Vec::new();
        let mut batch = Vec::new();
        for (index, (cache, sequence)) in caches.iter_mut().zip(sequences).enumerate() {
            let at = cache.positions();
            let left = sequence.get(at..).unwrap_or_default();
            // Most decode; some read a piece, and some wait.
            let most = match numbers.below(8) {
                0 => continue,
                1 => 1 + numbers.below(100),
                2 => 1 + numbers.below(9),
                _ => 1,
            };
            let tokens = left.get(..most).unwrap_or(left);
            if tokens.is_empty() {
                continue;
            }
            let end = at + tokens.len();
            let (logits, first) = match numbers.below(6) {
                _ if end == sequence.len() => (Logits::All, at),
                0 => (Logits::None, end),
                1 => (Logits::Last, end - 1),
                _ => (Logits::All, at),
            };
            of.push((index, first..end));
            batch.push(Sequence {
                cache,
                tokens,
                logits,
            });
        }
        let found = engine.run(&mut batch)?;
        for ((index, positions), logits) in of.into_iter().zip(found) {
            if let Some(read) = read.get_mut(index) {
                read.push(Read { positions, logits });
            }
        }
        if let Some(mut cache) = clone {
            engine.run(&mut [Sequence {
                cache: &mut cache,
                tokens: &numbers.tokens(1, model.shape),
                logits: Logits::None,
            }])?;
        }
        let at = caches.iter().map(Cache::positions);
        if at.eq(sequences.iter().map(|tokens| tokens.len())) {
            return Ok(read);
        }
    }
}
