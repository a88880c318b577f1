//! What the offers for a listing give for a request: who could take it, and what to pay.

use assay_client::{AccountId32, Amount, Snapshot, H256};
use assay_primitives::Price;

use crate::failure::Failure;

/// What a request asks of an offer, in tokens.
#[derive(Clone, Copy)]
pub struct Lengths {
    pub prompt: u32,
    /// Output tokens that are wanted.
    pub most: u32,
    /// Output tokens that the fee must pay for.
    pub least: u32,
}

impl Lengths {
    fn total(self) -> u32 {
        self.prompt.saturating_add(self.most)
    }
}

/// An offer that could take the request.
struct Candidate {
    price: Price,
    /// Its worst case: the fee for all the tokens that are wanted.
    full_fee: u128,
    /// Its capacity or its bond is used up for now.
    busy: bool,
}

impl Candidate {
    /// How many of the wanted tokens it gives for `max_fee`.
    fn reach(&self, lengths: Lengths, max_fee: Amount) -> u32 {
        self.price
            .affordable(max_fee.0, lengths.prompt, lengths.most)
            .unwrap_or(0)
    }
}

/// Why an offer cannot take a request, whatever is paid and however long one waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unfit {
    Offline,
    /// Bonded, in planck.
    BondTooSmall(u128),
    /// The most tokens of prompt and answer together.
    TooLong(u32),
    NoCapacity,
    /// The fee is more than can be counted.
    TooDear,
}

/// What decides whether an offer can take a request at all.
struct Terms {
    online: bool,
    bond: u128,
    context: u32,
    capacity: u32,
    full_fee: Option<u128>,
}

impl Terms {
    fn unfit(&self, lengths: Lengths, min_bond: u128) -> Option<Unfit> {
        if !self.online {
            Some(Unfit::Offline)
        } else if self.bond < min_bond {
            Some(Unfit::BondTooSmall(self.bond))
        } else if lengths.total() > self.context {
            Some(Unfit::TooLong(self.context))
        } else if self.capacity == 0 {
            Some(Unfit::NoCapacity)
        } else if self.full_fee.is_none() {
            Some(Unfit::TooDear)
        } else {
            None
        }
    }
}

/// The offers for a listing, or that of the one provider that is asked for.
pub struct Offers {
    listing: H256,
    lengths: Lengths,
    only: Option<AccountId32>,
    candidates: Vec<Candidate>,
    unfit: Vec<Unfit>,
    min_bond: u128,
}

impl Offers {
    pub async fn look(
        snapshot: &Snapshot,
        listing: H256,
        lengths: Lengths,
        only: Option<AccountId32>,
    ) -> Result<Self, Failure> {
        let parameters = snapshot.provider_parameters().await?;
        let mut offers = Self {
            listing,
            lengths,
            only,
            candidates: Vec::new(),
            unfit: Vec::new(),
            min_bond: parameters.min_bond,
        };
        for (stash, offer) in snapshot.offers(listing).await? {
            if only.is_some_and(|only| only != stash) {
                continue;
            }
            let Some(provider) = snapshot.provider(stash).await? else {
                continue;
            };
            let price = offer.price.0;
            let full_fee = price.fee(lengths.prompt, lengths.most);
            let terms = Terms {
                online: provider.online,
                bond: provider.bond,
                context: offer.context,
                capacity: offer.capacity,
                full_fee,
            };
            if let Some(unfit) = terms.unfit(lengths, parameters.min_bond) {
                offers.unfit.push(unfit);
                continue;
            }
            let full_fee = full_fee.unwrap_or(u128::MAX);
            let free_bond = provider
                .bond
                .saturating_mul(parameters.exposure_factor.into())
                .saturating_sub(provider.exposure)
                .saturating_sub(provider.channel_exposure);
            offers.candidates.push(Candidate {
                price,
                full_fee,
                busy: offer.open_jobs >= offer.capacity || free_bond < full_fee,
            });
        }
        Ok(offers)
    }

    /// The fee to hold: the one that is wanted, if it buys enough of some offer, or else the
    /// default.
    pub fn max_fee(
        &self,
        wanted: Option<Amount>,
        say: impl FnOnce(&str),
    ) -> Result<Amount, Failure> {
        // A named provider that can take nothing would leave the job waiting until it is refunded.
        // Without a name, whoever sets a fee may wait for somebody to come.
        if self.candidates.is_empty() && (wanted.is_none() || self.only.is_some()) {
            return Err(Failure::Request(self.nobody()));
        }
        if let Some(max_fee) = wanted {
            check_reach(&self.candidates, self.lengths, max_fee, self.only.as_ref())?;
            return Ok(max_fee);
        }
        let max_fee = default_fee(&self.candidates).unwrap_or_default();
        say(&format!(
            "paying at most {max_fee}{}",
            out_of_reach(&self.candidates, self.lengths, max_fee)
        ));
        Ok(max_fee)
    }

    /// Why no offer can take the request.
    fn nobody(&self) -> String {
        let Self { listing, unfit, .. } = self;
        match (&self.only, unfit.as_slice()) {
            (Some(only), []) => {
                format!("{only} has no offer for listing {listing:?}; choose another --provider, or none")
            }
            (Some(only), [unfit, ..]) => {
                let next = self
                    .shorter()
                    .unwrap_or_else(|| "choose another --provider, or none".into());
                format!("{only} cannot take the job: {}; {next}", self.reason(*unfit))
            }
            (None, []) => format!(
                "nobody offers listing {listing:?}; choose another --model, or offer it with `assay \
                 provider offer`"
            ),
            (None, unfit) => {
                let mut reasons: Vec<String> =
                    unfit.iter().map(|unfit| self.reason(*unfit)).collect();
                reasons.sort();
                reasons.dedup();
                let next = self
                    .shorter()
                    .unwrap_or_else(|| "try again later, or choose another --model".into());
                format!(
                    "none of the offers for listing {listing:?} can take the job: {}; {next}",
                    reasons.join(", ")
                )
            }
        }
    }

    fn reason(&self, unfit: Unfit) -> String {
        match unfit {
            Unfit::Offline => "the provider is offline".into(),
            Unfit::BondTooSmall(bond) => format!(
                "the bond of {} is below the least, {}",
                Amount(bond),
                Amount(self.min_bond)
            ),
            Unfit::TooLong(context) => format!(
                "the offer is for {context} tokens, and prompt and answer have {} + {}",
                self.lengths.prompt, self.lengths.most
            ),
            Unfit::NoCapacity => "the offer has a capacity of 0".into(),
            Unfit::TooDear => "the price is out of all bounds".into(),
        }
    }

    /// The way out where some offer is only too short.
    fn shorter(&self) -> Option<String> {
        let contexts = self.unfit.iter().filter_map(|unfit| match unfit {
            Unfit::TooLong(context) => context.checked_sub(self.lengths.prompt),
            _ => None,
        });
        let most = contexts.max().filter(|most| *most > 0)?;
        Some(format!("lower --max-tokens to {most}"))
    }
}

/// The worst case of the dearest offer within twice the cheapest: more offers are in the draw, and
/// none that is out of all proportion. Offers without room count only where all are.
fn default_fee(candidates: &[Candidate]) -> Option<Amount> {
    let all_busy = candidates.iter().all(|candidate| candidate.busy);
    let fees = || {
        candidates
            .iter()
            .filter(|candidate| candidate.busy == all_busy)
            .map(|candidate| candidate.full_fee)
    };
    let most = fees().min()?.saturating_mul(2);
    fees().filter(|fee| *fee <= most).max().map(Amount)
}

/// Whether some offer gives the least tokens for `max_fee`. Without any, the job may wait for one.
fn check_reach(
    candidates: &[Candidate],
    lengths: Lengths,
    max_fee: Amount,
    only: Option<&AccountId32>,
) -> Result<(), Failure> {
    let found = candidates.iter().filter_map(|candidate| {
        let fee = candidate.price.fee(lengths.prompt, lengths.least)?;
        Some((candidate.reach(lengths, max_fee), fee))
    });
    let best = found.reduce(|one, other| (one.0.max(other.0), one.1.min(other.1)));
    match best {
        Some((most, lowest)) if most < lengths.least => {
            let who = match only {
                Some(only) => format!("{only} does not give"),
                None => "no offer gives".to_owned(),
            };
            let or_less = match most {
                0 => String::new(),
                most => format!(", or lower --min-tokens to {most}"),
            };
            Err(Failure::Request(format!(
                "{who} {} tokens for {max_fee}; raise --max-fee to {}{or_less}",
                lengths.least,
                Amount(lowest)
            )))
        }
        _ => Ok(()),
    }
}

/// What to say of the offers that cannot give the least tokens for `max_fee`, if there are any.
fn out_of_reach(candidates: &[Candidate], lengths: Lengths, max_fee: Amount) -> String {
    let too_dear = candidates
        .iter()
        .filter(|candidate| candidate.reach(lengths, max_fee) < lengths.least)
        .count();
    match too_dear {
        0 => String::new(),
        some => format!(
            "; too little for {some} of {} offers: raise --max-fee or lower --min-tokens for those",
            candidates.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: Lengths = Lengths {
        prompt: 10,
        most: 50,
        least: 20,
    };

    /// An offer at `price` for a prompt token and twice that for an output token, so with a worst
    /// case of 110 times `price`, and 50 times for the least tokens.
    fn candidate(price: u128, busy: bool) -> Candidate {
        let price = Price {
            input: price,
            output: price * 2,
        };
        Candidate {
            price,
            full_fee: price.fee(LENGTHS.prompt, LENGTHS.most).unwrap(),
            busy,
        }
    }

    #[test]
    fn the_default_fee_reaches_the_offers_up_to_twice_the_cheapest_with_room() {
        let fee = |candidates: &[Candidate]| default_fee(candidates).map(|fee| fee.0);
        assert_eq!(fee(&[]), None);
        let mut all = vec![
            candidate(4, false),
            candidate(2, false),
            candidate(5, false),
            candidate(1, true),
        ];
        assert_eq!(fee(&all), Some(4 * 110));
        for candidate in &mut all {
            candidate.busy = true;
        }
        assert_eq!(fee(&all), Some(2 * 110));
    }

    #[test]
    fn a_fee_that_buys_too_little_everywhere_is_refused_with_what_would_do() {
        let offers = [candidate(2, false), candidate(3, false)];
        let check = |max_fee| check_reach(&offers, LENGTHS, Amount(max_fee), None);
        // The first offer gives 20 tokens for 100.
        assert!(check(100).is_ok());
        let message = check(99).unwrap_err().to_string();
        assert!(message.contains("no offer gives 20 tokens for 99 planck"));
        assert!(message.contains("--max-fee to 100 planck, or lower --min-tokens to 19"));

        // It does not even pay for the prompt, so fewer tokens are no way out.
        let message = check(20).unwrap_err().to_string();
        assert!(message.contains("--max-fee to 100 planck") && !message.contains("--min-tokens"));

        let only = AccountId32([2; 32]);
        let refused = check_reach(&offers[1..], LENGTHS, Amount(149), Some(&only));
        let message = refused.unwrap_err().to_string();
        assert!(
            message.contains(&format!("{only} does not give")),
            "{message}"
        );
        assert!(message.contains("--max-fee to 150 planck"), "{message}");

        // Somebody may still come.
        assert!(check_reach(&[], LENGTHS, Amount(0), None).is_ok());
    }

    #[test]
    fn offers_that_the_default_fee_keeps_out_are_told() {
        let offers = [candidate(2, false), candidate(20, false)];
        let said = |max_fee| out_of_reach(&offers, LENGTHS, Amount(max_fee));
        assert!(said(220).contains("1 of 2 offers"), "{}", said(220));
        assert_eq!(said(1_000), "");
    }

    const ASY: u128 = 1_000_000_000_000;

    #[test]
    fn an_offer_is_unfit_for_its_first_reason() {
        let fit = || Terms {
            online: true,
            bond: 100,
            context: 60,
            capacity: 1,
            full_fee: Some(1),
        };
        let unfit = |change: fn(&mut Terms)| {
            let mut terms = fit();
            change(&mut terms);
            terms.unfit(LENGTHS, 100)
        };
        assert_eq!(unfit(|_| {}), None);
        assert_eq!(unfit(|terms| terms.online = false), Some(Unfit::Offline));
        assert_eq!(
            unfit(|terms| terms.bond = 99),
            Some(Unfit::BondTooSmall(99))
        );
        assert_eq!(unfit(|terms| terms.context = 59), Some(Unfit::TooLong(59)));
        assert_eq!(unfit(|terms| terms.capacity = 0), Some(Unfit::NoCapacity));
        assert_eq!(unfit(|terms| terms.full_fee = None), Some(Unfit::TooDear));
    }

    fn offers(only: Option<AccountId32>, unfit: Vec<Unfit>) -> Offers {
        Offers {
            listing: H256::repeat_byte(1),
            lengths: LENGTHS,
            only,
            candidates: Vec::new(),
            unfit,
            min_bond: 100 * ASY,
        }
    }

    #[test]
    fn a_named_provider_that_cannot_take_the_job_is_told_with_its_true_reason() {
        let named = AccountId32([2; 32]);
        for (unfit, part) in [
            (vec![], "has no offer for listing 0x0101"),
            (
                vec![Unfit::Offline],
                "is offline; choose another --provider",
            ),
            (
                vec![Unfit::BondTooSmall(50 * ASY)],
                "the bond of 50 ASY is below the least, 100 ASY",
            ),
            (vec![Unfit::TooLong(40)], "lower --max-tokens to 30"),
            (vec![Unfit::TooLong(10)], "choose another --provider"),
            (vec![Unfit::NoCapacity], "capacity of 0"),
        ] {
            for wanted in [None, Some(Amount(ASY))] {
                let refused = offers(Some(named), unfit.clone()).max_fee(wanted, |_| {});
                let message = refused.unwrap_err().to_string();
                assert!(message.contains(part), "{message}");
                assert!(message.contains(&named.to_string()), "{message}");
            }
        }
    }

    #[test]
    fn where_nobody_can_take_the_job_each_reason_is_told_once() {
        let nobody = |unfit| {
            let refused = offers(None, unfit).max_fee(None, |_| {});
            refused.unwrap_err().to_string()
        };
        assert!(nobody(vec![]).contains("nobody offers listing"));
        let message = nobody(vec![Unfit::Offline, Unfit::TooLong(40), Unfit::Offline]);
        assert_eq!(message.matches("offline").count(), 1, "{message}");
        assert!(message.contains("--max-tokens to 30"), "{message}");
        // Whoever sets a fee may wait for somebody to come.
        let waits = offers(None, vec![Unfit::Offline]).max_fee(Some(Amount(ASY)), |_| {});
        assert_eq!(waits.unwrap(), Amount(ASY));
    }
}
