//! The numeric format "exact v1": how a decoder language model is computed in integers, so that
//! every machine gets the same bits.
//!
//! *The law.* Values are rounded elementwise, never inside a reduction. A reduction is a sum or a
//! maximum of integers that cannot overflow, so it may be taken in any order, in any pieces, on any
//! hardware.
//!
//! # Terminology
//!
//! * **Qf**: an integer that stands for itself times 2^-f.
//! * **Scale**: a mantissa m and an exponent e for m · 2^e.
//! * **Row**: the numbers of one token at one place of the program, or one row of a weight matrix.
//! * **Operator**: a formula that makes one row from earlier ones; [`program`] lists them in order.
//! * **Element**: one number of a row. Every operator has, side by side, the function of one element,
//!   which a judge re-runs, and the function of a row, which an engine runs.
//! * **Leaf**: numbers of the model, or of a trace, that are authenticated together.
//!
//! # Where to read
//!
//! [`number`] has the four functions that everything is made of, [`op`] the operators, [`program`]
//! their order, [`sampling`] the choice of the next token. With the feature `std`, [`engine`] runs the
//! program on a [`cpu`], fast, or on an [`accelerator`], [`answer`] makes answers with it and checks
//! them, and [`batch`] makes those of many requests at once. [`trace`] has what a dispute over an answer is decided with. The
//! section numbers in the comments are those of the format page.
//!
//! Nothing here uses floating point but the import of weights, and nothing panics on any input.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;
#[cfg(feature = "std")]
pub mod accelerator;
#[cfg(feature = "std")]
pub mod answer;
#[cfg(feature = "std")]
pub mod batch;
#[cfg(feature = "std")]
pub mod cache;
#[cfg(feature = "std")]
pub mod cpu;
#[cfg(feature = "std")]
pub mod engine;
#[cfg(feature = "std")]
pub mod folder;
#[cfg(feature = "std")]
pub mod import;
#[cfg(feature = "std")]
pub mod kernel;
pub mod leaf;
pub mod model;
pub mod number;
pub mod op;
pub mod program;
#[cfg(feature = "std")]
pub mod random;
#[cfg(feature = "std")]
mod rows;
pub mod sampling;
pub mod shape;
pub mod tables;
pub mod tensor;
pub mod trace;

#[cfg(feature = "std")]
pub use self::{
    accelerator::Accelerator,
    batch::Batch,
    cache::Cache,
    cpu::{Cpu, CpuError},
    engine::{Engine, EngineError, Logits, Sequence},
    kernel::Backend,
};
pub use leaf::LeafError;
pub use model::Model;
pub use number::Scale;
pub use shape::{Shape, ShapeError};
