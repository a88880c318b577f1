//! The sizes that a call's slices have in common. Every backend asks here first: what reads through
//! pointers relies on it.

use crate::leaf::PAGE;

/// Of `linear`.
pub struct Linear {
    pub tokens: usize,
    pub rows: usize,
}

pub fn linear(q: &[i16], weights: &[i8], inputs: usize, sums: &[i64]) -> Linear {
    let shape = Linear {
        tokens: whole(q.len(), inputs),
        rows: whole(weights.len(), inputs),
    };
    same(sums.len(), shape.rows, shape.tokens);
    shape
}

/// Of `scores` and `mix`.
pub struct Attention {
    /// Queries, or rows of weights.
    pub rows: usize,
    pub positions: usize,
}

pub fn scores(q: &[i16], pages: &[i8], d: usize, out: &[i32]) -> Attention {
    let shape = Attention {
        rows: whole(q.len(), d),
        positions: positions(pages, d),
    };
    assert!(d.is_multiple_of(2) && d <= 512, "a head of {d} dimensions");
    same(out.len(), shape.rows, shape.positions);
    shape
}

pub fn mix(w: &[i16], pages: &[i8], d: usize, out: &[i64]) -> Attention {
    let shape = Attention {
        rows: whole(out.len(), d),
        positions: positions(pages, d),
    };
    same(w.len(), shape.rows, shape.positions);
    shape
}

fn positions(pages: &[i8], d: usize) -> usize {
    let positions = whole(pages.len(), d);
    assert!(
        positions.is_multiple_of(PAGE),
        "{positions} positions are not pages"
    );
    positions
}

fn whole(length: usize, row: usize) -> usize {
    let rows = length.checked_div(row).unwrap_or(0);
    same(length, rows, row);
    rows
}

fn same(length: usize, rows: usize, columns: usize) {
    assert!(
        rows.checked_mul(columns) == Some(length),
        "{length} numbers are not {rows} rows of {columns}"
    );
}
