//! Steps of traces that nobody computed: proofs as long as true ones, of any shape, without a model.

use alloc::{vec, vec::Vec};

use super::{
    case::Case,
    layout::Layout,
    opening::{Digest, Hash, Opening},
    place::{Cell, Place},
    proof::{leaf_bytes, token_leaf_bytes, Proof, Roots, Tree, TOKENS_PER_LEAF},
    prove::{open, Recorder, Trees},
    reader::of_scale,
    row::{pair, Element, Row},
    source::Source,
    step::{self, Part, Target},
};
use crate::{
    number::Scale,
    tensor::{Kind, Tensor},
};

/// A proof of the target that is read to its end, and the roots that it leads to.
pub fn proof(
    case: &Case,
    target: &Target,
    output_len: u32,
    salted: bool,
    hash: Hash,
) -> Option<(Roots, Proof)> {
    let layout = &case.layout;
    let parts = vec![0; target.fan(layout)? as usize];
    let mut made = Made {
        layout,
        output_len,
        salted,
    };
    let mut recorder = Recorder::new(layout, &mut made);
    step::rule(case, target, &parts, &mut recorder, hash).ok()?;
    let reads = recorder.reads;
    let proof = open(layout, &reads, parts, output_len, &mut made).ok()?;
    let tokens = |opening: &Opening, tokens: u32| {
        let leaves = tokens.div_ceil(TOKENS_PER_LEAF).into();
        opening.root(leaves, hash).unwrap_or_default()
    };
    let roots = Roots {
        trace: proof.trace.root(layout.leaves(), hash).unwrap_or_default(),
        prompt: tokens(&proof.prompt, layout.prompt_len()),
        output: tokens(&proof.output, output_len),
        tables: proof
            .tables
            .root(Tree::Tables, layout, hash)
            .unwrap_or_default(),
        weights: proof
            .weights
            .root(Tree::Weights, layout, hash)
            .unwrap_or_default(),
        salted,
        output_len,
    };
    Some((roots, proof))
}

/// Targets of every kind that a trace has: of each row the first element, one in the middle and the
/// last, at the last position that has the row, and of each of these the element and its longest parts.
pub fn targets(layout: &Layout) -> impl Iterator<Item = Target> + '_ {
    let last = layout.positions().saturating_sub(1);
    let layer = layout.shape().layers.saturating_sub(1);
    let rows = [Row::BEFORE, Row::LAYER, Row::AFTER].concat();
    let places = rows.into_iter().filter_map(move |row| {
        let layer = if Row::LAYER.contains(&row) { layer } else { 0 };
        let positions = (0..=last).rev().take(16);
        let mut places = positions.map(|position| Place {
            position,
            layer,
            row,
        });
        places.find_map(|place| layout.span(place))
    });
    let cells = places.flat_map(|span| {
        let elements = span.extent.elements();
        let mut elements = vec![0, elements >> 1, elements.saturating_sub(1)];
        elements.dedup();
        elements
            .into_iter()
            .map(move |element| span.place.cell(element))
    });
    cells.flat_map(|cell| lines(layout, cell))
}

/// An element, the middle one of its parts, and the middle one of that part's.
fn lines(layout: &Layout, cell: Cell) -> Vec<Target> {
    let value = match cell.place.row {
        // The first of a leaf.
        Row::LastBin => 32,
        Row::Token => (layout.shape().vocabulary >> 1).into(),
        _ => 0,
    };
    let mut target = Target::element(cell, value);
    let mut lines = vec![target.clone()];
    while let Some(fan) = target.fan(layout).filter(|fan| *fan > 0) {
        let index = fan >> 1;
        target.parts.push(Part { index, value: 0 });
        lines.push(target.clone());
    }
    lines
}

/// Numbers that contradict each other too little for a step to end early.
struct Made<'a> {
    layout: &'a Layout,
    output_len: u32,
    salted: bool,
}

impl Made<'_> {
    fn number(&self, place: Place, element: u64) -> i64 {
        use Row::*;
        match place.row {
            Denominator => 1 << 30,
            // Gates far from each other, which need as many leaves of the table B, none beside another.
            Gate => ((element & 15) << 16) as i64,
            // Everything is in the last: the draw falls behind all blocks but that one.
            Cumulative | Kept => {
                let extent = self.layout.extent(place.row, place.position);
                let last = extent.map(|extent| extent.elements().saturating_sub(1));
                i64::from(last == Some(element)) << 40
            }
            LastBin => 4095,
            Largest => pair(0, 0),
            // All logits are equal, and none is cut off.
            Cut => pair(0, self.layout.shape().vocabulary.saturating_sub(1)),
            row if row.element() == Element::Scale => of_scale(Scale {
                mantissa: 1 << 15,
                exponent: -16,
            }),
            row if row.element() == Element::I64 && row != ShiftedMaximum => 1 << 47,
            _ => 0,
        }
    }
}

impl Source for Made<'_> {
    type Error = ();

    fn cells(&mut self, place: Place, first: u64, out: &mut [i64]) -> Result<(), ()> {
        for (element, slot) in (first..).zip(out) {
            *slot = self.number(place, element);
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: Tensor, leaf: u64) -> Result<Vec<u8>, ()> {
        let form = tensor.form(self.layout.shape());
        let bytes = form.leaf_bytes(leaf).ok_or(())?;
        let pattern: &[u8] = match form.kind {
            // A mantissa of 2^15, an exponent of -16, no bias.
            Kind::Rows => &[0, 128, 240, 255, 0, 0, 0, 0],
            // 2^30.
            Kind::Intervals if tensor == Tensor::Exp2 => &[0, 0, 0, 64],
            _ => &[0],
        };
        Ok(pattern.iter().copied().cycle().take(bytes).collect())
    }

    fn token(&mut self, _: u32) -> Result<u32, ()> {
        Ok(0)
    }
}

impl Trees for Made<'_> {
    fn leaf(&mut self, tree: Tree, index: u64) -> Result<Vec<u8>, ()> {
        let zeros = |bytes: Option<usize>| Ok(vec![0; bytes.ok_or(())?]);
        match tree {
            Tree::Prompt => zeros(token_leaf_bytes(
                index,
                self.layout.prompt_len(),
                self.salted,
            )),
            Tree::Output => zeros(token_leaf_bytes(index, self.output_len, self.salted)),
            Tree::Tensor(tensor) => self.tensor(tensor, index),
            Tree::Trace => {
                let leaf = self.layout.leaf(index).ok_or(())?;
                let mut bytes = Vec::with_capacity(leaf_bytes(&leaf));
                for element in (leaf.first..).take(leaf.elements as usize) {
                    let number = self.number(leaf.place, element);
                    leaf.place.row.element().write(number, &mut bytes);
                }
                Ok(bytes)
            }
            Tree::Tables | Tree::Weights => Err(()),
        }
    }

    fn node(&mut self, _: Tree, _: u32, _: u64) -> Result<Digest, ()> {
        Ok([255; 32])
    }
}
