//! `rms_norm` against `op::norm`.

use assay_cuda::kernels::{layout::padded_line, Gamma, Norm, Width};
use assay_exact::{model, op::norm, Scale, Shape};

use crate::{
    cache,
    cases::{Numbers, KINDS, WIDTHS},
    judge::files::{read as vectors, scale, NormQuant},
    machine::{each, limbs, read, read_scales, Machine},
};

fn shape(width: usize, eps40: u32, fraction_bits: u8) -> Shape {
    Shape {
        hidden: width as u32,
        fraction_bits,
        eps40,
        ..cache::shape(1, 1, 1, 2)
    }
}

/// Activations as they lie there, and scales, of the picked rows.
fn run(
    machine: &Machine,
    shape: &Shape,
    (exponent, gamma): (i32, &[i32]),
    x: &[i32],
    picked: Option<&[u32]>,
) -> (Vec<i8>, Vec<Scale>) {
    let rows = picked.map_or(x.len() / gamma.len(), <[u32]>::len);
    let (x, entries) = (machine.of(x), machine.of(gamma));
    let list = picked.map(|picked| machine.of(picked));
    let activations = machine.room::<i8>(rows * 2 * padded_line(shape.hidden) as usize);
    let scales = machine.room::<i32>(2 * rows);
    let launch = Norm {
        rows: rows as u32,
        residual: x.address(),
        picked: list.as_ref().map_or(0, |list| list.address()),
        gamma: Gamma {
            entries: entries.address(),
            exponent,
        },
        width: Width::hidden(shape),
        activations: activations.address(),
        scales: scales.address(),
    };
    machine.run(launch.launch());
    (read(&activations), read_scales(&scales))
}

#[test]
fn norms_give_the_conformance_vectors() {
    each(|machine| {
        for (number, case) in vectors::<NormQuant>().iter().enumerate() {
            let shape = shape(case.x.len(), case.eps40, case.fraction_bits);
            let gamma = (case.gamma_exponent, case.gamma.as_slice());
            let found = run(machine, &shape, gamma, &case.x, None);
            let activations = limbs(&case.q, padded_line(shape.hidden));
            assert_eq!(
                found,
                (activations, vec![scale(case.scale)]),
                "case {number}"
            );
        }
    });
}

#[test]
fn norms_of_several_rows_are_those_of_each() {
    each(|machine| {
        let mut numbers = Numbers::new(1);
        for (index, width) in WIDTHS.into_iter().chain([511, 513, 2000]).enumerate() {
            let shape = shape(
                width,
                numbers.of(&[1, 11, 1 << 30]),
                numbers.of(&[8, 16, 20]),
            );
            let exponent = numbers.of(&[-64, -22, 31]);
            let entries = numbers.gamma(width, index % 3);
            let x: Vec<i32> = (0..KINDS)
                .flat_map(|kind| numbers.row32(width, kind))
                .collect();
            // Not in order, one twice, and not all.
            for picked in [None, Some([5u32, 0, 3, 3].as_slice())] {
                let found = run(machine, &shape, (exponent, &entries), &x, picked);
                let all: Vec<u32> = (0..KINDS as u32).collect();
                let (mut activations, mut scales) = (Vec::new(), Vec::new());
                for row in picked.unwrap_or(&all) {
                    let x = &x[*row as usize * width..][..width];
                    let gamma = model::Gamma {
                        exponent,
                        entries: &entries,
                    };
                    let mut q = vec![0; width];
                    scales.push(norm::row(x, gamma, &norm::Width::hidden(&shape), &mut q).unwrap());
                    activations.extend(limbs(&q, padded_line(shape.hidden)));
                }
                assert_eq!(found, (activations, scales), "width {width}");
            }
        }
    });
}

#[test]
fn roots_have_all_their_digits() {
    each(|machine| {
        // Rows of one element whose scale is another one where the root is smaller by one, of a square
        // and of another number, whose digits are an odd number.
        for (x, entry, eps40, fraction_bits, mantissa) in [
            (3_109_193, 9_264_269, 1, 8, 36_473),
            (15_871, 1_447_564, 189_440, 16, 45_592),
        ] {
            let shape = shape(1, eps40, fraction_bits);
            let (_, scales) = run(machine, &shape, (0, &[entry]), &[x], None);
            let gamma = model::Gamma {
                exponent: 0,
                entries: &[entry],
            };
            let width = norm::Width::hidden(&shape);
            assert_eq!(scales, [norm::row(&[x], gamma, &width, &mut [0]).unwrap()]);
            assert_eq!(scales[0].mantissa, mantissa);
        }
    });
}

#[test]
fn a_norm_of_the_largest_width_does_not_overflow() {
    each(|machine| {
        let shape = shape(1 << 14, 1 << 30, 20);
        let entries = vec![-((1 << 24) - 1); 1 << 14];
        for x in [i32::MIN, i32::MAX, 1] {
            let row = vec![x; 1 << 14];
            let found = run(machine, &shape, (31, &entries), &row, None);
            let gamma = model::Gamma {
                exponent: 31,
                entries: &entries,
            };
            let mut q = vec![0; 1 << 14];
            let scale = norm::row(&row, gamma, &norm::Width::hidden(&shape), &mut q).unwrap();
            assert_eq!(found, (limbs(&q, 1 << 14), vec![scale]));
        }
    });
}
