//! Who sees the rows of a pass as they are made: the trace of an answer.

use crate::{cache::Cache, leaf::LeafError, number::Scale, op::attention::Maxima};

/// Sees a pass of one sequence. Slices hold the rows of its tokens, one after the other.
pub(crate) trait Observer: Sync {
    /// Rows that are finished; what they were made from may be overwritten after this call.
    fn see(&self, rows: Rows) -> Result<(), LeafError>;

    /// One head's scores at one position, a slab of earlier positions at a time; called by many threads
    /// at once.
    fn attended(&self, seen: Attended, scores: &mut dyn Iterator<Item = (usize, &[i32])>);
}

/// Rows that belong together; a layer's number is first.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    /// Cosines, then sines, of each position; and the residual.
    Embedded {
        angles: &'a [i32],
        residual: &'a [i32],
    },
    /// The residual, and its activations.
    Normed(Norm, &'a [i32], Quantised<'a>),
    /// Queries, keys and values as the linear maps give them.
    Projected(usize, [&'a [i32]; 3]),
    /// What the cache has got, and the queries.
    Heads(usize, Heads<'a>, &'a Cache),
    /// Outputs of all heads, and their activations.
    Mixed(usize, &'a [i32], Quantised<'a>),
    /// The residual after attention.
    Output(usize, &'a [i32]),
    /// Gate, up, and their product's activations.
    FeedForward(usize, &'a [i32], &'a [i32], Quantised<'a>),
    /// The residual after the feed-forward layer.
    Down(usize, &'a [i32]),
    /// Logits of the last positions of the pass.
    Logits(&'a [i32]),
}

/// Which norm.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Norm {
    Input(usize),
    Post(usize),
    /// Of those positions alone whose logits are asked for.
    Final,
}

/// Activations, and a scale for each row.
#[derive(Clone, Copy)]
pub(crate) struct Quantised<'a> {
    pub activations: &'a [i16],
    pub scales: &'a [Scale],
}

/// Numbers of all heads, and a scale for each head of each row.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    /// Queries and keys as they were quantised, normed and rotated; and values.
    pub turned: [&'a [i32]; 3],
    pub queries: (&'a [i16], &'a [Scale]),
    pub keys: (&'a [i8], &'a [Scale]),
    pub values: (&'a [i8], &'a [Scale]),
}

/// One head at one position of the pass.
#[derive(Clone, Copy)]
pub(crate) struct Attended {
    pub layer: usize,
    pub row: usize,
    pub head: usize,
    pub maxima: Maxima,
    /// D.
    pub denominator: i64,
}
