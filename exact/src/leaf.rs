//! What a leaf may hold: the ranges of the format page's §2 and §7, and the errors of a leaf
//! outside them.

/// Most weights in one leaf of a weight tensor, and so most terms of one partial sum.
pub const WEIGHTS_PER_LEAF: usize = 1024;
/// Intervals in one leaf of a table; it has one entry more, which is the next leaf's first.
pub const INTERVALS_PER_LEAF: usize = 64;
/// Most elements of a row in one block of a sum or a maximum.
pub const BLOCK: usize = 256;
/// Most positions in one page of the key-value cache.
pub const PAGE: usize = 16;
/// Largest quantised activation, 127 · 256.
pub const MAX_ACTIVATION: i64 = 32512;

/// One output row's scale, `mantissa · 2^exponent`, and its bias in Q16 (0 without biases).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Row {
    /// 0, or at least 2^15.
    pub mantissa: u16,
    /// In [-96, 31].
    pub exponent: i16,
    pub bias: i32,
}

/// Why an element cannot be computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeafError {
    /// An authenticated number of the model is outside its range. The model breaks the format, and
    /// whoever ran it is not to blame.
    Parameter(Parameter),
    /// A number or a count that no true trace can hold. Whoever presented it is wrong.
    Operand(Operand),
}

/// Which stored number is outside its range (format page §2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parameter {
    /// A weight or an embedding's high limb of -128.
    Weight,
    /// A row's mantissa that is neither 0 nor at least 2^15.
    Mantissa,
    /// A row's exponent outside [-96, 31].
    RowExponent,
    /// An embedding column's exponent outside [-16, 16].
    ColumnExponent,
    /// A norm's entry of 2^24 or more in size.
    Gamma,
    /// A norm's exponent outside [-64, 31].
    GammaExponent,
    /// An entry of the exp2 table outside [2^29, 2^30], or a first entry that is not 2^30.
    Exp2,
    /// An entry of the SiLU table outside [0, 2^27).
    Silu,
    /// A rotary entry outside [-2^30, 2^30].
    Rotary,
}

/// What is wrong with the numbers that an element reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// Rows that belong together differ in length, or are longer than a block.
    Length,
    /// A table's entry that the element needs is not there.
    Entry,
    /// An element is above its row's maximum, or the maximum is outside its type's range.
    Maximum,
    /// A sum that is outside the bounds of the format page's §8.
    Sum,
    /// A scale that is not normalised.
    Scale,
    /// A request value of the sampling that is outside its range.
    Request,
}

impl From<Parameter> for LeafError {
    fn from(parameter: Parameter) -> Self {
        Self::Parameter(parameter)
    }
}

impl From<Operand> for LeafError {
    fn from(operand: Operand) -> Self {
        Self::Operand(operand)
    }
}

#[inline]
pub(crate) fn require(condition: bool, error: impl Into<LeafError>) -> Result<(), LeafError> {
    if condition {
        Ok(())
    } else {
        Err(error.into())
    }
}

/// A weight or high limb: not -128.
#[inline]
pub fn weight(weight: i8) -> Result<i64, LeafError> {
    require(weight != i8::MIN, Parameter::Weight)?;
    Ok(weight.into())
}

/// A row's scale and bias.
#[inline]
pub fn row(row: Row) -> Result<Row, LeafError> {
    require(
        row.mantissa == 0 || row.mantissa >= 1 << 15,
        Parameter::Mantissa,
    )?;
    require((-96..=31).contains(&row.exponent), Parameter::RowExponent)?;
    Ok(row)
}

/// An embedding column's exponent.
#[inline]
pub fn column(exponent: i8) -> Result<i32, LeafError> {
    require((-16..=16).contains(&exponent), Parameter::ColumnExponent)?;
    Ok(exponent.into())
}

/// A norm's entry.
#[inline]
pub fn gamma(entry: i32) -> Result<i64, LeafError> {
    require(entry.unsigned_abs() < 1 << 24, Parameter::Gamma)?;
    Ok(entry.into())
}

/// A norm's exponent.
#[inline]
pub fn gamma_exponent(exponent: i32) -> Result<i32, LeafError> {
    require((-64..=31).contains(&exponent), Parameter::GammaExponent)?;
    Ok(exponent)
}

/// An entry of the exp2 table, Q30.
#[inline]
pub fn exp2(entry: i32) -> Result<i64, LeafError> {
    require((1 << 29..=1 << 30).contains(&entry), Parameter::Exp2)?;
    Ok(entry.into())
}

/// An entry of the SiLU table, Q28.
#[inline]
pub fn silu(entry: i32) -> Result<i64, LeafError> {
    require((0..1 << 27).contains(&entry), Parameter::Silu)?;
    Ok(entry.into())
}

/// A cosine or sine, Q30.
#[inline]
pub fn rotary(entry: i32) -> Result<i64, LeafError> {
    require(entry.unsigned_abs() <= 1 << 30, Parameter::Rotary)?;
    Ok(entry.into())
}

/// A table that is read in pairs of neighbours, its intervals' ends: the whole table, or the leaves
/// of it that a proof opens.
pub trait Entries {
    /// Both ends of an interval; none if they are not there.
    fn interval(&self, index: usize) -> Option<(i32, i32)>;
}

impl Entries for [i32] {
    #[inline]
    fn interval(&self, index: usize) -> Option<(i32, i32)> {
        match self.get(index..)? {
            [below, above, ..] => Some((*below, *above)),
            _ => None,
        }
    }
}

/// Leaves by their place in the table, each with one entry more than it has intervals; none where no
/// leaf is opened.
impl Entries for [Option<&[i32]>] {
    #[inline]
    fn interval(&self, index: usize) -> Option<(i32, i32)> {
        let leaf = (*self.get(index.wrapping_div(INTERVALS_PER_LEAF))?)?;
        leaf.interval(index.wrapping_rem(INTERVALS_PER_LEAF))
    }
}

/// Both ends of an interval, each in range.
#[inline]
pub(crate) fn pair<E: Entries + ?Sized>(
    table: &E,
    index: usize,
    check: fn(i32) -> Result<i64, LeafError>,
) -> Result<(i64, i64), LeafError> {
    let (below, above) = table.interval(index).ok_or(Operand::Entry)?;
    Ok((check(below)?, check(above)?))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Both ends of a range are inside, their neighbours outside.
    fn ends<T: Copy>(
        check: impl Fn(T) -> Result<i64, LeafError>,
        inside: [T; 2],
        outside: &[T],
        error: Parameter,
    ) {
        for value in inside {
            assert!(check(value).is_ok(), "{error:?}");
        }
        for value in outside {
            assert_eq!(check(*value), Err(error.into()));
        }
    }

    #[test]
    fn ranges_end_where_the_format_says() {
        let mantissa = |mantissa| {
            row(Row {
                mantissa,
                ..Row::default()
            })
            .map(|_| 0)
        };
        let exponent = |exponent| {
            row(Row {
                exponent,
                ..Row::default()
            })
            .map(|_| 0)
        };
        ends(weight, [-127, 127], &[-128], Parameter::Weight);
        ends(
            mantissa,
            [0, 1 << 15],
            &[1, (1 << 15) - 1],
            Parameter::Mantissa,
        );
        ends(exponent, [-96, 31], &[-97, 32], Parameter::RowExponent);
        let column = |exponent| column(exponent).map(i64::from);
        ends(column, [-16, 16], &[-17, 17], Parameter::ColumnExponent);
        let (most, one) = ((1 << 24) - 1, 1 << 30);
        ends(
            gamma,
            [-most, most],
            &[-most - 1, most + 1, i32::MIN],
            Parameter::Gamma,
        );
        let gamma_exponent = |exponent| gamma_exponent(exponent).map(i64::from);
        ends(
            gamma_exponent,
            [-64, 31],
            &[-65, 32],
            Parameter::GammaExponent,
        );
        ends(
            exp2,
            [one / 2, one],
            &[one / 2 - 1, one + 1, -one],
            Parameter::Exp2,
        );
        ends(silu, [0, (1 << 27) - 1], &[-1, 1 << 27], Parameter::Silu);
        ends(
            rotary,
            [-one, one],
            &[-one - 1, one + 1, i32::MIN],
            Parameter::Rotary,
        );
    }

    #[test]
    fn an_interval_is_found_in_the_leaf_that_holds_it() {
        let table: Vec<i32> = (0..=200).collect();
        let leaves = [Some(&table[..65]), None, Some(&table[128..193]), Some(&[7])];
        let whole = table.as_slice();
        for index in 0..300 {
            let ends = (index < 200).then_some((index as i32, index as i32 + 1));
            assert_eq!(whole.interval(index), ends);
            let opened = ends.filter(|_| index < 64 || (128..192).contains(&index));
            assert_eq!(leaves.as_slice().interval(index), opened);
        }
        assert_eq!(whole.interval(usize::MAX), None);
        assert_eq!(leaves.as_slice().interval(usize::MAX), None);
    }
}
