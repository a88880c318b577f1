//! What a disputed answer is defended with: its tokens, from the chain or from the ledger, and the user's
//! signature under its request.

use assay_client::{
    dispute::{Dispute, Exhibit, Move, Question},
    AccountId32, Snapshot,
};
use assay_primitives::{Claim, Receipt, SignedHeader, Task, TokenId, VoucherSignature};

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
            let tokens = match header.task {
                Task::Generate => {
                    up_to(evidence.output, &dispute.receipt).map(|output| (evidence.prompt, output))
                }
                Task::Score { answer_at, .. } => {
                    let prompt = evidence.prompt.split_at_checked(answer_at as usize);
                    prompt.map(|(prompt, answer)| (prompt.to_vec(), answer.to_vec()))
                }
            };
            let tokens = tokens.ok_or_else(|| forgotten(dispute))?;
            let signature = signed(ledger, dispute)?.signature;
            (tokens, Some(evidence.secret), Some(signature))
        }
    };
    let (prompt, output) = tokens;
    Ok(Defence::Trace {
        exhibit: Exhibit {
            sampling: header.sampling,
            seed: header.seed(&header.hash(), randomness),
            prompt,
            output,
            secret,
            scored: matches!(header.task, Task::Score { .. }),
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
        header: header.map_account(AccountId32),
        signature,
    })
}

fn forgotten(dispute: &Dispute) -> DefenceError {
    DefenceError::Missing(format!(
        "the ledger does not have what the receipt {:?} is about; start with the --ledger that answered",
        receipt_hash(&dispute.receipt)
    ))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ledger::{Change, Ledger, Owner};
    use assay_channel::record::{PayeeRecord, PayeeRequest};
    use assay_client::{
        dispute::{Side, Stage},
        H256,
    };
    use assay_primitives::{Anchor, Finish, RequestHeader, Sampling};

    const CHANNEL: H256 = H256([2; 32]);

    fn header(seq: u64) -> RequestHeader<[u8; 32]> {
        RequestHeader {
            version: 1,
            genesis: H256([1; 32]),
            claim: Claim::Channel { id: CHANNEL, seq },
            provider: [4; 32],
            listing: H256([5; 32]),
            prompt_root: H256([6; 32]),
            prompt_len: 3,
            task: Task::Generate,
            sampling: Sampling::GREEDY,
            token_limit: 40,
            input_price: 1,
            output_price: 2,
        }
    }

    /// Over a request of a channel, and it is the provider's turn.
    pub(crate) fn dispute(seq: u64, header: H256) -> Dispute {
        Dispute {
            id: 1,
            claim: Claim::Channel { id: CHANNEL, seq },
            receipt: Receipt {
                header,
                anchor: Anchor {
                    number: 11,
                    hash: H256::zero(),
                },
                output_len: 2,
                output_root: H256::zero(),
                finish: Finish::Caller,
                fee: 7,
            },
            provider: AccountId32([4; 32]),
            challenger: AccountId32([8; 32]),
            delegate: None,
            question: Question::Header,
            bond: 1,
            stage: Stage::Answer,
            moves: 0,
            state: H256::zero(),
            deadline: Some(9),
        }
    }

    #[test]
    fn a_request_that_was_signed_is_shown_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner {
            genesis: H256([1; 32]),
            provider: [4; 32],
        };
        let ledger = Ledger::open(&folder.path().join("ledger"), &owner).unwrap();
        let ledger = ledger.channels();
        let signature = VoucherSignature::Sr25519([9; 64].into());
        let request = PayeeRequest {
            seq: 3,
            header: SignedHeader {
                header: header(3),
                signature,
            },
            receipt: None,
            ended: false,
        };
        let record = Change::Record(CHANNEL, PayeeRecord::Request(request));
        ledger.apply(&[record]).unwrap();

        let hash = header(3).hash();
        let Ok(Move::Header(shown)) = header_of(&ledger, &dispute(3, hash)) else {
            panic!("it is there");
        };
        assert_eq!((shown.header.hash(), shown.signature), (hash, signature));
        for missing in [dispute(3, H256::zero()), dispute(4, hash)] {
            let error = header_of(&ledger, &missing).unwrap_err();
            assert!(matches!(error, DefenceError::Missing(_)), "{error}");
        }
        assert_eq!(dispute(3, hash).turn(), Some(Side::Provider));
    }

    #[test]
    fn a_running_receipt_is_over_the_first_tokens() {
        let receipt = dispute(3, H256::zero()).receipt;
        assert_eq!(up_to(vec![7, 8, 9], &receipt), Some(vec![7, 8]));
        assert_eq!(up_to(vec![7, 8], &receipt), Some(vec![7, 8]));
        assert_eq!(up_to(vec![7], &receipt), None);
    }
}
