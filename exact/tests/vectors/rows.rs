//! `embed`, `quant`, `linear`, `angles`, `rope` and `silu_mul`.

use assay_exact::{
    model::{Embedding, Matrix, Row, Tables},
    number::bits,
    op::{embed, linear, quant, rotary, silu},
    tables,
};

use crate::{
    cases::{Numbers, HEAD_WIDTHS, KINDS, WIDTHS},
    check,
    judge::files::{angle, pair, row, scale, Embed, Linear, Quant, Rope, SiluMul},
    Generated,
};

impl Generated for Embed {
    fn cases() -> Vec<Self> {
        let mut numbers = Numbers::new(3);
        let mut cases = Vec::new();
        for (index, width) in WIDTHS.into_iter().enumerate() {
            for exponent in [-96, -24, -16, 31] {
                cases.push(Self {
                    fraction_bits: [8, 16, 20][index % 3],
                    high: numbers.weights(width, index % 3),
                    low: numbers.list(width, |n| n.of(&[-128, -1, 0, 1, 127])),
                    row: (numbers.mantissa(), exponent, 0),
                    columns: numbers.list(width, |n| n.of(&[-16, -3, 0, 3, 16])),
                    x: Vec::new(),
                });
            }
        }
        cases
    }

    fn run(&mut self) {
        let embedding = Embedding {
            high: Matrix {
                inputs: self.high.len(),
                weights: &self.high,
                rows: &[row(self.row)],
            },
            low: &self.low,
            columns: &self.columns,
        };
        self.x = vec![0; self.high.len()];
        embed::row(&embedding, 0, self.fraction_bits, &mut self.x).unwrap();
    }
}

#[test]
fn embed() {
    check::<Embed>();
}

impl Generated for Quant {
    fn cases() -> Vec<Self> {
        let mut numbers = Numbers::new(4);
        let mut rows: Vec<Vec<i32>> = WIDTHS
            .into_iter()
            .flat_map(|width| (0..KINDS).map(move |kind| (width, kind)))
            .map(|(width, kind)| numbers.row32(width, kind))
            .collect();
        // Scales whose mantissa carries into the next power of two, and just does not.
        rows.push(vec![127 << 24, 5]);
        rows.push(vec![5, 1_000 - (127 << 24)]);
        rows.push(vec![(127 << 24) - 33_000]);
        rows.into_iter()
            .map(|x| Self {
                x,
                q16: Vec::new(),
                scale16: (0, 0),
                q8: Vec::new(),
                scale8: (0, 0),
            })
            .collect()
    }

    fn run(&mut self) {
        self.q16 = vec![0; self.x.len()];
        self.scale16 = pair(quant::row16(&self.x, &mut self.q16).unwrap());
        self.q8 = vec![0; self.x.len()];
        self.scale8 = pair(quant::row8(&self.x, &mut self.q8).unwrap());
    }
}

#[test]
fn quant() {
    check::<Quant>();
}

impl Linear {
    /// Outputs of 29 digits, which show the last digit of M.
    fn large(numbers: &mut Numbers, width: usize) -> Self {
        let mantissa = |numbers: &mut Numbers| numbers.within(1 << 15, u16::MAX.into()) as u16;
        let (q, scale) = (numbers.activations(width, 2), (mantissa(numbers), -24));
        let weights = numbers.list(3, |n| n.weights(width, 2));
        let parameters = |weights: &Vec<i8>| {
            let terms = q.iter().zip(weights);
            let acc: i64 = terms.map(|(q, w)| i64::from(*q) * i64::from(*w)).sum();
            // M has 23 or 24 digits, and 24 is what f = 16 adds to the exponents.
            let exponent = 29 - 24 - bits(acc) - 24 - scale.1;
            (mantissa(numbers), exponent as i16, 77)
        };
        Self {
            fraction_bits: 16,
            rows: weights.iter().map(parameters).collect(),
            q,
            scale,
            weights,
            y: Vec::new(),
            residual: numbers.row32(3, 2),
            added: Vec::new(),
        }
    }

    fn matrix<'a>(&self, weights: &'a [i8], rows: &'a [Row]) -> Matrix<'a> {
        Matrix {
            inputs: self.q.len(),
            weights,
            rows,
        }
    }
}

impl Generated for Linear {
    fn cases() -> Vec<Self> {
        let mut numbers = Numbers::new(5);
        let mut cases = Vec::new();
        let widths = WIDTHS.into_iter().chain([513, 1023, 1024, 1025]);
        for (index, width) in widths.enumerate() {
            for kind in 0..3 {
                let outputs = [1, 3, 2][(index + kind) % 3];
                cases.push(Self {
                    fraction_bits: [16, 8, 20][(index + kind) % 3],
                    q: numbers.activations(width, kind),
                    scale: (numbers.mantissa(), numbers.of(&[-128, -40, -31, -24, 60])),
                    weights: numbers.list(outputs, |n| n.weights(width, kind)),
                    rows: numbers.list(outputs, |n| {
                        let exponent = n.of(&[-96, -24, -22, -20, 31]);
                        (n.mantissa(), exponent, n.of(&[0, i32::MAX, i32::MIN, 77]))
                    }),
                    y: Vec::new(),
                    residual: numbers.row32(outputs, 2),
                    added: Vec::new(),
                });
            }
        }
        for width in [1, 17, 256, 1024, 1025] {
            cases.push(Self::large(&mut numbers, width));
        }
        cases
    }

    fn run(&mut self) {
        let weights = self.weights.concat();
        let rows: Vec<Row> = self
            .rows
            .iter()
            .map(|parameters| row(*parameters))
            .collect();
        let matrix = self.matrix(&weights, &rows);
        let scales = [scale(self.scale)];
        let (mut y, mut added) = (vec![0; rows.len()], self.residual.clone());
        linear::rows(&self.q, &scales, &matrix, self.fraction_bits, &mut y).unwrap();
        linear::rows_added(&self.q, &scales, &matrix, self.fraction_bits, &mut added).unwrap();
        (self.y, self.added) = (y, added);
    }
}

#[test]
fn linear() {
    check::<Linear>();
}

fn flat(angles: &[(i32, i32)]) -> Vec<i32> {
    angles.iter().flat_map(|(cos, sin)| [*cos, *sin]).collect()
}

impl Generated for Rope {
    fn cases() -> Vec<Self> {
        let mut numbers = Numbers::new(6);
        let mut cases = Vec::new();
        let one = 1 << 30;
        for width in HEAD_WIDTHS {
            for kind in 0..KINDS {
                let entry = |n: &mut Numbers| match kind {
                    1 => n.of(&[-one, one]),
                    2 => n.of(&[-one, 0, one]),
                    _ => n.within((-one).into(), one.into()) as i32,
                };
                cases.push(Self {
                    low: numbers.list(width / 2, |n| (entry(n), entry(n))),
                    high: numbers.list(width / 2, |n| (entry(n), entry(n))),
                    x: numbers.row32(width, kind),
                    angles: Vec::new(),
                    y: Vec::new(),
                });
            }
        }
        cases
    }

    fn run(&mut self) {
        let (low, high) = (flat(&self.low), flat(&self.high));
        let tables = Tables {
            exp2: &[],
            silu: &[],
            low: &low,
            high: &high,
        };
        let mut angles = vec![angle((0, 0)); self.low.len()];
        rotary::angles(&tables, 0, &mut angles).unwrap();
        self.angles = angles.iter().map(|angle| (angle.cos, angle.sin)).collect();
        self.y = self.x.clone();
        rotary::row(&mut self.y, &angles).unwrap();
    }
}

#[test]
fn rope() {
    check::<Rope>();
}

impl SiluMul {
    /// Gates that read every entry of the table B, with products of like size, so that the
    /// activations show the last digit of every hh.
    fn every_interval() -> Vec<Self> {
        let gates: Vec<i32> = (0..2048)
            .map(|interval| -512 * interval)
            .chain([1 - (1 << 20)])
            .collect();
        let up: Vec<i32> = tables::silu()
            .iter()
            // Q28 to the Q16 of hh.
            .map(|entry| i32::MAX / ((entry + (1 << 11)) >> 12).max(1))
            .collect();
        gates
            .chunks(257)
            .zip(up.chunks(257))
            .map(|(gate, up)| Self {
                gate: gate.to_vec(),
                up: up.to_vec(),
                q: Vec::new(),
                scale: (0, 0),
            })
            .collect()
    }
}

impl Generated for SiluMul {
    fn cases() -> Vec<Self> {
        let mut numbers = Numbers::new(7);
        let mut cases = Vec::new();
        for (index, width) in WIDTHS.into_iter().enumerate() {
            for kind in 0..KINDS {
                // Gates at the table's edges as well as of every size.
                let gate = if kind == 2 {
                    let edge = |n: &mut Numbers| {
                        let edge = n.of(&[1 << 20, 511, 512, 513, (1 << 20) - 1, 1 << 19]);
                        n.of(&[edge, -edge])
                    };
                    numbers.list(width, edge)
                } else if kind == 3 {
                    numbers.list(width, |n| n.within(-(1 << 20), 1 << 20) as i32)
                } else {
                    numbers.row32(width, kind)
                };
                cases.push(Self {
                    gate,
                    up: numbers.row32(width, 1 + (index + kind) % (KINDS - 1)),
                    q: Vec::new(),
                    scale: (0, 0),
                });
            }
        }
        cases.extend(Self::every_interval());
        cases
    }

    fn run(&mut self) {
        self.q = vec![0; self.gate.len()];
        let scale = silu::row(&self.gate, &self.up, &tables::silu(), &mut self.q);
        self.scale = pair(scale.unwrap());
    }
}

#[test]
fn silu_mul() {
    check::<SiluMul>();
}
