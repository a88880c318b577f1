//! Rows of a trace that the key-value cache holds.

// Places are below the cache's sizes, which the layout's are.
#![allow(clippy::arithmetic_side_effects)]

use crate::{
    cache::{Cache, SLAB},
    leaf::PAGE,
    number::Scale,
    trace::{Place, Row},
    Shape,
};

/// Whether it is such a row.
pub(super) fn has(row: Row) -> bool {
    use Row::*;
    matches!(
        row,
        KeyCached | KeyScale | ValueCached | ValueScale | ValuePage | ValuePageScale
    )
}

/// An element of such a row.
pub(super) fn element(cache: &Cache, shape: &Shape, place: Place, element: u64) -> i64 {
    let (d, layer) = (usize::from(shape.head_dim), usize::from(place.layer));
    let (element, position) = (element as usize, place.position as usize);
    // The head, its dimension, and the position.
    let page = position / PAGE * PAGE;
    let (head, dimension, position) = match place.row {
        Row::ValuePage => {
            let inside = element % (PAGE * d);
            (element / (PAGE * d), inside / PAGE, page + inside % PAGE)
        }
        Row::ValuePageScale => (element / PAGE, 0, page + element % PAGE),
        Row::KeyScale | Row::ValueScale => (element, 0, position),
        _ => (element / d, element % d, position),
    };
    let at = position % SLAB;
    let pages = cache.pages(position / SLAB, layer, head, at + 1);
    match place.row {
        Row::KeyCached => pages.key(d, at, dimension).into(),
        Row::KeyScale => packed(pages.key_scale(at)),
        Row::ValueScale | Row::ValuePageScale => packed(pages.value_scale(at)),
        _ => pages.value(d, at, dimension).into(),
    }
}

fn packed(scale: Scale) -> i64 {
    i64::from(scale.exponent) << 16 | i64::from(scale.mantissa)
}
