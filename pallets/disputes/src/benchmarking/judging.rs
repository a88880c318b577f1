//! Proofs for the judge: of each operator the one that opens most.

use alloc::vec::Vec;

use assay_exact::trace::{made, Case, Layout, Opening, Operator, Proof, Roots, Target};
use assay_primitives::{blake2_256, ModelParts};
use codec::Encode;
use frame_benchmarking::v2::*;
use frame_support::BoundedVec;
use sp_core::H256;

use super::scene::{parts, sampling, spec, Scene, OUTPUT_LEN, POSITION, PROMPT_LEN, SALT};
use crate::*;

/// A dispute that waits for the proof of a step, and the proof.
pub struct Judging<T: Config> {
    record: DisputeRecordOf<T>,
    step: StepRecord,
    proof: Vec<u8>,
}

impl<T: Config> Judging<T> {
    pub fn of(operator: Operator) -> Result<Self, BenchmarkError> {
        let case = Case {
            layout: layout(),
            seed: [0; 32],
        };
        let targets = made::targets(&case.layout);
        let proofs = targets
            .filter(|target| target.cell.place.row.operator() == operator)
            .filter_map(|target| {
                let (roots, proof) = made::proof(&case, &target, OUTPUT_LEN, true, blake2_256)?;
                Some((target, roots, proof))
            });
        // Parts are only added up, or compared.
        let opened = |proof: &Proof| proof.encoded_size() - 8 * proof.parts.len();
        let (target, roots, proof) = proofs
            .max_by_key(|(_, _, proof)| opened(proof))
            .expect("each operator has a row");
        Self::with(&case.layout, target, roots, proof)
    }

    /// A proof of hashes that lead to nothing.
    pub fn of_nothing() -> Result<Self, BenchmarkError> {
        let layout = layout();
        let (target, proof) = nothing(&layout);
        let any = [7; 32];
        let roots = Roots {
            trace: any,
            prompt: any,
            output: any,
            tables: any,
            weights: any,
            salted: true,
            output_len: OUTPUT_LEN,
        };
        Self::with(&layout, target, roots, proof)
    }

    fn with(
        layout: &Layout,
        target: Target,
        roots: Roots,
        proof: Proof,
    ) -> Result<Self, BenchmarkError> {
        let parts = ModelParts {
            tables: any_if_none(roots.tables),
            weights_root: any_if_none(roots.weights),
            ..parts()
        };
        let scene = Scene::<T>::new(parts, roots.prompt.into(), roots.output.into());
        let trace = TraceRecord {
            claim: scene.claim,
            anchor: 1,
            root: roots.trace.into(),
            nodes: Default::default(),
        };
        let hash = Pallet::<T>::hash_of(&scene.statement.receipt);
        Traces::<T>::insert(hash, POSITION, trace);
        let (leaf, element) = layout.leaf_of(target.cell).expect("it is one of its cells");
        let parts = target.parts.iter().map(|part| PartRecord {
            index: part.index,
            value: part.value,
        });
        let step = StepRecord {
            leaf,
            element,
            value: target.value,
            parts: BoundedVec::truncate_from(parts.collect()),
        };
        let proof = proof.encode();
        assert!(
            proof.len() <= MAX_PROOF_BYTES as usize,
            "no proof is longer"
        );
        Ok(Self {
            record: scene.open()?,
            step,
            proof,
        })
    }

    /// The judge's work; whether it came to a judgement.
    pub fn is_proof(&self) -> bool {
        Pallet::<T>::judge(&self.record, &self.step, &self.proof).is_ok()
    }
}

fn layout() -> Layout {
    let shape = (&spec()).try_into().expect("the shape is exact");
    let layout = Layout::new(&shape, &sampling().into(), PROMPT_LEN, POSITION);
    layout.expect("the request is sound")
}

/// A root that nothing is opened of may be any but zero.
fn any_if_none(root: [u8; 32]) -> H256 {
    match H256(root) {
        root if root.is_zero() => SALT,
        root => root,
    }
}

/// The last element, and a proof that opens leaves far from each other, so that it has as many hashes as
/// bytes allow.
fn nothing(layout: &Layout) -> (Target, Proof) {
    let leaves = layout.leaves();
    let cell = layout.cell(leaves - 1, 0).expect("it has a last leaf");
    let proof = |count: u64| {
        let opened = (0..count).map(|number| number * (leaves / 32));
        let opened = opened.map(|index| {
            let bytes = referee::leaf_length(layout, index).expect("there is such a leaf");
            (index, [7].repeat(bytes))
        });
        let node = |_, _| Ok::<_, ()>([7; 32]);
        Proof {
            trace: Opening::new(opened.collect(), leaves, node).expect("each node is known"),
            ..Proof::default()
        }
    };
    let proofs = (1..=32).rev().map(proof);
    let longest = proofs
        .into_iter()
        .find(|proof| proof.encoded_size() <= MAX_PROOF_BYTES as usize);
    let target = Target::element(cell, 0);
    (target, longest.expect("one leaf fits"))
}
