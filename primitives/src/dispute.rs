//! What the referee asks of those who keep claims and stakes.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::H256;
use sp_runtime::{DispatchError, DispatchResult};

use crate::{hashing::blake2_256, Balance, Claim, ListingId, RequestHeader, VoucherKey};

const COMMITMENT_DOMAIN: &[u8] = b"assay/commitment/v1";

/// What `account` commits to before it disputes a claim. The salt, of its own choice, keeps the claim a
/// secret until then.
pub fn commitment<AccountId: Encode>(claim: &Claim, account: &AccountId, salt: &H256) -> H256 {
    blake2_256(&(COMMITMENT_DOMAIN, claim, account, salt).encode()).into()
}

/// What a claim itself says, whatever receipts there are for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimFacts<AccountId, BlockNumber> {
    pub user: AccountId,
    /// The provider's stash.
    pub provider: AccountId,
    /// The block at which the provider had registered: one that left and came back is another.
    pub epoch: BlockNumber,
    pub listing: ListingId,
    pub request: Request<AccountId, BlockNumber>,
    /// What the claim has paid, in planck, less what convictions gave back already: so much the user can
    /// have back from the provider's stake.
    pub paid: Balance,
    /// All that was ever put into the claim, in planck, less what convictions gave back: so much an answer of
    /// it can have cost. A provider that is accused can close its channel, which changes nothing about this.
    pub backing: Balance,
    /// Disputes over the claim that are not over.
    pub disputes: u32,
}

/// How a claim's request is known.
// One at a time exists, for as long as a call takes.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request<AccountId, BlockNumber> {
    /// It is on chain, and so is its delivery.
    Known {
        header: RequestHeader<AccountId>,
        /// The draw's randomness, for the seed.
        randomness: H256,
        /// Hash of the delivered receipt's signing payload.
        receipt: H256,
        /// The last block at which a dispute may be opened.
        window_end: BlockNumber,
    },
    /// A header that this key signed.
    SignedBy(VoucherKey),
}

/// Who keeps claims: jobs and channels.
pub trait Claims<AccountId, BlockNumber> {
    /// What is known of a claim that receipts may still be disputed of; `None` if there is none.
    fn facts(claim: &Claim) -> Option<ClaimFacts<AccountId, BlockNumber>>;

    /// A dispute over the claim began: it is not removed before as many calls of [`thaw`](Self::thaw). A
    /// job's window stands still meanwhile and nothing of it is paid out; a channel goes on.
    fn freeze(claim: &Claim) -> DispatchResult;

    /// A dispute over the claim is over.
    fn thaw(claim: &Claim);

    /// The provider was convicted of this claim, and `missing` is what the user has not got back of the
    /// answer's price by the stake. Gives the user as much of what the claim still holds, of a job all of
    /// it, and returns how much.
    fn void(claim: &Claim, missing: Balance) -> Result<Balance, DispatchError>;

    /// Planck of the provider's stake were paid to the claim's user as `refund`.
    fn note_refund(claim: &Claim, refund: Balance);
}

/// What a conviction costs, and whom it pays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conviction<AccountId> {
    /// The answer's price, which the least slash is a multiple of.
    pub fee: Balance,
    pub user: AccountId,
    /// Planck that the user is to get back from the stake, before all else.
    pub refund: Balance,
    /// Who gets the challenger's share.
    pub challenger: AccountId,
}

/// Where a slash went, in planck.
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
pub struct Slashed {
    pub refund: Balance,
    pub reward: Balance,
    pub burned: Balance,
}

/// Who keeps the providers' stakes.
pub trait Stake<AccountId, BlockNumber> {
    /// The block at which the provider had registered; `None` if it is not registered.
    fn epoch(provider: &AccountId) -> Option<BlockNumber>;

    /// The operator key that spoke for `provider` at `block`.
    fn operator_at(provider: &AccountId, block: BlockNumber) -> Option<AccountId>;

    /// The provider whose stash or operator this is.
    fn provider_of(account: &AccountId) -> Option<AccountId>;

    /// A dispute against the provider began: until as many calls of [`thaw`](Self::thaw) no earnings
    /// mature, nothing unbonded is withdrawn, and it cannot leave.
    fn freeze(provider: &AccountId) -> DispatchResult;

    /// A dispute against the provider is over.
    fn thaw(provider: &AccountId);

    /// Disputes against the provider that are not over.
    fn disputes(provider: &AccountId) -> u32;

    /// Takes the slash from bond (active and unbonding) and all maturing earnings: the refund first, a
    /// share of the rest to the challenger, and at least half of it all burned.
    fn slash(
        provider: &AccountId,
        conviction: &Conviction<AccountId>,
    ) -> Result<Slashed, DispatchError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Anybody may commit in another language; these bytes must never change.
    #[test]
    fn a_commitment_is_pinned_and_binds_claim_account_and_salt() {
        let (claim, account, salt) = (Claim::Job(7), [0x11u8; 32], H256::repeat_byte(0x22));
        let mut expected = vec![76];
        expected.extend(b"assay/commitment/v1");
        expected.push(0);
        expected.extend(7u64.to_le_bytes());
        expected.extend([0x11; 32]);
        expected.extend([0x22; 32]);
        let hash = commitment(&claim, &account, &salt);
        assert_eq!(hash, H256(blake2_256(&expected)));
        assert_ne!(hash, commitment(&Claim::Job(8), &account, &salt));
        assert_ne!(hash, commitment(&claim, &[0x12u8; 32], &salt));
        assert_ne!(hash, commitment(&claim, &account, &H256::zero()));
    }
}
