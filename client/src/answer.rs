//! An answer with everything that is needed to check it again, off line, and the file that carries it
//! (docs/jobs.md §7).

use assay_exact::answer::{Request, Wrong};
use assay_primitives::{
    Anchor, ChannelId, Claim, Finish, JobId, ListingId, ModelRoot, Receipt, RequestHeader,
    Sampling, Task, TokenId, VoucherKey, VoucherSignature, FORMAT_VERSION, PPM_ONE,
};
use codec::{DecodeAll, Encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subxt::utils::{AccountId32, H256};

use crate::SignedReceipt;

mod check;

const FORMAT: &str = "assay receipt v1";

/// One answer, or one score of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub header: RequestHeader<AccountId32>,
    pub origin: Origin,
    pub seed: [u8; 32],
    pub model: ListedModel,
    pub prompt: Vec<TokenId>,
    /// The tokens of the receipt; of a score, the whole answer that it is about.
    pub output: Vec<TokenId>,
    pub signed: SignedReceipt,
}

/// What stands behind the request, beside its header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A job's extrinsic, and the randomness of its draw.
    Job { randomness: H256 },
    /// The signature of a channel's voucher key over the header, and the secret that salts both token
    /// roots.
    Channel {
        secret: H256,
        key: VoucherKey,
        signature: VoucherSignature,
    },
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
    /// Of a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    randomness: Option<H256>,
    /// Of a channel's request, as the two below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<H256>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voucher_key: Option<Scale<VoucherKey>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header_signature: Option<Scale<VoucherSignature>>,
    seed: H256,
    model: ListedModel,
    prompt: Vec<TokenId>,
    output: Vec<TokenId>,
    receipt: ReceiptFields,
    operator: AccountId32,
    signature: Bytes,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum ClaimFields {
    Job(JobId),
    Channel { id: ChannelId, seq: u64 },
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
    task: TaskFields,
    sampling: Sampling,
    token_limit: u32,
    input_price: Planck,
    output_price: Planck,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum TaskFields {
    Generate,
    Score { seed: H256, answer_at: u32 },
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

/// Bytes in hexadecimal, with 0x.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Bytes(Vec<u8>);

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(digits: String) -> Result<Self, String> {
        let bytes = digits.strip_prefix("0x").map(hex::decode);
        let bytes = bytes.and_then(Result::ok);
        bytes
            .map(Self)
            .ok_or_else(|| "bytes that are not hexadecimal with 0x before them".into())
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        format!("0x{}", hex::encode(bytes.0))
    }
}

/// A value as the bytes of its SCALE encoding.
#[derive(Clone, Serialize, Deserialize)]
#[serde(
    try_from = "Bytes",
    into = "Bytes",
    bound = "T: Clone + DecodeAll + Encode"
)]
struct Scale<T>(T);

impl<T: DecodeAll> TryFrom<Bytes> for Scale<T> {
    type Error = String;

    fn try_from(bytes: Bytes) -> Result<Self, String> {
        let value = T::decode_all(&mut &bytes.0[..]);
        value
            .map(Self)
            .map_err(|_| "bytes that are no voucher key or signature".into())
    }
}

impl<T: Encode> From<Scale<T>> for Bytes {
    fn from(value: Scale<T>) -> Self {
        Self(value.0.encode())
    }
}

/// What is wrong with a file, and where in it.
fn not_a_receipt(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (path, problem) = (error.path().to_string(), error.inner());
    match path.as_str() {
        // It is about the whole, and names what is missing.
        "." => format!("is no receipt: {problem}"),
        _ => format!("is no receipt: {path}: {problem}"),
    }
}

impl Answer {
    /// Reads the file's bytes. The error says what they are or have, as in "is not JSON".
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut json: Value =
            serde_json::from_slice(bytes).map_err(|error| format!("is not JSON: {error}"))?;
        if json.get("format").is_none() {
            let inner = json.get_mut("receipt").map(Value::take);
            json = inner.filter(Value::is_object).ok_or("holds no receipt")?;
        }
        let file: File =
            serde_path_to_error::deserialize(json).map_err(|error| not_a_receipt(&error))?;
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
        let channel = (file.secret, file.voucher_key, file.header_signature);
        let (claim, origin) = match (file.claim, file.randomness, channel) {
            (ClaimFields::Job(job), Some(randomness), (None, None, None)) => {
                (Claim::Job(job), Origin::Job { randomness })
            }
            (
                ClaimFields::Channel { id, seq },
                None,
                (Some(secret), Some(key), Some(signature)),
            ) => {
                let origin = Origin::Channel {
                    secret,
                    key: key.0,
                    signature: signature.0,
                };
                (Claim::Channel { id, seq }, origin)
            }
            (ClaimFields::Job(_), ..) => {
                return Err("is no receipt of a job, which has randomness and no secret".into())
            }
            (ClaimFields::Channel { .. }, ..) => {
                return Err(
                    "is no receipt of a channel's request, which has secret, voucher_key and \
                     header_signature, and no randomness"
                        .into(),
                )
            }
        };
        let (header, receipt) = (file.header, file.receipt);
        Ok(Self {
            header: RequestHeader {
                version: header.version,
                genesis: header.genesis,
                claim,
                provider: header.provider,
                listing: header.listing,
                prompt_root: header.prompt_root,
                prompt_len: header.prompt_len,
                task: match header.task {
                    TaskFields::Generate => Task::Generate,
                    TaskFields::Score { seed, answer_at } => Task::Score { seed, answer_at },
                },
                sampling: header.sampling,
                token_limit: header.token_limit,
                input_price: header.input_price.0,
                output_price: header.output_price.0,
            },
            origin,
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
                signature: file.signature.0,
            },
        })
    }

    /// The file's content.
    pub fn to_json(&self) -> Value {
        let (header, receipt) = (&self.header, &self.signed.receipt);
        let (randomness, channel) = match &self.origin {
            Origin::Job { randomness } => (Some(*randomness), None),
            Origin::Channel {
                secret,
                key,
                signature,
            } => (None, Some((*secret, Scale(*key), Scale(*signature)))),
        };
        let file = File {
            format: FORMAT.into(),
            claim: match header.claim {
                Claim::Job(job) => ClaimFields::Job(job),
                Claim::Channel { id, seq } => ClaimFields::Channel { id, seq },
            },
            header: HeaderFields {
                version: header.version,
                genesis: header.genesis,
                provider: header.provider,
                listing: header.listing,
                prompt_root: header.prompt_root,
                prompt_len: header.prompt_len,
                task: match header.task {
                    Task::Generate => TaskFields::Generate,
                    Task::Score { seed, answer_at } => TaskFields::Score { seed, answer_at },
                },
                sampling: header.sampling,
                token_limit: header.token_limit,
                input_price: Planck(header.input_price),
                output_price: Planck(header.output_price),
            },
            randomness,
            secret: channel.as_ref().map(|(secret, ..)| *secret),
            voucher_key: channel.as_ref().map(|(_, key, _)| key.clone()),
            header_signature: channel.map(|(.., signature)| signature),
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
            signature: Bytes(self.signed.signature.clone()),
        };
        // Every field is a string, a number or a list of them.
        serde_json::to_value(file).unwrap_or_default()
    }

    /// What its model was asked. Where the caller ended the answer, nothing follows of the place. A score is of
    /// tokens alone, whatever they stop at.
    pub fn request(&self) -> Request<'_> {
        let (stop_tokens, limit) = match (self.header.task, self.signed.receipt.finish) {
            (Task::Score { .. }, _) => (&[][..], self.header.token_limit),
            (Task::Generate, Finish::Caller) => {
                (&self.model.stop_tokens[..], self.signed.receipt.output_len)
            }
            (Task::Generate, Finish::Eos | Finish::Length | Finish::Mismatch) => {
                (&self.model.stop_tokens[..], self.header.token_limit)
            }
        };
        Request {
            prompt: &self.prompt,
            settings: self.header.sampling.into(),
            seed: self.seed,
            stop_tokens,
            limit,
        }
    }

    /// The tokens that its receipt is about, to be held against the model's: see [`assay_exact::answer::check`].
    pub fn checked(&self) -> &[TokenId] {
        match self.header.task {
            Task::Generate => &self.output,
            Task::Score { .. } => {
                let looked_at = self.output.get(..self.header.token_limit as usize);
                looked_at.unwrap_or(&self.output)
            }
        }
    }

    /// The place at which the receipt is false, if `first` is the first of the [checked](Self::checked) tokens that
    /// is not the model's. A score is false where it calls a wrong token right, or a right one wrong.
    pub fn false_at(&self, first: Option<Wrong>) -> Option<Wrong> {
        let receipt = &self.signed.receipt;
        if self.header.task == Task::Generate {
            return first;
        }
        let called_right = receipt.output_len as usize;
        match first {
            Some(wrong) if wrong.index < called_right => Some(wrong),
            Some(wrong) if wrong.index == called_right => None,
            _ if receipt.finish != Finish::Mismatch => None,
            _ => {
                let token = self.output.get(called_right).copied();
                Some(Wrong {
                    index: called_right,
                    found: token,
                    expected: token,
                })
            }
        }
    }

    /// What salts both token roots; none in a job.
    pub fn secret(&self) -> Option<[u8; 32]> {
        match self.origin {
            Origin::Job { .. } => None,
            Origin::Channel { secret, .. } => Some(secret.0),
        }
    }

    /// What the answer is about, for a sentence.
    pub fn claim(&self) -> String {
        match self.header.claim {
            Claim::Job(job) => format!("job {job}"),
            Claim::Channel { id, seq } => format!("request {seq} of channel {id:?}"),
        }
    }
}
