//! What a provider stated, and whether it may still be held against it.

use assay_primitives::{
    Claim, ClaimFacts, Claims, Receipt, Request, SignedHeader, Stake, VoucherKey, VoucherSignature,
    FORMAT_VERSION,
};
use frame_support::pallet_prelude::*;
use frame_system::pallet_prelude::BlockNumberFor;
use sp_core::H256;
use sp_runtime::traits::{Hash, Saturating, Verify, Zero};

use crate::{Config, Convictions, Error, HeaderOf, Pallet, Params, StatementOf};

pub(crate) type FactsOf<T> = ClaimFacts<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;

impl<T: Config> Pallet<T> {
    /// What is known of a claim that its provider can still be convicted of.
    pub(crate) fn facts(claim: &Claim) -> Result<FactsOf<T>, Error<T>> {
        ensure!(
            !Convictions::<T>::contains_key(claim),
            Error::<T>::AlreadyConvicted
        );
        let facts = T::Claims::facts(claim).ok_or(Error::<T>::UnknownClaim)?;
        // One that left and came back is another.
        let present = T::Stake::epoch(&facts.provider) == Some(facts.epoch);
        ensure!(present, Error::<T>::ProviderGone);
        Ok(facts)
    }

    /// Checks that the provider of the claim stated this, in time to dispute it, and returns what it
    /// is said to answer with the draw's randomness; no header if none is shown for a channel.
    pub(crate) fn check(
        claim: &Claim,
        facts: &FactsOf<T>,
        statement: &StatementOf<T>,
    ) -> Result<Option<(HeaderOf<T>, H256)>, Error<T>> {
        let receipt = &statement.receipt;
        let stated = match &facts.request {
            Request::Known {
                header,
                randomness,
                receipt: delivered,
                ..
            } => {
                ensure!(
                    Self::hash_of(receipt) == *delivered,
                    Error::<T>::OtherReceipt
                );
                Some((header.clone(), *randomness))
            }
            Request::SignedBy(_) => {
                let signature = statement.signature.as_ref();
                let signature = signature.ok_or(Error::<T>::SignatureMissing)?;
                Self::check_signature(&facts.provider, receipt, signature)?;
                let header = statement.header.clone();
                header.map(|header| (header, H256::zero()))
            }
        };
        if let Some((header, _)) = &stated {
            ensure!(
                header.hash() == receipt.header && header.claim == *claim,
                Error::<T>::WrongHeader
            );
            ensure!(header.version == FORMAT_VERSION, Error::<T>::UnknownVersion);
        }
        ensure!(
            Self::is_in_time(facts, receipt.anchor.number),
            Error::<T>::WindowClosed
        );
        Ok(stated)
    }

    pub(crate) fn check_signature(
        provider: &T::AccountId,
        receipt: &Receipt,
        signature: &T::Signature,
    ) -> Result<(), Error<T>> {
        let operator = T::Stake::operator_at(provider, receipt.anchor.number.into());
        let operator = operator.ok_or(Error::<T>::InvalidSignature)?;
        let payload = receipt.signing_payload();
        ensure!(
            signature.verify(&payload[..], &operator),
            Error::<T>::InvalidSignature
        );
        Ok(())
    }

    /// Whether the header is for this chain, and for the provider and the listing of its claim.
    pub(crate) fn fits(header: &HeaderOf<T>, facts: &FactsOf<T>) -> bool {
        header.genesis == Self::genesis()
            && header.provider == facts.provider
            && header.listing == facts.listing
    }

    /// Whether the user signed the request; for a job there is nothing to sign.
    pub(crate) fn is_asked(
        header: &H256,
        facts: &FactsOf<T>,
        signature: Option<&VoucherSignature>,
    ) -> bool {
        match (&facts.request, signature) {
            (Request::Known { .. }, None) => true,
            (Request::SignedBy(key), Some(signature)) => Self::signed(key, header, signature),
            _ => false,
        }
    }

    fn signed(key: &VoucherKey, header: &H256, signature: &VoucherSignature) -> bool {
        let payload = SignedHeader::<T::AccountId>::signing_payload(header);
        key.verify(&payload, signature)
    }

    /// Whether a receipt of the claim with this anchor may still be disputed.
    pub(crate) fn is_in_time(facts: &FactsOf<T>, anchor: u32) -> bool {
        let end = match &facts.request {
            Request::Known { window_end, .. } => *window_end,
            Request::SignedBy(_) => {
                let anchor: BlockNumberFor<T> = anchor.into();
                anchor
                    .saturating_add(Params::<T>::get().challenge_blocks)
                    .saturating_add(Self::paused_since(anchor))
            }
        };
        Self::now() <= end
    }

    /// Whether the leaves of the claim's token trees have salt: what is on chain anyway needs none.
    pub(crate) fn is_salted(claim: &Claim) -> bool {
        matches!(claim, Claim::Channel { .. })
    }

    pub(crate) fn hash_of(receipt: &Receipt) -> H256 {
        T::Hashing::hash(&receipt.signing_payload())
    }

    pub(crate) fn genesis() -> H256 {
        frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero())
    }

    pub(crate) fn now() -> BlockNumberFor<T> {
        frame_system::Pallet::<T>::block_number()
    }
}
