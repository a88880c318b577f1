//! A step's operands by their types.

use alloc::{collections::BTreeSet, vec, vec::Vec};

use super::{
    case::Case,
    opening::Hash,
    place::Place,
    row::{unpair, Row},
    source::{Fault, Source},
};
use crate::{
    leaf::{require, Entries, LeafError, Operand, INTERVALS_PER_LEAF},
    model::Row as Parameters,
    number::Scale,
    op::rotary::Angle,
    tensor::{Tensor, GAMMAS_PER_LEAF, ROWS_PER_LEAF},
};

/// Operands by their types.
pub(super) struct Reader<'a, S> {
    pub case: &'a Case,
    pub hash: Hash,
    /// Whether a weight's range is looked at, which engines do not.
    pub checks_weights: bool,
    source: S,
}

pub(super) type Read<T, S> = Result<T, Fault<<S as Source>::Error>>;

impl<'a, S: Source> Reader<'a, S> {
    pub fn new(case: &'a Case, hash: Hash, source: S) -> Self {
        Self {
            case,
            hash,
            checks_weights: true,
            source,
        }
    }

    /// One element of a row.
    pub fn cell(&mut self, place: Place, element: u64) -> Read<i64, S> {
        let mut out = [0];
        let read = self.source.cells(place, element, &mut out);
        read.map_err(Fault::Source)?;
        let [value] = out;
        Ok(value)
    }

    /// The only element of a row at the same position and layer.
    pub fn single(&mut self, place: Place, row: Row) -> Read<i64, S> {
        self.cell(place.row(row), 0)
    }

    /// Consecutive elements of a row.
    pub fn cells<T: TryFrom<i64>>(
        &mut self,
        place: Place,
        first: u64,
        count: u64,
    ) -> Read<Vec<T>, S> {
        let mut out = vec![0; count as usize];
        let read = self.source.cells(place, first, &mut out);
        read.map_err(Fault::Source)?;
        let typed = out.into_iter().map(|value| T::try_from(value));
        let typed: Result<Vec<T>, _> = typed.collect();
        Ok(typed.map_err(|_| Operand::Maximum)?)
    }

    /// One element of a row of i32.
    pub fn i32(&mut self, place: Place, element: u64) -> Read<i32, S> {
        let value = self.cell(place, element)?;
        Ok(i32::try_from(value).map_err(|_| Operand::Maximum)?)
    }

    /// One element of a row of scales.
    pub fn scale(&mut self, place: Place, element: u64) -> Read<Scale, S> {
        let value = self.cell(place, element)?;
        Ok(scale_of(value)?)
    }

    /// Consecutive elements of a row of scales.
    pub fn scales(&mut self, place: Place, first: u64, count: u64) -> Read<Vec<Scale>, S> {
        let values: Vec<i64> = self.cells(place, first, count)?;
        let scales = values.into_iter().map(scale_of);
        Ok(scales.collect::<Result<_, _>>()?)
    }

    /// Consecutive elements of a position's angles.
    pub fn angles(&mut self, place: Place, first: u64, count: u64) -> Read<Vec<Angle>, S> {
        let pairs: Vec<i64> = self.cells(place.outside(Row::Angles), first, count)?;
        let angle = |pair| {
            let (cos, sin) = unpair(pair);
            Angle {
                cos,
                sin: sin as i32,
            }
        };
        Ok(pairs.into_iter().map(angle).collect())
    }

    /// The token at a position, which is one of the vocabulary.
    pub fn token(&mut self, position: u32) -> Read<u32, S> {
        let token = self.source.token(position).map_err(Fault::Source)?;
        require(token < self.case.layout.shape().vocabulary, Operand::Entry)?;
        Ok(token)
    }

    /// The weights, or low limbs, of one block of a row.
    pub fn weights(&mut self, tensor: Tensor, row: u64, block: u64) -> Read<Vec<i8>, S> {
        let leaves = tensor.form(self.case.layout.shape()).row_leaves();
        let leaf = self.leaf(tensor, row.saturating_mul(leaves).saturating_add(block))?;
        Ok(leaf.into_iter().map(|byte| byte as i8).collect())
    }

    /// A leaf of the embedding's column exponents.
    pub fn columns(&mut self, leaf: u64) -> Read<Vec<i8>, S> {
        let leaf = self.leaf(Tensor::EmbeddingColumns, leaf)?;
        Ok(leaf.into_iter().map(|byte| byte as i8).collect())
    }

    /// A row's parameters.
    pub fn parameters(&mut self, tensor: Tensor, row: u64) -> Read<Parameters, S> {
        const PER_LEAF: u64 = ROWS_PER_LEAF as u64;
        let leaf = self.leaf(tensor, row.wrapping_div(PER_LEAF))?;
        let place = row.wrapping_rem(PER_LEAF) as usize;
        let parameters = leaf.chunks_exact(8).nth(place);
        Ok(match parameters {
            Some([a, b, c, d, bias @ ..]) => Parameters {
                mantissa: u16::from_le_bytes([*a, *b]),
                exponent: i16::from_le_bytes([*c, *d]),
                bias: i32::from_le_bytes(bias.try_into().map_err(|_| Operand::Entry)?),
            },
            _ => return Err(Operand::Entry.into()),
        })
    }

    /// A norm's exponent and some of its entries, of one leaf or several.
    pub fn gamma(&mut self, tensor: Tensor, first: u64, count: u64) -> Read<(i32, Vec<i32>), S> {
        const PER_LEAF: u64 = GAMMAS_PER_LEAF as u64;
        let (mut exponent, mut entries) = (0, Vec::new());
        let end = first.saturating_add(count);
        let leaves = first.wrapping_div(PER_LEAF)..end.div_ceil(PER_LEAF);
        for leaf in leaves {
            let numbers = self.integers(tensor, leaf)?;
            let (head, numbers) = numbers.split_first().ok_or(Operand::Entry)?;
            exponent = *head;
            let before = leaf.saturating_mul(PER_LEAF);
            let skipped = first.saturating_sub(before) as usize;
            let taken = end.saturating_sub(before) as usize;
            let wanted = numbers.iter().take(taken).skip(skipped);
            entries.extend(wanted);
        }
        require(entries.len() as u64 == count, Operand::Entry)?;
        Ok((exponent, entries))
    }

    /// One angle of a row of a rotary table.
    pub fn table_angle(&mut self, table: Tensor, row: u64, index: u64) -> Read<Angle, S> {
        let numbers = self.integers(table, row)?;
        Ok(match numbers.chunks_exact(2).nth(index as usize) {
            Some([cos, sin]) => Angle {
                cos: *cos,
                sin: *sin,
            },
            _ => return Err(Operand::Entry.into()),
        })
    }

    /// The table E.
    pub fn exp2(&mut self) -> Read<Table, S> {
        let leaves = Tensor::Exp2.form(self.case.layout.shape()).leaves();
        self.table(Tensor::Exp2, 0..leaves)
    }

    /// Some intervals of the table B.
    pub fn silu(&mut self, intervals: impl Iterator<Item = usize>) -> Read<Table, S> {
        let leaf = |interval: usize| interval.wrapping_div(INTERVALS_PER_LEAF) as u64;
        let leaves: BTreeSet<u64> = intervals.map(leaf).collect();
        self.table(Tensor::Silu, leaves)
    }

    fn table(&mut self, tensor: Tensor, leaves: impl IntoIterator<Item = u64>) -> Read<Table, S> {
        let mut table = Table(Vec::new());
        for leaf in leaves {
            table.0.resize(leaf as usize, None);
            table.0.push(Some(self.integers(tensor, leaf)?));
        }
        Ok(table)
    }

    fn integers(&mut self, tensor: Tensor, leaf: u64) -> Read<Vec<i32>, S> {
        let leaf = self.leaf(tensor, leaf)?;
        let number = |bytes: &[u8]| bytes.try_into().map(i32::from_le_bytes).unwrap_or(0);
        Ok(leaf.chunks_exact(4).map(number).collect())
    }

    fn leaf(&mut self, tensor: Tensor, leaf: u64) -> Read<Vec<u8>, S> {
        self.source.tensor(tensor, leaf).map_err(Fault::Source)
    }
}

/// The leaves of a table that were read, each in its place.
pub(super) struct Table(Vec<Option<Vec<i32>>>);

impl Entries for Table {
    fn interval(&self, index: usize) -> Option<(i32, i32)> {
        let leaf = self.0.get(index.wrapping_div(INTERVALS_PER_LEAF))?;
        let inside = index.wrapping_rem(INTERVALS_PER_LEAF);
        leaf.as_ref()?.as_slice().interval(inside)
    }
}

/// A scale from its number in a trace.
fn scale_of(value: i64) -> Result<Scale, LeafError> {
    let scale = Scale {
        mantissa: value as u16,
        exponent: (value >> 16) as i32,
    };
    let normal = scale.mantissa == 0 || scale.mantissa >= 1 << 15;
    require(normal, Operand::Scale)?;
    Ok(scale)
}

/// A scale's number in a trace.
pub(super) fn of_scale(scale: Scale) -> i64 {
    (i64::from(scale.exponent) << 16) | i64::from(scale.mantissa)
}
