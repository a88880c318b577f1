//! What people dispute: receipts of recent claims, true and false, and moves that lead nowhere.

use assay_primitives::{
    dispute::commitment,
    salted_token_root,
    tree::{leaf_hash, salt},
    Anchor, Claim, Finish, Receipt, RequestHeader, Sampling, Side, SignedHeader, Task, TokenId,
    VoucherSignature, FORMAT_VERSION,
};
use assay_runtime::{
    AccountId, Channels, Disputes, Hash, Providers, Runtime, RuntimeCall, Signature, System,
    MILLI_ASY,
};
use pallet_disputes::{
    Answer, Choice, DisputeId, DisputeRecordOf, Evidence, LeafOpening, NextDispute, Revelation,
    Statement,
};
use pallet_jobs::JobState;
use sp_keyring::Sr25519Keyring;

use crate::calls::{listing_of, recent_channel, recent_job, STOP, WORD};

/// Of all commitments.
const SALT: Hash = Hash::repeat_byte(7);
/// Of all requests.
const SECRET: [u8; 32] = [6; 32];
/// Who disputes looks at so many jobs and channels, the last ones, and so many requests of each channel.
const JOBS: u64 = 6;
const CHANNELS: u64 = 4;
const REQUESTS: u64 = 2;

pub type Header = RequestHeader<AccountId>;
type Dispute = pallet_disputes::Call<Runtime>;

/// What is wrong with a receipt that is shown.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Twist {
    None,
    Fee,
    Length,
    FutureAnchor,
    OldAnchor,
    /// A stop token stands at its start.
    Stop,
    /// It is of a request that the user never signed.
    Unasked,
    /// Somebody else signed it.
    Signature,
    /// No header is shown, or a job's receipt is another.
    Header,
}

/// What is shown besides.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shown {
    Face,
    Token(u32),
    Twice(u32),
}

/// A move, or what is none.
#[derive(Clone, Debug)]
pub enum Play {
    /// The header that the user signed.
    Header,
    /// The same, signed by somebody else.
    Forged,
    Nodes(usize),
    Node(u32),
    Element(u32),
    Part(u32),
    Reveal(usize),
    Proof(Vec<u8>),
}

/// Something that an account does in a dispute, or to begin one.
#[derive(Clone, Debug)]
pub enum Contest {
    Commit(usize),
    /// Under one of the caller's commitments, if there is any.
    Open {
        pick: usize,
        twist: Twist,
        position: Option<u32>,
        delegate: Option<Sr25519Keyring>,
    },
    /// The same.
    Accuse {
        pick: usize,
        twist: Twist,
        shown: Shown,
    },
    /// By the caller, or by those whose dispute it is.
    Play {
        pick: usize,
        by_caller: bool,
        play: Play,
    },
    Timeout(u64),
    Pause(bool),
}

/// What can be disputed, perhaps.
fn claims() -> Vec<Claim> {
    let jobs = (0..JOBS).map(|ago| Claim::Job(recent_job(ago)));
    let requests = |ago| {
        let id = recent_channel(ago);
        (0..REQUESTS).map(move |seq| Claim::Channel { id, seq })
    };
    jobs.chain((0..CHANNELS).flat_map(requests)).collect()
}

/// One of those that the account has committed to, or else any.
fn committed(who: &AccountId, pick: usize) -> Claim {
    let all = claims();
    let is_committed = |claim: &&Claim| {
        let hash = commitment(claim, who, &SALT);
        pallet_disputes::Commitments::<Runtime>::contains_key(who, hash)
    };
    let own: Vec<Claim> = all.iter().filter(is_committed).copied().collect();
    let from = if own.is_empty() { all } else { own };
    from[pick % from.len()]
}

fn output(first: TokenId) -> Vec<TokenId> {
    vec![first, WORD, WORD, STOP]
}

/// The only leaf of an output.
fn leaf(output: &[TokenId]) -> Vec<u8> {
    let tokens = output.iter().flat_map(|token| token.to_le_bytes());
    salt(&SECRET, Side::Output, 0)
        .into_iter()
        .chain(tokens)
        .collect()
}

fn opening(output: &[TokenId]) -> LeafOpening {
    LeafOpening {
        bytes: leaf(output).try_into().unwrap(),
        siblings: Default::default(),
    }
}

/// The request under a channel's claim that its user signs, and the user.
pub fn request(claim: Claim) -> Option<(Header, AccountId)> {
    let Claim::Channel { id, .. } = claim else {
        return None;
    };
    let channel = Channels::channel(id)?;
    let header = Header {
        version: FORMAT_VERSION,
        genesis: System::block_hash(0),
        claim,
        provider: channel.provider,
        listing: channel.listing,
        prompt_root: salted_token_root(&SECRET, Side::Prompt, &[WORD; 5]),
        prompt_len: 5,
        task: Task::Generate,
        sampling: Sampling::GREEDY,
        token_limit: 8,
        input_price: MILLI_ASY,
        output_price: 3 * MILLI_ASY,
    };
    Some((header, channel.user))
}

fn anchor(number: u32) -> Anchor {
    Anchor {
        number,
        hash: System::block_hash(number),
    }
}

type Shows = Statement<AccountId, Signature>;

/// The receipt of a delivered job, as it is known on chain.
fn of_job(claim: Claim, twist: Twist) -> Option<Shows> {
    let Claim::Job(id) = claim else { return None };
    let job = pallet_jobs::Jobs::<Runtime>::get(id)?;
    let (assignment, delivery) = match &job.state {
        JobState::Delivered(assignment, delivery) => (assignment, delivery),
        JobState::Settled {
            assignment,
            delivery,
            ..
        } => (assignment, delivery),
        _ => return None,
    };
    let mut receipt = Receipt {
        header: job.header(System::block_hash(0), id, assignment).hash(),
        anchor: anchor(delivery.delivered_at - 1),
        output_len: delivery.output_len,
        output_root: delivery.output_root,
        finish: delivery.finish,
        fee: delivery.fee,
    };
    if twist == Twist::Header {
        receipt.fee += 1;
    }
    Some(Statement {
        receipt,
        signature: None,
        header: None,
    })
}

/// A receipt of a request in a channel, signed by the provider's operator.
fn of_channel(claim: Claim, twist: Twist) -> Option<Shows> {
    let (mut header, _) = request(claim)?;
    if twist == Twist::Unasked {
        header.token_limit -= 1;
    }
    let now = System::block_number();
    let first = if twist == Twist::Stop { STOP } else { WORD };
    let mut receipt = Receipt {
        header: header.hash(),
        anchor: anchor(now - 1),
        output_len: 4,
        output_root: leaf_hash(&leaf(&output(first))),
        finish: Finish::Eos,
        fee: header.fee(4)?,
    };
    match twist {
        Twist::Fee => receipt.fee += 1,
        Twist::Length => {
            receipt.output_len = 9;
            receipt.fee = header.fee(9)?;
        }
        Twist::FutureAnchor => receipt.anchor.number = now + 1,
        Twist::OldAnchor => receipt.anchor = anchor(now.saturating_sub(40)),
        Twist::None | Twist::Stop | Twist::Unasked | Twist::Signature | Twist::Header => {}
    }
    let operator = Providers::provider(header.provider.clone())?.operator;
    let signer = match twist {
        Twist::Signature => Sr25519Keyring::One,
        _ => Sr25519Keyring::from_account_id(&operator)?,
    };
    let signature = signer.sign(&receipt.signing_payload());
    Some(Statement {
        receipt,
        signature: Some(Signature::Sr25519(signature)),
        header: (twist != Twist::Header).then_some(header),
    })
}

/// What a provider is said to have stated; of a claim that there is not, what it stated of another listing.
fn statement(claim: Claim, twist: Twist) -> Shows {
    let stated = of_job(claim, twist).or_else(|| of_channel(claim, twist));
    stated.unwrap_or_else(|| Statement {
        receipt: Receipt {
            header: listing_of(Sr25519Keyring::Charlie),
            anchor: anchor(0),
            output_len: 1,
            output_root: Hash::zero(),
            finish: Finish::Caller,
            fee: 0,
        },
        signature: None,
        header: None,
    })
}

fn evidence(twist: Twist, shown: Shown, claim: Claim) -> Evidence<Signature> {
    let first = if twist == Twist::Stop { STOP } else { WORD };
    match shown {
        Shown::Face => Evidence::Face,
        Shown::Token(position) => Evidence::Token {
            position,
            opening: opening(&output(first)),
        },
        Shown::Twice(position) => {
            let mut other = statement(claim, Twist::None);
            let another = output(first + 1);
            other.receipt.output_root = leaf_hash(&leaf(&another));
            let payload = other.receipt.signing_payload();
            let signer = request(claim)
                .and_then(|(header, _)| Providers::provider(header.provider))
                .and_then(|provider| Sr25519Keyring::from_account_id(&provider.operator))
                .unwrap_or(Sr25519Keyring::One);
            Evidence::Twice {
                signature: Signature::Sr25519(signer.sign(&payload)),
                other: other.receipt,
                position,
                opening: opening(&output(first)),
                other_opening: opening(&another),
            }
        }
    }
}

/// A dispute among the last that were committed to.
fn recent(ago: u64) -> DisputeId {
    NextDispute::<Runtime>::get().saturating_sub(1 + ago)
}

fn play(dispute: DisputeId, record: &DisputeRecordOf<Runtime>, play: &Play) -> Option<RuntimeCall> {
    let state = record.state;
    let hash = |index: usize| Hash::repeat_byte(index as u8);
    let nodes = |count: usize| (0..count).map(hash).collect::<Vec<_>>();
    let choose = |choice| Dispute::choose {
        dispute,
        state,
        choice,
    };
    let call: Dispute = match play {
        Play::Header | Play::Forged => {
            let (header, user) = request(record.claim)?;
            let signer = match play {
                Play::Header => Sr25519Keyring::from_account_id(&user)?,
                _ => Sr25519Keyring::One,
            };
            let payload = SignedHeader::<AccountId>::signing_payload(&header.hash());
            let signature = VoucherSignature::Sr25519(signer.sign(&payload));
            let answer = Answer::Header(SignedHeader { header, signature });
            Dispute::answer {
                dispute,
                state,
                answer,
            }
        }
        Play::Nodes(count) => Dispute::answer {
            dispute,
            state,
            answer: Answer::Trace {
                signature: None,
                nodes: nodes(*count).try_into().ok()?,
                last: opening(&output(WORD)),
                token: opening(&output(WORD)),
            },
        },
        Play::Node(index) => choose(Choice::Node(*index)),
        Play::Element(index) => choose(Choice::Element {
            leaf: *index,
            element: *index,
        }),
        Play::Part(index) => choose(Choice::Part(*index)),
        Play::Reveal(count) => Dispute::reveal {
            dispute,
            state,
            revelation: Revelation::Nodes(nodes(*count).try_into().ok()?),
        },
        Play::Proof(bytes) => Dispute::prove {
            dispute,
            state,
            proof: bytes.clone().try_into().ok()?,
        },
    };
    Some(call.into())
}

impl Contest {
    /// The call and who makes it; `None` if there is nothing to do it to.
    pub fn call(&self, who: &AccountId) -> Option<(AccountId, RuntimeCall)> {
        let mut caller = who.clone();
        let call = match self {
            Self::Commit(pick) => {
                let all = claims();
                let hash = commitment(&all[pick % all.len()], who, &SALT);
                Dispute::commit { hash }.into()
            }
            Self::Open {
                pick,
                twist,
                position,
                delegate,
            } => {
                let claim = committed(who, *pick);
                Dispute::open {
                    claim,
                    statement: statement(claim, *twist),
                    position: *position,
                    salt: SALT,
                    delegate: delegate.map(|key| key.to_account_id()),
                }
                .into()
            }
            Self::Accuse { pick, twist, shown } => {
                let claim = committed(who, *pick);
                Dispute::accuse {
                    claim,
                    statement: statement(claim, *twist),
                    evidence: evidence(*twist, *shown, claim),
                    salt: SALT,
                }
                .into()
            }
            Self::Play {
                pick,
                by_caller,
                play: made,
            } => {
                let mut live: Vec<_> = pallet_disputes::Disputes::<Runtime>::iter_keys().collect();
                live.sort();
                let number = *live.get(pick % live.len().max(1))?;
                let record = Disputes::dispute(number)?;
                if !by_caller {
                    caller = match made {
                        Play::Node(_) | Play::Element(_) | Play::Part(_) => {
                            record.challenger.clone()
                        }
                        _ => Providers::provider(record.provider.clone())?.operator,
                    };
                }
                play(number, &record, made)?
            }
            Self::Timeout(ago) => Dispute::timeout {
                dispute: recent(*ago),
            }
            .into(),
            Self::Pause(on) => pallet_sudo::Call::<Runtime>::sudo {
                call: Box::new(Dispute::pause { on: *on }.into()),
            }
            .into(),
        };
        Some((caller, call))
    }
}
