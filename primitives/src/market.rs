//! The small traits through which pallets ask one another for services. A pallet names the trait,
//! never the other pallet; the runtime ties them together.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::H256;
use sp_runtime::{DispatchError, DispatchResult, Permill};

use crate::{ListingId, ModelParts, ModelSpec, Settlement};

/// An amount of the chain's token, in planck (10⁻¹² ASY).
pub type Balance = u128;

/// Planck for one prompt token and for one output token.
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
pub struct Price {
    pub input: Balance,
    pub output: Balance,
}

impl Price {
    /// The fee for these many tokens; `None` if it does not fit.
    pub fn fee(&self, prompt_len: u32, output_len: u32) -> Option<Balance> {
        let input = self.input.checked_mul(prompt_len.into())?;
        let output = self.output.checked_mul(output_len.into())?;
        input.checked_add(output)
    }

    /// The most output tokens, up to `wanted`, that `budget` pays for after the prompt; `None` if
    /// it does not pay for even one.
    pub fn affordable(&self, budget: Balance, prompt_len: u32, wanted: u32) -> Option<u32> {
        let left = budget.checked_sub(self.fee(prompt_len, 0)?)?;
        let limit = match left.checked_div(self.output) {
            Some(tokens) => u32::try_from(tokens).unwrap_or(u32::MAX).min(wanted),
            None => wanted,
        };
        (limit > 0).then_some(limit)
    }
}

/// What jobs need to know of a listed model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    pub spec: ModelSpec,
    /// The publisher's share of each fee.
    pub royalty: Permill,
    /// Whether new offers and jobs may name it.
    pub active: bool,
}

/// The catalogue of models.
pub trait ModelCatalogue<AccountId> {
    /// The listing under this id.
    fn listing(id: &ListingId) -> Option<Listing>;

    /// The hashes that make up the model under this id.
    fn parts(id: &ListingId) -> Option<ModelParts>;

    /// Keep the listing from being dropped while an offer, a job or a channel names it.
    fn acquire(id: &ListingId) -> DispatchResult;

    /// Give back one [`acquire`](Self::acquire).
    fn release(id: &ListingId);

    /// The model's own numbers break its format: nothing new may name the listing. Nothing changes if
    /// it is frozen already.
    fn freeze(id: &ListingId) -> DispatchResult;

    /// The account that royalties are paid to.
    fn royalty_account() -> AccountId;

    /// Credit a royalty that has just been paid to the free balance of the royalty account.
    fn credit_royalty(id: &ListingId, amount: Balance) -> DispatchResult;
}

/// A job that looks for a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DrawRequest<'a, AccountId, BlockNumber> {
    pub listing: ListingId,
    pub prompt_len: u32,
    /// Output tokens that the user wants.
    pub max_output_tokens: u32,
    /// Output tokens that the budget must pay for.
    pub min_output_tokens: u32,
    /// What the job can pay.
    pub budget: Balance,
    /// Only this provider will do.
    pub named: Option<&'a AccountId>,
    /// Providers that declined the job or missed its deadline.
    pub excluded: &'a [AccountId],
    /// The block whose author gives the randomness. It knows it before anyone else does, so offers
    /// made or changed in this block or later are not in the draw.
    pub sealed_at: BlockNumber,
    pub randomness: H256,
}

/// What the provider of a job has bound itself to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment<AccountId> {
    pub provider: AccountId,
    pub price: Price,
    /// The most output tokens.
    pub token_limit: u32,
    /// The fee at the token limit; counts against the provider's bond while the job is open.
    pub worst_case_fee: Balance,
}

/// How an assignment left its provider's hands.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Outcome {
    /// Delivered in time.
    Delivered,
    /// Refused in time.
    Declined,
    /// Neither delivered nor declined before the deadline.
    Missed,
}

/// Why a provider can, or cannot, be named for a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Eligibility {
    Eligible,
    /// There is no such provider, or it has no offer for this listing.
    NoOffer,
    /// The provider is offline.
    Offline,
    /// Prompt and answer do not fit in the offer's context.
    Context,
    /// The budget does not pay for the prompt and the least output tokens.
    Unaffordable,
    /// The offer's capacity or the provider's bond is used up for now, or the offer is too new.
    Busy,
}

/// What channels need to know of a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProviderTerms<BlockNumber> {
    /// The block at which it registered: a provider that left and came back is another one.
    pub epoch: BlockNumber,
    /// Whether it takes new work.
    pub online: bool,
    /// Whether it says where its server is.
    pub has_endpoint: bool,
}

/// The market of providers: who serves what, at which price, and answers for it with a bond.
pub trait Market<AccountId, BlockNumber> {
    /// The most offers that a listing can have.
    fn max_offers() -> u32;

    /// How many offers a draw for this listing would look at.
    fn offers(listing: &ListingId) -> u32;

    /// The provider whose operator this account is.
    fn provider_of(operator: &AccountId) -> Option<AccountId>;

    /// The operator key that spoke for `provider` at `block`.
    fn operator_at(provider: &AccountId, block: BlockNumber) -> Option<AccountId>;

    /// What channels need to know of `provider`; `None` if it is not registered.
    fn terms(provider: &AccountId) -> Option<ProviderTerms<BlockNumber>>;

    /// Whether `provider` offers this listing.
    fn has_offer(provider: &AccountId, listing: &ListingId) -> bool;

    /// Whether `provider` could take the request now.
    fn eligibility(
        request: &DrawRequest<AccountId, BlockNumber>,
        provider: &AccountId,
    ) -> Eligibility;

    /// Draw a provider and book the obligation against its bond.
    fn draw(request: &DrawRequest<AccountId, BlockNumber>) -> Option<Assignment<AccountId>>;

    /// Record how an assignment of `listing` ended. Its place in the offer is free again, and the
    /// provider answers for `remaining` instead of `worst_case_fee`: the fee of a delivered
    /// answer, nothing otherwise.
    fn resolve(
        provider: &AccountId,
        listing: &ListingId,
        worst_case_fee: Balance,
        outcome: Outcome,
        remaining: Balance,
    );

    /// A delivered answer was paid: give back the fee that the provider answered for, and record what
    /// it earned, what the protocol took and what was burned.
    fn close(provider: &AccountId, settlement: &Settlement);

    /// Dues of a channel of `provider` were paid, of which this was burned.
    fn note_burned(provider: &AccountId, burned: Balance);

    /// Put earnings that have just been paid to the provider's free balance on hold until they
    /// have matured.
    fn mature(provider: &AccountId, amount: Balance) -> DispatchResult;

    /// How many blocks earnings mature at least.
    fn maturing_blocks() -> BlockNumber;

    /// The block at which earnings that begin to mature now are due for release.
    fn matured_at() -> BlockNumber;

    /// Work that was done off chain was paid: put what it `earned`, just paid to the provider's free
    /// balance, on hold until it has matured. The provider answers for the `fee` until then. Record
    /// that, and what the protocol took.
    fn answer_for(
        provider: &AccountId,
        fee: Balance,
        earned: Balance,
        protocol_fee: Balance,
    ) -> DispatchResult;

    /// Take up to `amount` from the provider's bond for somebody whom it let down. A share is
    /// burned, so that a provider cannot empty its own bond in this way. Returns what was paid to
    /// `beneficiary`.
    fn compensate(
        provider: &AccountId,
        beneficiary: &AccountId,
        amount: Balance,
    ) -> Result<Balance, DispatchError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affordable_is_the_largest_limit_within_the_budget() {
        let price = Price {
            input: 3,
            output: 7,
        };
        for budget in 0..200 {
            match price.affordable(budget, 10, 16) {
                Some(limit) => {
                    assert!(price.fee(10, limit).unwrap() <= budget);
                    assert!(limit == 16 || price.fee(10, limit + 1).unwrap() > budget);
                }
                None => assert!(price.fee(10, 1).unwrap() > budget),
            }
        }
    }

    #[test]
    fn a_free_offer_gives_all_that_is_wanted() {
        assert_eq!(Price::default().affordable(0, 10, 16), Some(16));
    }

    #[test]
    fn fees_that_do_not_fit_are_refused() {
        let price = Price {
            input: u128::MAX,
            output: 1,
        };
        assert_eq!(price.fee(2, 0), None);
        assert_eq!(price.affordable(u128::MAX, 2, 1), None);
    }
}
