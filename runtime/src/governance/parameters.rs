//! What a transaction costs, and what a record puts on hold.

use core::ops::RangeInclusive;

use crate::{Balance, ASY, EXISTENTIAL_DEPOSIT, MICRO_ASY, MILLI_ASY};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// What `fee_per_picosecond` may be.
///
/// At least 1: for nothing, anybody could fill all blocks. With 1, the time that ordinary
/// transactions have in a block costs 1.5 ASY, and more from block to block while they fill it.
///
/// At most a hundred times the default: a vote then costs half an ASY. Nominators have at least 10 ASY
/// in their bonds, so whoever has a stake in the chain can still vote for less. A whole block, with
/// fees at their highest after a week of full ones, comes to 8 × 10¹⁷ planck, far from what a
/// [`Balance`] can count.
pub const FEE_PER_PICOSECOND: RangeInclusive<Balance> = 1..=400;

/// What `fee_per_byte` may be.
///
/// Bytes do not become dearer in full blocks, so this alone keeps a chain from being filled: with a
/// tenth of the default, the least, all bytes of the 14,400 blocks of a day still cost 4,500 ASY.
///
/// With a hundred times the default, the most, a vote of 150 bytes costs 0.015 ASY, and a new runtime
/// of a megabyte 100 ASY.
pub const FEE_PER_BYTE: RangeInclusive<Balance> = MICRO_ASY / 10..=100 * MICRO_ASY;

/// What `deposit_base` may be.
///
/// At least as much as an account holds, which is a record too. At most a hundred times the default:
/// what a job or a channel puts on hold is then an ASY more than for its bytes. Neither votes nor
/// referenda on parameters make such a record, so that it can be lowered whatever it is.
pub const DEPOSIT_BASE: RangeInclusive<Balance> = EXISTENTIAL_DEPOSIT..=ASY;

/// What `deposit_per_byte` may be.
///
/// With a tenth of the default, the least, a gigabyte of records keeps 1,000 ASY on hold, the least
/// bond of a validator. With a hundred times the default, the most, a new runtime of a megabyte takes
/// as much until it is decided: the deposit for that decision once more.
pub const DEPOSIT_PER_BYTE: RangeInclusive<Balance> = MICRO_ASY..=MILLI_ASY;

/// What governance may set.
#[derive(
    Clone,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Fee of a picosecond of execution, in planck.
    pub fee_per_picosecond: Balance,
    /// Fee of a byte of a transaction, in planck.
    pub fee_per_byte: Balance,
    /// Deposit for any record, in planck.
    pub deposit_base: Balance,
    /// Deposit for each byte of a record, in planck.
    pub deposit_per_byte: Balance,
}

impl Default for Parameters {
    /// A transfer, about 0.2 ms with everything around it, costs about 0.001 ASY, and a full block
    /// about as much for its bytes as for its time.
    fn default() -> Self {
        Self {
            fee_per_picosecond: 4,
            fee_per_byte: MICRO_ASY,
            deposit_base: 10 * MILLI_ASY,
            deposit_per_byte: 10 * MICRO_ASY,
        }
    }
}

impl Parameters {
    /// Whether everybody can still pay, and nobody fills the chain for next to nothing.
    pub fn is_valid(&self) -> bool {
        FEE_PER_PICOSECOND.contains(&self.fee_per_picosecond)
            && FEE_PER_BYTE.contains(&self.fee_per_byte)
            && DEPOSIT_BASE.contains(&self.deposit_base)
            && DEPOSIT_PER_BYTE.contains(&self.deposit_per_byte)
    }
}
