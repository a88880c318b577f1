//! Whose word a receipt rests on: a file says nothing that its maker did not put there, and the chain can be asked.

use assay_client::{chain::job_header, AccountId32, H256};
use assay_primitives::{Claim, RequestHeader};

use super::Answer;
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
                format!("held against the chain: request, randomness and operator of {claim}")
            }
            Self::File(why) => format!(
                "nothing was held against the chain: that {claim} exists, its request, its randomness and its provider's \
                 operator are the file's word; {why}"
            ),
        }
    }
}

/// What the chain's storage says of a job that is assigned.
struct Record {
    header: RequestHeader<AccountId32>,
    randomness: H256,
    /// The operator key at the receipt's anchor.
    operator: AccountId32,
}

impl Answer {
    /// Holds a file against the chain that the user named, as far as that can be. The error is a sentence that says
    /// where the two differ.
    pub async fn held_against_chain(&self, context: &Context) -> Result<Source, String> {
        match self.record(context).await {
            Ok(record) => self.check_record(&record).map(|()| Source::Chain),
            Err(why) => Ok(Source::File(why.to_string())),
        }
    }

    /// The chain's record of this job, or why there is none to compare with.
    async fn record(&self, context: &Context) -> Result<Record, Failure> {
        let none = |why| Err(Failure::Request(why));
        let Some(chain) = context.chain_if_given().await? else {
            return none("name a node with --chain to ask it".into());
        };
        let (url, genesis) = (chain.url(), chain.genesis_hash());
        if genesis != self.header.genesis {
            return none(format!(
                "the node at {url} has another chain, whose genesis is {genesis:?}"
            ));
        }
        let Claim::Job(id) = self.header.claim;
        let best = chain.best().await?;
        let Some(job) = best.job(id).await? else {
            return none(format!("the node at {url} keeps no record of job {id}"));
        };
        let Some(assignment) = records::state(&job).assignment else {
            return none(records::describe(id, &job, &[]));
        };
        let (provider, anchor) = (assignment.provider, self.signed.receipt.anchor.number);
        let Some(operator) = best.operator_at(provider, anchor).await? else {
            return none(format!(
                "the chain remembers no operator of {provider} in block {anchor}"
            ));
        };
        Ok(Record {
            header: job_header(genesis, id, &job, assignment),
            randomness: assignment.randomness,
            operator,
        })
    }

    fn check_record(&self, record: &Record) -> Result<(), String> {
        let claim = self.claim();
        if self.header != record.header {
            return Err(format!(
                "the request is not the chain's: that of {claim} has the hash {:?} there, and {:?} here",
                record.header.hash(),
                self.header.hash()
            ));
        }
        if self.randomness != record.randomness {
            return Err(format!(
                "the randomness is not the chain's: {claim} was drawn with {:?}, and here is {:?}",
                record.randomness, self.randomness
            ));
        }
        if self.signed.operator != record.operator {
            return Err(format!(
                "the operator is not the chain's: {} signed for the provider of {claim} in block {}, and here it is {}",
                record.operator, self.signed.receipt.anchor.number, self.signed.operator
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::tests::answer;

    fn record() -> Record {
        let answer = answer();
        Record {
            header: answer.header,
            randomness: answer.randomness,
            operator: answer.signed.operator,
        }
    }

    #[test]
    fn what_the_chain_says_otherwise_is_named() {
        assert_eq!(answer().check_record(&record()), Ok(()));
        type Change = (&'static str, fn(&mut Record));
        let cases: [Change; 5] = [
            ("the request", |r| r.header.provider = AccountId32([9; 32])),
            ("the request", |r| r.header.output_price += 1),
            ("the request", |r| r.header.sampling.nonce += 1),
            ("the randomness", |r| r.randomness = H256::zero()),
            ("the operator", |r| r.operator = AccountId32([9; 32])),
        ];
        for (expected, change) in cases {
            let mut record = record();
            change(&mut record);
            let sentence = answer().check_record(&record).unwrap_err();
            assert!(sentence.starts_with(expected), "{sentence}");
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
