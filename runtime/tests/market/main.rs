//! The market on the whole runtime: whatever anybody calls, in whatever order, the books are kept; and
//! stories in which every planck is followed.

mod acts;
mod any;
mod blocks;
mod calls;
mod contests;
#[path = "../genesis/mod.rs"]
mod genesis;
mod plans;
mod stories;
mod views;
