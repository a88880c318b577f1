//! `linear_*` against `op::linear`.

use assay_cuda::kernels::{layout::padded_line, Linear, Matrix};
use assay_exact::{
    model::{self, Row},
    op::linear,
    Scale,
};

use crate::{
    cases::Numbers,
    judge::files::{self, row, scale},
    machine::{each, read, Machine},
};

/// A matrix, and some tokens' activations.
struct Case {
    inputs: usize,
    weights: Vec<i8>,
    rows: Vec<Row>,
    q: Vec<Vec<i16>>,
    scales: Vec<Scale>,
    fraction_bits: u8,
    /// To which the outputs are added.
    residual: Option<Vec<i32>>,
}

impl Case {
    fn random(numbers: &mut Numbers, inputs: usize, outputs: usize, tokens: usize) -> Self {
        let kind = numbers.draw() as usize % 3;
        let parameters = |n: &mut Numbers| Row {
            mantissa: n.mantissa(),
            exponent: n.of(&[-96, -40, -30, -24, -20, 31]),
            bias: n.of(&[0, 0, 77, -5, i32::MAX, i32::MIN]),
        };
        let scales = |n: &mut Numbers| match n.mantissa() {
            0 => Scale::ZERO,
            mantissa => Scale {
                mantissa,
                exponent: n.of(&[-60, -30, -24, -20, -10]),
            },
        };
        let activations = |n: &mut Numbers| n.activations(inputs, kind);
        Self {
            inputs,
            weights: numbers.weights(inputs * outputs, kind),
            rows: numbers.list(outputs, parameters),
            q: numbers.list(tokens, activations),
            scales: numbers.list(tokens, scales),
            fraction_bits: numbers.of(&[8, 16, 20]),
            residual: numbers
                .draw()
                .is_multiple_of(2)
                .then(|| numbers.row32(tokens * outputs, 2)),
        }
    }

    fn expected(&self) -> Vec<i32> {
        let matrix = model::Matrix {
            inputs: self.inputs,
            weights: &self.weights,
            rows: &self.rows,
        };
        let (q, bits) = (self.q.concat(), self.fraction_bits);
        match self.residual.clone() {
            Some(mut out) => {
                linear::rows_added(&q, &self.scales, &matrix, bits, &mut out).unwrap();
                out
            }
            None => {
                let mut out = vec![0; self.rows.len() * self.q.len()];
                linear::rows(&q, &self.scales, &matrix, bits, &mut out).unwrap();
                out
            }
        }
    }

    /// What the device gives, and the kernel that it took.
    fn run(&self, machine: &Machine, multiprocessors: u32) -> (Vec<i32>, &'static str) {
        let stride = padded_line(self.inputs as u32);
        let lines = self.weights.chunks_exact(self.inputs).flat_map(|line| {
            let padding = stride as usize - line.len();
            line.iter().copied().chain(std::iter::repeat_n(0, padding))
        });
        let parameters = self.rows.iter().flat_map(|row| {
            let bias = [row.bias as u16, (row.bias >> 16) as u16];
            [row.mantissa, row.exponent as u16, bias[0], bias[1]]
        });
        let weights = machine.of(&lines.collect::<Vec<_>>());
        let parameters = machine.of(&parameters.collect::<Vec<_>>());
        let activations = machine.activations(&self.q, stride);
        let scales = machine.scales(&self.scales);
        let out = match &self.residual {
            Some(residual) => machine.of(residual),
            None => machine.room::<i32>(self.rows.len() * self.q.len()),
        };
        let launch = Linear {
            rows: self.q.len() as u32,
            matrix: Matrix {
                weights: weights.address(),
                parameters: parameters.address(),
                inputs: self.inputs as u32,
                outputs: self.rows.len() as u32,
            },
            activations: activations.address(),
            scales: scales.address(),
            fraction_bits: self.fraction_bits,
            added: self.residual.is_some(),
            out: out.address(),
        }
        .launch(multiprocessors, machine.shared);
        let kernel = launch.kernel;
        machine.run(launch);
        (read(&out), kernel)
    }

    fn check(&self, machine: &Machine, multiprocessors: u32, kernel: &str) {
        let (found, taken) = self.run(machine, multiprocessors);
        assert_eq!(taken, kernel);
        let (inputs, outputs, tokens) = (self.inputs, self.rows.len(), self.q.len());
        assert!(
            found == self.expected(),
            "{kernel}: {inputs} inputs, {outputs} outputs, {tokens} rows"
        );
    }
}

fn stream(tokens: usize) -> &'static str {
    match tokens {
        0..=4 => "linear_stream_4",
        5..=8 => "linear_stream_8",
        _ => "linear_stream_16",
    }
}

#[test]
fn linear_maps_give_the_conformance_vectors() {
    each(|machine| {
        for (number, case) in files::read::<files::Linear>().iter().enumerate() {
            let mut own = Case {
                inputs: case.q.len(),
                weights: case.weights.concat(),
                rows: case.rows.iter().copied().map(row).collect(),
                q: vec![case.q.clone()],
                scales: vec![scale(case.scale)],
                fraction_bits: case.fraction_bits,
                residual: None,
            };
            assert_eq!(own.run(machine, 1).0, case.y, "case {number}");
            own.residual = Some(case.residual.clone());
            assert_eq!(own.run(machine, 1).0, case.added, "case {number}");
            // Once more among many rows.
            own.q = vec![case.q.clone(); 17];
            own.scales = vec![scale(case.scale); 17];
            own.residual = Some(case.residual.repeat(17));
            assert_eq!(
                own.run(machine, 9).0,
                case.added.repeat(17),
                "case {number}"
            );
        }
    });
}

#[test]
fn few_rows_stream_the_weights() {
    each(|machine| {
        let mut numbers = Numbers::new(3);
        for tokens in [1, 2, 3, 4, 5, 7, 8, 9, 13, 16] {
            for (inputs, outputs) in [(1, 1), (63, 17), (65, 15), (257, 33), (2100, 16)] {
                let case = Case::random(&mut numbers, inputs, outputs, tokens);
                case.check(machine, 132, stream(tokens));
            }
        }
    });
}

#[test]
fn many_rows_are_multiplied_in_tiles() {
    each(|machine| {
        let mut numbers = Numbers::new(4);
        for (tokens, inputs, outputs) in [
            (17, 1, 1),
            (17, 64, 63),
            (63, 130, 65),
            (64, 257, 64),
            (65, 320, 130),
            (130, 449, 3),
        ] {
            let case = Case::random(&mut numbers, inputs, outputs, tokens);
            case.check(machine, 132, "linear_tile_narrow");
        }
        for (tokens, inputs, outputs) in [
            (17, 1, 1),
            (127, 65, 127),
            (128, 256, 128),
            (129, 321, 129),
            (257, 70, 260),
        ] {
            let case = Case::random(&mut numbers, inputs, outputs, tokens);
            // Turing has no room for the larger tile.
            let kernel = match machine.shared {
                ..98_304 => "linear_tile_narrow",
                _ => "linear_tile_wide",
            };
            case.check(machine, 1, kernel);
        }
    });
}

#[test]
fn tiles_meet_in_no_bank() {
    each(|machine| {
        for multiprocessors in [1, 132] {
            let case = Case::random(&mut Numbers::new(10), 384, 128, 128);
            case.run(machine, multiprocessors);
        }
        assert_eq!(machine.counts().bank_conflicts, 0);
    });
}

#[test]
fn the_longest_rows_do_not_overflow() {
    each(|machine| {
        for (tokens, kernel) in [(1, "linear_stream_4"), (17, "linear_tile_narrow")] {
            // The largest sums of either sign: of the high limbs, and of the low ones, of which 32384 has
            // the smallest and 127 the largest. A weight of -128 is outside the format, and must do no
            // harm.
            for (q, weight) in [
                (32512, 127),
                (-32512, 127),
                (32384, -127),
                (127, -127),
                (-32512, -128),
            ] {
                let inputs = 1 << 16;
                let case = Case {
                    inputs,
                    weights: vec![weight; inputs],
                    rows: vec![Row {
                        mantissa: u16::MAX,
                        exponent: -40,
                        bias: 1,
                    }],
                    q: vec![vec![q; inputs]; tokens],
                    scales: vec![
                        Scale {
                            mantissa: u16::MAX,
                            exponent: -24,
                        };
                        tokens
                    ],
                    fraction_bits: 16,
                    residual: None,
                };
                if weight == -128 {
                    case.run(machine, 132);
                } else {
                    case.check(machine, 132, kernel);
                }
            }
        }
    });
}

#[test]
fn a_stream_reads_every_weight_once() {
    each(|machine| {
        let (inputs, outputs) = (1088, 64);
        let case = Case::random(&mut Numbers::new(5), inputs, outputs, 1);
        let before = machine.counts().global_loaded;
        case.run(machine, 132);
        let read = machine.counts().global_loaded - before;
        let weights = (inputs * outputs) as u64;
        // Beside them, a block of 16 outputs reads 8 columns of activations, from a cache.
        let activations = (8 * inputs * outputs.div_ceil(16)) as u64;
        let parameters = (outputs * 20) as u64;
        assert!(
            read >= weights && read <= weights + activations + parameters,
            "{read}"
        );
    });
}
