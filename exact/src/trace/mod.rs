//! The trace of an answer, and the check of one step of it (docs/dispute.md): what a judge needs to
//! tell whether one number follows from those before it.
//!
//! # Terminology
//!
//! * **Operator**: what the elements of a row are computed by ([`Operator`]).
//! * **Row**: one operator's output at one position, or what its elements share ([`Row`]).
//! * **Place**: a row at a position, in a layer.
//! * **Cell**: one element of a row at a place.
//! * **Leaf**: up to 256 bytes of one row, hashed together; the [`Layout`] numbers them.
//! * **Part**: the sum or maximum of some blocks of a cell's long reduction.
//! * **Step**: a cell or a part, and the numbers that it is computed from.
//! * **Target**: the step that is in question.
//! * **Opening**: leaves of a tree, and what leads from them to its root.
//!
//! # Where to read
//!
//! [`check_step`] verifies a proof's openings and then lets [`rule`] compute the target from them; the
//! files of `element` say what each row's elements read. [`prove`] runs the same code on a trace and
//! opens what it read. With the feature `std`, `Trace` computes any part of a trace with the engine, and
//! `Cost` says what a dispute over one costs.

mod case;
#[cfg(feature = "std")]
mod cost;
mod element;
mod finding;
mod layout;
pub mod levels;
#[cfg(any(feature = "std", feature = "runtime-benchmarks"))]
pub mod made;
pub mod opening;
mod operator;
mod place;
mod proof;
mod prove;
mod reader;
#[cfg(feature = "std")]
mod record;
mod reduction;
mod row;
mod source;
mod step;

pub use self::{
    case::Case,
    layout::{Layout, LayoutError},
    opening::{Digest, Hash, Opening},
    operator::Operator,
    place::{Cell, Leaf, Place, Run, Span},
    proof::{check_step, Proof, ProofError, Roots, Tensors, Tree},
    prove::{prove, Reads, Recorder, Trees},
    row::{pair, unpair, Element, Extent, Row, LEAF_BYTES},
    source::{Fault, Source},
    step::{parts, rule, Part, Ruling, StepError, Target},
};
#[cfg(feature = "std")]
pub use self::{
    cost::Cost,
    record::{Answered, Trace, TraceError},
};

#[cfg(all(test, feature = "std"))]
mod tests;
