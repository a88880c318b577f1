//! The demo model: the grammar that writes its text, its tokenizer, its network and its training.

pub mod corpus;
pub mod export;
mod fused;
pub mod model;
pub mod tokenizer;
pub mod train;
