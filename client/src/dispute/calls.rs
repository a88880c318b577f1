//! The calls of `pallet-disputes`.

use assay_exact::trace::Opening;
use assay_primitives::{Claim, Receipt};
use codec::{DecodeAll, Encode};
use sp_runtime::MultiSignature;
use subxt::{
    ext::scale_encode::{self, EncodeAsFields, FieldIter, TypeResolver},
    transactions::{Payload, StaticPayload, ValidationDetails},
    utils::{AccountId32, Static, H256},
};

use super::game::{Choice, Dispute, Move};
use crate::{
    answer::{Answer, Origin},
    chain::runtime::{
        self,
        disputes::calls as types,
        runtime_types::{
            bounded_collections::bounded_vec::BoundedVec, pallet_disputes::types as records,
            sp_runtime::MultiSignature as RuntimeSignature,
        },
    },
};

/// A move as the transaction that makes it. It fits one state of one dispute, so that it may be sent again
/// after a fork.
// There is one at a time.
#[allow(clippy::large_enum_variant)]
pub enum MoveCall {
    Answer(StaticPayload<types::Answer>),
    Reveal(StaticPayload<types::Reveal>),
    Choose(StaticPayload<types::Choose>),
    Prove(StaticPayload<types::Prove>),
}

impl MoveCall {
    pub fn new(dispute: &Dispute, made: Move) -> Self {
        let (id, state) = (dispute.id, dispute.state);
        let calls = runtime::tx().disputes();
        let reveal = |revelation| Self::Reveal(calls.reveal(id, state, revelation));
        match made {
            Move::Header(header) => {
                let answer = records::Answer::Header(Static(header));
                Self::Answer(calls.answer(id, state, answer))
            }
            Move::Trace {
                signature,
                nodes,
                last,
                token,
            } => {
                let answer = records::Answer::Trace {
                    signature: signature.map(Static),
                    nodes: BoundedVec(nodes),
                    last: leaf_opening(last),
                    token: leaf_opening(token),
                };
                Self::Answer(calls.answer(id, state, answer))
            }
            Move::Nodes(nodes) => reveal(records::Revelation::Nodes(BoundedVec(nodes))),
            Move::Leaves(leaves) => {
                let leaves = leaves.into_iter().map(BoundedVec).collect();
                reveal(records::Revelation::Leaves(BoundedVec(leaves)))
            }
            Move::Prove(proof) => Self::Prove(calls.prove(id, state, BoundedVec(proof.encode()))),
            Move::Choose(choice) => {
                let choice = match choice {
                    Choice::Node(index) => records::Choice::Node(index),
                    Choice::Element { leaf, element } => records::Choice::Element { leaf, element },
                    Choice::Part(index) => records::Choice::Part(index),
                };
                Self::Choose(calls.choose(id, state, choice))
            }
        }
    }
}

/// The same for each kind of call.
macro_rules! each {
    ($self:ident, $call:ident => $value:expr) => {
        match $self {
            Self::Answer($call) => $value,
            Self::Reveal($call) => $value,
            Self::Choose($call) => $value,
            Self::Prove($call) => $value,
        }
    };
}

impl Payload for MoveCall {
    type CallData = Self;

    fn pallet_name(&self) -> &str {
        each!(self, call => call.pallet_name())
    }

    fn call_name(&self) -> &str {
        each!(self, call => call.call_name())
    }

    fn call_data(&self) -> &Self {
        self
    }

    fn validation_details(&self) -> Option<ValidationDetails<'_>> {
        each!(self, call => call.validation_details())
    }
}

impl EncodeAsFields for MoveCall {
    fn encode_as_fields_to<R: TypeResolver>(
        &self,
        fields: &mut dyn FieldIter<'_, R::TypeId>,
        types: &R,
        out: &mut Vec<u8>,
    ) -> Result<(), scale_encode::Error> {
        each!(self, call => call.call_data().encode_as_fields_to(fields, types, out))
    }
}

type Statement = records::Statement<AccountId32, RuntimeSignature>;

/// What the answer's provider stated.
fn statement(answer: &Answer) -> Statement {
    let (signature, header) = match answer.origin {
        // The chain has both.
        Origin::Job { .. } => (None, None),
        Origin::Channel { .. } => (
            Some(runtime_signature(&answer.signed.signature)),
            Some(Static(answer.header.clone())),
        ),
    };
    records::Statement {
        __ignore: Default::default(),
        receipt: Static(answer.signed.receipt.clone()),
        signature,
        header,
    }
}

/// The runtime's type for a `MultiSignature` in SCALE. Bytes that are none become a signature that does
/// not verify.
fn runtime_signature(bytes: &[u8]) -> RuntimeSignature {
    match MultiSignature::decode_all(&mut &bytes[..]) {
        Ok(MultiSignature::Ed25519(signature)) => RuntimeSignature::Ed25519(signature.0),
        Ok(MultiSignature::Ecdsa(signature)) => RuntimeSignature::Ecdsa(signature.0),
        Ok(MultiSignature::Sr25519(signature)) => RuntimeSignature::Sr25519(signature.0),
        _ => RuntimeSignature::Sr25519([0; 64]),
    }
}

/// Commits to a claim: nobody who sees the dispute can overtake who did.
pub fn commit(claim: &Claim, who: &AccountId32, salt: &H256) -> StaticPayload<types::Commit> {
    let hash = assay_primitives::dispute::commitment(claim, who, salt);
    runtime::tx().disputes().commit(hash)
}

/// Disputes the token at `position` of an answer, or without one that it was asked for at all.
pub fn open(
    answer: &Answer,
    position: Option<u32>,
    salt: H256,
    delegate: Option<AccountId32>,
) -> StaticPayload<types::Open> {
    let claim = Static(answer.header.claim);
    let statement = statement(answer);
    runtime::tx()
        .disputes()
        .open(claim, statement, position, salt, delegate)
}

/// Something that shows a receipt to be false without a game.
#[derive(Clone, PartialEq, Debug)]
pub enum Evidence {
    /// Receipt and header alone.
    Face,
    /// A token that cannot stand where it does.
    Token { position: u32, opening: Opening },
    /// Another receipt of the same request, with another token at one place.
    Twice {
        other: Receipt,
        /// A `MultiSignature` in SCALE.
        signature: Vec<u8>,
        position: u32,
        opening: Opening,
        other_opening: Opening,
    },
}

/// Accuses the provider of an answer.
pub fn accuse(answer: &Answer, evidence: Evidence, salt: H256) -> StaticPayload<types::Accuse> {
    let evidence = match evidence {
        Evidence::Face => records::Evidence::Face,
        Evidence::Token { position, opening } => records::Evidence::Token {
            position,
            opening: leaf_opening(opening),
        },
        Evidence::Twice {
            other,
            signature,
            position,
            opening,
            other_opening,
        } => records::Evidence::Twice {
            other: Static(other),
            signature: runtime_signature(&signature),
            position,
            opening: leaf_opening(opening),
            other_opening: leaf_opening(other_opening),
        },
    };
    let claim = Static(answer.header.claim);
    runtime::tx()
        .disputes()
        .accuse(claim, statement(answer), evidence, salt)
}

/// The only leaf of an opening, with its way to the root.
fn leaf_opening(opening: Opening) -> records::LeafOpening {
    let leaf = opening.leaves.into_iter().next();
    records::LeafOpening {
        bytes: BoundedVec(leaf.map(|(_, bytes)| bytes).unwrap_or_default()),
        siblings: BoundedVec(opening.siblings.into_iter().map(H256).collect()),
    }
}
