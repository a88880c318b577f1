//! Replies: the receipt and its signature, the extrinsic that carries them, and the way to the
//! node's pool.

use std::time::Duration;

use assay_channel::Settlement;
use assay_client::{
    chain::{era, runtime},
    Error, Keypair, Snapshot,
};
use assay_primitives::{token_root, Anchor, JobId, Receipt, TokenId};
use subxt::{
    config::PolkadotExtrinsicParamsBuilder,
    error::{BackendError, ExtrinsicError, RpcError},
    rpcs,
    transactions::Payload,
    utils::Static,
    PolkadotConfig,
};

use crate::{
    chain::{Duty, Heads},
    engine::Finish,
    generate::Generated,
    ledger::{Answer, Reply, Submission},
    purse::Fees,
};

/// Blocks that an extrinsic may wait for its inclusion, at least: more than most deadlines.
const PATIENCE: u32 = 64;

/// How long the pool may take to say what it thinks of an extrinsic. It says nothing of one that
/// waits for another.
const VERDICT: Duration = Duration::from_secs(3);

/// The pool already holds the extrinsic.
const ALREADY_IMPORTED: i32 = 1013;
/// The pool already holds another one with the same nonce.
const PRIORITY_TOO_LOW: i32 = 1014;

/// The answer to `duty`, with a receipt that builds on `anchor`.
pub fn answer(
    duty: &Duty,
    generated: Generated,
    anchor: Anchor,
    key: &Keypair,
) -> Result<Answer, String> {
    let output = generated.tokens;
    let output_len = u32::try_from(output.len()).unwrap_or(u32::MAX);
    let finish = match generated.finish {
        Finish::Eos => assay_primitives::Finish::Eos,
        Finish::Length => assay_primitives::Finish::Length,
    };
    let receipt = Receipt {
        header: duty.header,
        anchor,
        output_len,
        output_root: token_root(&output),
        finish,
        fee: duty
            .price
            .fee(duty.prompt_len, output_len)
            .ok_or("the fee is larger than any amount of money")?,
    };
    Ok(signed(receipt, output, key))
}

/// The same answer, with a receipt that builds on another block.
pub fn reanchored(answer: &Answer, anchor: Anchor, key: &Keypair) -> Answer {
    signed(
        Receipt {
            anchor,
            ..answer.receipt.clone()
        },
        answer.output.clone(),
        key,
    )
}

fn signed(receipt: Receipt, output: Vec<TokenId>, key: &Keypair) -> Answer {
    let signature = key.sign(&receipt.signing_payload()).0;
    Answer {
        receipt,
        signer: key.public_key().0,
        signature,
        output,
    }
}

/// The extrinsic that tells the chain `reply`.
pub fn sign(
    heads: &Heads,
    job: JobId,
    reply: &Reply,
    nonce: u64,
    key: &Keypair,
) -> Result<Submission, Error> {
    let jobs = runtime::tx().jobs();
    match reply {
        Reply::Answer(answer) => {
            let signature =
                runtime::runtime_types::sp_runtime::MultiSignature::Sr25519(answer.signature);
            let output = runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec(
                answer.output.clone(),
            );
            let call = jobs.deliver(job, Static(answer.receipt.clone()), signature, output);
            sign_call(heads, &call, nonce, key)
        }
        Reply::Refusal { .. } => sign_call(heads, &jobs.decline(job), nonce, key),
    }
}

/// An extrinsic that does nothing but use up a nonce.
pub fn sign_filler(heads: &Heads, nonce: u64, key: &Keypair) -> Result<Submission, Error> {
    sign_call(
        heads,
        &runtime::tx().system().remark(Vec::new()),
        nonce,
        key,
    )
}

/// An extrinsic that takes the operator's provider online or offline.
pub fn sign_set_online(
    heads: &Heads,
    online: bool,
    nonce: u64,
    key: &Keypair,
) -> Result<Submission, Error> {
    let call = runtime::tx().providers().set_online(online);
    sign_call(heads, &call, nonce, key)
}

/// The most claims in one extrinsic.
pub const MAX_CLAIMS: usize = 100;

/// An extrinsic that claims what was earned in channels, of which only the first [`MAX_CLAIMS`] count. One
/// that somebody else claimed already is passed over.
pub fn sign_settle(
    heads: &Heads,
    claims: &[Settlement],
    nonce: u64,
    key: &Keypair,
) -> Result<Submission, Error> {
    let claims = claims.iter().take(MAX_CLAIMS);
    let claims = claims.map(|claim| (Static(claim.voucher), claim.amount));
    let claims =
        runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec(claims.collect());
    let call = runtime::tx().channels().settle_many(claims);
    sign_call(heads, &call, nonce, key)
}

/// What the operator's transactions cost at the best block, as its runtime says. The estimates are of
/// transactions that are never sent.
pub async fn fees(heads: &Heads, key: &Keypair) -> Result<Fees, Error> {
    let best = &heads.best;
    let max_tokens = best.max_tokens()?;
    let answer = |tokens: u32| {
        let receipt = Receipt {
            header: best.hash(),
            anchor: crate::chain::anchor(best),
            output_len: tokens,
            output_root: best.hash(),
            finish: assay_primitives::Finish::Length,
            fee: u128::MAX,
        };
        let output = vec![TokenId::MAX; tokens as usize];
        Reply::Answer(signed(receipt, output, key))
    };
    let refusal = Reply::Refusal {
        reason: String::new(),
    };
    Ok(Fees {
        set_online: fee(best, sign_set_online(heads, false, 0, key)?).await?,
        decline: fee(best, sign(heads, 0, &refusal, 0, key)?).await?,
        shortest: fee(best, sign(heads, 0, &answer(1), 0, key)?).await?,
        longest: fee(best, sign(heads, 0, &answer(max_tokens), 0, key)?).await?,
        max_tokens,
    })
}

/// What a signed extrinsic costs at a block, in planck.
pub async fn fee(best: &Snapshot, submission: Submission) -> Result<u128, Error> {
    let extrinsic = best
        .client()
        .transactions()
        .from_bytes(submission.extrinsic);
    let fee = extrinsic.partial_fee_estimate().await;
    fee.map_err(Error::node)
}

/// An extrinsic of a call, for the runtime of the best block, where the pool judges it. Its mortality starts
/// at the finalised block, which every fork has.
pub fn sign_call<C: Payload>(
    heads: &Heads,
    call: &C,
    nonce: u64,
    key: &Keypair,
) -> Result<Submission, Error> {
    let Heads {
        best,
        finalized: from,
    } = heads;
    let era = era(PATIENCE, best.number(), from.number());
    let params = PolkadotExtrinsicParamsBuilder::<PolkadotConfig>::new()
        .mortal_from_unchecked(era.into(), from.number().into(), from.hash())
        .nonce(nonce)
        .build();
    let signed = best
        .client()
        .transactions()
        .create_signable_offline(call, params)
        .and_then(|mut call| call.sign(key))
        .map_err(Error::node)?;
    Ok(Submission {
        signer: key.public_key().0,
        nonce,
        hash: signed.hash(),
        replaced: Vec::new(),
        valid_until: from.number().saturating_add(era).saturating_sub(1),
        extrinsic: signed.into_encoded(),
    })
}

/// What the node's pool thinks of an extrinsic.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has it, and will offer it to block authors.
    Taken,
    /// It has another one with the same nonce.
    Occupied,
    /// It will not have it; the reason says what to do, where that is known.
    Refused(String),
}

/// Sends an extrinsic to the node. An error if the node could not be asked.
pub async fn send(via: &Snapshot, submission: &Submission) -> Result<Verdict, Error> {
    let extrinsic = via
        .client()
        .transactions()
        .from_bytes(submission.extrinsic.clone());
    match tokio::time::timeout(VERDICT, extrinsic.submit()).await {
        Err(_) | Ok(Ok(_)) => Ok(Verdict::Taken),
        Ok(Err(error)) => verdict(error, submission),
    }
}

fn verdict(error: ExtrinsicError, submission: &Submission) -> Result<Verdict, Error> {
    match error {
        ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(RpcError::ClientError(
            rpcs::Error::User(error),
        ))) => Ok(match error.code {
            ALREADY_IMPORTED => Verdict::Taken,
            PRIORITY_TOO_LOW => Verdict::Occupied,
            _ => Verdict::Refused(Error::refusal(&submission.signer.into(), &error)),
        }),
        ExtrinsicError::TransactionStatusError(error) => Ok(Verdict::Refused(error.to_string())),
        other => Err(Error::node(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Key;
    use assay_client::H256;
    use assay_primitives::{Price, Sampling};

    fn duty() -> Duty {
        Duty {
            key: Key {
                job: 1,
                seed: [0; 32],
            },
            header: H256::repeat_byte(5),
            listing: H256::zero(),
            prompt_len: 10,
            sampling: Sampling::GREEDY,
            token_limit: 8,
            price: Price {
                input: 2,
                output: 3,
            },
            deadline: 50,
        }
    }

    fn key() -> Keypair {
        assay_client::keys::load("//Bob").unwrap()
    }

    fn at(number: u32) -> Anchor {
        Anchor {
            number,
            hash: H256::repeat_byte(number as u8),
        }
    }

    fn generated(finish: Finish) -> Generated {
        Generated {
            tokens: vec![4, 9, 2],
            finish,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_receipt_states_what_was_computed_and_is_signed_by_the_operator() {
        let answer = answer(&duty(), generated(Finish::Eos), at(7), &key()).unwrap();
        let receipt = &answer.receipt;
        assert_eq!((receipt.output_len, receipt.fee), (3, 10 * 2 + 3 * 3));
        assert_eq!(receipt.output_root, token_root(&[4, 9, 2]));
        assert_eq!(receipt.anchor, at(7));
        let signature = subxt_signer::sr25519::Signature(answer.signature);
        let payload = receipt.signing_payload();
        assert!(subxt_signer::sr25519::verify(
            &signature,
            &payload,
            &key().public_key()
        ));
    }

    #[test]
    fn another_anchor_changes_nothing_else() {
        let first = answer(&duty(), generated(Finish::Length), at(7), &key()).unwrap();
        let second = reanchored(&first, at(8), &key());
        assert_eq!(second.output, first.output);
        assert_eq!(
            Receipt {
                anchor: at(7),
                ..second.receipt.clone()
            },
            first.receipt
        );
        let signature = subxt_signer::sr25519::Signature(second.signature);
        let payload = second.receipt.signing_payload();
        assert!(subxt_signer::sr25519::verify(
            &signature,
            &payload,
            &key().public_key()
        ));
    }

    #[test]
    fn answers_that_the_chain_would_refuse_are_not_signed() {
        let dear = Duty {
            price: Price {
                input: u128::MAX,
                output: 1,
            },
            ..duty()
        };
        assert!(answer(&dear, generated(Finish::Eos), at(7), &key()).is_err());
    }
}
