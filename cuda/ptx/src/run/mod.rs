//! Running a launch: blocks one after another, the warps of a block in turns, the lanes of a warp together.

mod access;
mod arithmetic;
mod barrier;
mod block;
mod collective;
mod common;
mod control;
mod copies;
mod group;
pub(crate) mod launch;
mod matrix;
mod pending;
mod random;
pub(crate) mod setup;
mod shared;
mod step;
mod turn;
mod warp;
