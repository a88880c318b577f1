//! Where a step's operands come from.

use alloc::vec::Vec;

use super::place::Place;
use crate::{leaf::LeafError, tensor::Tensor};

/// What steps read: a proof that was verified, or a trace. The numbers of a trace are i64 whatever
/// their type ([`super::Element`]).
pub trait Source {
    /// Why something could not be read.
    type Error;

    /// Consecutive elements of a row.
    fn cells(&mut self, place: Place, first: u64, out: &mut [i64]) -> Result<(), Self::Error>;

    /// A leaf of one of the model's tensors (format page §9).
    fn tensor(&mut self, tensor: Tensor, leaf: u64) -> Result<Vec<u8>, Self::Error>;

    /// The token at a position.
    fn token(&mut self, position: u32) -> Result<u32, Self::Error>;
}

impl<S: Source> Source for &mut S {
    type Error = S::Error;

    fn cells(&mut self, place: Place, first: u64, out: &mut [i64]) -> Result<(), Self::Error> {
        S::cells(self, place, first, out)
    }

    fn tensor(&mut self, tensor: Tensor, leaf: u64) -> Result<Vec<u8>, Self::Error> {
        S::tensor(self, tensor, leaf)
    }

    fn token(&mut self, position: u32) -> Result<u32, Self::Error> {
        S::token(self, position)
    }
}

/// Why a step cannot be computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault<E> {
    /// Its operands are not there.
    Source(E),
    /// An operand is not what it must be.
    Leaf(LeafError),
}

impl<E, L: Into<LeafError>> From<L> for Fault<E> {
    fn from(error: L) -> Self {
        Self::Leaf(error.into())
    }
}
