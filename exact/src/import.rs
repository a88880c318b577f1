//! Import: from a Hugging Face folder of float weights to a model folder of the exact format
//! (format page §6).
//!
//! 1. [`config`]: `config.json` becomes a [`Shape`](crate::Shape), or is refused by name.
//! 2. [`checkpoint`]: the safetensors files, tensor by tensor, row by row.
//! 3. [`equalise`]: sizes of rows and columns, and the powers of two that they move.
//! 4. [`quantise`]: one row of floats becomes int8 weights and a scale.
//! 5. [`convert`]: all tensors in the order of the layout.
//! 6. [`huggingface()`]: the folder, under a hidden name until it is complete.
//!
//! This is the only place with floating point: f64 with `+ - * /` and exact functions of the bits, in
//! the page's order, so that every machine imports the same bytes.

mod checkpoint;
mod config;
mod convert;
mod equalise;
mod error;
mod float;
mod huggingface;
mod moved;
mod quantise;
mod writer;

pub(crate) use error::one_line;
pub use error::ImportError;
pub use huggingface::{huggingface, Imported, Progress};
