//! What a dispute over a trace costs: moves, bytes on chain, and hashing, for any shape and without
//! weights.
//!
//! Sizes of proofs come from the code that makes proofs, run on made-up numbers.

// Counts of leaves and bytes are far below 2^63.
#![allow(clippy::arithmetic_side_effects)]

use assay_primitives::{blake2_256, Claim, Receipt, RequestHeader};
use codec::{Encode, MaxEncodedLen};
use sp_core::crypto::AccountId32;

use super::{levels, made, pair, Case, Cell, Layout, Part, Place, Proof, Row, Target};
use crate::{leaf::PAGE, sampling::BINS};

/// Bytes of an extrinsic around its call: length, version, address, signature, era, nonce, tip, mode of the
/// metadata's hash, and the call's two indices.
const SIGNED: u64 = 4 + 1 + 33 + 65 + 2 + 4 + 1 + 1 + 2;
/// A dispute's number, its state, and which variant of a move follows.
const MOVE: u64 = SIGNED + 8 + 32 + 2;
/// A signature with its kind, where there may be none.
const SIGNATURE: u64 = 1 + 65;
const DIGEST: u64 = 32;
/// A leaf of tokens with its length and its salt.
const TOKEN_LEAF: u64 = 2 + 32 + 32 * 4;

/// What the longest and dearest dispute over one trace costs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cost {
    pub leaves: u64,
    /// Levels of the tree above its leaves.
    pub height: u32,
    /// Extrinsics of the longest dispute, of both sides together.
    pub moves: u32,
    /// Bytes of all extrinsics of the dearest dispute.
    pub bytes: u64,
    /// Bytes of the largest extrinsic, and the row whose proof it brings; none for another move.
    pub largest: (u64, Option<Row>),
    /// Bytes of the largest proof of each row: of an element or a part.
    pub proofs: Vec<(Row, u64)>,
    /// Bytes of leaves of a position, on average over all.
    pub hashed: u64,
}

impl Cost {
    /// Of a trace of the last token of an answer, in a channel.
    pub fn new(layout: &Layout) -> Self {
        let case = Case {
            layout: layout.clone(),
            seed: [0; 32],
        };
        let prover = Prover {
            case: &case,
            output_len: (layout.positions() + 1).saturating_sub(layout.prompt_len()),
        };
        let mut proofs = Vec::new();
        let (mut longest, mut dearest) = (0, 0);
        for row in [Row::BEFORE, Row::LAYER, Row::AFTER].concat() {
            let mut largest = 0;
            for cell in samples(layout, row) {
                let target = Target::element(cell, plausible(layout, row));
                let end = prover.play(target);
                longest = longest.max(end.moves);
                dearest = dearest.max(end.bytes);
                largest = largest.max(end.largest);
            }
            if largest > 0 {
                proofs.push((row, largest));
            }
        }
        let descent = descent(layout, prover.output_len);
        let proof = proofs.iter().map(|(row, bytes)| (*bytes, Some(*row)));
        let others = descent.iter().map(|bytes| (*bytes, None));
        Self {
            leaves: layout.leaves(),
            height: layout.height(),
            moves: descent.len() as u32 + longest,
            bytes: descent.iter().sum::<u64>() + dearest,
            largest: proof
                .chain(others)
                .max_by_key(|(bytes, _)| *bytes)
                .unwrap_or((0, None)),
            hashed: hashed(layout) / u64::from(layout.positions()),
            proofs,
        }
    }
}

/// Bytes of all leaves.
fn hashed(layout: &Layout) -> u64 {
    let bytes = |rows: &[Row], position| -> u64 {
        let extents = rows.iter().filter_map(|row| layout.extent(*row, position));
        extents.map(|extent| extent.bytes()).sum()
    };
    let layers = u64::from(layout.shape().layers);
    let positions = (0..layout.positions()).map(|position| {
        let around = bytes(Row::BEFORE, position) + bytes(Row::AFTER, position);
        around + layers * bytes(Row::LAYER, position)
    });
    positions.sum()
}

/// Bytes of each move from the commitment to the choice of an element.
fn descent(layout: &Layout, output_len: u32) -> Vec<u64> {
    let statement = Receipt::max_encoded_len() as u64
        + SIGNATURE
        + RequestHeader::<AccountId32>::max_encoded_len() as u64;
    let claim = Claim::max_encoded_len() as u64;
    let commit = SIGNED + DIGEST;
    let open = SIGNED + claim + statement + 5 + DIGEST + 33;
    let leaves = layout.leaves();
    let nodes = |levels: u32| 2 + (DIGEST << levels);
    let tokens = u64::from(output_len).div_ceil(32);
    let siblings = |leaves: u64| 2 + DIGEST * u64::from(levels::height(leaves));
    let answer = MOVE
        + SIGNATURE
        + nodes(layout.height() - levels::first(leaves))
        + (1 + 4 + siblings(leaves))
        + (TOKEN_LEAF + siblings(tokens));
    // An index among what was revealed.
    let choose = MOVE + 5;
    let mut moves = vec![commit, open, answer, choose];
    let mut level = levels::first(leaves);
    while let Some(below) = levels::next(level) {
        moves.extend([MOVE + nodes(level - below), choose]);
        level = below;
    }
    // Each leaf with its length; and of the choice, the leaf and the element.
    moves.extend([MOVE + 1 + (2 + 256) * (1 << level), choose + 5]);
    moves
}

/// Places at which proofs of a row may be largest.
fn samples(layout: &Layout, row: Row) -> Vec<Cell> {
    let last = layout.positions() - 1;
    let page = PAGE as u32;
    let full = (last + 1) / page * page;
    let positions = [
        last,
        full.saturating_sub(1),
        last / 2 / page * page + page - 1,
    ];
    let layers = [0, layout.shape().layers / 2, layout.shape().layers - 1];
    let mut cells = Vec::new();
    for position in positions {
        for layer in layers {
            let place = Place {
                position,
                layer,
                row,
            };
            let Some(span) = layout.span(place) else {
                continue;
            };
            let elements = span.extent.elements();
            let end = u64::from(span.extent.element.per_leaf());
            for element in [0, end - 1, elements / 2, elements - 1] {
                let cell = place.cell(element);
                if element < elements && !cells.contains(&cell) {
                    cells.push(cell);
                }
            }
        }
    }
    cells
}

/// A value whose proof opens as much as any.
fn plausible(layout: &Layout, row: Row) -> i64 {
    let token = layout.shape().vocabulary / 2;
    match row {
        Row::Cut => pair(0, token),
        Row::LastBin => BINS as i64 / 2,
        Row::Token => token.into(),
        _ => 0,
    }
}

/// Makes proofs of the sizes of real ones.
struct Prover<'a> {
    case: &'a Case,
    output_len: u32,
}

/// The end of a dispute, from the first proof on.
#[derive(Default)]
struct End {
    moves: u32,
    bytes: u64,
    largest: u64,
}

impl Prover<'_> {
    /// The dearest end of a dispute over a target.
    fn play(&self, target: Target) -> End {
        let proof = self.prove(&target);
        let here = MOVE + 2 + proof.encoded_size() as u64;
        let parts = proof.parts.len();
        let mut end = End::default();
        let mut places = vec![0, parts / 2, parts.saturating_sub(1)];
        places.dedup();
        for index in places.into_iter().filter(|index| *index < parts) {
            let mut part = target.clone();
            part.parts.push(Part {
                index: index as u32,
                value: 0,
            });
            let below = self.play(part);
            end.moves = end.moves.max(1 + below.moves);
            end.bytes = end.bytes.max(MOVE + 5 + below.bytes);
            end.largest = end.largest.max(below.largest);
        }
        End {
            moves: 1 + end.moves,
            bytes: here + end.bytes,
            largest: here.max(end.largest),
        }
    }

    fn prove(&self, target: &Target) -> Proof {
        let proof = made::proof(self.case, target, self.output_len, true, blake2_256);
        // There is one of each sample.
        proof.map(|(_, proof)| proof).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
