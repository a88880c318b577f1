//! The sums of products that an engine spends its time on, for each instruction set. Every
//! backend gives the same bits: these are sums of integers that cannot overflow (format page §8).
//!
//! # Layouts
//!
//! * **Activations**, **queries**: rows of i16, one after the other.
//! * **Weights**: rows of i8 as they lie in the model's file.
//! * **Keys**: pages of 16 positions, \[d/2\]\[16\]\[2\]: pair of dimensions, position, which of the two.
//! * **Values**: pages of 16 positions, \[8\]\[d\]\[2\]: pair of positions, dimension, which of the two.
//! * **Attention weights**: rows of i16, one for each position of the pages.
//!
//! Every backend multiplies pairs and adds the two products at once, so what it pairs lies together.

use core::{fmt, str::FromStr};

#[cfg(target_arch = "x86_64")]
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod linear;
mod portable;
mod shape;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vector;

/// Pairs of products that an i32 surely holds: 256 · 2 · 32767 · 128 = 2^31 - 2^16.
const PAIRS: usize = 256;

/// An instruction set that a run can use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// Whatever the compiler may assume.
    Portable,
    /// AVX2.
    Avx2,
    /// AVX-512 F, BW and VNNI.
    Avx512,
}

/// Why a backend cannot be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BackendError {
    /// No backend has this name.
    #[error("{0:?} is no backend: choose one of {names}", names = available())]
    Unknown(String),
    /// This machine lacks the instructions.
    #[error("this machine has no {0}: choose one of {names}", names = available())]
    Unavailable(Backend),
}

fn available() -> String {
    let names = Backend::ALL
        .iter()
        .filter(|backend| backend.is_available())
        .map(Backend::to_string);
    names.collect::<Vec<_>>().join(", ")
}

impl Backend {
    /// All backends, slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// Whether this machine can run it.
    pub fn is_available(self) -> bool {
        Kernels::of(self).is_ok()
    }

    /// The fastest that this machine can run.
    pub fn best() -> Self {
        let mut fastest_first = Self::ALL.into_iter().rev();
        fastest_first
            .find(|backend| backend.is_available())
            .unwrap_or(Self::Portable)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Backend {
    type Err = BackendError;

    fn from_str(name: &str) -> Result<Self, BackendError> {
        let mut all = Self::ALL.into_iter();
        all.find(|backend| backend.name() == name)
            .ok_or_else(|| BackendError::Unknown(name.into()))
    }
}

/// The functions whose speed matters, for one instruction set.
///
/// They panic when the lengths of their slices contradict each other.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    /// `linear(q, weights, inputs, sums)`: `sums[row * tokens + token] = Σ_i q[token][i] · w[row][i]`.
    ///
    /// `q` holds rows of `inputs` activations, |q| ≤ 32512, and `weights` rows of as many weights:
    /// any part of a matrix. A call puts the activations in the order that it needs, which should be
    /// little beside the work: 128 rows or more where tokens are many. Up to 8 tokens, every weight is
    /// read once.
    pub linear: fn(q: &[i16], weights: &[i8], inputs: usize, sums: &mut [i64]),
    /// `scores(q, pages, d, out)`: `out[query * positions + position] = Σ_i q[query][i] · k[position][i]`.
    ///
    /// `q` holds rows of `d` ≤ 512, even, |q| ≤ 32512, and `pages` the pages of keys.
    pub scores: fn(q: &[i16], pages: &[i8], d: usize, out: &mut [i32]),
    /// `mix(w, pages, d, out)`: adds `Σ_j w[row][j] · v[j][i]` to `out[row * d + i]`.
    ///
    /// `w` holds rows of attention weights, 0 to 32767, and `pages` the pages of values.
    pub mix: fn(w: &[i16], pages: &[i8], d: usize, out: &mut [i64]),
}

impl Kernels {
    /// The functions of a backend, if this machine can run them.
    pub fn of(backend: Backend) -> Result<Self, BackendError> {
        let kernels = match backend {
            Backend::Portable => Some(portable::KERNELS),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => avx2::kernels(),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => avx512::kernels(),
            #[cfg(not(target_arch = "x86_64"))]
            Backend::Avx2 | Backend::Avx512 => None,
        };
        kernels.ok_or(BackendError::Unavailable(backend))
    }
}
