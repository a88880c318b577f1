//! Choosing a provider for a job.

use alloc::vec::Vec;

use crate::{race, Config, Offering, Offers, Pallet, ParametersOf, Params, Providers};
use assay_primitives::{Assignment, Balance, DrawRequest, Eligibility, PPM_ONE};
use frame_system::pallet_prelude::BlockNumberFor;

/// The price factors of the dearest and of the cheapest offers, in parts per million.
const LEAST_PRICE_FACTOR: u128 = 250_000;
const MOST_PRICE_FACTOR: u128 = 4_000_000;

type RequestOf<'a, T> = DrawRequest<'a, <T as frame_system::Config>::AccountId, BlockNumberFor<T>>;

struct Candidate<AccountId> {
    assignment: Assignment<AccountId>,
    /// The fee for all tokens that the user wants, whether the budget reaches so far or not: by
    /// this, offers can be compared.
    full_fee: Balance,
    free_bond: Balance,
    score: u32,
}

impl<AccountId> Candidate<AccountId> {
    /// Weight in the draw, when `reference` is the full fee that counts as the market's price.
    fn weight(&self, reference: Balance) -> u128 {
        // Parts per million are taken off before the product can leave the type.
        let merit = share(self.score.into(), self.price_factor(reference));
        share(self.free_bond, merit).max(1)
    }

    fn price_factor(&self, reference: Balance) -> u128 {
        let one = u128::from(PPM_ONE);
        match reference.saturating_mul(one).checked_div(self.full_fee) {
            Some(factor) => factor.clamp(LEAST_PRICE_FACTOR, MOST_PRICE_FACTOR),
            None if reference > 0 => MOST_PRICE_FACTOR,
            None => one,
        }
    }
}

/// These parts per million of a value.
fn share(value: u128, ppm: u128) -> u128 {
    let product = value.saturating_mul(ppm);
    product.checked_div(PPM_ONE.into()).unwrap_or(0)
}

/// The median of the candidates' full fees, each weighted by what is bonded for it and how well its
/// provider kept its word. The lowest fee would not do: who offers it may decline every job.
fn reference_fee<AccountId>(candidates: &[Candidate<AccountId>]) -> Option<Balance> {
    let mut fees: Vec<(Balance, u128)> = candidates
        .iter()
        .map(|candidate| {
            let weight = share(candidate.free_bond, candidate.score.into());
            (candidate.full_fee, weight)
        })
        .collect();
    fees.sort_unstable();
    let total = fees
        .iter()
        .fold(0u128, |sum, (_, weight)| sum.saturating_add(*weight));
    let mut reached = 0u128;
    fees.into_iter()
        .find(|(_, weight)| {
            reached = reached.saturating_add(*weight);
            reached >= total.saturating_sub(reached)
        })
        .map(|(fee, _)| fee)
}

impl<T: Config> Pallet<T> {
    /// The terms on which `provider` would take the request, or why it would not.
    fn candidate(
        request: &RequestOf<T>,
        provider: &T::AccountId,
        parameters: &ParametersOf<T>,
    ) -> Result<Candidate<T::AccountId>, Eligibility> {
        let offer = Offers::<T>::get(request.listing, provider).ok_or(Eligibility::NoOffer)?;
        let record = Providers::<T>::get(provider).ok_or(Eligibility::NoOffer)?;
        if !record.online {
            return Err(Eligibility::Offline);
        }
        if request.prompt_len.saturating_add(request.max_output_tokens) > offer.context {
            return Err(Eligibility::Context);
        }
        let token_limit = offer
            .price
            .affordable(
                request.budget,
                request.prompt_len,
                request.max_output_tokens,
            )
            .filter(|limit| *limit >= request.min_output_tokens)
            .ok_or(Eligibility::Unaffordable)?;
        let worst_case_fee = offer
            .price
            .fee(request.prompt_len, token_limit)
            .ok_or(Eligibility::Unaffordable)?;
        let full_fee = offer
            .price
            .fee(request.prompt_len, request.max_output_tokens)
            .ok_or(Eligibility::Unaffordable)?;
        let free_bond = record.free_bond(parameters.min_bond, parameters.exposure_factor);
        let has_room = offer.open_jobs < offer.capacity;
        let is_sealed = offer.since < request.sealed_at;
        if !has_room || !is_sealed || free_bond == 0 || worst_case_fee > free_bond {
            return Err(Eligibility::Busy);
        }
        let assignment = Assignment {
            provider: provider.clone(),
            price: offer.price,
            token_limit,
            worst_case_fee,
        };
        Ok(Candidate {
            assignment,
            full_fee,
            free_bond,
            score: record.record.score,
        })
    }

    pub(crate) fn check_eligibility(
        request: &RequestOf<T>,
        provider: &T::AccountId,
    ) -> Eligibility {
        match Self::candidate(request, provider, &Params::<T>::get()) {
            Ok(_) => Eligibility::Eligible,
            Err(reason) => reason,
        }
    }

    /// Draw one of the eligible offers; changes nothing.
    pub(crate) fn choose(request: &RequestOf<T>) -> Option<Assignment<T::AccountId>> {
        let parameters = Params::<T>::get();
        let eligible = |provider: &T::AccountId| {
            (!request.excluded.contains(provider))
                .then(|| Self::candidate(request, provider, &parameters).ok())
                .flatten()
        };
        let candidates: Vec<_> = match request.named {
            Some(provider) => eligible(provider).into_iter().collect(),
            None => Offering::<T>::get(request.listing)
                .iter()
                .filter_map(eligible)
                .collect(),
        };
        let reference = reference_fee(&candidates)?;
        let entrants: Vec<_> = candidates
            .iter()
            .map(|candidate| (&candidate.assignment.provider, candidate.weight(reference)))
            .collect();
        let winner = race::winner(&request.randomness, &entrants)?;
        let candidate = candidates.into_iter().nth(winner)?;
        Some(candidate.assignment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_primitives::Price;

    fn candidate(free_bond: Balance, score: u32, full_fee: Balance) -> Candidate<u64> {
        let assignment = Assignment {
            provider: 1,
            price: Price::default(),
            token_limit: 1,
            worst_case_fee: 0,
        };
        Candidate {
            assignment,
            full_fee,
            free_bond,
            score,
        }
    }

    #[test]
    fn weight_follows_bond_score_and_price_within_bounds() {
        let base = candidate(1_000_000, 500_000, 100).weight(100);
        assert_eq!(base, 500_000);
        assert_eq!(candidate(2_000_000, 500_000, 100).weight(100), 2 * base);
        assert_eq!(candidate(1_000_000, 1_000_000, 100).weight(100), 2 * base);
        let with_fee = |fee| candidate(1_000_000, 500_000, fee).weight(100);
        let weights = [50, 25, 24, 1, 0, 200, 400, 401, 100_000].map(with_fee);
        let (most, least) = (4 * base, base / 4);
        assert_eq!(
            weights,
            [
                2 * base,
                most,
                most,
                most,
                most,
                base / 2,
                least,
                least,
                least
            ]
        );
    }

    #[test]
    fn a_free_offer_is_nothing_special_where_the_reference_is_free() {
        let base = 500_000;
        assert_eq!(candidate(1_000_000, 500_000, 0).weight(0), base);
        assert_eq!(candidate(1_000_000, 500_000, 1).weight(0), base / 4);
    }

    #[test]
    fn the_largest_bonds_and_fees_do_not_leave_the_type() {
        let largest = candidate(u128::MAX, PPM_ONE, 1);
        assert!(largest.weight(u128::MAX) >= u128::MAX / 1_000_000);
        let dearest = candidate(u128::MAX, PPM_ONE, u128::MAX);
        assert!(dearest.weight(u128::MAX) > 0);
        let many: Vec<_> = (0..100).map(|_| candidate(u128::MAX, PPM_ONE, 7)).collect();
        assert_eq!(reference_fee(&many), Some(7));
    }

    #[test]
    fn the_least_weight_is_one() {
        assert_eq!(candidate(1, 10_000, 100).weight(1), 1);
    }

    #[test]
    fn the_reference_is_the_fee_in_the_middle_of_the_weights() {
        let reference = |offers: &[(Balance, u32, Balance)]| {
            let candidates: Vec<_> = offers
                .iter()
                .map(|(bond, score, fee)| candidate(bond * 1_000_000, *score, *fee))
                .collect();
            reference_fee(&candidates)
        };
        const HALF: u32 = PPM_ONE / 2;
        assert_eq!(reference(&[]), None);
        assert_eq!(reference(&[(1, HALF, 70)]), Some(70));
        assert_eq!(reference(&[(1, HALF, 70), (1, HALF, 9)]), Some(9));
        assert_eq!(
            reference(&[(1, HALF, 70), (1, HALF, 9), (1, HALF, 20)]),
            Some(20)
        );
        // One cheap offer does not set it, nor do many, unless the larger bonds are theirs.
        assert_eq!(
            reference(&[(5, HALF, 70), (2, HALF, 0), (2, HALF, 1)]),
            Some(70)
        );
        assert_eq!(
            reference(&[(4, HALF, 70), (2, HALF, 0), (2, HALF, 1)]),
            Some(1)
        );
        // A bond counts by its provider's score.
        assert_eq!(reference(&[(1, PPM_ONE, 70), (1, HALF, 9)]), Some(70));
        assert_eq!(reference(&[(1, HALF, 70), (2, HALF / 4, 9)]), Some(70));
        // Those that weigh nothing leave the cheapest.
        assert_eq!(reference(&[(0, HALF, 70), (0, HALF, 9)]), Some(9));
    }
}
