//! Receipts of channels that are false on their face: no game is needed.
//!
//! Two requests under one number of a channel are no such fault: a user can sign them both and send each
//! to where the other is not seen. A provider that shows the user's signature under either is right; if
//! it has none for one of them, that one's receipt is disputed by `open` without a position.
//!
//! A job's receipt is not judged here either: `deliver` checked all of this, and one that was signed but
//! not delivered may be of a fork.

use assay_primitives::{Claim, Finish, ModelCatalogue, Receipt, Task, TokenId, LEAF_TOKENS};
use frame_support::pallet_prelude::*;
use frame_system::pallet_prelude::BlockNumberFor;
use sp_core::H256;

use crate::{
    rank, statement::FactsOf, token_in, Config, Error, Evidence, EvidenceOf, Fault, HeaderOf,
    LeafOpening, Pallet, StatementOf,
};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_accuse(
        accuser: T::AccountId,
        claim: Claim,
        statement: StatementOf<T>,
        evidence: EvidenceOf<T>,
        salt: H256,
    ) -> DispatchResult {
        ensure!(!Self::is_paused(), Error::<T>::Paused);
        ensure!(
            matches!(claim, Claim::Channel { .. }),
            Error::<T>::JobIsChecked
        );
        let number = Self::redeem(&accuser, &claim, &salt)?;
        let facts = Self::facts(&claim)?;
        let stated = Self::check(&claim, &facts, &statement)?;
        let (header, _) = stated.ok_or(Error::<T>::HeaderMissing)?;
        let receipt = &statement.receipt;
        let fault = match evidence {
            Evidence::Face => Self::fault_of(receipt, &header, &facts)?,
            Evidence::Token { position, opening } => {
                let token = Self::output_token(&claim, receipt, position, &opening)?;
                Self::fault_of_token(receipt, &facts, position, token)?
            }
            Evidence::Twice {
                other,
                signature,
                position,
                opening,
                other_opening,
            } => {
                ensure!(other.header == receipt.header, Error::<T>::WrongHeader);
                Self::check_signature(&facts.provider, &other, &signature)?;
                let token = Self::output_token(&claim, receipt, position, &opening)?;
                let other = Self::output_token(&claim, &other, position, &other_opening)?;
                (token != other).then_some(Fault::Equivocation)
            }
        };
        let fault = Some(fault.ok_or(Error::<T>::NoFault)?);
        let accuser = (rank(Self::now(), number), accuser);
        let moved = Self::convict(&claim, facts, receipt.fee, accuser, fault)?;
        // Its note would be kept as long as the channel, and nobody be the better for it.
        ensure!(moved > 0, Error::<T>::NothingToTake);
        Ok(())
    }

    /// What is wrong with a receipt and the header that it names.
    fn fault_of(
        receipt: &Receipt,
        header: &HeaderOf<T>,
        facts: &FactsOf<T>,
    ) -> Result<Option<Fault>, Error<T>> {
        let (length, limit) = (receipt.output_len, header.token_limit);
        let is_score = matches!(header.task, Task::Score { .. });
        let is_its_end = match receipt.finish {
            Finish::Eos => !is_score,
            Finish::Mismatch => is_score,
            Finish::Length | Finish::Caller => true,
        };
        // The token that is called wrong is one of the answer's.
        let spoken_of = match receipt.finish {
            Finish::Mismatch => length.saturating_add(1),
            Finish::Eos | Finish::Length | Finish::Caller => length,
        };
        let fault = if !Self::fits(header, facts) {
            Fault::OtherRequest
        } else if header.fee(length) != Some(receipt.fee) {
            Fault::WrongFee
        } else if !is_its_end {
            Fault::WrongFinish
        } else if spoken_of > limit {
            Fault::TooLong
        } else if receipt.finish == Finish::Length && length != limit {
            Fault::TooShort
        } else if receipt.finish == Finish::Eos && length == 0 {
            Fault::NoStopToken
        } else if Self::contradicts_chain(receipt) {
            Fault::WrongAnchor
        } else {
            let listing = T::Catalogue::listing(&facts.listing);
            let context = listing.ok_or(Error::<T>::UnknownListing)?.spec.context;
            let positions = header.positions(length);
            match positions.is_none_or(|positions| positions > context) {
                true => Fault::ContextExceeded,
                false => return Ok(None),
            }
        };
        Ok(Some(fault))
    }

    /// Whether the anchor is a block that this chain does not have. One that it has forgotten may have
    /// been there.
    fn contradicts_chain(receipt: &Receipt) -> bool {
        let number: BlockNumberFor<T> = receipt.anchor.number.into();
        let hash = frame_system::Pallet::<T>::block_hash(number);
        number > Self::now() || (!hash.is_zero() && hash != receipt.anchor.hash)
    }

    fn fault_of_token(
        receipt: &Receipt,
        facts: &FactsOf<T>,
        position: u32,
        token: TokenId,
    ) -> Result<Option<Fault>, Error<T>> {
        let listing = T::Catalogue::listing(&facts.listing).ok_or(Error::<T>::UnknownListing)?;
        let stops = listing.spec.stop_tokens.contains(&token);
        let is_last = position.checked_add(1) == Some(receipt.output_len);
        Ok(if token >= listing.spec.vocabulary {
            Some(Fault::UnknownToken)
        } else if stops && !is_last {
            Some(Fault::PastStopToken)
        } else if !stops && is_last && receipt.finish == Finish::Eos {
            Some(Fault::NoStopToken)
        } else {
            None
        })
    }

    /// The output token at `position` of a receipt, out of the leaf that is opened.
    pub(crate) fn output_token(
        claim: &Claim,
        receipt: &Receipt,
        position: u32,
        opening: &LeafOpening,
    ) -> Result<TokenId, Error<T>> {
        ensure!(
            position < receipt.output_len,
            Error::<T>::PositionOutOfBounds
        );
        let list = (receipt.output_len, receipt.output_root);
        Self::token_of(claim, list, position, opening)
    }

    /// The token at `position` of a list of this length and root, out of the leaf that is opened.
    pub(crate) fn token_of(
        claim: &Claim,
        (length, root): (u32, H256),
        position: u32,
        opening: &LeafOpening,
    ) -> Result<TokenId, Error<T>> {
        let per_leaf = LEAF_TOKENS as u32;
        let leaves = length.div_ceil(per_leaf);
        let index = position.checked_div(per_leaf).unwrap_or(0);
        let opened = opening.root(index.into(), leaves.into());
        ensure!(opened == Some(root), Error::<T>::WrongHash);
        let salted = Self::is_salted(claim);
        token_in(&opening.bytes, position, length, salted).ok_or(Error::<T>::WrongLength)
    }
}
