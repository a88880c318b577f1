//! One benchmark for each weight, over a request as long as an 8B model's conversation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use alloc::{vec, vec::Vec};

use assay_exact::trace::{made, Case, Layout, Roots, Row, Target};
use assay_primitives::{
    blake2_256, dispute::commitment, tree::leaf_hash, Anchor, Architecture, Balance, ChannelId,
    Claim, Finish, ListingId, ModelParts, ModelSpec, Profile, Receipt, RequestHeader, Rotary,
    Sampling, SignedHeader, VoucherSignature, FORMAT_VERSION, PPM_ONE,
};
use codec::Encode;
use frame_benchmarking::v2::*;
use frame_support::{
    traits::{fungible::Mutate, EnsureOrigin},
    BoundedVec,
};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_core::H256;
use sp_runtime::traits::{One, Saturating};

use crate::{levels, *};

/// What the benchmarks need of other pallets, and of a keystore.
pub trait BenchmarkHelper<T: Config> {
    /// List this model; register a provider that offers it; open a channel to it and settle some of
    /// it.
    fn channel(parts: ModelParts) -> BenchmarkChannel<T::AccountId>;

    /// Sign as the channel's provider's operator.
    fn operator_signature(operator: &T::AccountId, payload: &[u8]) -> T::Signature;

    /// Sign with the channel's voucher key.
    fn user_signature(payload: &[u8]) -> VoucherSignature;
}

/// A channel to a provider.
pub struct BenchmarkChannel<AccountId> {
    pub id: ChannelId,
    pub listing: ListingId,
    pub stash: AccountId,
    pub operator: AccountId,
}

const RICH: Balance = 1_000_000_000_000_000_000;
const PROMPT_LEN: u32 = 1_000;
const OUTPUT_LEN: u32 = 1_000;
const POSITION: u32 = OUTPUT_LEN - 1;
const SALT: H256 = H256([7; 32]);

fn spec() -> ModelSpec {
    ModelSpec {
        architecture: Architecture::Llama,
        profile: Profile::Exact {
            fraction_bits: 16,
            eps40: 10_995_116,
            rotary: Rotary {
                base: 500_000_000_000,
                scaling: None,
            },
        },
        layers: 32,
        hidden: 4_096,
        intermediate: 14_336,
        heads: 32,
        kv_heads: 8,
        head_dim: 128,
        vocabulary: 128_256,
        context: 131_072,
        stop_tokens: BoundedVec::truncate_from(vec![128_001, 128_009]),
        tied_embeddings: false,
    }
}

fn sampling() -> Sampling {
    Sampling {
        temperature: 900_000,
        top_k: 40,
        top_p: 900_000,
        min_p: 1_000,
        penalty: PPM_ONE + 1,
        nonce: 1,
    }
}

fn parts() -> ModelParts {
    ModelParts {
        spec: spec(),
        tokenizer: Default::default(),
        template: Default::default(),
        tables: H256::repeat_byte(1),
        weights_root: H256::repeat_byte(2),
    }
}

/// Who disputes what.
struct Scene<T: Config> {
    challenger: T::AccountId,
    operator: T::AccountId,
    claim: Claim,
    statement: StatementOf<T>,
}

impl<T: Config> Scene<T> {
    /// A receipt that the challenger has committed to.
    fn new(parts: ModelParts, prompt_root: H256, output_root: H256) -> Self {
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
            prompt_len: PROMPT_LEN,
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
            fee: 3_000,
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

    fn open(&self) -> Result<DisputeRecordOf<T>, BenchmarkError> {
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
    fn at(&self, stage: Stage) -> Result<DisputeRecordOf<T>, BenchmarkError> {
        let mut record = self.open()?;
        record.advance(stage);
        Disputes::<T>::insert(0, record.clone());
        Ok(record)
    }

    fn leaves(&self) -> u64 {
        let header = self.statement.header.as_ref().expect("it has one");
        Pallet::<T>::layout(header, POSITION)
            .expect("the request is sound")
            .leaves()
    }
}

/// The leaf of the output with the last token, and the output's root.
fn output() -> (LeafOpening, H256) {
    let leaves = OUTPUT_LEN.div_ceil(32);
    let tokens = OUTPUT_LEN - (leaves - 1) * 32;
    let bytes = vec![0; 32 + 4 * tokens as usize];
    let mut opening = LeafOpening {
        bytes: BoundedVec::truncate_from(bytes),
        siblings: Default::default(),
    };
    let mut index = leaves - 1;
    while index > 0 {
        if index % 2 == 1 {
            opening.siblings.try_push(SALT).expect("it is shorter");
        }
        index /= 2;
    }
    let root = opening.root(u64::from(leaves) - 1, leaves.into());
    (opening, root.expect("the opening is sound"))
}

/// A first answer whose last leaf holds token 0.
fn answer<T: Config>(scene: &Scene<T>, token: LeafOpening) -> AnswerOf<T> {
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

/// The longest proof of a step of the rows that are wanted, and what it leads to. (The last row reads
/// the seed, which follows from all else.)
fn longest_proof(wanted: impl Fn(Row) -> bool) -> (Target, Roots, Vec<u8>) {
    let shape = (&spec()).try_into().expect("the shape is exact");
    let layout = Layout::new(&shape, &sampling().into(), PROMPT_LEN, POSITION);
    let case = Case {
        layout: layout.expect("the request is sound"),
        seed: [0; 32],
    };
    made::targets(&case.layout)
        .filter(|target| target.cell.place.row != Row::Token && wanted(target.cell.place.row))
        .filter_map(|target| {
            let (roots, proof) = made::proof(&case, &target, OUTPUT_LEN, true, blake2_256)?;
            Some((target, roots, proof.encode()))
        })
        .max_by_key(|(_, _, proof)| proof.len())
        .expect("there is a proof")
}

/// A dispute that waits for the longest proof of the rows that are wanted.
struct Proving<T: Config> {
    scene: Scene<T>,
    state: H256,
    proof: ProofBytes,
}

impl<T: Config> Proving<T> {
    fn new(wanted: impl Fn(Row) -> bool) -> Result<Self, BenchmarkError> {
        let (target, roots, proof) = longest_proof(wanted);
        let parts = ModelParts {
            tables: roots.tables.into(),
            weights_root: roots.weights.into(),
            ..parts()
        };
        // A table that a proof does not open may be any.
        let parts = ModelParts {
            tables: match parts.tables.is_zero() {
                true => SALT,
                false => parts.tables,
            },
            ..parts
        };
        let scene = Scene::<T>::new(parts, roots.prompt.into(), roots.output.into());
        let header = scene.statement.header.as_ref().expect("it has one");
        let layout = Pallet::<T>::layout(header, POSITION).expect("the request is sound");
        let (leaf, element) = layout.leaf_of(target.cell).expect("it is one of its cells");
        let step = StepRecord {
            leaf,
            element,
            value: target.value,
            parts: BoundedVec::truncate_from(
                target
                    .parts
                    .iter()
                    .map(|part| PartRecord {
                        index: part.index,
                        value: part.value,
                    })
                    .collect(),
            ),
        };
        let record = scene.at(Stage::Step(step))?;
        let trace = TraceRecord {
            claim: scene.claim,
            anchor: 1,
            root: roots.trace.into(),
            nodes: Default::default(),
        };
        let hash = Pallet::<T>::hash_of(&scene.statement.receipt);
        Traces::<T>::insert(hash, POSITION, trace);
        let proof = ProofBytes::try_from(proof).expect("no proof is longer");
        Ok(Self {
            scene,
            state: record.state,
            proof,
        })
    }

    /// The proof is sent.
    fn prove(self) {
        let origin = RawOrigin::Signed(self.scene.operator).into();
        let sent = Pallet::<T>::prove(origin, 0, self.state, self.proof);
        sent.expect("the proof is a move");
    }
}

fn dispute<T: Config>() -> Option<DisputeRecordOf<T>> {
    Disputes::<T>::get(0)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn commit() {
        let who: T::AccountId = account("challenger", 0, 0);
        T::Currency::set_balance(&who, RICH);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), SALT);

        assert!(Commitments::<T>::contains_key(&who, SALT));
    }

    #[benchmark]
    fn open() {
        let scene = Scene::<T>::new(parts(), SALT, SALT);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(scene.challenger.clone()),
            scene.claim,
            scene.statement.clone(),
            Some(POSITION),
            SALT,
            Some(scene.challenger.clone()),
        );

        assert!(dispute::<T>().is_some());
    }

    #[benchmark]
    fn answer() -> Result<(), BenchmarkError> {
        let (token, root) = output();
        let scene = Scene::<T>::new(parts(), SALT, root);
        let record = scene.open()?;
        let shown = super::answer(&scene, token);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(scene.operator.clone()),
            0,
            record.state,
            shown,
        );

        assert_eq!(dispute::<T>().expect("it goes on").moves, 1);
        Ok(())
    }

    /// Hashes; the bytes of eight leaves take less time.
    #[benchmark]
    fn reveal() -> Result<(), BenchmarkError> {
        let scene = Scene::<T>::new(parts(), SALT, SALT);
        let nodes = Nodes::truncate_from(vec![SALT; levels::MAX_NODES as usize]);
        let hash = assay_primitives::tree::root_of(nodes.to_vec());
        let record = scene.at(Stage::Node {
            level: levels::first(scene.leaves()),
            index: 0,
            hash,
        })?;

        #[extrinsic_call]
        _(
            RawOrigin::Signed(scene.operator.clone()),
            0,
            record.state,
            Revelation::Nodes(nodes),
        );

        assert_eq!(dispute::<T>().expect("it goes on").moves, 2);
        Ok(())
    }

    #[benchmark]
    fn choose() -> Result<(), BenchmarkError> {
        let scene = Scene::<T>::new(parts(), SALT, SALT);
        let leaf = LeafBytes::truncate_from(vec![1; MAX_LEAF_BYTES as usize]);
        let record = scene.at(Stage::Leaves {
            first: scene.leaves() / 2,
            leaves: Leaves::truncate_from(vec![leaf; levels::MAX_LEAVES as usize]),
        })?;

        #[extrinsic_call]
        _(
            RawOrigin::Signed(scene.challenger.clone()),
            0,
            record.state,
            Choice::Element {
                leaf: 7,
                element: 0,
            },
        );

        assert_eq!(dispute::<T>().expect("it goes on").moves, 2);
        Ok(())
    }

    /// The longest proof that there is; what it ends with is weighed as a timeout.
    #[benchmark]
    fn prove() -> Result<(), BenchmarkError> {
        let proving = Proving::<T>::new(|_| true)?;
        let state = proving.state;

        #[block]
        {
            proving.prove();
        }

        assert!(dispute::<T>().is_none_or(|dispute| dispute.state != state));
        Ok(())
    }

    /// A proof with much arithmetic: a block of logits is weighed.
    #[benchmark]
    fn prove_kept() -> Result<(), BenchmarkError> {
        let proving = Proving::<T>::new(|row| row == Row::Kept)?;
        let state = proving.state;

        #[block]
        {
            proving.prove();
        }

        assert!(dispute::<T>().is_none_or(|dispute| dispute.state != state));
        Ok(())
    }

    /// As much, and the bins are looked at.
    #[benchmark]
    fn prove_cumulative() -> Result<(), BenchmarkError> {
        let proving = Proving::<T>::new(|row| row == Row::Cumulative)?;
        let state = proving.state;

        #[block]
        {
            proving.prove();
        }

        assert!(dispute::<T>().is_none_or(|dispute| dispute.state != state));
        Ok(())
    }

    /// A thousand weights times as many activations.
    #[benchmark]
    fn prove_linear() -> Result<(), BenchmarkError> {
        let proving = Proving::<T>::new(|row| matches!(row, Row::Gate | Row::Output))?;
        let state = proving.state;

        #[block]
        {
            proving.prove();
        }

        assert!(dispute::<T>().is_none_or(|dispute| dispute.state != state));
        Ok(())
    }

    /// The provider is late, and another dispute of it waits.
    #[benchmark]
    fn timeout() -> Result<(), BenchmarkError> {
        let scene = Scene::<T>::new(parts(), SALT, SALT);
        let record = scene.open()?;
        let mut next = record.clone();
        next.deadline = None;
        next.bond = 0;
        next.claim = Claim::Channel {
            id: match scene.claim {
                Claim::Channel { id, .. } => id,
                Claim::Job(_) => SALT,
            },
            seq: 1,
        };
        Disputes::<T>::insert(1, next);
        Dockets::<T>::mutate(&record.provider, |docket| {
            docket.live = BoundedVec::truncate_from(vec![0]);
            docket.waiting = BoundedVec::truncate_from(vec![1; MAX_WAITING as usize]);
        });
        let deadline = record.deadline.expect("its clock runs");
        Clock::<T>::put(deadline.saturating_add(One::one()));

        #[extrinsic_call]
        _(RawOrigin::Signed(scene.challenger.clone()), 0);

        assert!(Convictions::<T>::contains_key(scene.claim));
        Ok(())
    }

    /// Two receipts, two signatures, two openings.
    #[benchmark]
    fn accuse() {
        let (opening, root) = output();
        let mut other_opening = opening.clone();
        other_opening.bytes[32] = 1;
        let place = POSITION - POSITION % 32;
        let leaves = u64::from(OUTPUT_LEN.div_ceil(32));
        let other_root = other_opening.root(leaves - 1, leaves);
        let scene = Scene::<T>::new(parts(), SALT, root);
        let mut other = scene.statement.receipt.clone();
        other.output_root = other_root.expect("the opening is sound");
        let payload = other.signing_payload();
        let signature = T::BenchmarkHelper::operator_signature(&scene.operator, &payload);
        let evidence = Evidence::Twice {
            other,
            signature,
            position: place,
            opening,
            other_opening,
        };

        #[extrinsic_call]
        _(
            RawOrigin::Signed(scene.challenger.clone()),
            scene.claim,
            scene.statement.clone(),
            evidence,
            SALT,
        );

        assert!(Convictions::<T>::contains_key(scene.claim));
    }

    #[benchmark]
    fn set_parameters() -> Result<(), BenchmarkError> {
        let origin =
            T::AdminOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
        let parameters = Params::<T>::get();

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, parameters.clone());

        assert_eq!(Params::<T>::get(), parameters);
        Ok(())
    }

    #[benchmark]
    fn pause() -> Result<(), BenchmarkError> {
        let origin =
            T::AdminOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, true);

        assert!(Pallet::<T>::is_paused());
        Ok(())
    }

    #[benchmark]
    fn expire() -> Result<(), BenchmarkError> {
        let who: T::AccountId = account("challenger", 0, 0);
        T::Currency::set_balance(&who, RICH);
        Pallet::<T>::do_commit(who.clone(), SALT)?;
        let result;

        #[block]
        {
            result = Pallet::<T>::fulfil(Duty::Commitment(who.clone(), SALT));
        }

        result?;
        assert!(!Commitments::<T>::contains_key(&who, SALT));
        Ok(())
    }

    /// A trace that has to be kept is looked at again; dropping one writes as much.
    #[benchmark]
    fn forget() -> Result<(), BenchmarkError> {
        let scene = Scene::<T>::new(parts(), SALT, SALT);
        let hash = Pallet::<T>::hash_of(&scene.statement.receipt);
        let trace = TraceRecord {
            claim: scene.claim,
            anchor: 1,
            root: SALT,
            nodes: Nodes::truncate_from(vec![SALT; levels::MAX_NODES as usize]),
        };
        Traces::<T>::insert(hash, POSITION, trace);
        let clock: BlockNumberFor<T> = Clock::<T>::get();
        let result;

        #[block]
        {
            result = Pallet::<T>::fulfil(Duty::Trace(hash, POSITION));
        }

        result?;
        let again = clock.saturating_add(Params::<T>::get().challenge_blocks);
        assert!(Agenda::<T>::contains_key(
            again,
            Duty::Trace(hash, POSITION)
        ));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::genesis(), crate::mock::Test);
}
