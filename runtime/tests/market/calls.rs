//! What people of the market call.

use assay_primitives::{
    channel_id, token_root, Anchor, Architecture, ChannelId, Finish, JobId, ListingId, ModelParts,
    ModelSpec, Profile, Receipt, Rotary, Sampling, SignedVoucher, TokenId, Voucher, VoucherKey,
    VoucherSignature,
};
use assay_runtime::{
    AccountId, Balance, Hash, Providers, Runtime, RuntimeCall, Signature, System, MILLI_ASY,
};
use pallet_jobs::{AssignmentRecordOf, JobRecordOf, JobState};
use sp_keyring::Sr25519Keyring::{self, Charlie};
use sp_runtime::Permill;

const ROYALTY: Permill = Permill::from_percent(2);
/// A token that ends an answer, and one that does not.
pub const STOP: TokenId = 3;
pub const WORD: TokenId = 40;

fn parts() -> ModelParts {
    ModelParts {
        spec: ModelSpec {
            architecture: Architecture::Llama,
            profile: Profile::Exact {
                fraction_bits: 14,
                eps40: 10_995_116,
                rotary: Rotary {
                    base: 10_000_000_000,
                    scaling: None,
                },
            },
            layers: 4,
            hidden: 256,
            intermediate: 768,
            heads: 8,
            kv_heads: 2,
            head_dim: 32,
            vocabulary: 1_024,
            context: 96,
            stop_tokens: vec![1, STOP].try_into().unwrap(),
            tied_embeddings: true,
        },
        tokenizer: Hash::repeat_byte(1),
        template: Hash::repeat_byte(2),
        tables: Hash::repeat_byte(4),
        weights_root: Hash::repeat_byte(3),
    }
}

pub fn listing_of(publisher: Sr25519Keyring) -> ListingId {
    parts().listing_id(&publisher.to_account_id(), ROYALTY)
}

pub fn list_model() -> RuntimeCall {
    let ModelParts {
        spec,
        tokenizer,
        template,
        tables,
        weights_root,
    } = parts();
    RuntimeCall::Models(pallet_models::Call::register {
        spec,
        tokenizer,
        template,
        tables,
        weights_root,
        royalty: ROYALTY,
        uri: Default::default(),
    })
}

pub fn register(operator: Sr25519Keyring, bond: Balance) -> RuntimeCall {
    let info = pallet_providers::ProviderInfo {
        endpoint: b"https://provider.example".to_vec().try_into().unwrap(),
        tls_key_hash: Hash::zero(),
        x25519_key: [0; 32],
    };
    let operator = operator.to_account_id();
    RuntimeCall::Providers(pallet_providers::Call::register {
        operator,
        info,
        bond,
    })
}

/// Up to 48 tokens of context, at these prices in thousandths of an ASY.
pub fn set_offer(listing: ListingId, input: u32, output: u32, capacity: u32) -> RuntimeCall {
    RuntimeCall::Providers(pallet_providers::Call::set_offer {
        listing,
        input_price: Balance::from(input) * MILLI_ASY,
        output_price: Balance::from(output) * MILLI_ASY,
        context: 48,
        capacity,
    })
}

pub fn submit(
    listing: ListingId,
    prompt_len: usize,
    max_output_tokens: u32,
    min_output_tokens: u32,
    max_fee: Balance,
    provider: Option<Sr25519Keyring>,
) -> RuntimeCall {
    RuntimeCall::Jobs(pallet_jobs::Call::submit {
        listing,
        prompt: vec![WORD; prompt_len].try_into().unwrap(),
        sampling: Sampling::GREEDY,
        max_output_tokens,
        min_output_tokens,
        max_fee,
        provider: provider.map(|key| key.to_account_id()),
    })
}

pub fn job(id: JobId) -> JobRecordOf<Runtime> {
    pallet_jobs::Jobs::<Runtime>::get(id).unwrap()
}

/// How a dishonest or broken operator's answer differs from an honest one's.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Flaw {
    None,
    Fee,
    Root,
    Anchor,
    Signature,
    Sender,
}

/// The operator that speaks for the job's provider, and its signed answer of up to `length` tokens.
pub fn answer(
    id: JobId,
    job: &JobRecordOf<Runtime>,
    assignment: &AssignmentRecordOf<Runtime>,
    length: u32,
    flaw: Flaw,
) -> (AccountId, RuntimeCall) {
    let length = length.clamp(1, assignment.token_limit);
    let mut output = vec![WORD; length as usize];
    *output.last_mut().unwrap() = STOP;
    let now = System::block_number();
    let mut receipt = Receipt {
        header: job.header(System::block_hash(0), id, assignment).hash(),
        anchor: Anchor {
            number: now - 1,
            hash: System::block_hash(now - 1),
        },
        output_len: length,
        output_root: token_root(&output),
        finish: Finish::Eos,
        fee: assignment.price.fee(job.prompt_len, length).unwrap(),
    };
    match flaw {
        Flaw::Fee => receipt.fee += 1,
        Flaw::Root => receipt.output_root = Hash::zero(),
        Flaw::Anchor => receipt.anchor.hash = Hash::zero(),
        Flaw::None | Flaw::Signature | Flaw::Sender => {}
    }
    let operator = Providers::provider(assignment.provider.clone())
        .unwrap()
        .operator;
    let payload = receipt.signing_payload();
    let signer = match flaw {
        Flaw::Signature => Sr25519Keyring::One,
        _ => Sr25519Keyring::from_account_id(&operator).unwrap(),
    };
    let sender = match flaw {
        Flaw::Sender => Sr25519Keyring::One.to_account_id(),
        _ => operator,
    };
    let call = RuntimeCall::Jobs(pallet_jobs::Call::deliver {
        job: id,
        receipt,
        signature: Signature::Sr25519(signer.sign(&payload)),
        output: output.try_into().unwrap(),
    });
    (sender, call)
}

pub fn answer_assigned(id: JobId, length: u32) -> (AccountId, RuntimeCall) {
    let record = job(id);
    let JobState::Assigned(assignment) = record.state.clone() else {
        panic!("job {id} is not assigned: {:?}", record.state)
    };
    answer(id, &record, &assignment, length, Flaw::None)
}

/// A user's voucher key is that of its account.
pub fn open_channel(
    provider: Sr25519Keyring,
    user: Sr25519Keyring,
    deposit: Balance,
) -> RuntimeCall {
    RuntimeCall::Channels(pallet_channels::Call::open {
        provider: provider.to_account_id(),
        listing: listing_of(Charlie),
        voucher_key: VoucherKey::Sr25519(user.public()),
        deposit,
    })
}

/// A job among the last that were submitted.
pub fn recent_job(ago: u64) -> JobId {
    pallet_jobs::NextJobId::<Runtime>::get().saturating_sub(1 + ago)
}

/// A channel among the last that were opened.
pub fn recent_channel(ago: u64) -> ChannelId {
    let number = pallet_channels::NextChannel::<Runtime>::get().saturating_sub(1 + ago);
    channel_id(&System::block_hash(0), number)
}

pub fn voucher(channel: ChannelId, cumulative: Balance, signer: Sr25519Keyring) -> SignedVoucher {
    let voucher = Voucher {
        genesis: System::block_hash(0),
        channel,
        cumulative,
    };
    let signature = signer.sign(&voucher.signing_payload());
    SignedVoucher {
        channel,
        cumulative,
        signature: VoucherSignature::Sr25519(signature),
    }
}
