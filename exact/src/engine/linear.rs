//! Linear maps of all rows of a pass: parts of the matrices go to the threads, and what a part's sums
//! give is written at once.

// Lengths are those that `Model::check` has compared, and products of a shape's sizes.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::ops::Range;

use crate::{
    cpu::{Cpu, Parts},
    leaf::LeafError,
    model::{Matrix, Row},
    number::Scale,
    rows::Parameters,
};

/// Weights of a part where few tokens share them: long streams from memory.
const STREAM: usize = 1 << 20;
/// Most tokens of a stream.
const FEW: usize = 8;
/// Most tokens that stream after stream takes: all but the first read a part's weights from a cache.
const GROUPED: usize = 32;
/// Sums of a part where many tokens share the weights.
const SUMS: usize = 1 << 17;
/// Products of a part that is worth another thread.
const SMALL: usize = 1 << 16;

/// Quantised rows, and a scale for each.
#[derive(Clone, Copy)]
pub(super) struct Activations<'a> {
    pub numbers: &'a [i16],
    pub scales: &'a [Scale],
}

/// A matrix, and where its outputs go.
pub(super) struct Output<'a> {
    matrix: &'a Matrix<'a>,
    fraction_bits: u8,
    /// Whether the outputs are added to what is there.
    added: bool,
    /// A row for each token.
    rows: Vec<Parts<'a, i32>>,
}

impl<'a> Output<'a> {
    /// Outputs in Q16 in place of what the rows hold.
    pub fn new(matrix: &'a Matrix<'a>, rows: impl Iterator<Item = &'a mut [i32]>) -> Self {
        Self {
            matrix,
            fraction_bits: 16,
            added: false,
            rows: rows.map(Parts::new).collect(),
        }
    }

    /// Outputs that are added to the residual.
    pub fn added(
        matrix: &'a Matrix<'a>,
        fraction_bits: u8,
        residual: impl Iterator<Item = &'a mut [i32]>,
    ) -> Self {
        Self {
            fraction_bits,
            added: true,
            ..Self::new(matrix, residual)
        }
    }
}

/// One thread's room.
#[derive(Default)]
struct Scratch {
    /// \[row\]\[token\].
    sums: Vec<i64>,
    /// Eight tokens' sums, \[token\]\[row\].
    turned: Vec<i64>,
    mantissas: Vec<u32>,
    exponents: Vec<i32>,
    biases: Vec<i32>,
}

/// Outputs of several matrices that read the same activations.
pub(super) fn run<const COUNT: usize>(
    cpu: &Cpu,
    activations: Activations,
    outputs: [Output; COUNT],
) -> Result<(), LeafError> {
    let tokens = activations.scales.len();
    let mut units = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let rows = output.matrix.rows.len();
        let part = part(output.matrix, tokens, cpu.threads());
        let starts = (0..rows).step_by(part);
        units.extend(starts.map(|start| (index, start..rows.min(start + part))));
    }
    cpu.each(units.len(), Scratch::default, |scratch, unit| {
        let (index, rows) = &units[unit];
        outputs[*index].run(cpu, activations, rows.clone(), scratch)
    })
}

/// Rows of a matrix that one thread takes at a time: some for each thread, and all of one length, of
/// which a stream's are eight rows together.
fn part(matrix: &Matrix, tokens: usize, threads: usize) -> usize {
    let (rows, weights) = (matrix.rows.len(), matrix.weights.len());
    let parts = if weights * tokens < SMALL {
        1
    } else if tokens <= GROUPED {
        let again = tokens.div_ceil(FEW).min(2);
        (again * weights).div_ceil(STREAM).next_multiple_of(threads)
    } else {
        (rows * tokens).div_ceil(SUMS).next_multiple_of(threads)
    };
    rows.div_ceil(parts).next_multiple_of(8)
}

impl Output<'_> {
    fn run(
        &self,
        cpu: &Cpu,
        activations: Activations,
        rows: Range<usize>,
        scratch: &mut Scratch,
    ) -> Result<(), LeafError> {
        let (tokens, count) = (activations.scales.len(), rows.len());
        let inputs = self.matrix.inputs;
        let weights = &self.matrix.weights[rows.start * inputs..rows.end * inputs];
        let largest_exponent = scratch.read(&self.matrix.rows[rows.clone()]);
        let parameters = Parameters {
            rows: &self.matrix.rows[rows.clone()],
            mantissas: &scratch.mantissas,
            exponents: &scratch.exponents,
            biases: &scratch.biases,
            largest_exponent,
        };
        let write = if self.added {
            cpu.rows.outputs_added
        } else {
            cpu.rows.outputs
        };
        let write = |token: usize, sums: &[i64]| {
            // SAFETY: another unit has other rows of this matrix, or another matrix.
            let out = unsafe { self.rows[token].part(rows.clone()) };
            let scale = activations.scales[token];
            write(sums, parameters, scale, self.fraction_bits, out)
        };
        let group = if tokens <= GROUPED { FEW } else { tokens };
        scratch.turned.resize(8 * count, 0);
        for first in (0..tokens).step_by(group) {
            let some = group.min(tokens - first);
            let q = &activations.numbers[first * inputs..(first + some) * inputs];
            scratch.sums.resize(count * some, 0);
            (cpu.kernels.linear)(q, weights, inputs, &mut scratch.sums);
            if some == 1 {
                write(first, &scratch.sums)?;
                continue;
            }
            for eight in (0..some).step_by(8) {
                let eight = eight..some.min(eight + 8);
                turn(&scratch.sums, some, eight.clone(), &mut scratch.turned);
                for (token, sums) in eight.zip(scratch.turned.chunks_exact(count)) {
                    write(first + token, sums)?;
                }
            }
        }
        Ok(())
    }
}

impl Scratch {
    /// Puts each kind of parameters together. Gives the largest exponent of a row that is not zero.
    fn read(&mut self, rows: &[Row]) -> i32 {
        self.mantissas.clear();
        self.exponents.clear();
        self.biases.clear();
        self.mantissas
            .extend(rows.iter().map(|row| u32::from(row.mantissa)));
        self.exponents
            .extend(rows.iter().map(|row| i32::from(row.exponent)));
        self.biases.extend(rows.iter().map(|row| row.bias));
        let exponents = rows.iter().map(|row| match row.mantissa {
            0 => i32::MIN,
            _ => row.exponent.into(),
        });
        exponents.max().unwrap_or(i32::MIN)
    }
}

/// At most eight columns of `sums` as rows.
fn turn(sums: &[i64], tokens: usize, some: Range<usize>, turned: &mut [i64]) {
    let count = turned.len() / 8;
    for (row, sums) in sums.chunks_exact(tokens).enumerate() {
        match sums[some.clone()].as_array::<8>() {
            Some(sums) => {
                for (token, sum) in sums.iter().enumerate() {
                    turned[token * count + row] = *sum;
                }
            }
            None => {
                for (token, sum) in sums[some.clone()].iter().enumerate() {
                    turned[token * count + row] = *sum;
                }
            }
        }
    }
}
