//! Running a launch: blocks one after another, the warps of a block in turns, the lanes of a warp together.

mod access;
mod arithmetic;
mod barrier;
mod block;
mod collective;
mod copies;
mod group;
pub(crate) mod launch;
mod matrix;
mod shared;
mod step;
mod warp;
