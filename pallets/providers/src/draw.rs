//! Choosing a provider for a job.

use alloc::vec::Vec;

use crate::{Config, Offering, Offers, Pallet, ParametersOf, Params, Providers};
use assay_primitives::{Assignment, Balance, DrawRequest, Eligibility, PPM_ONE};

/// The price factor of the dearest offer, in parts per million.
const LEAST_PRICE_FACTOR: u128 = 250_000;

struct Candidate<AccountId> {
    assignment: Assignment<AccountId>,
    /// The fee for all tokens that the user wants, whether the budget reaches so far or not: by
    /// this, offers can be compared.
    full_fee: Balance,
    free_bond: Balance,
    score: u32,
}

impl<AccountId> Candidate<AccountId> {
    /// Weight in the draw, when `lowest` is the lowest full fee among all candidates.
    fn weight(&self, lowest: Balance) -> u128 {
        let one = u128::from(PPM_ONE);
        let price_factor = lowest
            .saturating_mul(one)
            .checked_div(self.full_fee)
            .unwrap_or(one)
            .clamp(LEAST_PRICE_FACTOR, one);
        // Parts per million are taken off before the product can leave the type.
        let share =
            |value: u128, ppm: u128| value.saturating_mul(ppm).checked_div(one).unwrap_or(0);
        share(self.free_bond, share(self.score.into(), price_factor))
    }
}

impl<T: Config> Pallet<T> {
    /// The terms on which `provider` would take the request, or why it would not.
    fn candidate(
        request: &DrawRequest<T::AccountId>,
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
        if offer.open_jobs >= offer.capacity || free_bond == 0 || worst_case_fee > free_bond {
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
        request: &DrawRequest<T::AccountId>,
        provider: &T::AccountId,
    ) -> Eligibility {
        match Self::candidate(request, provider, &Params::<T>::get()) {
            Ok(_) => Eligibility::Eligible,
            Err(reason) => reason,
        }
    }

    /// Draw one of the eligible offers; changes nothing.
    pub(crate) fn choose(request: &DrawRequest<T::AccountId>) -> Option<Assignment<T::AccountId>> {
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
        let lowest = candidates.iter().map(|c| c.full_fee).min()?;
        let weights: Vec<u128> = candidates
            .iter()
            .map(|candidate| candidate.weight(lowest).max(1))
            .collect();
        let total = weights
            .iter()
            .fold(0u128, |sum, weight| sum.saturating_add(*weight));
        let mut point = uniform(&request.randomness.0).checked_rem(total)?;
        for (candidate, weight) in candidates.into_iter().zip(weights) {
            if point < weight {
                return Some(candidate.assignment);
            }
            point = point.saturating_sub(weight);
        }
        None
    }
}

/// A number below 2¹²⁸ from the first half of a hash. Weights are far below that, so the remainder's bias is
/// negligible.
fn uniform(seed: &[u8; 32]) -> u128 {
    let (low, _) = seed.split_at(16);
    low.try_into().map(u128::from_le_bytes).unwrap_or(0)
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
        assert_eq!(candidate(1_000_000, 500_000, 200).weight(100), base / 2);
        assert_eq!(candidate(1_000_000, 500_000, 100_000).weight(100), base / 4);
        assert_eq!(candidate(1_000_000, 500_000, 0).weight(0), base);
    }

    #[test]
    fn the_largest_bonds_do_not_leave_the_type() {
        let weight = candidate(u128::MAX, PPM_ONE, 1).weight(u128::MAX);
        assert!(weight > 0);
    }
}
