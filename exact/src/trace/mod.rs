//! The trace of an answer, and the check of one step of it (docs/dispute.md): what a judge needs to
//! tell whether one number follows from those before it.
//!
//! # Terminology
//!
//! * **Row**: one operator's output at one position, or what its elements share ([`Row`]).
//! * **Place**: a row at a position, in a layer.
//! * **Cell**: one element of a row at a place.
//! * **Leaf**: up to 256 bytes of one row, hashed together; the [`Layout`] numbers them.
//! * **Part**: the sum or maximum of one block of a cell's long reduction.
//! * **Step**: a cell or a part, and the numbers that it is computed from.

mod layout;
mod row;

pub use self::{
    layout::{Cell, Layout, LayoutError, Leaf, Place, Span},
    row::{Element, Extent, Row, LEAF_BYTES},
};
