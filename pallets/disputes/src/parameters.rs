//! What governance may set, and the prices that follow.

use assay_primitives::Balance;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

use crate::MAX_LIVE;

/// The bond doubles with each so many that wait already.
pub(crate) const CROWD: u32 = 8;

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
pub struct Parameters<BlockNumber> {
    /// Blocks after its anchor in which a receipt of a channel can be challenged. A job says its own
    /// window's end.
    pub challenge_blocks: BlockNumber,
    /// Blocks that a commitment may be used after the one it was made in.
    pub commitment_blocks: BlockNumber,
    /// Counted blocks that each move may take.
    pub reply_blocks: BlockNumber,
    /// Leaves of a trace for which the first move of each side has one more counted block.
    pub leaves_per_block: u64,
    /// Planck on hold for a commitment.
    pub commitment_deposit: Balance,
    /// Planck that any challenge puts at stake.
    pub base_bond: Balance,
    /// Planck more for each block that a first move has for its leaves.
    pub bond_per_block: Balance,
    /// What a provider gets of the bond of a challenge that was wrong, in planck, besides what the trace
    /// added to it; the rest is burned.
    pub compensation: Balance,
    /// Disputes of one provider whose clocks run at once.
    pub live_disputes: u32,
}

impl<BlockNumber: From<u32>> Default for Parameters<BlockNumber> {
    /// For blocks of six seconds: an hour to challenge, five minutes for a move.
    fn default() -> Self {
        Self {
            challenge_blocks: 600u32.into(),
            commitment_blocks: 50u32.into(),
            reply_blocks: 50u32.into(),
            leaves_per_block: 200_000,
            commitment_deposit: 100_000_000_000,
            base_bond: 10_000_000_000_000,
            bond_per_block: 100_000_000_000,
            compensation: 5_000_000_000_000,
            live_disputes: 8,
        }
    }
}

impl<BlockNumber: PartialOrd + From<u32>> Parameters<BlockNumber> {
    /// Whether every dispute reaches its end and costs who was wrong.
    pub fn is_valid(&self) -> bool {
        self.challenge_blocks > 0u32.into()
            && self.commitment_blocks > 0u32.into()
            && self.reply_blocks > 0u32.into()
            && self.leaves_per_block > 0
            && self.commitment_deposit > 0
            && self.base_bond > 0
            && self.compensation <= self.base_bond
            && (1..=MAX_LIVE).contains(&self.live_disputes)
    }
}

impl<BlockNumber> Parameters<BlockNumber> {
    /// Counted blocks that the first move of each side has beyond the others, for a trace of `leaves`.
    pub fn blocks_for(&self, leaves: u64) -> u32 {
        let blocks = leaves.div_ceil(self.leaves_per_block.max(1));
        u32::try_from(blocks).unwrap_or(u32::MAX)
    }

    /// Planck that a provider gets of the bond of a challenge over a trace of `leaves`: for its moves, and
    /// for computing it.
    pub fn compensation(&self, leaves: u64) -> Balance {
        self.for_leaves(leaves).saturating_add(self.compensation)
    }

    fn for_leaves(&self, leaves: u64) -> Balance {
        let blocks = self.blocks_for(leaves).into();
        self.bond_per_block.saturating_mul(blocks)
    }

    /// The bond of a challenge over a trace of `leaves`, while `waiting` others wait. It doubles with
    /// each [`CROWD`], so that whoever fills the queue pays for it. What is doubled is lost also where the
    /// provider is convicted, but for what that burns, so that nobody is shut out for less.
    pub fn bond(&self, leaves: u64, waiting: u32) -> Balance {
        let doublings = waiting.checked_div(CROWD).unwrap_or(0);
        self.for_leaves(leaves)
            .saturating_add(self.base_bond)
            .saturating_mul(2u128.saturating_pow(doublings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASY: Balance = 1_000_000_000_000;

    #[test]
    fn time_and_bond_grow_with_the_trace() {
        let parameters = Parameters::<u32>::default();
        let blocks = [0, 1, 200_000, 200_001, 36_000_000, u64::MAX];
        let blocks = blocks.map(|leaves| parameters.blocks_for(leaves));
        assert_eq!(blocks, [0, 1, 1, 2, 180, u32::MAX]);
        // The trace of a thousand tokens of an 8B model.
        assert_eq!(parameters.bond(36_000_000, 0), 28 * ASY);
        assert_eq!(parameters.compensation(36_000_000), 23 * ASY);
        assert_eq!(parameters.bond(0, 0), 10 * ASY);
        assert_eq!(parameters.compensation(0), 5 * ASY);
    }

    #[test]
    fn a_bond_doubles_with_each_eight_that_wait_and_never_overflows() {
        let parameters = Parameters::<u32>::default();
        let bonds = [0, 7, 8, 15, 16, 63].map(|waiting| parameters.bond(0, waiting) / ASY);
        assert_eq!(bonds, [10, 10, 20, 20, 40, 1_280]);
        assert_eq!(parameters.bond(u64::MAX, u32::MAX), Balance::MAX);
    }

    #[test]
    fn a_full_queue_costs_a_fortune_whoever_is_right() {
        let parameters = Parameters::<u32>::default();
        let bonds = (0..crate::MAX_WAITING).map(|waiting| parameters.bond(0, waiting));
        let bonds: Vec<Balance> = bonds.collect();
        let all: Balance = bonds.iter().sum();
        let alone = parameters.bond(0, 0);
        let lost: Balance = bonds.iter().map(|bond| bond - alone).sum();
        // One at most is rewarded, and has its own back.
        let rewarded = bonds[bonds.len() - 1] - alone;
        assert_eq!((all / ASY, (lost - rewarded) / ASY), (20_400, 18_490));
    }

    #[test]
    fn the_bond_covers_the_compensation() {
        let parameters = Parameters::<u32>::default();
        for leaves in [0, 1, 1 << 20, 1 << 40] {
            assert!(parameters.compensation(leaves) <= parameters.bond(leaves, 0));
        }
    }
}
