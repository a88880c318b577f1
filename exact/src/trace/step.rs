//! What a step is, and whether one holds.

use alloc::vec::Vec;
use core::ops::Range;

use super::{
    case::Case,
    element,
    layout::Layout,
    opening::Hash,
    place::Cell,
    reader::{Read, Reader},
    reduction::Reduction,
    source::{Fault, Source},
};
use crate::leaf::{LeafError, Operand, Parameter, BLOCK};

/// What is to be judged: an element, a part of it, or a part of a part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    pub cell: Cell,
    /// What the trace says that the element is.
    pub value: i64,
    /// From the element to the part in question; empty for the element.
    pub parts: Vec<Part>,
}

/// A part of a reduction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    pub index: u32,
    /// What a proof said that it is.
    pub value: i64,
}

/// What a proof shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ruling {
    /// The number follows from those before it.
    Holds,
    /// It does not.
    Refuted,
    /// The number follows from the proof's parts, of which one may be wrong.
    Parts,
    /// The model has a number that is outside the format, and nobody is to blame.
    Broken(Parameter),
}

/// The blocks of a reduction that a target stands for.
pub(super) struct Scope {
    reduction: Option<Reduction>,
    blocks: Range<u64>,
}

impl Scope {
    fn of_cell(layout: &Layout, cell: Cell) -> Option<Self> {
        layout.leaf_of(cell)?;
        let reduction = element::reduction(layout, cell.place);
        let blocks = reduction.map_or(0, |reduction| reduction.blocks);
        Some(Self {
            reduction,
            blocks: 0..blocks,
        })
    }

    fn new(layout: &Layout, target: &Target) -> Option<Self> {
        let mut scope = Self::of_cell(layout, target.cell)?;
        for part in &target.parts {
            scope = scope.part(part.index)?;
        }
        Some(scope)
    }

    fn len(&self) -> u64 {
        self.blocks.end.saturating_sub(self.blocks.start)
    }

    /// Blocks of one part.
    fn step(&self) -> u64 {
        if self.len() > BLOCK as u64 {
            BLOCK as u64
        } else {
            1
        }
    }

    /// Parts that it has; 0 if it is computed at once.
    fn fan(&self) -> u32 {
        match self.len() {
            0 | 1 => 0,
            len => len.div_ceil(self.step()) as u32,
        }
    }

    fn part(&self, index: u32) -> Option<Self> {
        if index >= self.fan() {
            return None;
        }
        let before = u64::from(index).saturating_mul(self.step());
        let start = self.blocks.start.saturating_add(before);
        let end = start.saturating_add(self.step()).min(self.blocks.end);
        Some(Self {
            reduction: self.reduction,
            blocks: start..end,
        })
    }

    fn combine(&self, parts: &[i64]) -> Result<i64, LeafError> {
        let reduction = self.reduction.ok_or(Operand::Length)?;
        reduction.reduce.combine(parts)
    }

    /// What all its blocks give together; 0 for no block.
    fn computed<S: Source>(&self, reader: &mut Reader<S>, cell: Cell, value: i64) -> Read<i64, S> {
        match self.len() {
            0 => Ok(0),
            1 => element::block(reader, cell, value, self.blocks.start),
            _ => {
                let parts = self.parts(reader, cell, value)?;
                Ok(self.combine(&parts)?)
            }
        }
    }

    fn parts<S: Source>(
        &self,
        reader: &mut Reader<S>,
        cell: Cell,
        value: i64,
    ) -> Read<Vec<i64>, S> {
        let parts = (0..self.fan()).map_while(|index| self.part(index));
        parts
            .map(|part| part.computed(reader, cell, value))
            .collect()
    }
}

impl Target {
    /// An element of a trace.
    pub fn element(cell: Cell, value: i64) -> Self {
        Self {
            cell,
            value,
            parts: Vec::new(),
        }
    }

    /// What the number in question is said to be.
    pub fn claimed(&self) -> i64 {
        self.parts.last().map_or(self.value, |part| part.value)
    }

    /// How many parts a proof of it has to give: 0 if the proof decides. None if the trace has no such
    /// element or part.
    pub fn fan(&self, layout: &Layout) -> Option<u32> {
        Some(Scope::new(layout, self)?.fan())
    }
}

/// Why there is no ruling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepError<E> {
    /// The trace has no such element, or the element no such part.
    Target,
    /// There are more parts, or fewer, than the target has.
    Parts,
    /// Its operands are not there.
    Source(E),
}

/// Whether a target follows from `parts`, if it has any, and from what it reads.
pub fn rule<S: Source>(
    case: &Case,
    target: &Target,
    parts: &[i64],
    source: S,
    hash: Hash,
) -> Result<Ruling, StepError<S::Error>> {
    let scope = Scope::new(&case.layout, target).ok_or(StepError::Target)?;
    if parts.len() != scope.fan() as usize {
        return Err(StepError::Parts);
    }
    let mut reader = Reader::new(case, hash, source);
    Ok(match holds(&scope, target, parts, &mut reader) {
        Ok(true) if parts.is_empty() => Ruling::Holds,
        Ok(true) => Ruling::Parts,
        Ok(false) => Ruling::Refuted,
        Err(Fault::Leaf(LeafError::Parameter(parameter))) => Ruling::Broken(parameter),
        // Only a false trace has such a number.
        Err(Fault::Leaf(LeafError::Operand(_))) => Ruling::Refuted,
        Err(Fault::Source(error)) => return Err(StepError::Source(error)),
    })
}

fn holds<S: Source>(
    scope: &Scope,
    target: &Target,
    parts: &[i64],
    reader: &mut Reader<S>,
) -> Read<bool, S> {
    let (cell, value) = (target.cell, target.value);
    let combined = if parts.is_empty() {
        scope.computed(reader, cell, value)?
    } else {
        scope.combine(parts)?
    };
    if target.parts.is_empty() {
        let found = element::element(reader, cell, value, combined)?;
        Ok(found.holds(value))
    } else {
        Ok(combined == target.claimed())
    }
}

/// The true parts of a target, which a proof of it gives: those of what engines compute, whatever the
/// weights are, so that an honest proof of a broken model gets as far as the broken weight.
pub fn parts<S: Source>(
    case: &Case,
    target: &Target,
    source: S,
    hash: Hash,
) -> Result<Vec<i64>, StepError<Fault<S::Error>>> {
    let scope = Scope::new(&case.layout, target).ok_or(StepError::Target)?;
    let mut reader = Reader::new(case, hash, source);
    reader.checks_weights = false;
    let parts = scope.parts(&mut reader, target.cell, target.value);
    parts.map_err(StepError::Source)
}

/// What a cell is, by the functions of a judge alone. `value` is what it is claimed to be.
#[cfg(test)]
pub(super) fn found<S: Source>(
    case: &Case,
    cell: Cell,
    value: i64,
    source: S,
    hash: Hash,
) -> Read<super::finding::Finding, S> {
    let scope = Scope::of_cell(&case.layout, cell).ok_or(Operand::Length)?;
    let mut reader = Reader::new(case, hash, source);
    let reduced = scope.computed(&mut reader, cell, value)?;
    element::element(&mut reader, cell, value, reduced)
}
