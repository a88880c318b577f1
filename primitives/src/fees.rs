//! How a fee is divided between those who have a part in it.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_runtime::{DispatchError, Permill};

use crate::{Balance, ListingId};

/// The protocol's share of a fee, unless governance sets another.
pub const PROTOCOL_FEE: Permill = Permill::from_percent(5);
/// The share of the protocol fee that is burned, unless governance sets another.
pub const BURNED_SHARE: Permill = Permill::from_percent(50);

/// Where a fee went, in planck.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Settlement {
    /// What the user paid.
    pub fee: Balance,
    /// To the provider, maturing.
    pub provider: Balance,
    /// To the pot of the model's publisher.
    pub royalty: Balance,
    /// To the treasury.
    pub treasury: Balance,
    /// Destroyed.
    pub burned: Balance,
}

impl Settlement {
    /// Divide a fee. Shares are rounded down and the provider takes the remainder, so the parts
    /// always add up to the fee.
    pub fn divide(
        fee: Balance,
        royalty: Permill,
        protocol_fee: Permill,
        burned_share: Permill,
    ) -> Self {
        let royalty = royalty.mul_floor(fee);
        let protocol = protocol_fee.mul_floor(fee).min(fee.saturating_sub(royalty));
        let burned = burned_share.mul_floor(protocol);
        Self {
            fee,
            provider: fee.saturating_sub(royalty).saturating_sub(protocol),
            royalty,
            treasury: protocol.saturating_sub(burned),
            burned,
        }
    }

    /// What the protocol took.
    pub fn protocol_fee(&self) -> Balance {
        self.treasury.saturating_add(self.burned)
    }

    /// What is owed to others than the provider.
    pub fn dues(&self) -> Dues {
        Dues {
            royalty: self.royalty,
            treasury: self.treasury,
            burned: self.burned,
        }
    }

    /// This and another one.
    pub fn saturating_add(self, other: Self) -> Self {
        Self {
            fee: self.fee.saturating_add(other.fee),
            provider: self.provider.saturating_add(other.provider),
            royalty: self.royalty.saturating_add(other.royalty),
            treasury: self.treasury.saturating_add(other.treasury),
            burned: self.burned.saturating_add(other.burned),
        }
    }
}

/// What the publisher and the protocol have of a fee, in planck.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Dues {
    /// To the pot of the model's publisher.
    pub royalty: Balance,
    /// To the treasury.
    pub treasury: Balance,
    /// Destroyed.
    pub burned: Balance,
}

impl Dues {
    pub fn total(&self) -> Balance {
        self.royalty
            .saturating_add(self.treasury)
            .saturating_add(self.burned)
    }

    /// These and others.
    pub fn saturating_add(self, other: Self) -> Self {
        Self {
            royalty: self.royalty.saturating_add(other.royalty),
            treasury: self.treasury.saturating_add(other.treasury),
            burned: self.burned.saturating_add(other.burned),
        }
    }

    /// What is left of these when others were paid.
    pub fn saturating_sub(self, paid: Self) -> Self {
        Self {
            royalty: self.royalty.saturating_sub(paid.royalty),
            treasury: self.treasury.saturating_sub(paid.treasury),
            burned: self.burned.saturating_sub(paid.burned),
        }
    }
}

/// What users pay is divided by the same rules for every kind of work.
pub trait Fees<AccountId, HoldReason> {
    /// Divide `fee` by the rules of now, where the publisher has `royalty` of it.
    fn divide(royalty: Permill, fee: Balance) -> Settlement;

    /// Pay the dues, which `user` has on hold for `reason`. Returns what was paid: a part whose
    /// recipient cannot be paid stays on hold, so that no recipient can make this fail.
    fn pay_dues(
        reason: &HoldReason,
        user: &AccountId,
        listing: &ListingId,
        dues: Dues,
    ) -> Result<Dues, DispatchError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_settlement_are_the_fee() {
        let shares = [0, 1, 3_333, 499_999, 500_000, 999_999, 1_000_000];
        let fees = [0, 1, 2, 3, 199, 1_000_003, u128::from(u64::MAX), u128::MAX];
        for fee in fees {
            for [royalty, protocol, burned] in shares
                .iter()
                .flat_map(|a| shares.iter().map(move |b| (a, b)))
                .flat_map(|(a, b)| shares.iter().map(move |c| [*a, *b, *c]))
            {
                let s = Settlement::divide(
                    fee,
                    Permill::from_parts(royalty),
                    Permill::from_parts(protocol),
                    Permill::from_parts(burned),
                );
                let sum = [s.royalty, s.treasury, s.burned]
                    .into_iter()
                    .try_fold(s.provider, |sum, part| sum.checked_add(part));
                assert_eq!(sum, Some(fee), "{royalty} {protocol} {burned}");
            }
        }
    }

    #[test]
    fn shares_are_rounded_down_and_the_provider_takes_the_remainder() {
        let percent = Permill::from_percent;
        let s = Settlement::divide(199, percent(1), percent(5), percent(50));
        assert_eq!(
            s,
            Settlement {
                fee: 199,
                provider: 189,
                royalty: 1,
                treasury: 5,
                burned: 4
            }
        );
    }
}
