//! Import: from float weights, as their publishers give them, to a model folder of the exact format
//! (format page §6).
//!
//! *From where.* [`huggingface()`]: a Hugging Face folder, with [`config`] for `config.json` and
//! [`safetensors`] for its weights. [`gguf()`]: a GGUF file. [`model`] takes either. Both become a
//! [`target::Source`]: a [`Shape`](crate::Shape), the files about text, and a [`checkpoint`] of tensors
//! that are read row by row ([`tensor`]).
//!
//! *To where*, the same for both:
//! 1. [`equalise`]: sizes of rows and columns, and the powers of two that they move.
//! 2. [`quantise`]: one row of floats becomes int8 weights and a scale.
//! 3. [`convert`]: all tensors in the order of the layout.
//! 4. [`target`]: the folder, under a hidden name until it is complete.
//!
//! This is the only place with floating point: f64 with `+ - * /` and exact functions of the bits, in
//! the page's order, so that every machine imports the same bytes.

mod checkpoint;
mod config;
mod convert;
mod equalise;
mod error;
mod float;
mod gguf;
mod huggingface;
mod moved;
mod quantise;
mod safetensors;
mod target;
mod tensor;
mod writer;

use std::path::Path;

pub use config::FRACTION_BITS;
pub use convert::Clamped;
pub use error::ImportError;
pub use gguf::gguf;
pub use huggingface::huggingface;
pub use target::{Imported, Progress};

/// Import `source`, a Hugging Face folder or a GGUF file, as the new model folder `target`, whose
/// residual has `fraction_bits` (8 to 20): it holds numbers below 2^(31 - fraction_bits) in size.
pub fn model(
    source: &Path,
    target: &Path,
    fraction_bits: u8,
    progress: impl FnMut(Progress<'_>),
) -> Result<Imported, ImportError> {
    target::require_free(target)?;
    let mut source = match source.is_dir() {
        true => huggingface::source(source)?,
        false => gguf::source(source)?,
    };
    source.config.set_fraction_bits(fraction_bits)?;
    target::write(source, target, progress)
}
