//! The choice of the token (format page §5).

use alloc::vec::Vec;

use crate::{
    leaf::{LeafError, Operand},
    sampling::{self, Candidate, BINS, VOCABULARY_BLOCK},
    trace::{
        finding::Finding,
        layout::Layout,
        place::{Cell, Place},
        reader::{Read, Reader, Table},
        reduction::{piece, Reduction},
        row::{pair, unpair, Row},
        source::Source,
    },
};

pub(super) fn reduction(layout: &Layout, place: Place) -> Option<Reduction> {
    let vocabulary = u64::from(layout.shape().vocabulary);
    let blocks = vocabulary.div_ceil(VOCABULARY_BLOCK as u64);
    match place.row {
        Row::Largest => Reduction::maximum(blocks),
        Row::Cut | Row::Cumulative => Reduction::sum(blocks),
        _ => None,
    }
}

pub(super) fn block<S: Source>(
    reader: &mut Reader<S>,
    cell: Cell,
    value: i64,
    block: u64,
) -> Read<i64, S> {
    let Cell { place, element } = cell;
    let logits = Logits::read(reader, place, block)?;
    match place.row {
        Row::Largest => {
            let (logit, token) =
                sampling::greedy(&logits.values, logits.first).ok_or(Operand::Length)?;
            Ok(ordered(logit, token))
        }
        Row::Cut => {
            let cut = cut_of(value);
            let kept = logits
                .tokens()
                .filter(|(token, logit)| cut.keeps(*logit, *token));
            Ok(kept.count() as i64)
        }
        _ => {
            let weights = Weights::read(reader, place, element as usize)?;
            Ok(weights.sum(&logits)?)
        }
    }
}

pub(super) fn element<S: Source>(
    reader: &mut Reader<S>,
    cell: Cell,
    value: i64,
    reduced: i64,
) -> Read<Finding, S> {
    let Cell { place, element } = cell;
    match place.row {
        Row::Penalised => penalised(reader, place, element).map(Finding::Is),
        Row::Largest => Ok(Finding::Is(largest(reduced))),
        Row::Cut => is_cut(reader, place, value, reduced).map(Finding::Recognised),
        Row::LastBin => is_last_bin(reader, place, value).map(Finding::Recognised),
        Row::Kept => kept(reader, place, element).map(Finding::Is),
        Row::Token => token(reader, place, value),
        _ => Ok(Finding::Is(reduced)),
    }
}

fn penalised<S: Source>(reader: &mut Reader<S>, place: Place, token: u64) -> Read<i64, S> {
    let logit = reader.i32(place.row(Row::Logits), token)?;
    let seen = reader.cell(place.row(Row::Seen), token / 8)?;
    let penalty = reader.case.layout.settings().penalty;
    Ok(if (seen >> (token % 8)) & 1 == 1 {
        sampling::penalised(logit, penalty)?.into()
    } else {
        logit.into()
    })
}

/// A logit and its token in one number, so that the largest is the one of the lowest id.
fn ordered(logit: i32, token: u32) -> i64 {
    (i64::from(logit) << 32) | i64::from(!token)
}

/// As a pair what was compared as one number.
fn largest(ordered: i64) -> i64 {
    pair((ordered >> 32) as i32, !(ordered as u32))
}

fn cut_of(pair: i64) -> sampling::Cut {
    let (logit, token) = unpair(pair);
    sampling::Cut { logit, token }
}

/// Whether the token has the logit, and the cut there keeps as many as it should.
fn is_cut<S: Source>(reader: &mut Reader<S>, place: Place, value: i64, kept: i64) -> Read<bool, S> {
    let cut = cut_of(value);
    let layout = &reader.case.layout;
    let top_k = layout.settings().top_k;
    if cut.token >= layout.shape().vocabulary {
        return Ok(false);
    }
    let logits = Logits::row(layout, place);
    let logit = reader.i32(logits, cut.token.into())?;
    Ok(logit == cut.logit && kept == i64::from(top_k))
}

/// Whether the sums first reach what top-p wants at this bin.
fn is_last_bin<S: Source>(reader: &mut Reader<S>, place: Place, value: i64) -> Read<bool, S> {
    let sums = place.row(Row::Cumulative);
    let last = BINS as u64 - 1;
    let Some(bin) = u64::try_from(value).ok().filter(|bin| *bin <= last) else {
        return Ok(false);
    };
    let total = reader.cell(sums, last)?;
    let wanted = sampling::wanted(total, reader.case.layout.settings().top_p)?;
    let before = match bin.checked_sub(1) {
        Some(before) => reader.cell(sums, before)?,
        None => 0,
    };
    let sum = reader.cell(sums, bin)?;
    Ok(before < wanted && wanted <= sum)
}

/// The running sum of what is kept up to a block's end.
fn kept<S: Source>(reader: &mut Reader<S>, place: Place, block: u64) -> Read<i64, S> {
    let before = kept_before(reader, place, block)?;
    let logits = Logits::read(reader, place, block)?;
    let weights = kept_weights(reader, place)?;
    Ok(before.saturating_add(weights.sum(&logits)?))
}

fn kept_before<S: Source>(reader: &mut Reader<S>, place: Place, block: u64) -> Read<i64, S> {
    match block.checked_sub(1) {
        Some(before) => reader.cell(place.row(Row::Kept), before),
        None => Ok(0),
    }
}

/// The weights that the draw is from.
fn kept_weights<S: Source>(reader: &mut Reader<S>, place: Place) -> Read<Weights, S> {
    let last_bin = if reader.case.layout.has_bins() {
        reader.single(place, Row::LastBin)? as usize
    } else {
        BINS
    };
    Weights::read(reader, place, last_bin)
}

fn token<S: Source>(reader: &mut Reader<S>, place: Place, value: i64) -> Read<Finding, S> {
    if !reader.case.layout.has_draw() {
        let (_, token) = unpair(reader.single(place, Row::Largest)?);
        return Ok(Finding::Is(token.into()));
    }
    is_drawn(reader, place, value).map(Finding::Recognised)
}

/// Whether the draw falls on the token.
fn is_drawn<S: Source>(reader: &mut Reader<S>, place: Place, value: i64) -> Read<bool, S> {
    let case = reader.case;
    let vocabulary = case.layout.shape().vocabulary;
    let Some(token) = u32::try_from(value)
        .ok()
        .filter(|token| *token < vocabulary)
    else {
        return Ok(false);
    };
    let size = VOCABULARY_BLOCK as u64;
    let (block, blocks) = (
        u64::from(token) / size,
        u64::from(vocabulary).div_ceil(size),
    );
    let total = reader.cell(place.row(Row::Kept), blocks - 1)?;
    let message = sampling::draw_message(&case.seed, case.layout.positions());
    let random = sampling::random(&(reader.hash)(&message));
    let target = sampling::target(random, total)?;
    let before = kept_before(reader, place, block)?;
    if before > target {
        return Ok(false);
    }
    let logits = Logits::read(reader, place, block)?;
    let weights = kept_weights(reader, place)?.all(&logits)?;
    let passing = sampling::passing(&weights, before, logits.first, target);
    Ok(passing == Some(token))
}

/// A block of the logits that the choice is made from.
struct Logits {
    values: Vec<i32>,
    /// The first's token.
    first: u32,
}

impl Logits {
    fn row(layout: &Layout, place: Place) -> Place {
        place.row(if layout.has_penalty() {
            Row::Penalised
        } else {
            Row::Logits
        })
    }

    fn read<S: Source>(reader: &mut Reader<S>, place: Place, block: u64) -> Read<Self, S> {
        let layout = &reader.case.layout;
        let vocabulary = layout.shape().vocabulary.into();
        let (first, count) = piece(block, VOCABULARY_BLOCK, vocabulary)?;
        let values = reader.cells(Self::row(layout, place), first, count)?;
        let first = first as u32;
        Ok(Self { values, first })
    }

    fn tokens(&self) -> impl Iterator<Item = (u32, i32)> + '_ {
        (self.first..).zip(self.values.iter().copied())
    }
}

/// What decides the weights of tokens.
struct Weights {
    largest: i32,
    cut: sampling::Cut,
    last_bin: usize,
    temperature: u32,
    min_p: u32,
    exp2: Table,
}

impl Weights {
    fn read<S: Source>(reader: &mut Reader<S>, place: Place, last_bin: usize) -> Read<Self, S> {
        let settings = *reader.case.layout.settings();
        let cut = if reader.case.layout.has_cut() {
            cut_of(reader.single(place, Row::Cut)?)
        } else {
            sampling::Cut::NONE
        };
        let (largest, _) = unpair(reader.single(place, Row::Largest)?);
        Ok(Self {
            largest,
            cut,
            last_bin,
            temperature: settings.temperature,
            min_p: settings.min_p,
            exp2: reader.exp2()?,
        })
    }

    /// A token's weight, 0 if it is not kept.
    fn of(&self, token: u32, logit: i32) -> Result<i64, LeafError> {
        if !self.cut.keeps(logit, token) {
            return Ok(0);
        }
        let Candidate { weight, distance } =
            sampling::candidate(logit, self.largest, self.temperature, &self.exp2)?;
        let passes =
            sampling::passes_min_p(weight, self.min_p) && sampling::bin(distance) <= self.last_bin;
        Ok(if passes { weight } else { 0 })
    }

    fn all(&self, logits: &Logits) -> Result<Vec<i64>, LeafError> {
        let weights = logits.tokens().map(|(token, logit)| self.of(token, logit));
        weights.collect()
    }

    fn sum(&self, logits: &Logits) -> Result<i64, LeafError> {
        let weights = self.all(logits)?;
        Ok(weights.into_iter().fold(0i64, i64::saturating_add))
    }
}
