//! What a dispute over a trace costs: moves, bytes on chain, and hashing, for any shape and without
//! weights.
//!
//! Sizes of proofs come from the code that makes proofs, run on blank leaves.

// Counts of leaves and bytes are far below 2^63.
#![allow(clippy::arithmetic_side_effects)]

use assay_primitives::{blake2_256, Claim, Receipt, RequestHeader};
use codec::{Encode, MaxEncodedLen};
use core::convert::Infallible;
use sp_core::crypto::AccountId32;

use super::{
    pair, prove, Case, Cell, Digest, Layout, Part, Place, Proof, Row, Source, Target, Tree, Trees,
};
use crate::{
    leaf::PAGE,
    sampling::BINS,
    tensor::{Kind, Tensor},
};

/// Levels between a node and those of its descendants that one move reveals.
const STRIDE: u32 = 6;
/// Below this level leaves are revealed, not hashes.
const LEAF_LEVEL: u32 = 3;
/// Bytes of an extrinsic around its call: length, version, address, signature, era, nonce, tip, mode of the
/// metadata's hash, and the call's two indices.
const SIGNED: u64 = 4 + 1 + 33 + 65 + 2 + 4 + 1 + 1 + 2;
/// A dispute's number, its state, and which variant of a move follows.
const MOVE: u64 = SIGNED + 8 + 32 + 2;
/// A signature with its kind, where there may be none.
const SIGNATURE: u64 = 1 + 65;
const DIGEST: u64 = 32;
/// A token's number in a leaf of tokens with a salt ahead.
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
        let mut prover = Prover {
            case: &case,
            output_len: layout.positions() - layout.prompt_len() + 1,
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
    let level = layout.height().saturating_sub(STRIDE);
    let nodes = |levels: u32| 2 + (DIGEST << levels);
    let tokens = u64::from(output_len).div_ceil(32);
    let siblings = |leaves: u64| 2 + DIGEST * u64::from(64 - (leaves - 1).leading_zeros());
    let answer = MOVE
        + SIGNATURE
        + nodes(layout.height() - level)
        + (1 + 4 + siblings(layout.leaves()))
        + (TOKEN_LEAF + siblings(tokens));
    // An index among what was revealed.
    let choose = MOVE + 5;
    let mut moves = vec![commit, open, answer, choose];
    let mut level = level;
    while level > LEAF_LEVEL {
        let below = level.saturating_sub(STRIDE).max(LEAF_LEVEL);
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

/// A value of which a proof opens as much as of any.
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
    fn play(&mut self, target: Target) -> End {
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

    fn prove(&mut self, target: &Target) -> Proof {
        let (case, output_len) = (self.case, self.output_len);
        let mut blank = Blank(&case.layout);
        // A blank trace has no such element only where the samples are wrong.
        prove(case, target, output_len, &mut blank, blake2_256).unwrap_or_default()
    }
}

/// A trace and a model whose numbers are 0, as far as steps can be computed from them.
struct Blank<'a>(&'a Layout);

impl Source for Blank<'_> {
    type Error = Infallible;

    fn cells(&mut self, place: Place, first: u64, out: &mut [i64]) -> Result<(), Infallible> {
        let extent = self.0.extent(place.row, place.position);
        let last = extent.map_or(0, |extent| extent.elements() - 1);
        for (element, slot) in (first..).zip(out) {
            *slot = match place.row {
                Row::Denominator => 1 << 30,
                // Each in a leaf of the table of its own.
                Row::Gate => (element as i64 % PAGE as i64) << 16,
                // Sums that reach everything with their last element.
                Row::Cumulative | Row::Kept if element == last => 1 << 30,
                row if row.element() == super::Element::Scale => -128 << 16,
                _ => 0,
            };
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: Tensor, leaf: u64) -> Result<Vec<u8>, Infallible> {
        let form = tensor.form(self.0.shape());
        let bytes = form.leaf_bytes(leaf).unwrap_or(0);
        let entry: i32 = match tensor {
            Tensor::Exp2 => 1 << 30,
            _ => 0,
        };
        Ok(match form.kind {
            Kind::Intervals => entry.to_le_bytes().repeat(bytes / 4),
            _ => vec![0; bytes],
        })
    }

    fn token(&mut self, _: u32) -> Result<u32, Infallible> {
        Ok(self.0.shape().vocabulary / 2)
    }
}

impl Trees for Blank<'_> {
    fn leaf(&mut self, tree: Tree, index: u64) -> Result<Vec<u8>, Infallible> {
        Ok(match tree {
            Tree::Trace => {
                let leaf = self.0.leaf(index);
                let bytes =
                    leaf.map(|leaf| leaf.elements as usize * leaf.place.row.element().bytes());
                vec![0; bytes.unwrap_or(0)]
            }
            // A salt and the tokens.
            Tree::Prompt | Tree::Output => vec![0; 32 + 32 * 4],
            Tree::Tensor(tensor) => self.tensor(tensor, index)?,
            Tree::Tables | Tree::Weights => vec![],
        })
    }

    fn node(&mut self, _: Tree, _: u32, _: u64) -> Result<Digest, Infallible> {
        Ok([0; 32])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sampling::Settings,
        shape::{Rotary, Scaling, PPM},
        Shape,
    };

    /// Llama-3.1-8B.
    fn llama() -> Shape {
        Shape {
            layers: 32,
            hidden: 4096,
            intermediate: 14_336,
            heads: 32,
            kv_heads: 8,
            head_dim: 128,
            vocabulary: 128_256,
            context: 131_072,
            tied: false,
            biases: false,
            head_norms: false,
            fraction_bits: 16,
            eps40: 10_995_116,
            rotary: Rotary {
                base: 500_000 * PPM,
                scaling: Some(Scaling {
                    factor: 8 * PPM,
                    low: PPM,
                    high: 4 * PPM,
                    original_context: 8192,
                }),
            },
        }
    }

    /// Everything that a request can ask of the choice.
    const ALL: Settings = Settings {
        temperature: 1_000_000,
        top_k: 50,
        top_p: 900_000,
        min_p: 10_000,
        penalty: 1_100_000,
    };

    #[test]
    fn a_dispute_over_a_thousand_tokens_of_8b_keeps_its_bars() {
        for settings in [Settings::GREEDY, ALL] {
            let layout = Layout::new(&llama(), &settings, 24, 999).unwrap();
            let cost = Cost::new(&layout);
            assert!(cost.moves <= 16, "{cost:?}");
            assert!(cost.bytes <= 24 << 10, "{cost:?}");
            assert!(cost.largest.0 <= 12 << 10, "{cost:?}");
            assert!(cost.hashed <= 11_000_000, "{cost:?}");
        }
    }

    /// No sample is one that steps cannot be made of.
    #[test]
    fn every_row_has_a_proof() {
        for head_norms in [false, true] {
            let mut shape = llama();
            (shape.layers, shape.head_norms) = (1, head_norms);
            let layout = Layout::new(&shape, &ALL, 40, 9).unwrap();
            let all = [Row::BEFORE, Row::LAYER, Row::AFTER].concat();
            let there = all.into_iter().filter(|row| {
                let place = |position| Place {
                    position,
                    layer: 0,
                    row: *row,
                };
                [47, 48]
                    .iter()
                    .any(|position| layout.span(place(*position)).is_some())
            });
            let cost = Cost::new(&layout);
            let found: Vec<_> = cost.proofs.iter().map(|(row, _)| *row).collect();
            assert_eq!(found, there.collect::<Vec<_>>());
            // A proof opens something and brings at least a root's siblings.
            assert!(
                cost.proofs.iter().all(|(_, bytes)| *bytes > MOVE + 100),
                "{cost:?}"
            );
        }
    }
}
