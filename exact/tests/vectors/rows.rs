//! `embed`, `quant`, `linear`, `angles`, `rope` and `silu_mul`.

use assay_exact::{
    model::{Embedding, Matrix, Row, Tables},
    op::{
        self, embed, linear, quant,
        rotary::{self, Angle},
        silu,
    },
    tables,
};
use serde::{Deserialize, Serialize};

use crate::{
    cases::{Numbers, HEAD_WIDTHS, KINDS, WIDTHS},
    check, pair, row, scale, Pair, Parameters, Vector,
};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Embed {
    fraction_bits: u8,
    high: Vec<i8>,
    low: Vec<i8>,
    row: Parameters,
    columns: Vec<i8>,
    x: Vec<i32>,
}

impl Vector for Embed {
    const NAME: &'static str = "embed";

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

    fn judge(&self) {
        for (i, x) in self.x.iter().enumerate() {
            let element = embed::element(
                self.high[i],
                self.low[i],
                row(self.row),
                self.columns[i],
                self.fraction_bits,
            );
            assert_eq!(element, Ok(*x));
        }
    }
}

#[test]
fn embed() {
    check::<Embed>();
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Quant {
    /// Q16.
    x: Vec<i32>,
    q16: Vec<i16>,
    scale16: Pair,
    q8: Vec<i8>,
    scale8: Pair,
}

impl Vector for Quant {
    const NAME: &'static str = "quant";

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

    fn judge(&self) {
        let z: Vec<i64> = self.x.iter().map(|x| i64::from(*x)).collect();
        let parts: Vec<i64> = z
            .chunks(256)
            .map(|z| quant::partial_maximum(z).unwrap())
            .collect();
        let maximum = op::maximum(&parts).unwrap();
        assert_eq!(quant::scale16(maximum, 16).map(pair), Ok(self.scale16));
        assert_eq!(quant::scale8(maximum, 16).map(pair), Ok(self.scale8));
        for ((z, q16), q8) in z.iter().zip(&self.q16).zip(&self.q8) {
            assert_eq!(quant::element16(*z, maximum), Ok(*q16));
            assert_eq!(quant::element8(*z, maximum), Ok(*q8));
        }
    }
}

#[test]
fn quant() {
    check::<Quant>();
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Linear {
    fraction_bits: u8,
    q: Vec<i16>,
    scale: Pair,
    weights: Vec<Vec<i8>>,
    rows: Vec<Parameters>,
    y: Vec<i32>,
    residual: Vec<i32>,
    added: Vec<i32>,
}

impl Linear {
    fn matrix<'a>(&self, weights: &'a [i8], rows: &'a [Row]) -> Matrix<'a> {
        Matrix {
            inputs: self.q.len(),
            weights,
            rows,
        }
    }
}

impl Vector for Linear {
    const NAME: &'static str = "linear";

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

    fn judge(&self) {
        for (o, weights) in self.weights.iter().enumerate() {
            let parts: Vec<i64> = self
                .q
                .chunks(1024)
                .zip(weights.chunks(1024))
                .map(|(q, weights)| linear::partial(q, weights).unwrap())
                .collect();
            let y = linear::element(
                &parts,
                row(self.rows[o]),
                scale(self.scale),
                self.fraction_bits,
            );
            assert_eq!(y, Ok(self.y[o]));
            assert_eq!(linear::add(self.residual[o], self.y[o]), self.added[o]);
        }
    }
}

#[test]
fn linear() {
    check::<Linear>();
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Rope {
    /// (cos, sin) of the position's rows in both tables, Q30.
    low: Vec<(i32, i32)>,
    high: Vec<(i32, i32)>,
    x: Vec<i32>,
    angles: Vec<(i32, i32)>,
    y: Vec<i32>,
}

fn angle((cos, sin): (i32, i32)) -> Angle {
    Angle { cos, sin }
}

fn flat(angles: &[(i32, i32)]) -> Vec<i32> {
    angles.iter().flat_map(|(cos, sin)| [*cos, *sin]).collect()
}

impl Vector for Rope {
    const NAME: &'static str = "rope";

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

    fn judge(&self) {
        let half = self.low.len();
        for i in 0..half {
            let both = angle(self.angles[i]);
            assert_eq!(
                rotary::angle(angle(self.low[i]), angle(self.high[i])),
                Ok(both)
            );
            let (x, other) = (self.x[i], self.x[i + half]);
            assert_eq!(rotary::element_first(x, other, both), Ok(self.y[i]));
            assert_eq!(rotary::element_second(x, other, both), Ok(self.y[i + half]));
        }
    }
}

#[test]
fn rope() {
    check::<Rope>();
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct SiluMul {
    gate: Vec<i32>,
    up: Vec<i32>,
    q: Vec<i16>,
    scale: Pair,
}

impl Vector for SiluMul {
    const NAME: &'static str = "silu_mul";

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
        cases
    }

    fn run(&mut self) {
        self.q = vec![0; self.gate.len()];
        let scale = silu::row(&self.gate, &self.up, &tables::silu(), &mut self.q);
        self.scale = pair(scale.unwrap());
    }

    fn judge(&self) {
        let table = tables::silu();
        let opened = leaves(&table);
        let opened = opened.as_slice();
        let blocks = self.gate.chunks(256).zip(self.up.chunks(256));
        let parts: Vec<i64> = blocks
            .map(|(gate, up)| silu::partial_maximum(gate, up, opened).unwrap())
            .collect();
        let maximum = op::maximum(&parts).unwrap();
        assert_eq!(silu::scale(maximum).map(pair), Ok(self.scale));
        for ((gate, up), q) in self.gate.iter().zip(&self.up).zip(&self.q) {
            assert_eq!(silu::element(*gate, *up, opened, maximum), Ok(*q));
        }
    }
}

/// A table in the leaves of the format page's §9: 64 intervals, one entry shared with the next.
pub fn leaves(table: &[i32]) -> Vec<(usize, &[i32])> {
    (0..table.len() - 1)
        .step_by(64)
        .map(|first| (first, &table[first..(first + 65).min(table.len())]))
        .collect()
}

#[test]
fn silu_mul() {
    check::<SiluMul>();
}
