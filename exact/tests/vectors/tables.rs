//! The vectors show the tables E and B: whoever has one entry wrong in the last digit that an
//! operator can see fails a case.

use assay_exact::tables;

use crate::{
    hash,
    judge::{
        files::{self, Attention, Candidates, SiluMul},
        leaves, Judge,
    },
    Generated,
};

/// Whether these tables give some case other outputs, or none.
fn is_seen<C: Generated>(cases: &[C], exp2: &[i32], silu: &[i32]) -> bool {
    let judge = Judge {
        exp2: &leaves(exp2),
        silu: &leaves(silu),
        hash,
    };
    let fails = |case: &C| case.inputs().judged(&judge).as_ref() != Ok(case);
    // The cases that read every entry come last.
    cases.iter().rev().any(fails)
}

/// The entries that no case of a file sees changed by `step`.
fn unseen<C: Generated>(
    table: &[i32],
    step: i32,
    is_seen: impl Fn(&[C], &[i32]) -> bool,
) -> Vec<usize> {
    let cases = files::read::<C>();
    assert!(!is_seen(&cases, table), "the table as it is");
    let changed = |index: usize| {
        let mut table = table.to_vec();
        table[index] += step;
        table
    };
    (0..table.len())
        .filter(|index| !is_seen(&cases, &changed(*index)))
        .collect()
}

#[test]
fn every_entry_of_the_exp2_table_is_seen() {
    let (exp2, silu) = (tables::exp2(), tables::silu());
    for step in [-1, 1] {
        let candidates = unseen(&exp2, step, |cases: &[Candidates], exp2| {
            is_seen(cases, exp2, &silu)
        });
        assert_eq!(candidates, [0; 0], "candidates, by {step}");
        let attention = unseen(&exp2, step, |cases: &[Attention], exp2| {
            is_seen(cases, exp2, &silu)
        });
        assert_eq!(attention, [0; 0], "attention, by {step}");
    }
}

/// An entry has 28 fraction bits, of which the operator keeps 16.
#[test]
fn every_entry_of_the_silu_table_is_seen() {
    let (exp2, silu) = (tables::exp2(), tables::silu());
    let unseen = unseen(&silu, 1 << 12, |cases: &[SiluMul], silu| {
        is_seen(cases, &exp2, silu)
    });
    assert_eq!(unseen, [0; 0]);
}
