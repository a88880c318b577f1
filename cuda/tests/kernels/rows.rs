//! `quantise` and `silu` against `op::quant` and `op::silu`.

use assay_cuda::kernels::{layout::padded_line, Quantise, Silu};
use assay_exact::{
    op::{quant, silu},
    tables, Scale,
};

use crate::{
    cases::{Numbers, KINDS, WIDTHS},
    judge::files::{read as vectors, scale, Quant, SiluMul},
    machine::{each, limbs, read, read_scales, Machine},
};

fn quantise(machine: &Machine, x: &[i32], width: usize) -> (Vec<i8>, Vec<Scale>) {
    let (rows, width) = (x.len() / width, width as u32);
    let x = machine.of(x);
    let activations = machine.room::<i8>(rows * 2 * padded_line(width) as usize);
    let scales = machine.room::<i32>(2 * rows);
    let launch = Quantise {
        rows: rows as u32,
        width,
        numbers: x.address(),
        activations: activations.address(),
        scales: scales.address(),
    };
    machine.run(launch.launch());
    (read(&activations), read_scales(&scales))
}

/// Of rows of gates and as many ups.
fn gated(machine: &Machine, pairs: &[i32], width: usize) -> (Vec<i8>, Vec<Scale>) {
    let (rows, width) = (pairs.len() / 2 / width, width as u32);
    let (pairs, table) = (machine.of(pairs), machine.of(&tables::silu()));
    let activations = machine.room::<i8>(rows * 2 * padded_line(width) as usize);
    let scales = machine.room::<i32>(2 * rows);
    let launch = Silu {
        rows: rows as u32,
        width,
        gates_and_ups: pairs.address(),
        table: table.address(),
        activations: activations.address(),
        scales: scales.address(),
    };
    machine.run(launch.launch());
    (read(&activations), read_scales(&scales))
}

#[test]
fn quantised_rows_give_the_conformance_vectors() {
    each(|machine| {
        for (number, case) in vectors::<Quant>().iter().enumerate() {
            let width = case.x.len();
            let found = quantise(machine, &case.x, width);
            let expected = (
                limbs(&case.q16, padded_line(width as u32)),
                vec![scale(case.scale16)],
            );
            assert_eq!(found, expected, "case {number}");
        }
    });
}

#[test]
fn gated_rows_give_the_conformance_vectors() {
    each(|machine| {
        for (number, case) in vectors::<SiluMul>().iter().enumerate() {
            let width = case.gate.len();
            let pairs = [case.gate.as_slice(), &case.up].concat();
            let found = gated(machine, &pairs, width);
            let expected = (
                limbs(&case.q, padded_line(width as u32)),
                vec![scale(case.scale)],
            );
            assert_eq!(found, expected, "case {number}");
        }
    });
}

#[test]
fn several_rows_are_quantised_each_by_itself() {
    each(|machine| {
        let (mut numbers, table) = (Numbers::new(2), tables::silu());
        for width in WIDTHS.into_iter().chain([1025, 2050]) {
            let stride = padded_line(width as u32);
            let row = |kind| numbers.row32(width, kind);
            let rows: Vec<Vec<i32>> = (0..KINDS).map(row).collect();
            let found = quantise(machine, &rows.concat(), width);
            let (mut activations, mut scales, mut q) = (Vec::new(), Vec::new(), vec![0; width]);
            for row in &rows {
                scales.push(quant::row16(row, &mut q).unwrap());
                activations.extend(limbs(&q, stride));
            }
            assert_eq!(found, (activations, scales), "width {width}");

            let gates: Vec<Vec<i32>> = (0..KINDS)
                .map(|kind| match kind {
                    // Where the table is read.
                    2 => numbers.list(width, |n| n.within(-(1 << 20) - 1, (1 << 20) + 1) as i32),
                    _ => numbers.row32(width, kind),
                })
                .collect();
            let pairs = gates
                .iter()
                .zip(&rows)
                .flat_map(|(gate, up)| [gate.as_slice(), up]);
            let found = gated(machine, &pairs.collect::<Vec<_>>().concat(), width);
            let (mut activations, mut scales) = (Vec::new(), Vec::new());
            for (gate, up) in gates.iter().zip(&rows) {
                scales.push(silu::row(gate, up, &table, &mut q).unwrap());
                activations.extend(limbs(&q, stride));
            }
            assert_eq!(found, (activations, scales), "width {width}");
        }
    });
}
