//! A dispute of a model at the format's bounds, at whatever stage.

use alloc::{vec, vec::Vec};

use assay_exact::trace::levels;
use assay_primitives::{
    dispute::commitment, tree::leaf_hash, Anchor, Architecture, Balance, Claim, Finish, ModelParts,
    ModelSpec, Profile, Receipt, RequestHeader, Rotary, Sampling, SignedHeader, Task,
    FORMAT_VERSION, PPM_ONE,
};
use frame_benchmarking::v2::*;
use frame_support::{traits::fungible::Mutate, BoundedVec};
use sp_core::H256;

use super::BenchmarkHelper;
use crate::*;

/// A bond that grows with the trace is the largest here.
pub const RICH: Balance = 1_000_000_000_000_000_000_000_000;
pub const PROMPT_LEN: u32 = 1_000;
pub const OUTPUT_LEN: u32 = (1 << 20) - PROMPT_LEN;
pub const POSITION: u32 = OUTPUT_LEN - 1;
/// Tokens of the request to score the answer.
pub const REQUEST_LEN: u32 = PROMPT_LEN + OUTPUT_LEN;
pub const SALT: H256 = H256([7; 32]);

/// As large as the format allows.
pub fn spec() -> ModelSpec {
    ModelSpec {
        architecture: Architecture::Qwen3,
        profile: Profile::Exact {
            fraction_bits: 16,
            eps40: 10_995_116,
            rotary: Rotary {
                base: 500_000_000_000,
                scaling: None,
            },
        },
        layers: 512,
        hidden: 1 << 14,
        intermediate: 1 << 16,
        heads: 128,
        kv_heads: 32,
        head_dim: 512,
        vocabulary: 1 << 22,
        context: 1 << 20,
        stop_tokens: BoundedVec::truncate_from(vec![1, 2]),
        tied_embeddings: false,
    }
}

pub fn sampling() -> Sampling {
    Sampling {
        temperature: 900_000,
        top_k: 40,
        top_p: 900_000,
        min_p: 1_000,
        penalty: PPM_ONE + 1,
        nonce: 1,
    }
}

pub fn parts() -> ModelParts {
    ModelParts {
        spec: spec(),
        tokenizer: Default::default(),
        template: Default::default(),
        tables: H256::repeat_byte(1),
        weights_root: H256::repeat_byte(2),
    }
}

/// Who disputes what.
pub struct Scene<T: Config> {
    pub challenger: T::AccountId,
    pub operator: T::AccountId,
    pub claim: Claim,
    pub statement: StatementOf<T>,
}

impl<T: Config> Scene<T> {
    /// A receipt that the challenger has committed to.
    pub fn new(parts: ModelParts, prompt_root: H256, output_root: H256) -> Self {
        let asked = (Task::Generate, PROMPT_LEN, prompt_root);
        Self::of(parts, asked, output_root)
    }

    /// A score of the answer, in a request that has both prompt and answer.
    pub fn score(parts: ModelParts, request_root: H256) -> Self {
        let score = Task::Score {
            seed: SALT,
            answer_at: PROMPT_LEN,
        };
        Self::of(parts, (score, REQUEST_LEN, request_root), SALT)
    }

    fn of(
        parts: ModelParts,
        (task, prompt_len, prompt_root): (Task, u32, H256),
        output_root: H256,
    ) -> Self {
        let block = |number: u32| frame_system::Pallet::<T>::set_block_number(number.into());
        block(1);
        let channel = T::BenchmarkHelper::channel(parts);
        block(2);
        let challenger: T::AccountId = account("challenger", 0, 0);
        T::Currency::set_balance(&challenger, RICH);
        let claim = Claim::Channel {
            id: channel.id,
            seq: 0,
        };
        let header = RequestHeader {
            version: FORMAT_VERSION,
            genesis: Pallet::<T>::genesis(),
            claim,
            provider: channel.stash,
            listing: channel.listing,
            prompt_root,
            prompt_len,
            task,
            sampling: sampling(),
            token_limit: OUTPUT_LEN,
            input_price: 1,
            output_price: 2,
        };
        let receipt = Receipt {
            header: header.hash(),
            anchor: Anchor {
                number: 1,
                hash: Default::default(),
            },
            output_len: OUTPUT_LEN,
            output_root,
            finish: Finish::Caller,
            fee: 1_000,
        };
        let hash = commitment(&claim, &challenger, &SALT);
        Pallet::<T>::do_commit(challenger.clone(), hash).expect("it is rich");
        block(3);
        let operator = channel.operator;
        let payload = receipt.signing_payload();
        let signature = T::BenchmarkHelper::operator_signature(&operator, &payload);
        Self {
            challenger,
            operator,
            claim,
            statement: Statement {
                receipt,
                signature: Some(signature),
                header: Some(header),
            },
        }
    }

    pub fn open(&self) -> Result<DisputeRecordOf<T>, BenchmarkError> {
        Pallet::<T>::do_open(
            self.challenger.clone(),
            self.claim,
            self.statement.clone(),
            Some(POSITION),
            SALT,
            None,
        )?;
        Ok(Disputes::<T>::get(0).expect("it was opened"))
    }

    /// Opened, and gone on to this stage.
    pub fn at(&self, stage: Stage) -> Result<DisputeRecordOf<T>, BenchmarkError> {
        let mut record = self.open()?;
        record.advance(stage);
        Disputes::<T>::insert(0, record.clone());
        Ok(record)
    }

    pub fn leaves(&self) -> u64 {
        let header = self.statement.header.as_ref().expect("it has one");
        Pallet::<T>::layout(header, POSITION)
            .expect("the request is sound")
            .leaves()
    }
}

/// A leaf of a list of so many tokens, all of them 0, and the list's root.
pub fn tokens(length: u32, leaf: u32) -> (LeafOpening, H256) {
    let leaves = length.div_ceil(32);
    let inside = (length - leaf * 32).min(32);
    let bytes = vec![0; 32 + 4 * inside as usize];
    let mut opening = LeafOpening {
        bytes: BoundedVec::truncate_from(bytes),
        siblings: Default::default(),
    };
    let (mut index, mut nodes) = (leaf, leaves);
    while nodes > 1 {
        if index % 2 == 1 || index + 1 < nodes {
            opening.siblings.try_push(SALT).expect("it is shorter");
        }
        (index, nodes) = (index / 2, nodes.div_ceil(2));
    }
    let root = opening.root(leaf.into(), leaves.into());
    (opening, root.expect("the opening is sound"))
}

/// A first answer whose last leaf holds token 0.
pub fn answer<T: Config>(scene: &Scene<T>, token: LeafOpening) -> AnswerOf<T> {
    let leaves = scene.leaves();
    let (level, height) = (levels::first(leaves), levels::height(leaves));
    let bytes = vec![0; 4];
    let mut siblings = Vec::new();
    let mut node = leaf_hash(&bytes);
    let mut index = leaves - 1;
    let fold = |left, right| assay_primitives::tree::root_of(vec![left, right]);
    for _ in 0..level {
        if index % 2 == 1 {
            siblings.push(SALT);
            node = fold(SALT, node);
        }
        index /= 2;
    }
    let count = levels::below(leaves, height, 0, level).end;
    let mut nodes = vec![SALT; count as usize];
    nodes[index as usize] = node;
    let mut row = nodes.clone();
    for _ in level..height {
        if index % 2 == 1 {
            siblings.push(row[index as usize - 1]);
        }
        row = row
            .chunks(2)
            .map(|pair| assay_primitives::tree::root_of(pair.to_vec()))
            .collect();
        index /= 2;
    }
    let header = scene.statement.header.as_ref().expect("it has one").hash();
    let payload = SignedHeader::<T::AccountId>::signing_payload(&header);
    Answer::Trace {
        signature: Some(T::BenchmarkHelper::user_signature(&payload)),
        nodes: BoundedVec::truncate_from(nodes),
        last: LeafOpening {
            bytes: BoundedVec::truncate_from(bytes),
            siblings: BoundedVec::truncate_from(siblings),
        },
        token,
    }
}
