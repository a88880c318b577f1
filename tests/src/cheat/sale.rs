//! How a provider that was built for tests gets a request, and what it signs.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use assay_client::{
    answer::{Answer, Origin},
    chain::{
        job_header,
        runtime::{
            self,
            runtime_types::{
                bounded_collections::bounded_vec::BoundedVec,
                pallet_providers::types::ProviderInfo, sp_runtime::MultiSignature,
            },
        },
        JobState,
    },
    keys,
    primitives::{
        salted_token_root, seed, token_root, Anchor, Claim, Price, Receipt, RequestHeader, Side,
        SignedHeader, SignedVoucher, Task, TokenId, Voucher, VoucherKey, VoucherSignature,
        FORMAT_VERSION,
    },
    subxt::utils::Static,
    AccountId32, SignedReceipt, H256,
};

use super::{
    arena::{Listed, People},
    lie::{Lie, Question, Story},
    list::{Cheat, Manner},
    provider::Provider,
};

const MILLI_ASY: u128 = 1_000_000_000;
const PRICE: Price = Price {
    input: MILLI_ASY,
    output: 3 * MILLI_ASY,
};
const BOND: u128 = 1_000_000 * MILLI_ASY;
const DEPOSIT: u128 = 10_000 * MILLI_ASY;
/// How often the chain is asked whether there is a job.
const PAUSE: Duration = Duration::from_millis(300);

type Header = RequestHeader<AccountId32>;

/// Registers as a provider of the model.
async fn register(listed: &Listed, people: &People) -> Result<()> {
    let info = ProviderInfo {
        // Its users found it, and nobody else has to.
        endpoint: BoundedVec(b"https://127.0.0.1:1".to_vec()),
        tls_key_hash: H256::repeat_byte(1),
        x25519_key: [1; 32],
    };
    let calls = runtime::tx().providers();
    let register = calls.register(keys::account(&people.operator), info, BOND);
    listed.send(&register, &people.stash).await?;
    let (price, context) = (PRICE, listed.shape.context);
    let offer = calls.set_offer(listed.listing, price.input, price.output, context, 1);
    listed.send(&offer, &people.stash).await?;
    Ok(())
}

/// Made up with the listed model, in a thread of its own.
async fn invent(lie: Lie, listed: &Listed, asked: &Question, scratch: &Path) -> Result<Story> {
    let (model, asked, scratch) = (listed.folder.clone(), asked.clone(), scratch.to_owned());
    let invent = move || Story::invent(lie, &model, &asked, &scratch);
    tokio::task::spawn_blocking(invent).await?
}

/// What is signed.
struct Signed<'a> {
    listed: &'a Listed,
    people: &'a People,
    cheat: Cheat,
    header: &'a Header,
    origin: Origin,
    asked: &'a Question,
    anchor: Anchor,
}

impl Signed<'_> {
    fn answer(&self, story: &Story) -> Answer {
        let header = self.header;
        let price = Price {
            input: header.input_price,
            output: match self.cheat.lie {
                Lie::Price => header.output_price + 1,
                _ => header.output_price,
            },
        };
        let paid = match self.cheat.lie {
            Lie::Inflated => story.counted + 10,
            _ => story.counted,
        };
        let output = match header.task {
            Task::Generate => &story.output[..],
            Task::Score { .. } => &[],
        };
        let receipt = Receipt {
            header: header.hash(),
            anchor: self.anchor,
            output_len: story.counted,
            output_root: match &self.origin {
                Origin::Job { .. } => token_root(output),
                Origin::Channel { secret, .. } => {
                    salted_token_root(&secret.0, Side::Output, output)
                }
            },
            finish: story.finish,
            fee: price.fee(header.prompt_len, paid).unwrap_or_default(),
        };
        let operator = &self.people.operator;
        let signature = operator.sign(&receipt.signing_payload()).0;
        Answer {
            header: header.clone(),
            origin: self.origin.clone(),
            seed: self.asked.seed,
            model: self.listed.model.clone(),
            prompt: self.asked.prompt.clone(),
            output: story.output.clone(),
            signed: SignedReceipt {
                receipt,
                operator: keys::account(operator),
                signature: [&[1][..], &signature].concat(),
            },
        }
    }
}

/// Sells an answer to `prompt` in a channel, or a score of one, as its lie goes, and takes the money. What it needs is put into
/// `scratch`.
pub async fn in_channel(
    listed: Arc<Listed>,
    people: Arc<People>,
    cheat: Cheat,
    prompt: &[TokenId],
    scratch: &Path,
) -> Result<Provider> {
    register(&listed, &people).await?;
    let stash = keys::account(&people.stash);
    let key = VoucherKey::Sr25519(people.user.public_key().0.into());
    let channels = runtime::tx().channels();
    let open = channels.open(stash, listed.listing, Static(key), DEPOSIT);
    let opened = listed.send(&open, &people.user).await?.events;
    let opened = opened.find_first::<runtime::channels::events::Opened>();
    let id = opened.context("a channel was opened")??.channel;

    let genesis = listed.chain.genesis_hash();
    let secret = H256(stash.0);
    let mut header = Header {
        version: FORMAT_VERSION,
        genesis,
        claim: Claim::Channel { id, seq: 0 },
        provider: stash,
        listing: listed.listing,
        prompt_root: salted_token_root(&secret.0, Side::Prompt, prompt),
        prompt_len: prompt.len() as u32,
        task: Task::Generate,
        sampling: cheat.sampling,
        token_limit: cheat.limit,
        input_price: PRICE.input,
        output_price: PRICE.output,
    };
    let seed_of = |header: &Header| seed(&header.hash(), &H256::zero());
    let elsewhere = Header {
        provider: keys::account(&people.friend),
        ..header.clone()
    };
    let asked = Question {
        prompt: prompt.to_vec(),
        sampling: cheat.sampling,
        limit: cheat.limit,
        seed: seed_of(&header),
        another: seed_of(&elsewhere),
        stop_tokens: listed.model.stop_tokens.clone(),
        in_score: cheat.in_score,
    };
    let story = invent(cheat.lie, &listed, &asked, scratch).await?;
    if cheat.in_score {
        let tokens = [prompt, &story.output].concat();
        header.task = Task::Score {
            seed: H256(asked.seed),
            answer_at: header.prompt_len,
        };
        header.prompt_root = salted_token_root(&secret.0, Side::Prompt, &tokens);
        header.prompt_len = tokens.len() as u32;
        header.token_limit = story.output.len() as u32;
        header.output_price = 0;
    }

    let signer = match cheat.lie {
        Lie::Unasked => &people.friend,
        _ => &people.user,
    };
    let payload = SignedHeader::<()>::signing_payload(&header.hash());
    let signature = VoucherSignature::Sr25519(signer.sign(&payload).0.into());
    // The last finalized one may be from before its operator spoke for it.
    let block = listed.chain.best().await?;
    let mut anchor = Anchor {
        number: block.number(),
        hash: block.hash(),
    };
    match cheat.lie {
        Lie::InventedAnchor => anchor.hash = H256::repeat_byte(0xab),
        Lie::FutureAnchor => anchor.number += 100_000,
        _ => {}
    }
    let signed = Signed {
        listed: &listed,
        people: &people,
        cheat,
        header: &header,
        origin: Origin::Channel {
            secret,
            key,
            signature,
        },
        asked: &asked,
        anchor,
    };
    let answer = signed.answer(&story);
    let other = match (cheat.lie, cheat.manner) {
        (Lie::Twice, _) | (_, Manner::Overtakes) => {
            let truth = invent(Lie::None, &listed, &asked, scratch).await?;
            Some(signed.answer(&truth))
        }
        _ => None,
    };

    let fee = answer.signed.receipt.fee;
    let voucher = Voucher {
        genesis,
        channel: id,
        cumulative: fee,
    };
    let signature = people.user.sign(&voucher.signing_payload()).0;
    let voucher = SignedVoucher {
        channel: id,
        cumulative: fee,
        signature: VoucherSignature::Sr25519(signature.into()),
    };
    let settle = channels.settle(Static(voucher), fee);
    listed.send(&settle, &people.stash).await?;
    if cheat.manner == Manner::Rotates {
        let operator = keys::account(&people.friend);
        let rotate = runtime::tx().providers().rotate_operator(operator);
        listed.send(&rotate, &people.stash).await?;
    }
    let mut provider = Provider::new(listed, people, cheat, story, answer);
    provider.other = other;
    Ok(provider)
}

/// Waits for a job and delivers, as its lie goes. `ready` is called once it can be drawn.
pub async fn by_job(
    listed: Arc<Listed>,
    people: Arc<People>,
    cheat: Cheat,
    scratch: &Path,
    ready: impl FnOnce() -> Result<()>,
) -> Result<Provider> {
    register(&listed, &people).await?;
    ready()?;
    let stash = keys::account(&people.stash);
    let (id, job, best) = loop {
        let best = listed.chain.best().await?;
        if let Some(id) = best.duties(stash).await?.first() {
            let job = best.job(*id).await?.context("an assigned job")?;
            break (*id, job, best);
        }
        tokio::time::sleep(PAUSE).await;
    };
    let JobState::Assigned(assignment) = &job.state else {
        anyhow::bail!("job {id} is not assigned");
    };
    let header = job_header(listed.chain.genesis_hash(), id, &job, assignment);
    let randomness = assignment.randomness;
    let asked = Question {
        prompt: best.prompt(id).await?.context("the job's prompt")?,
        sampling: header.sampling,
        limit: header.token_limit,
        seed: seed(&header.hash(), &randomness),
        another: [0; 32],
        stop_tokens: listed.model.stop_tokens.clone(),
        in_score: false,
    };
    let story = invent(cheat.lie, &listed, &asked, scratch).await?;
    let block = listed.chain.best().await?;
    let signed = Signed {
        listed: &listed,
        people: &people,
        cheat,
        header: &header,
        origin: Origin::Job { randomness },
        asked: &asked,
        anchor: Anchor {
            number: block.number(),
            hash: block.hash(),
        },
    };
    let answer = signed.answer(&story);
    let receipt = answer.signed.receipt.clone();
    let signature = people.operator.sign(&receipt.signing_payload()).0;
    let deliver = runtime::tx().jobs().deliver(
        id,
        Static(receipt),
        MultiSignature::Sr25519(signature),
        BoundedVec(answer.output.clone()),
    );
    listed.send(&deliver, &people.operator).await?;
    Ok(Provider::new(listed, people, cheat, story, answer))
}
