//! What a disputed answer is defended with: its tokens, from the chain or from the ledger, and the user's
//! signature under its request.

use assay_client::{
    dispute::{Dispute, Exhibit, Move, Question},
    AccountId32, Snapshot,
};
use assay_primitives::{
    seed, Claim, Receipt, RequestHeader, SignedHeader, TokenId, VoucherSignature,
};

use crate::{
    chain::receipt_hash,
    ledger::{ChannelLedger, LedgerError, RequestKey},
};

/// What answers a dispute.
#[derive(Clone, PartialEq, Debug)]
// One in memory at a time; a box would only complicate it.
#[allow(clippy::large_enum_variant)]
pub enum Defence {
    /// This move, which needs no trace.
    Move(Move),
    /// The trace of this, of the model under the request's listing.
    Trace {
        exhibit: Exhibit,
        listing: assay_client::H256,
        /// The user's, in a channel.
        signature: Option<VoucherSignature>,
    },
}

/// Why a dispute cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum DefenceError {
    #[error(transparent)]
    Chain(#[from] assay_client::Error),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What is missing.
    #[error("{0}")]
    Missing(String),
}

/// Looks up what answers a dispute.
pub async fn defence(
    best: &Snapshot,
    ledger: &ChannelLedger,
    dispute: &Dispute,
) -> Result<Defence, DefenceError> {
    let (position, header, randomness) = match &dispute.question {
        Question::Header => return header_of(ledger, dispute).map(Defence::Move),
        Question::Token {
            position,
            header,
            randomness,
        } => (*position, header, randomness),
    };
    let (tokens, secret, signature) = match dispute.claim {
        Claim::Job(job) => {
            let gone =
                |what| DefenceError::Missing(format!("the chain has no {what} of job {job}"));
            let prompt = best.prompt(job).await?.ok_or_else(|| gone("prompt"))?;
            let output = best.output(job).await?.ok_or_else(|| gone("output"))?;
            ((prompt, output), None, None)
        }
        Claim::Channel { id, seq } => {
            let key = RequestKey { channel: id, seq };
            let evidence = ledger.evidence(&key)?.ok_or_else(|| forgotten(dispute))?;
            let output = up_to(evidence.output, &dispute.receipt);
            let output = output.ok_or_else(|| forgotten(dispute))?;
            let signature = signed(ledger, dispute)?.signature;
            (
                (evidence.prompt, output),
                Some(evidence.secret),
                Some(signature),
            )
        }
    };
    let (prompt, output) = tokens;
    Ok(Defence::Trace {
        exhibit: Exhibit {
            sampling: header.sampling,
            seed: seed(&header.hash(), randomness),
            prompt,
            output,
            secret,
            position,
        },
        listing: header.listing,
        signature,
    })
}

/// The tokens of an answer that a receipt of it, perhaps a running one, is over.
fn up_to(mut output: Vec<TokenId>, receipt: &Receipt) -> Option<Vec<TokenId>> {
    let length = receipt.output_len as usize;
    let enough = output.len() >= length;
    output.truncate(length);
    enough.then_some(output)
}

fn header_of(ledger: &ChannelLedger, dispute: &Dispute) -> Result<Move, DefenceError> {
    signed(ledger, dispute).map(Move::Header)
}

/// The request that the user signed and the disputed receipt is about.
fn signed(
    ledger: &ChannelLedger,
    dispute: &Dispute,
) -> Result<SignedHeader<AccountId32>, DefenceError> {
    let Claim::Channel { id, seq } = dispute.claim else {
        return Err(forgotten(dispute));
    };
    let request = ledger.request(&RequestKey { channel: id, seq })?;
    let signed = request.map(|request| request.header);
    let signed = signed.filter(|signed| signed.header.hash() == dispute.receipt.header);
    let SignedHeader { header, signature } = signed.ok_or_else(|| forgotten(dispute))?;
    Ok(SignedHeader {
        header: RequestHeader {
            version: header.version,
            genesis: header.genesis,
            claim: header.claim,
            provider: AccountId32(header.provider),
            listing: header.listing,
            prompt_root: header.prompt_root,
            prompt_len: header.prompt_len,
            sampling: header.sampling,
            token_limit: header.token_limit,
            input_price: header.input_price,
            output_price: header.output_price,
        },
        signature,
    })
}

fn forgotten(dispute: &Dispute) -> DefenceError {
    DefenceError::Missing(format!(
        "the ledger has not what the receipt {:?} is about; is it the one that answered?",
        receipt_hash(&dispute.receipt)
    ))
}
