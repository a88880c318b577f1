//! The judge of one step is `assay-exact`; here it is asked.

use alloc::vec::Vec;

use assay_exact::{
    shape::Shape,
    trace::{check_step, Case, Layout, Opening, Operator, Part, Proof, Roots, Ruling, Target},
};
use assay_primitives::{blake2_256, ListingId, ModelCatalogue, ModelParts};
use codec::DecodeAll;
use frame_support::pallet_prelude::*;
use sp_core::H256;

use crate::{
    Config, DisputeRecordOf, Error, HeaderOf, LeafOpening, Pallet, Question, StepRecord, Traces,
    MAX_PARTS,
};

/// What a proof shows.
pub(crate) enum Judgement {
    /// The provider's number follows.
    Holds,
    /// It does not.
    Refuted,
    /// It follows from these parts, of which the challenger may dispute one.
    Parts(BoundedVec<i64, ConstU32<MAX_PARTS>>),
    /// The model of this listing is outside the format.
    Broken(ListingId),
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    blake2_256(bytes)
}

impl LeafOpening {
    /// The root of a tree of `leaves` in which this is leaf `index`; none if it is in no such tree.
    pub fn root(&self, index: u64, leaves: u64) -> Option<H256> {
        let opening = Opening {
            leaves: Vec::from([(index, self.bytes.to_vec())]),
            siblings: self.siblings.iter().map(|hash| hash.0).collect(),
        };
        opening.root(leaves, hash).map(H256)
    }
}

/// Bytes of a leaf of a trace; none if there is no such leaf.
pub(crate) fn leaf_length(layout: &Layout, index: u64) -> Option<usize> {
    let leaf = layout.leaf(index)?;
    let elements = usize::try_from(leaf.elements).ok()?;
    elements.checked_mul(leaf.place.row.element().bytes())
}

/// Element `element` of a leaf of a trace.
pub(crate) fn value_in(layout: &Layout, index: u64, bytes: &[u8], element: u32) -> Option<i64> {
    let leaf = layout.leaf(index)?;
    let place = usize::try_from(element).ok()?;
    leaf.place.row.element().at(bytes, place)
}

impl<T: Config> Pallet<T> {
    /// What the trace of token `position` of an answer looks like.
    pub(crate) fn layout(header: &HeaderOf<T>, position: u32) -> Result<Layout, Error<T>> {
        Self::layout_of(&Self::parts(&header.listing)?, header, position)
    }

    fn parts(listing: &ListingId) -> Result<ModelParts, Error<T>> {
        T::Catalogue::parts(listing).ok_or(Error::<T>::UnknownListing)
    }

    fn layout_of(
        parts: &ModelParts,
        header: &HeaderOf<T>,
        position: u32,
    ) -> Result<Layout, Error<T>> {
        let shape = Shape::try_from(&parts.spec).map_err(|_| Error::<T>::NotExact)?;
        Layout::of(&shape, header, position).map_err(|_| Error::<T>::NoTrace)
    }

    /// Judge one step of a dispute by its provider's proof; says also what the step is computed by.
    pub(crate) fn judge(
        record: &DisputeRecordOf<T>,
        step: &StepRecord,
        proof: &[u8],
    ) -> Result<(Operator, Judgement), Error<T>> {
        let Question::Token {
            position,
            header,
            randomness,
            ..
        } = &record.question
        else {
            return Err(Error::<T>::OtherMoveExpected);
        };
        let receipt = &record.receipt;
        let parts = Self::parts(&header.listing)?;
        let layout = Self::layout_of(&parts, header, *position)?;
        let trace = Traces::<T>::get(Self::hash_of(receipt), position);
        let roots = Roots {
            trace: trace.ok_or(Error::<T>::NoTrace)?.root.0,
            prompt: header.prompt_root.0,
            output: receipt.output_root.0,
            tables: parts.tables.0,
            weights: parts.weights_root.0,
            salted: Self::is_salted(&record.claim),
            output_len: receipt.output_len,
        };
        let cell = layout.cell(step.leaf, step.element);
        let cell = cell.ok_or(Error::<T>::ChoiceOutOfBounds)?;
        let target = Target {
            cell,
            value: step.value,
            parts: step
                .parts
                .iter()
                .map(|part| Part {
                    index: part.index,
                    value: part.value,
                })
                .collect(),
        };
        let case = Case {
            layout,
            seed: header.seed(&receipt.header, randomness),
        };
        let proof = Proof::decode_all(&mut &proof[..]).map_err(|_| Error::<T>::InvalidProof)?;
        let ruling = check_step(&case, &roots, &target, &proof, hash);
        let judgement = match ruling.map_err(|_| Error::<T>::InvalidProof)? {
            Ruling::Holds => Judgement::Holds,
            Ruling::Refuted => Judgement::Refuted,
            Ruling::Parts => {
                let parts = BoundedVec::try_from(proof.parts);
                Judgement::Parts(parts.map_err(|_| Error::<T>::InvalidProof)?)
            }
            Ruling::Broken(_) => Judgement::Broken(header.listing),
        };
        Ok((cell.place.row.operator(), judgement))
    }
}
