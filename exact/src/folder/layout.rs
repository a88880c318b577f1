//! Where each tensor lies in `weights.bin`: a function of the shape alone.
//!
//! The tables first, then the tensors in the order of the weights root (format page §9). Each starts at a
//! multiple of 64 bytes, and zeros fill the gaps.

use std::{
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    tensor::{Form, Tensor},
    Shape,
};

/// Alignment of every tensor, in bytes: a cache line, and the widest SIMD register.
pub(crate) const ALIGNMENT: u64 = 64;

/// Tensors before those of the weights root.
pub(crate) const TABLES: usize = Tensor::TABLES.len();

/// One tensor's place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Placed {
    pub name: String,
    pub form: Form,
    pub offset: u64,
    pub bytes: u64,
}

impl Placed {
    pub fn start(&self) -> usize {
        usize::try_from(self.offset).unwrap_or(usize::MAX)
    }

    pub fn end(&self) -> usize {
        usize::try_from(self.offset.saturating_add(self.bytes)).unwrap_or(usize::MAX)
    }

    /// The tensor's bytes in the file.
    pub fn of<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        file.get(self.start()..self.end()).unwrap_or_default()
    }
}

/// All tensors of a model.
pub(crate) struct Layout {
    pub tensors: Vec<Placed>,
    /// Where the embedding's low limbs begin.
    pub low_limbs: u64,
    /// Length of the file.
    pub bytes: u64,
}

/// How many tensors a model of this shape has, without listing them.
pub(crate) fn count(shape: &Shape) -> usize {
    TABLES.saturating_add(Tensor::weights_count(shape))
}

impl Layout {
    /// The layout for a valid shape, which has less than 2^50 bytes, so that nothing here saturates.
    pub fn of(shape: &Shape) -> Self {
        let mut layout = Self {
            tensors: Vec::with_capacity(count(shape)),
            low_limbs: 0,
            bytes: 0,
        };
        for tensor in Tensor::TABLES.into_iter().chain(Tensor::weights(shape)) {
            let form = tensor.form(shape);
            let offset = layout.bytes.next_multiple_of(ALIGNMENT);
            layout.bytes = offset.saturating_add(form.bytes());
            if tensor == Tensor::EmbeddingLow {
                layout.low_limbs = offset;
            }
            layout.tensors.push(Placed {
                name: tensor.to_string(),
                form,
                offset,
                bytes: form.bytes(),
            });
        }
        layout
    }
}
