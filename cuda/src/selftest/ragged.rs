//! Batches of sequences that a device reads in pieces which begin and end anywhere, beside what the
//! portable engine makes of each alone.

use std::ops::Range;

use assay_exact::{
    cpu::Cpu, engine::Made, model::Model, random::Numbers, Cache, Engine, EngineError, Logits,
    Sequence,
};

use super::{all, choice::Drawn, SelftestError};
use crate::{device::Device, kernels::layout::slab_bytes, resident::Resident};

/// Sequences of a batch, at most.
const SEQUENCES: usize = 9;
/// Positions of a sequence, at most.
const POSITIONS: usize = 200;

/// What was made of some positions of a sequence: their logits, or what they chose.
pub(super) struct Read {
    pub positions: Range<usize>,
    pub choice: Option<Drawn>,
    pub made: Made,
}

/// How many positions of `read` there are, and how many of them are not as in `expected`, which has all
/// of the sequence of `tokens`.
pub(super) fn differ(
    model: &Model,
    tokens: &[u32],
    expected: &[i32],
    read: &[Read],
) -> (usize, usize) {
    let vocabulary = model.shape.vocabulary as usize;
    let (mut positions, mut wrong) = (0, 0);
    for Read {
        positions: of,
        choice,
        made,
    } in read
    {
        let expected = expected.chunks(vocabulary).skip(of.start).take(of.len());
        let right = match (made, choice) {
            (Made::Logits(logits), _) => {
                let pairs = expected.zip(logits.chunks(vocabulary));
                pairs.filter(|(expected, found)| expected == found).count()
            }
            (Made::Tokens(found), Some(choice)) => {
                let chosen = expected.zip(of.clone()).map(|(logits, position)| {
                    let seen = tokens.get(..=position)?;
                    choice.token(logits, seen, model.tables.exp2)
                });
                let pairs = chosen.zip(found);
                pairs
                    .filter(|(chosen, found)| *chosen == Some(**found))
                    .count()
            }
            (Made::Tokens(_), None) => 0,
        };
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
    let (mut positions, mut wrong) = (0, 0);
    for ((tokens, expected), found) in sequences.iter().zip(found) {
        let (of, not) = differ(model, tokens, expected, &found);
        positions += of;
        wrong += not;
    }
    Ok((positions, wrong))
}

/// What is made of all sequences: of some pieces the logits, of others the tokens that these choose. Some are
/// read for their cache alone, but the last of each is not.
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
        let (mut of, mut drawn, mut batch) = (Vec::new(), Vec::new(), Vec::new());
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
            let choice = Drawn::new(numbers, model.shape.vocabulary);
            drawn.push((numbers.below(2) == 0).then_some((choice, *sequence)));
            batch.push(Sequence {
                cache,
                tokens,
                logits,
            });
        }
        let choices: Vec<_> = drawn
            .iter()
            .map(|one| one.as_ref().map(|(choice, sequence)| choice.of(sequence)))
            .collect();
        let found = engine.run_choosing(&mut batch, &choices)?;
        for (((index, positions), drawn), made) in of.into_iter().zip(drawn).zip(found) {
            if let Some(read) = read.get_mut(index) {
                read.push(Read {
                    positions,
                    choice: drawn.map(|(choice, _)| choice),
                    made,
                });
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
