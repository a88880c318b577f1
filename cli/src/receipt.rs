//! A receipt file: one answer with everything that is needed to check it again, off line (docs/jobs.md §7).

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use assay_client::{
    chain::{job_header, Job},
    AccountId32, Chain, SignedReceipt, H256,
};
use assay_primitives::{
    seed, Anchor, Claim, Finish, ListingId, ModelRoot, Receipt, RequestHeader, Sampling, TokenId,
    FORMAT_VERSION, PPM_ONE,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{failure::Failure, records};

mod consistency;
mod source;
#[cfg(test)]
pub mod tests;

pub use self::source::Source;

const FORMAT: &str = "assay receipt v1";

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub header: RequestHeader<AccountId32>,
    /// Of the draw.
    pub randomness: H256,
    pub seed: [u8; 32],
    pub model: ListedModel,
    pub prompt: Vec<TokenId>,
    pub output: Vec<TokenId>,
    pub signed: SignedReceipt,
}

/// What the listing of the header says about the model.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedModel {
    pub root: ModelRoot,
    pub publisher: AccountId32,
    /// Parts per million.
    pub royalty: u32,
    /// `exact` or `unverified`; a hint, since the root alone says which it is.
    pub profile: String,
    pub stop_tokens: Vec<TokenId>,
}

/// The file's fields, in their order. Amounts are strings of planck, bytes hexadecimal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    claim: ClaimFields,
    header: HeaderFields,
    randomness: H256,
    seed: H256,
    model: ListedModel,
    prompt: Vec<TokenId>,
    output: Vec<TokenId>,
    receipt: ReceiptFields,
    operator: AccountId32,
    signature: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum ClaimFields {
    Job(u64),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderFields {
    version: u16,
    genesis: H256,
    provider: AccountId32,
    listing: ListingId,
    prompt_root: H256,
    prompt_len: u32,
    sampling: Sampling,
    token_limit: u32,
    input_price: Planck,
    output_price: Planck,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptFields {
    header: H256,
    anchor: AnchorFields,
    output_len: u32,
    output_root: H256,
    finish: Finish,
    fee: Planck,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnchorFields {
    number: u32,
    hash: H256,
}

/// An amount as its digits.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Planck(u128);

impl TryFrom<String> for Planck {
    type Error = String;

    fn try_from(digits: String) -> Result<Self, String> {
        let planck = digits.parse().map(Self);
        planck.map_err(|_| format!("{digits:?} is no amount in planck"))
    }
}

impl From<Planck> for String {
    fn from(planck: Planck) -> Self {
        planck.0.to_string()
    }
}

impl Answer {
    /// The answer to a job that was delivered; none for a job without one. What the chain's storage does not have,
    /// the signature, comes from the block of the delivery.
    pub async fn of(
        chain: &Chain,
        id: u64,
        job: &Job,
        output: Option<&[TokenId]>,
    ) -> Result<Option<Self>, Failure> {
        let state = records::state(job);
        let (Some(assignment), Some(delivery), Some(output)) =
            (state.assignment, state.delivery, output)
        else {
            return Ok(None);
        };
        let best = chain.best().await?;
        let gone = |what: &str| {
            Failure::Request(format!(
                "{what} of job {id} is gone from this node, so there is no whole receipt; ask an \
                 archive node with --chain, or save receipts early with --receipt"
            ))
        };
        let provider = assignment.provider;
        let signed = chain.signed_receipt(id, provider, delivery).await?;
        let signed = signed.ok_or_else(|| gone("the block with the delivery"))?;
        let prompt = best.prompt(id).await?.ok_or_else(|| gone("the prompt"))?;
        let listing = best.listing(job.listing).await?;
        let listing = listing.ok_or_else(|| gone("the listing"))?;
        let parts = &listing.parts.0;
        let header = job_header(chain.genesis_hash(), id, job, assignment);
        Ok(Some(Self {
            seed: seed(&header.hash(), &assignment.randomness),
            header,
            randomness: assignment.randomness,
            model: ListedModel {
                root: parts.root(),
                publisher: listing.publisher,
                royalty: listing.royalty.0,
                profile: records::profile(&parts.spec.profile).into(),
                stop_tokens: parts.spec.stop_tokens.to_vec(),
            },
            prompt,
            output: output.to_vec(),
            signed,
        }))
    }

    /// Reads what was saved with `--receipt`, or what `assay run` and `assay job` print as JSON.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let refuse = |problem: String| {
            Failure::Usage(format!(
                "{}: {problem}; give a job's number, a file that --receipt saved, or the JSON of \
                 `assay run` or `assay job status`",
                path.display()
            ))
        };
        let bytes = fs::read(path).map_err(|error| refuse(error.to_string()))?;
        Self::parse(&bytes).map_err(refuse)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut json: Value =
            serde_json::from_slice(bytes).map_err(|error| format!("is not JSON: {error}"))?;
        if json.get("format").is_none() {
            let inner = json.get_mut("receipt").map(Value::take);
            json = inner.filter(Value::is_object).ok_or("holds no receipt")?;
        }
        let file: File =
            serde_json::from_value(json).map_err(|error| format!("is no receipt: {error}"))?;
        if file.format != FORMAT {
            return Err(format!(
                "has the format {:?} and not {FORMAT:?}",
                file.format
            ));
        }
        if file.header.version != FORMAT_VERSION {
            return Err(format!(
                "is about a request of version {}, and this program knows {FORMAT_VERSION}",
                file.header.version
            ));
        }
        if file.model.royalty > PPM_ONE {
            return Err(format!(
                "has a royalty of {} parts per million, which is more than all",
                file.model.royalty
            ));
        }
        let digits = file.signature.strip_prefix("0x").unwrap_or_default();
        let signature =
            hex::decode(digits).map_err(|_| "has a signature that is not hexadecimal")?;
        let ClaimFields::Job(job) = file.claim;
        let (header, receipt) = (file.header, file.receipt);
        Ok(Self {
            header: RequestHeader {
                version: header.version,
                genesis: header.genesis,
                claim: Claim::Job(job),
                provider: header.provider,
                listing: header.listing,
                prompt_root: header.prompt_root,
                prompt_len: header.prompt_len,
                sampling: header.sampling,
                token_limit: header.token_limit,
                input_price: header.input_price.0,
                output_price: header.output_price.0,
            },
            randomness: file.randomness,
            seed: file.seed.0,
            model: file.model,
            prompt: file.prompt,
            output: file.output,
            signed: SignedReceipt {
                receipt: Receipt {
                    header: receipt.header,
                    anchor: Anchor {
                        number: receipt.anchor.number,
                        hash: receipt.anchor.hash,
                    },
                    output_len: receipt.output_len,
                    output_root: receipt.output_root,
                    finish: receipt.finish,
                    fee: receipt.fee.0,
                },
                operator: file.operator,
                signature,
            },
        })
    }

    pub fn to_json(&self) -> Value {
        let (header, receipt) = (&self.header, &self.signed.receipt);
        let Claim::Job(job) = header.claim;
        let file = File {
            format: FORMAT.into(),
            claim: ClaimFields::Job(job),
            header: HeaderFields {
                version: header.version,
                genesis: header.genesis,
                provider: header.provider,
                listing: header.listing,
                prompt_root: header.prompt_root,
                prompt_len: header.prompt_len,
                sampling: header.sampling,
                token_limit: header.token_limit,
                input_price: Planck(header.input_price),
                output_price: Planck(header.output_price),
            },
            randomness: self.randomness,
            seed: H256(self.seed),
            model: self.model.clone(),
            prompt: self.prompt.clone(),
            output: self.output.clone(),
            receipt: ReceiptFields {
                header: receipt.header,
                anchor: AnchorFields {
                    number: receipt.anchor.number,
                    hash: receipt.anchor.hash,
                },
                output_len: receipt.output_len,
                output_root: receipt.output_root,
                finish: receipt.finish,
                fee: Planck(receipt.fee),
            },
            operator: self.signed.operator,
            signature: format!("0x{}", hex::encode(&self.signed.signature)),
        };
        // Every field is a string, a number or a list of them.
        serde_json::to_value(file).unwrap_or_default()
    }

    /// What the answer is about, for a sentence.
    pub fn claim(&self) -> String {
        let Claim::Job(job) = self.header.claim;
        format!("job {job}")
    }
}

/// Where a receipt is to be saved: a file that does not exist yet. It is looked at before anything is paid for.
pub struct Target(PathBuf);

impl Target {
    pub fn new(path: PathBuf) -> Result<Self, Failure> {
        let refuse = |problem| {
            let path = path.display();
            Failure::Usage(format!("--receipt {path}: {problem}; name another file"))
        };
        if path.symlink_metadata().is_ok() {
            return Err(refuse("exists already"));
        }
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        if path.file_name().is_none() || folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(refuse("is in no folder that exists"));
        }
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn save(&self, answer: &Answer) -> Result<(), Failure> {
        let text = format!("{:#}\n", answer.to_json());
        let written =
            fs::File::create_new(&self.0).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| {
            Failure::Usage(format!(
                "{}: the receipt cannot be saved: {error}; `assay job watch` with another --receipt \
                 saves it, as long as the chain keeps the job",
                self.0.display()
            ))
        })
    }
}
