//! What the chain refuses whoever is right: an answer that its provider did not sign, and one that comes too late. It
//! would say so only to who has paid for a commitment, so it is looked at before.

use assay_primitives::{
    salted_token_root, Claim, Finish, Profile, Receipt, RequestHeader, Side, Task,
};
use subxt::utils::{AccountId32, H256};

use super::charge::Charge;
use crate::{answer::Answer, chain::JobState, folder, Error, Snapshot};

/// The opening is at the earliest so many blocks behind the best one: the commitment is in a block between.
const TO_OPEN: u32 = 2;

/// Why the chain would refuse this charge against an answer, as a sentence; none if nothing is known against it.
/// `other` is another answer to the same request.
pub async fn refusal(
    best: &Snapshot,
    genesis: H256,
    charge: &Charge,
    answer: &Answer,
    other: Option<&Answer>,
) -> Result<Option<String>, Error> {
    let claim = answer.header.claim;
    if best.is_convicted(claim).await? {
        return Ok(Some(convicted(answer)));
    }
    let Some((listing, stated)) = stated(best, answer, other).await? else {
        return too_late(best, answer).await;
    };
    let listing = best.listing(listing).await?;
    let facts = Facts {
        genesis,
        stated,
        is_exact: listing.is_none_or(|listing| listing.parts.0.spec.profile != Profile::Unverified),
    };
    match facts.refuse(charge, answer, other) {
        Some(why) => Ok(Some(why)),
        None => too_late(best, answer).await,
    }
}

/// That nothing is left to dispute.
pub(super) fn convicted(answer: &Answer) -> String {
    format!(
        "the provider was convicted of {} already; nothing is left to dispute",
        answer.claim()
    )
}

/// What the chain knows of who stated what.
struct Facts {
    genesis: H256,
    stated: Stated,
    /// Whether the tokens of the listing's model follow from anything.
    is_exact: bool,
}

enum Stated {
    /// In a job, a receipt with this hash.
    Delivered(H256),
    /// In a channel, what the operator at the anchor of each receipt signed; none where nobody could.
    Signed {
        provider: AccountId32,
        listing: H256,
        operator: Option<AccountId32>,
        others: Option<AccountId32>,
    },
}

/// The claim's listing, and what was stated; none if the chain keeps no record of it.
async fn stated(
    best: &Snapshot,
    answer: &Answer,
    other: Option<&Answer>,
) -> Result<Option<(H256, Stated)>, Error> {
    match answer.header.claim {
        Claim::Job(id) => Ok(best.job(id).await?.and_then(|job| match job.state {
            JobState::Delivered(_, delivery) => {
                Some((job.listing, Stated::Delivered(delivery.receipt_hash)))
            }
            _ => None,
        })),
        Claim::Channel { id, .. } => {
            let Some(channel) = best.channel(id).await? else {
                return Ok(None);
            };
            let provider = channel.provider;
            let anchor = answer.signed.receipt.anchor.number;
            let operator = best.operator_at(provider, anchor).await?;
            let others = match other {
                Some(other) => {
                    let anchor = other.signed.receipt.anchor.number;
                    best.operator_at(provider, anchor).await?
                }
                None => None,
            };
            let signed = Stated::Signed {
                provider,
                listing: channel.listing,
                operator,
                others,
            };
            Ok(Some((channel.listing, signed)))
        }
    }
}

impl Facts {
    fn refuse(&self, charge: &Charge, answer: &Answer, other: Option<&Answer>) -> Option<String> {
        if let Some(what) = self.unsigned(charge, answer, other) {
            return Some(format!(
                "{what}; the file is not what the provider signed, and the chain judges nothing else: get it again from \
                 where it came"
            ));
        }
        let Charge::Token { position } = charge else {
            return match (charge, other) {
                (Charge::Twice { .. }, None) => Some("name the other answer's file as well".into()),
                _ => None,
            };
        };
        let claim = answer.claim();
        if !self.is_exact {
            return Some(format!(
                "the model of {claim} is unverified: nobody promised which tokens it gives, so none can be disputed"
            ));
        }
        let (header, receipt) = (&answer.header, &answer.signed.receipt);
        if !speaks_of(receipt, header, *position) {
            let number = position.saturating_add(1);
            return Some(format!(
                "the receipt of {claim} says nothing of token {number}"
            ));
        }
        let Stated::Signed {
            provider, listing, ..
        } = &self.stated
        else {
            return None;
        };
        let named = (&header.genesis, &header.provider, &header.listing);
        (named != (&self.genesis, provider, listing)).then(|| {
            format!(
                "the request of {claim} names another chain, provider or listing than its channel; its provider can be \
                 accused of that, and no token disputed"
            )
        })
    }

    /// What of a file its provider did not sign.
    fn unsigned(&self, charge: &Charge, answer: &Answer, other: Option<&Answer>) -> Option<String> {
        let claim = answer.claim();
        match &self.stated {
            Stated::Delivered(hash) => {
                let here = folder::hash(&answer.signed.receipt.signing_payload());
                (here != *hash)
                    .then(|| format!("the receipt is not the one that was delivered for {claim}"))
            }
            Stated::Signed {
                operator, others, ..
            } => {
                let is_of_tokens = matches!(charge, Charge::Place { .. } | Charge::Twice { .. });
                let other = other.filter(|_| matches!(charge, Charge::Twice { .. }));
                let each = [Some((answer, operator)), other.map(|other| (other, others))];
                each.into_iter()
                    .flatten()
                    .find_map(|(answer, operator)| part(answer, operator.as_ref(), is_of_tokens))
                    .map(|what| format!("{what} of {claim}"))
            }
        }
    }
}

/// The part of a channel's file that this operator did not sign; the output only where it is shown to the chain.
fn part(answer: &Answer, operator: Option<&AccountId32>, is_of_tokens: bool) -> Option<String> {
    let receipt = &answer.signed.receipt;
    let signs = |operator: &AccountId32| {
        let mut signed = answer.signed.clone();
        signed.operator = *operator;
        signed.is_signed()
    };
    let root = || {
        let secret = answer.secret().unwrap_or_default();
        salted_token_root(&secret, Side::Output, &answer.output)
    };
    if answer.header.hash() != receipt.header {
        Some("the header is not the one that the receipt names".into())
    } else if !operator.is_some_and(signs) {
        Some("the provider's operator did not sign the receipt".into())
    } else if is_of_tokens && root() != receipt.output_root {
        Some("the output is not the one of the receipt".into())
    } else {
        None
    }
}

/// Whether a receipt says something about the token at `position`.
fn speaks_of(receipt: &Receipt, header: &RequestHeader<AccountId32>, position: u32) -> bool {
    match (header.task, receipt.finish) {
        // The one that it calls wrong.
        (Task::Score { .. }, Finish::Mismatch) => position <= receipt.output_len,
        _ => position < receipt.output_len,
    }
}

/// Why the answer cannot be disputed any more, if that is so.
async fn too_late(best: &Snapshot, answer: &Answer) -> Result<Option<String>, Error> {
    let (stood_still, is_paused) = best.paused_blocks().await?;
    let to_open = if is_paused { 0 } else { TO_OPEN };
    let opens_at = best.number().saturating_add(to_open);
    let is_open = match answer.header.claim {
        Claim::Job(id) => match best.job(id).await? {
            Some(job) => match job.state {
                // While it is disputed its window stands still.
                JobState::Delivered(..) if job.disputes > 0 => true,
                JobState::Delivered(_, delivery) => {
                    let longer = stood_still.saturating_sub(delivery.stood_still);
                    opens_at < delivery.window_end.saturating_add(longer)
                }
                _ => false,
            },
            None => false,
        },
        Claim::Channel { .. } => {
            let window = best.dispute_parameters().await?.challenge_blocks;
            let anchor = answer.signed.receipt.anchor.number;
            let longer = best.paused_since(anchor).await?;
            opens_at <= anchor.saturating_add(window).saturating_add(longer)
        }
    };
    Ok((!is_open).then(|| {
        format!(
            "{} cannot be disputed any more: the time for that is over",
            answer.claim()
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{answer::Origin, dispute::charge::tests::answer, keys};

    fn key() -> crate::Keypair {
        keys::load("//Bob//operator").unwrap()
    }

    /// The same, as the operator signs it.
    fn signed(mut answer: Answer) -> Answer {
        let payload = answer.signed.receipt.signing_payload();
        answer.signed.signature = vec![1];
        answer.signed.signature.extend(key().sign(&payload).0);
        answer
    }

    fn right() -> Answer {
        signed(answer(vec![8, 9, 10], Finish::Caller))
    }

    fn facts(answer: &Answer) -> Facts {
        Facts {
            genesis: answer.header.genesis,
            stated: Stated::Signed {
                provider: answer.header.provider,
                listing: answer.header.listing,
                operator: Some(keys::account(&key())),
                others: Some(keys::account(&key())),
            },
            is_exact: true,
        }
    }

    const CHARGES: [Charge; 4] = [
        Charge::Token { position: 1 },
        Charge::Header,
        Charge::Face,
        Charge::Place { position: 1 },
    ];

    #[test]
    fn what_the_provider_did_not_sign_is_refused_and_what_it_signed_is_not() {
        let facts = facts(&right());
        for charge in &CHARGES {
            assert_eq!(facts.refuse(charge, &right(), None), None, "{charge:?}");
            type Change = (&'static str, fn(&mut Answer));
            let changes: [Change; 7] = [
                ("did not sign", |a| a.signed.receipt.fee += 1),
                ("did not sign", |a| a.signed.receipt.finish = Finish::Eos),
                ("did not sign", |a| a.signed.signature[5] ^= 1),
                ("the header", |a| a.header.provider = AccountId32([5; 32])),
                ("the header", |a| a.header.genesis = H256::zero()),
                ("the header", |a| {
                    let id = H256([2; 32]);
                    a.header.claim = Claim::Channel { id, seq: 4 };
                }),
                ("the header", |a| a.header.token_limit = 1),
            ];
            for (expected, change) in changes {
                let mut altered = right();
                change(&mut altered);
                let why = facts.refuse(charge, &altered, None).unwrap();
                assert!(why.contains(expected), "{charge:?}: {why}");
                assert!(why.contains("not what the provider signed"), "{why}");
            }
            // A lie that is signed is what disputes are for.
            let mut lie = right();
            lie.signed.receipt.fee += 1;
            assert_eq!(facts.refuse(charge, &signed(lie), None), None);
        }
        // Who the file says signed it decides nothing.
        let mut altered = right();
        altered.signed.operator = AccountId32([1; 32]);
        assert_eq!(facts.refuse(&Charge::Face, &altered, None), None);
        let mut nobody = self::facts(&right());
        if let Stated::Signed { operator, .. } = &mut nobody.stated {
            *operator = None;
        }
        assert!(nobody.refuse(&Charge::Face, &right(), None).is_some());
    }

    #[test]
    fn tokens_that_are_shown_are_those_of_the_receipt() {
        let facts = facts(&right());
        let changes: [fn(&mut Answer); 2] = [
            |a| a.output[1] = 100,
            |a| {
                if let Origin::Channel { secret, .. } = &mut a.origin {
                    *secret = H256::zero();
                }
            },
        ];
        let twice = Charge::Twice { position: 1 };
        for change in changes {
            let mut altered = right();
            change(&mut altered);
            let why = facts.refuse(&CHARGES[3], &altered, None).unwrap();
            assert!(why.contains("the output"), "{why}");
            for (one, other) in [(&right(), &altered), (&altered, &right())] {
                assert!(facts.refuse(&twice, one, Some(other)).is_some());
            }
        }
        assert_eq!(facts.refuse(&twice, &right(), Some(&right())), None);
        let why = facts.refuse(&twice, &right(), None).unwrap();
        assert!(why.contains("the other answer's file"), "{why}");
    }

    #[test]
    fn a_token_is_disputed_where_something_was_promised_of_it() {
        let mut facts = facts(&right());
        let token = |position| Charge::Token { position };
        assert_eq!(facts.refuse(&token(2), &right(), None), None);
        let why = facts.refuse(&token(3), &right(), None).unwrap();
        assert!(why.contains("nothing of token 4"), "{why}");
        facts.genesis = H256::zero();
        let why = facts.refuse(&token(0), &right(), None).unwrap();
        assert!(why.contains("another chain"), "{why}");
        assert_eq!(facts.refuse(&Charge::Face, &right(), None), None);
        facts.is_exact = false;
        let why = facts.refuse(&token(0), &right(), None).unwrap();
        assert!(why.contains("unverified"), "{why}");
        assert_eq!(facts.refuse(&Charge::Face, &right(), None), None);
    }

    #[test]
    fn a_jobs_receipt_is_the_one_that_was_delivered() {
        let mut facts = facts(&right());
        let payload = right().signed.receipt.signing_payload();
        facts.stated = Stated::Delivered(folder::hash(&payload));
        let token = Charge::Token { position: 0 };
        assert_eq!(facts.refuse(&token, &right(), None), None);
        let mut altered = right();
        altered.signed.receipt.fee += 1;
        let why = facts.refuse(&token, &signed(altered), None).unwrap();
        assert!(why.contains("delivered"), "{why}");
    }
}
