//! Whose word a receipt rests on: a file says nothing that its maker did not put there, and the chain can be asked.

use assay_client::{
    answer::{Answer, Origin},
    chain::job_header,
    AccountId32, H256,
};
use assay_primitives::{Claim, ListingId, RequestHeader, VoucherKey};

use crate::{context::Context, failure::Failure, records};

/// Where it comes from what was asked, how it was drawn, and who signs for the provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    Chain,
    /// From the file alone, for this reason.
    File(String),
}

impl Source {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::File(_) => "file",
        }
    }

    /// What was held against the chain and what was not, in one line.
    pub fn describe(&self, answer: &Answer) -> String {
        let claim = answer.claim();
        match self {
            Self::Chain => {
                format!("held against the chain: request, {} and operator of {claim}",
                    proof(answer))
            }
            Self::File(why) => format!(
                "nothing was held against the chain: that {claim} exists, its request, its {} and its provider's \
                 operator are the file's word; {why}",
                proof(answer)
            ),
        }
    }
}

/// What shows that the request was made.
fn proof(answer: &Answer) -> &'static str {
    match answer.origin {
        Origin::Job { .. } => "randomness",
        Origin::Channel { .. } => "voucher key",
    }
}

/// What the chain's storage says of a claim.
enum Record {
    /// Of a job that is assigned.
    Job {
        header: Box<RequestHeader<AccountId32>>,
        randomness: H256,
    },
    /// Of a channel.
    Channel {
        provider: AccountId32,
        listing: ListingId,
        voucher_key: VoucherKey,
    },
}

/// Holds a file against the chain that the user named, as far as that can be. The error is a sentence that says
/// where the two differ.
pub async fn held_against_chain(answer: &Answer, context: &Context) -> Result<Source, String> {
    match record(answer, context).await {
        Ok((record, operator)) => check_record(answer, &record, operator).map(|()| Source::Chain),
        Err(why) => Ok(Source::File(why.to_string())),
    }
}

/// The chain's record of this claim and the provider's operator at the receipt's anchor, or why there is none to
/// compare with.
async fn record(answer: &Answer, context: &Context) -> Result<(Record, AccountId32), Failure> {
    let none = |why| Err(Failure::Request(why));
    let Some(chain) = context.chain_if_given().await? else {
        return none("name a node with --chain to ask it".into());
    };
    let (url, genesis) = (chain.url(), chain.genesis_hash());
    if genesis != answer.header.genesis {
        return none(format!(
            "the node at {url} has another chain, whose genesis is {genesis:?}"
        ));
    }
    let best = chain.best().await?;
    let (provider, record) = match answer.header.claim {
        Claim::Job(id) => {
            let Some(job) = best.job(id).await? else {
                return none(format!("the node at {url} keeps no record of job {id}"));
            };
            let Some(assignment) = records::state(&job).assignment else {
                return none(records::describe(id, &job, &[]));
            };
            let record = Record::Job {
                header: Box::new(job_header(genesis, id, &job, assignment)),
                randomness: assignment.randomness,
            };
            (assignment.provider, record)
        }
        Claim::Channel { id, .. } => {
            let Some(channel) = best.channel(id).await? else {
                return none(format!(
                    "the node at {url} keeps no record of channel {id:?}"
                ));
            };
            let record = Record::Channel {
                provider: channel.provider,
                listing: channel.listing,
                voucher_key: channel.voucher_key.0,
            };
            (channel.provider, record)
        }
    };
    let anchor = answer.signed.receipt.anchor.number;
    match best.operator_at(provider, anchor).await? {
        Some(operator) => Ok((record, operator)),
        None => none(format!(
            "the chain remembers no operator of {provider} in block {anchor}"
        )),
    }
}

fn check_record(answer: &Answer, record: &Record, operator: AccountId32) -> Result<(), String> {
    let claim = answer.claim();
    match (record, &answer.origin) {
        (Record::Job { header, randomness }, Origin::Job { randomness: here }) => {
            if answer.header != **header {
                return Err(format!(
                    "the request is not the chain's: that of {claim} has the hash {:?} there, and {:?} here",
                    header.hash(),
                    answer.header.hash()
                ));
            }
            if here != randomness {
                return Err(format!(
                    "the randomness is not the chain's: {claim} was drawn with {randomness:?}, and here is {here:?}",
                ));
            }
        }
        (
            Record::Channel {
                provider,
                listing,
                voucher_key,
            },
            Origin::Channel { key, .. },
        ) => {
            let header = &answer.header;
            if (header.provider, header.listing) != (*provider, *listing) {
                return Err(format!(
                    "the request is not one of the channel: that is with provider {provider} for listing {listing:?}"
                ));
            }
            if key != voucher_key {
                return Err("the voucher key is not the channel's on the chain".into());
            }
        }
        // The file's reader takes no job with a channel's fields.
        _ => return Err(format!("{claim} is of another kind than its proof")),
    }
    if answer.signed.operator != operator {
        return Err(format!(
            "the operator is not the chain's: {operator} signed for the provider of {claim} in block {}, and here it is {}",
            answer.signed.receipt.anchor.number, answer.signed.operator
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::tests::{answer, in_channel, other_key};

    /// What the chain says of this answer, if all is right.
    fn record(answer: &Answer) -> (Record, AccountId32) {
        let header = answer.header.clone();
        let record = match answer.origin {
            Origin::Job { randomness } => Record::Job {
                header: Box::new(header),
                randomness,
            },
            Origin::Channel { key, .. } => Record::Channel {
                provider: header.provider,
                listing: header.listing,
                voucher_key: key,
            },
        };
        (record, answer.signed.operator)
    }

    #[test]
    fn what_the_chain_says_otherwise_is_named() {
        let other = AccountId32([9; 32]);
        for answer in [answer(), in_channel()] {
            let (record, operator) = record(&answer);
            assert_eq!(check_record(&answer, &record, operator), Ok(()));
            let sentence = check_record(&answer, &record, other).unwrap_err();
            assert!(sentence.starts_with("the operator"), "{sentence}");
        }
        type Change = (&'static str, fn(&mut Answer));
        let cases: [Change; 7] = [
            ("the request", |a| a.header.provider = AccountId32([9; 32])),
            ("the request", |a| a.header.output_price += 1),
            ("the request", |a| a.header.sampling.nonce += 1),
            ("the randomness", |a| {
                let randomness = H256::zero();
                a.origin = Origin::Job { randomness };
            }),
            ("the request", |a| {
                *a = in_channel();
                a.header.provider = AccountId32([9; 32]);
            }),
            ("the request", |a| {
                *a = in_channel();
                a.header.listing = H256::zero();
            }),
            ("the voucher key", |a| {
                *a = in_channel();
                a.origin = other_key(a);
            }),
        ];
        for (index, (expected, change)) in cases.into_iter().enumerate() {
            let mut changed = answer();
            change(&mut changed);
            let (record, operator) = match changed.origin {
                Origin::Job { .. } => record(&answer()),
                Origin::Channel { .. } => record(&in_channel()),
            };
            let sentence = check_record(&changed, &record, operator).unwrap_err();
            assert!(sentence.starts_with(expected), "{index}: {sentence}");
        }
    }

    #[test]
    fn a_file_alone_is_called_that() {
        let file = Source::File("no node".into());
        let line = file.describe(&answer());
        assert!(
            line.contains("the file's word") && line.ends_with("; no node") && !line.contains('\n'),
            "{line}"
        );
        assert_eq!((file.name(), Source::Chain.name()), ("file", "chain"));
    }
}
