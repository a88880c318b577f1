//! What the provider of an answer is accused of.

use assay_primitives::{Claim, Finish, Side, SignedHeader, Task, TokenId};
use serde::{Deserialize, Serialize};
use subxt::utils::{AccountId32, H256};

use super::{calls::Evidence, tokens};
use crate::{
    answer::{Answer, Origin},
    Chain, Error,
};

/// What is wrong with an answer. Places in it are counted from 0.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// The token at this place does not follow: the one charge that takes a game.
    Token { position: u32 },
    /// The user never signed this request: the provider has one move, to show that it did.
    Header,
    /// Receipt and header contradict each other, their claim or the chain.
    Face,
    /// The token at this place cannot stand there: it is none of the model's, or it is a stop token or
    /// none where the receipt says otherwise.
    Place { position: u32 },
    /// Another answer to the same request has another token at this place.
    Twice { position: u32 },
}

impl Charge {
    /// Place of the disputed token in a dispute that begins with this; none if there is none, or no
    /// dispute.
    pub fn position(&self) -> Option<u32> {
        match self {
            Self::Token { position } => Some(*position),
            _ => None,
        }
    }

    /// Whether a dispute begins with it; otherwise the accusation is judged at once.
    pub fn is_dispute(&self) -> bool {
        matches!(self, Self::Token { .. } | Self::Header)
    }

    /// What is accused, for a sentence.
    pub fn describe(&self) -> String {
        let number = |position: &u32| position.saturating_add(1);
        match self {
            Self::Token { position } => format!("token {} does not follow", number(position)),
            Self::Header => "the user never signed this request".into(),
            Self::Face => "receipt, request and chain contradict one another".into(),
            Self::Place { position } => {
                format!("token {} cannot stand where it does", number(position))
            }
            Self::Twice { position } => {
                format!("token {} was signed as two tokens", number(position))
            }
        }
    }

    /// What shows it to the chain; none for a dispute. `other` is the answer that contradicts this one.
    pub(super) fn evidence(
        &self,
        answer: &Answer,
        other: Option<&Answer>,
    ) -> Result<Evidence, Error> {
        let open = |answer: &Answer| {
            let position = match self {
                Self::Place { position } | Self::Twice { position } => *position,
                Self::Token { .. } | Self::Header | Self::Face => 0,
            };
            let salted = (answer.secret(), Side::Output);
            tokens::open(&answer.output, salted, position)
        };
        Ok(match self {
            Self::Token { .. } | Self::Header | Self::Face => Evidence::Face,
            Self::Place { position } => Evidence::Token {
                position: *position,
                opening: open(answer),
            },
            Self::Twice { position } => {
                let missing = || Error::Dispute("name the other answer's file as well".into());
                let other = other.ok_or_else(missing)?;
                Evidence::Twice {
                    other: other.signed.receipt.clone(),
                    signature: other.signed.signature.clone(),
                    position: *position,
                    opening: open(answer),
                    other_opening: open(other),
                }
            }
        })
    }
}

/// The first thing that is wrong with an answer of a channel and needs no game; none if there is none, or it is
/// a job's, which the chain has checked. `other` is another answer to the same request.
pub async fn without_game(
    chain: &Chain,
    answer: &Answer,
    other: Option<&Answer>,
) -> Result<Option<Charge>, Error> {
    let (Claim::Channel { id, .. }, Origin::Channel { key, signature, .. }) =
        (answer.header.claim, &answer.origin)
    else {
        return Ok(None);
    };
    let best = chain.best().await?;
    let channel = best.channel(id).await?.ok_or_else(|| {
        Error::Dispute(format!(
            "the chain keeps no record of channel {id:?}: it is too late"
        ))
    })?;
    let listing = best.listing(channel.listing).await?.ok_or_else(|| {
        Error::Dispute(format!("listing {:?} is not on the chain", channel.listing))
    })?;
    let spec = &listing.parts.0.spec;
    let number = answer.signed.receipt.anchor.number;
    let facts = Facts {
        genesis: chain.genesis_hash(),
        provider: channel.provider,
        listing: channel.listing,
        anchor: match number <= best.number() {
            true => chain.block_hash(number).await?,
            false => Some(H256::zero()),
        },
        stop_tokens: &spec.stop_tokens,
        vocabulary: spec.vocabulary,
        context: spec.context,
    };
    let payload = SignedHeader::<()>::signing_payload(&answer.header.hash());
    let signed = *key == channel.voucher_key.0 && key.verify(&payload, signature);
    Ok(of_facts(answer, &facts)
        .or_else(|| contradiction(answer, other?))
        .or_else(|| (!signed).then_some(Charge::Header)))
}

/// What the chain knows.
struct Facts<'a> {
    genesis: H256,
    provider: AccountId32,
    listing: H256,
    /// The block at the receipt's anchor; none if that is forgotten.
    anchor: Option<H256>,
    stop_tokens: &'a [TokenId],
    vocabulary: u32,
    context: u32,
}

fn of_facts(answer: &Answer, facts: &Facts) -> Option<Charge> {
    let (header, receipt) = (&answer.header, &answer.signed.receipt);
    let (length, limit) = (receipt.output_len, header.token_limit);
    let is_score = matches!(header.task, Task::Score { .. });
    let (is_its_end, spoken_of) = match receipt.finish {
        Finish::Eos => (!is_score, length),
        Finish::Mismatch => (is_score, length.saturating_add(1)),
        Finish::Length | Finish::Caller => (true, length),
    };
    let positions = header.positions(length);
    let claimed = (header.genesis, header.provider, header.listing);
    let on_its_face = claimed != (facts.genesis, facts.provider, facts.listing)
        || header.fee(length) != Some(receipt.fee)
        || !is_its_end
        || spoken_of > limit
        || (receipt.finish == Finish::Length && length != limit)
        || (receipt.finish == Finish::Eos && length == 0)
        || facts.anchor.is_some_and(|hash| hash != receipt.anchor.hash)
        || positions.is_none_or(|positions| positions > facts.context);
    if on_its_face {
        return Some(Charge::Face);
    }
    if is_score {
        // Its tokens are the user's.
        return None;
    }
    let last = answer.output.len().saturating_sub(1);
    let misplaced = |(place, token): &(usize, &TokenId)| {
        let stops = facts.stop_tokens.contains(token);
        **token >= facts.vocabulary
            || (stops && *place != last)
            || (!stops && *place == last && receipt.finish == Finish::Eos)
    };
    let found = answer.output.iter().enumerate().find(misplaced);
    found.map(|(place, _)| Charge::Place {
        position: place as u32,
    })
}

/// The first place at which another answer to the same request has another token.
fn contradiction(answer: &Answer, other: &Answer) -> Option<Charge> {
    if answer.signed.receipt.header != other.signed.receipt.header {
        return None;
    }
    let mut pairs = answer.output.iter().zip(&other.output);
    let place = pairs.position(|(token, other)| token != other)?;
    Some(Charge::Twice {
        position: place as u32,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{answer::ListedModel, SignedReceipt};
    use assay_primitives::{
        salted_token_root, Anchor, Receipt, RequestHeader, Sampling, VoucherKey, VoucherSignature,
    };

    const SECRET: [u8; 32] = [7; 32];

    /// An answer of a channel that nobody signed.
    pub fn answer(output: Vec<TokenId>, finish: Finish) -> Answer {
        let header = RequestHeader {
            version: 1,
            genesis: H256([1; 32]),
            claim: Claim::Channel {
                id: H256([2; 32]),
                seq: 3,
            },
            provider: AccountId32([4; 32]),
            listing: H256([5; 32]),
            prompt_root: H256::zero(),
            prompt_len: 10,
            task: Task::Generate,
            sampling: Sampling::GREEDY,
            token_limit: 40,
            input_price: 1,
            output_price: 2,
        };
        let receipt = Receipt {
            header: header.hash(),
            anchor: Anchor {
                number: 11,
                hash: H256([6; 32]),
            },
            output_len: output.len() as u32,
            output_root: salted_token_root(&SECRET, Side::Output, &output),
            finish,
            fee: 10 + 2 * output.len() as u128,
        };
        Answer {
            header,
            origin: Origin::Channel {
                secret: H256(SECRET),
                key: VoucherKey::Sr25519([0; 32].into()),
                signature: VoucherSignature::Sr25519([0; 64].into()),
            },
            seed: [0; 32],
            model: ListedModel {
                root: H256::zero(),
                publisher: AccountId32([0; 32]),
                royalty: 0,
                profile: "exact".into(),
                stop_tokens: vec![2],
            },
            prompt: vec![1; 10],
            output,
            signed: SignedReceipt {
                receipt,
                operator: AccountId32([9; 32]),
                signature: vec![],
            },
        }
    }

    fn found(answer: &Answer) -> Option<Charge> {
        let facts = Facts {
            genesis: H256([1; 32]),
            provider: AccountId32([4; 32]),
            listing: H256([5; 32]),
            anchor: Some(H256([6; 32])),
            stop_tokens: &[2],
            vocabulary: 100,
            context: 60,
        };
        of_facts(answer, &facts)
    }

    #[test]
    fn what_contradicts_itself_or_the_chain_is_found() {
        for (output, finish) in [
            (vec![8; 40], Finish::Length),
            (vec![8, 8, 2], Finish::Eos),
            (vec![8, 8], Finish::Caller),
            (vec![], Finish::Caller),
        ] {
            assert_eq!(found(&answer(output, finish)), None);
        }
        type Change = fn(&mut Answer);
        let on_its_face: [Change; 9] = [
            |a| a.header.genesis = H256::zero(),
            |a| a.header.provider = AccountId32([5; 32]),
            |a| a.header.listing = H256::zero(),
            |a| a.signed.receipt.fee += 1,
            |a| a.header.token_limit = 1,
            |a| a.signed.receipt.finish = Finish::Length,
            |a| *a = answer(vec![], Finish::Eos),
            |a| a.signed.receipt.anchor.hash = H256::zero(),
            |a| {
                *a = answer(vec![8; 51], Finish::Caller);
                a.header.token_limit = 51;
            },
        ];
        for (index, change) in on_its_face.into_iter().enumerate() {
            let mut answer = answer(vec![8, 8, 8], Finish::Caller);
            change(&mut answer);
            assert_eq!(found(&answer), Some(Charge::Face), "{index}");
        }
        for (output, finish, position) in [
            (vec![8, 8, 8], Finish::Eos, 2),
            (vec![8, 2, 8], Finish::Caller, 1),
            (vec![8, 100], Finish::Caller, 1),
            (vec![2, 2], Finish::Eos, 0),
        ] {
            let charge = Some(Charge::Place { position });
            assert_eq!(found(&answer(output, finish)), charge);
        }
    }

    #[test]
    fn two_answers_to_one_request_contradict_each_other_where_they_differ() {
        let one = answer(vec![8, 9, 10], Finish::Caller);
        assert_eq!(contradiction(&one, &one), None);
        assert_eq!(contradiction(&one, &answer(vec![8], Finish::Caller)), None);
        let other = answer(vec![8, 9, 11, 12], Finish::Caller);
        let charge = contradiction(&one, &other).unwrap();
        assert_eq!(charge, Charge::Twice { position: 2 });
        assert!(charge.evidence(&one, None).is_err());
        let Ok(Evidence::Twice {
            opening,
            other_opening,
            position: 2,
            ..
        }) = charge.evidence(&one, Some(&other))
        else {
            panic!("no evidence");
        };
        let hash = |bytes: &[u8]| assay_primitives::blake2_256(bytes);
        for (answer, opening) in [(&one, opening), (&other, other_opening)] {
            let root = answer.signed.receipt.output_root.0;
            assert_eq!(opening.root(1, hash), Some(root));
        }
        let mut elsewhere = other.clone();
        elsewhere.signed.receipt.header = H256::zero();
        assert_eq!(contradiction(&one, &elsewhere), None);
    }
}
