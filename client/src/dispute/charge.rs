//! What the provider of an answer is accused of.

use assay_primitives::{Claim, Finish, ModelSpec, Price, SignedHeader, TokenId};
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
            tokens::open(&answer.output, answer.secret(), position)
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
    let number = answer.signed.receipt.anchor.number;
    let facts = Facts {
        genesis: chain.genesis_hash(),
        provider: channel.provider,
        listing: channel.listing,
        anchor: match number <= best.number() {
            true => chain.block_hash(number).await?,
            false => Some(H256::zero()),
        },
        spec: &listing.parts.0.spec,
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
    spec: &'a ModelSpec,
}

fn of_facts(answer: &Answer, facts: &Facts) -> Option<Charge> {
    let (header, receipt) = (&answer.header, &answer.signed.receipt);
    let price = Price {
        input: header.input_price,
        output: header.output_price,
    };
    let length = header.prompt_len.checked_add(receipt.output_len);
    let claimed = (header.genesis, header.provider, header.listing);
    let on_its_face = claimed != (facts.genesis, facts.provider, facts.listing)
        || price.fee(header.prompt_len, receipt.output_len) != Some(receipt.fee)
        || receipt.output_len > header.token_limit
        || (receipt.finish == Finish::Length && receipt.output_len != header.token_limit)
        || (receipt.finish == Finish::Eos && receipt.output_len == 0)
        || facts.anchor.is_some_and(|hash| hash != receipt.anchor.hash)
        || length.is_none_or(|length| length > facts.spec.context);
    if on_its_face {
        return Some(Charge::Face);
    }
    let last = answer.output.len().saturating_sub(1);
    let misplaced = |(place, token): &(usize, &TokenId)| {
        let stops = facts.spec.stop_tokens.contains(token);
        **token >= facts.spec.vocabulary
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
