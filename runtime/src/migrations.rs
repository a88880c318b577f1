//! What this version does to the storage of the one before, once.
//!
//! There is nothing to do yet: this is the first version. docs/governance.md has the rules for the next.

#[cfg(feature = "next")]
#[path = "../../tests/upgrade/src/migration.rs"]
mod next;

/// Done in the first block that this version makes, whatever it weighs.
pub type SingleBlock = ();

/// Done step by step in the blocks after it, which have no transactions until the last step.
#[cfg(not(feature = "next"))]
// Benchmarks measure migrations of their own.
#[cfg_attr(feature = "runtime-benchmarks", allow(dead_code))]
pub type MultiBlock = ();
#[cfg(feature = "next")]
pub type MultiBlock = (next::JobsOfUsers,);
