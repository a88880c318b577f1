//! The kernels: CUDA C, one module, and for each what launches it.
//!
//! The files of CUDA C are parts of one source, [`source`], in the order of their names there. All of
//! it is integers. A `.cuh` file has what several kernels are made of, a `.cu` file kernels; the Rust
//! file of the same name has their launches ([`attention`] has all of attention's): each a struct of
//! addresses and numbers, and a function that gives the [`Launch`](crate::device::Launch) and does
//! nothing else. A launch depends on nothing but the fields, so launches of the same rows and sizes can
//! be put together in a graph and run again: what changes from step to step, positions and tables of
//! slabs, is in device memory.
//!
//! [`layout`] says how numbers lie there. A pass of a layer is
//!
//! | launch | reads | writes |
//! |---|---|---|
//! | [`Norm`] | residual | activations |
//! | [`Linear`] of q, k, v together | activations | rows of q, k, v |
//! | [`Heads`] | these, angles | queries; keys and values into the cache |
//! | [`AttentionMaxima`] | queries, cache | S, U of each split |
//! | [`AttentionMix`] | queries, cache, S, U | parts of D and o of each split |
//! | [`AttentionOut`] | parts | output, Q16 |
//! | [`Quantise`] | output | activations |
//! | [`Linear`] of o, added | activations | residual |
//! | [`Norm`] | residual | activations |
//! | [`Linear`] of gate, up together | activations | gates, ups |
//! | [`Silu`] | gates, ups | activations |
//! | [`Linear`] of down, added | activations | residual |
//!
//! and behind the last layer come a [`Norm`] of the rows whose logits are wanted, the [`Linear`] of the
//! head, and [`Choose`] where rows are to choose a token.
//!
//! Nothing here can fail on a number: of a model that passed `Model::check`, every number of a pass is
//! within the bounds of the format page (§8), and of others the results are some numbers, written to
//! the places where results belong. That tokens, positions, tables and lengths fit the arrays is the
//! caller's to see to.

pub mod attention;
pub mod choose;
pub mod heads;
pub mod layout;
pub mod linear;
pub mod norm;
pub mod rows;

pub use self::{
    attention::{Attention, AttentionMaxima, AttentionMix, AttentionOut, Splits, Tiles},
    choose::Choose,
    heads::Heads,
    layout::Cache,
    linear::{Linear, Matrix},
    norm::{Gamma, Norm, Width},
    rows::{Quantise, Silu},
};

/// Names and texts of the files, in the order in which they are read.
const FILES: [(&str, &str); 16] = [
    ("number.cuh", include_str!("number.cuh")),
    ("reduce.cuh", include_str!("reduce.cuh")),
    ("quant.cuh", include_str!("quant.cuh")),
    ("norm.cuh", include_str!("norm.cuh")),
    ("product.cuh", include_str!("product.cuh")),
    ("cache.cuh", include_str!("cache.cuh")),
    ("exp2.cuh", include_str!("exp2.cuh")),
    ("attention.cuh", include_str!("attention.cuh")),
    ("norm.cu", include_str!("norm.cu")),
    ("rows.cu", include_str!("rows.cu")),
    ("linear.cu", include_str!("linear.cu")),
    ("heads.cu", include_str!("heads.cu")),
    ("attention_maxima.cu", include_str!("attention_maxima.cu")),
    ("attention_mix.cu", include_str!("attention_mix.cu")),
    ("attention_out.cu", include_str!("attention_out.cu")),
    ("choose.cu", include_str!("choose.cu")),
];

/// Kernels that are compiled together.
#[derive(Clone, Debug)]
pub struct Kernels {
    /// C++17.
    pub source: String,
    pub names: &'static [&'static str],
}

/// All that a model's passes launch.
pub fn all() -> Kernels {
    Kernels {
        source: source(),
        names: &NAMES,
    }
}

/// The source of all kernels, C++17.
pub fn source() -> String {
    joined(&FILES)
}

/// Files as one source, given their names and texts: a compiler's messages name them.
pub(crate) fn joined(files: &[(&str, &str)]) -> String {
    files
        .iter()
        .map(|(name, text)| format!("#line 1 \"{name}\"\n{text}"))
        .collect()
}

/// All kernels.
pub const NAMES: [&str; 15] = [
    "rms_norm",
    "quantise",
    "silu",
    "linear_stream_4",
    "linear_stream_8",
    "linear_stream_16",
    "linear_tile_narrow",
    "linear_tile_wide",
    "heads",
    "attention_maxima_few",
    "attention_maxima_many",
    "attention_mix_few",
    "attention_mix_many",
    "attention_out",
    "choose",
];

/// Kernels that are launched where a block may ask for so many bytes of shared memory.
pub fn names(shared: u32) -> impl Iterator<Item = &'static str> {
    let fits = move |name: &&str| *name != "linear_tile_wide" || Linear::wide_fits(shared);
    NAMES.into_iter().filter(fits)
}
