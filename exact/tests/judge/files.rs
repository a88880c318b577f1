//! What the files in `vectors/` hold. The page beside them, README.md, has the formulas' sections;
//! the names are those of the format page.

use alloc::{string::String, vec::Vec};
use core::fmt::Debug;

use assay_exact::{
    model::Row,
    op::rotary::Angle,
    shape::{Rotary, Scaling, Shape},
    Scale,
};
#[cfg(not(target_arch = "wasm32"))]
use serde::{Deserialize, Serialize};

use super::bytes::{record, Bytes};

/// A scale, as mantissa and exponent.
pub type Pair = (u16, i32);
/// Mantissa, exponent and bias of an output row.
pub type Parameters = (u16, i16, i32);
/// Weights and row parameters.
pub type Map = (Vec<Vec<i8>>, Vec<Parameters>);
/// Exponent and entries of a norm.
pub type Norm = (i32, Vec<i32>);

pub fn pair(scale: Scale) -> Pair {
    (scale.mantissa, scale.exponent)
}

pub fn scale((mantissa, exponent): Pair) -> Scale {
    Scale { mantissa, exponent }
}

pub fn row((mantissa, exponent, bias): Parameters) -> Row {
    Row {
        mantissa,
        exponent,
        bias,
    }
}

pub fn angle((cos, sin): (i32, i32)) -> Angle {
    Angle { cos, sin }
}

/// One line of a file: inputs, and what comes out.
pub trait Case: Clone + PartialEq + Debug + Bytes {
    /// The file's name.
    const NAME: &'static str;
    /// The case with empty outputs.
    fn inputs(&self) -> Self;
}

/// The file of a case.
#[cfg(not(target_arch = "wasm32"))]
pub fn path<C: Case>() -> std::path::PathBuf {
    // The other package that includes this stands beside this one.
    std::path::Path::new("../exact/vectors")
        .join(C::NAME)
        .with_extension("json")
}

/// All cases of a file.
#[cfg(not(target_arch = "wasm32"))]
pub fn read<C: Case + serde::de::DeserializeOwned>() -> Vec<C> {
    let path = path::<C>();
    let written = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&written).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Records with the same fields in JSON and in bytes.
macro_rules! records {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $($(#[$doc])*
        #[derive(Clone, PartialEq, Debug)]
        #[cfg_attr(not(target_arch = "wasm32"), derive(Serialize, Deserialize))]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        record!($name { $($field),* });)*
    };
}

macro_rules! cases {
    ($($type:ident $name:literal gives $($output:ident),+;)*) => {
        $(impl Case for $type {
            const NAME: &'static str = $name;

            fn inputs(&self) -> Self {
                Self {
                    $($output: Default::default(),)*
                    ..self.clone()
                }
            }
        })*
    };
}

cases! {
    Embed "embed" gives x;
    NormQuant "norm_quant" gives q, scale;
    Quant "quant" gives q16, scale16, q8, scale8;
    Linear "linear" gives y, added;
    HeadNorm "head_norm" gives y;
    Rope "rope" gives angles, y;
    Attention "attention" gives scores, maxima, denominator, weights, out;
    SiluMul "silu_mul" gives q, scale;
    Candidates "candidates" gives weights, distances;
    Choice "sampling" gives token;
    Whole "model" gives last, logits;
}

records! {
    Embed {
        fraction_bits: u8,
        high: Vec<i8>,
        low: Vec<i8>,
        row: Parameters,
        columns: Vec<i8>,
        x: Vec<i32>,
    }

    NormQuant {
        eps40: u32,
        fraction_bits: u8,
        gamma_exponent: i32,
        x: Vec<i32>,
        gamma: Vec<i32>,
        q: Vec<i16>,
        scale: Pair,
    }

    Quant {
        /// Q16.
        x: Vec<i32>,
        q16: Vec<i16>,
        scale16: Pair,
        q8: Vec<i8>,
        scale8: Pair,
    }

    Linear {
        fraction_bits: u8,
        q: Vec<i16>,
        scale: Pair,
        weights: Vec<Vec<i8>>,
        rows: Vec<Parameters>,
        y: Vec<i32>,
        residual: Vec<i32>,
        added: Vec<i32>,
    }

    HeadNorm {
        eps40: u32,
        gamma_exponent: i32,
        x: Vec<i32>,
        gamma: Vec<i32>,
        y: Vec<i32>,
    }

    Rope {
        /// (cos, sin) of the position's rows in both tables, Q30.
        low: Vec<(i32, i32)>,
        high: Vec<(i32, i32)>,
        x: Vec<i32>,
        angles: Vec<(i32, i32)>,
        y: Vec<i32>,
    }

    Attention {
        q: Vec<i16>,
        /// Of the quantised query, before log2(e)/sqrt(d).
        scale: Pair,
        keys: Vec<Vec<i8>>,
        key_scales: Vec<Pair>,
        values: Vec<Vec<i8>>,
        value_scales: Vec<Pair>,
        /// s, log2 units in Q16.
        scores: Vec<i32>,
        /// S and U.
        maxima: (i32, i64),
        /// D, Q30.
        denominator: i64,
        /// w.
        weights: Vec<i16>,
        out: Vec<i32>,
    }

    SiluMul {
        gate: Vec<i32>,
        up: Vec<i32>,
        q: Vec<i16>,
        scale: Pair,
    }

    Candidates {
        temperature: u32,
        /// The first is the largest.
        logits: Vec<i32>,
        /// e, Q30.
        weights: Vec<i64>,
        /// x, log2 units in Q16.
        distances: Vec<i64>,
    }

    Choice {
        temperature: u32,
        top_k: u32,
        top_p: u32,
        min_p: u32,
        penalty: u32,
        seen: Vec<u32>,
        /// All 32 bytes of the seed are this one.
        seed: u8,
        position: u32,
        logits: Vec<i32>,
        token: u32,
    }

    LayerParameters {
        input_norm: Norm,
        q: Map,
        k: Map,
        v: Map,
        q_norm: Option<Norm>,
        k_norm: Option<Norm>,
        o: Map,
        post_norm: Norm,
        gate: Map,
        up: Map,
        down: Map,
    }

    Whole {
        shape: Shape,
        embedding: Map,
        embedding_low: Vec<Vec<i8>>,
        embedding_columns: Vec<i8>,
        layers: Vec<LayerParameters>,
        final_norm: Norm,
        head: Option<Map>,
        rotary_low: Vec<i32>,
        rotary_high: Vec<i32>,
        tokens: Vec<u32>,
        /// The last position's logits.
        last: Vec<i32>,
        /// BLAKE2b-256 of all positions' logits, i32 little-endian.
        logits: String,
    }
}

record!(Shape {
    layers,
    hidden,
    intermediate,
    heads,
    kv_heads,
    head_dim,
    vocabulary,
    context,
    tied,
    biases,
    head_norms,
    fraction_bits,
    eps40,
    rotary,
});

record!(Rotary { base, scaling });

record!(Scaling {
    factor,
    low,
    high,
    original_context,
});
