//! Every row against the operator's own, at awkward sizes, at ordinary numbers and at the limits.

use super::*;
use crate::{
    model::{Row, Tables},
    op::{self, rotary::Angle},
    shape::{Rotary, Shape, PPM},
    tables,
};

const WIDTHS: [usize; 12] = [1, 2, 3, 7, 8, 9, 15, 16, 17, 64, 80, 257];

/// Splitmix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn within(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.next() % choices.len() as u64) as usize]
    }

    fn list<T>(&mut self, count: usize, mut number: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..count).map(|_| number(self)).collect()
    }

    /// A row of i32, of one of [`KINDS`] kinds.
    fn row(&mut self, count: usize, kind: usize) -> Vec<i32> {
        let extremes = [i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX];
        self.list(count, |n| match kind {
            0 => 0,
            1 => n.within(-2, 2) as i32,
            2 => n.within(-400_000, 400_000) as i32,
            3 => n.of(&extremes),
            4 => n.within(i32::MIN.into(), i32::MAX.into()) as i32,
            _ => (n.next() as i32) >> n.within(0, 31),
        })
    }

    fn mantissa(&mut self) -> u16 {
        let ordinary = self.within(1 << 15, u16::MAX.into()) as u16;
        self.of(&[0, 1 << 15, u16::MAX, ordinary, ordinary])
    }
}

const KINDS: usize = 6;

/// With the rows of every backend; what this machine lacks runs as the portable ones.
fn each_backend(mut test: impl FnMut(&Rows, &mut Numbers)) {
    for backend in Backend::ALL {
        let mut numbers = Numbers(3);
        for _ in 0..4 {
            test(&Rows::of(backend), &mut numbers);
        }
    }
}

fn width(elements: usize) -> Width {
    Width::hidden(&Shape {
        layers: 1,
        hidden: elements as u32,
        intermediate: 1,
        heads: 1,
        kv_heads: 1,
        head_dim: 2,
        vocabulary: 1,
        context: 1,
        tied: true,
        biases: false,
        head_norms: true,
        fraction_bits: 16,
        eps40: 1_099_512,
        rotary: Rotary {
            base: PPM,
            scaling: None,
        },
    })
}

fn intervals() -> Intervals {
    Intervals::new(&Tables {
        exp2: &tables::exp2(),
        silu: &tables::silu(),
        low: &[],
        high: &[],
    })
}

#[test]
fn norms() {
    let most = (1 << 24) - 1;
    each_backend(|rows, n| {
        for elements in WIDTHS {
            for kind in 0..KINDS {
                let x = n.row(elements, kind);
                let entries = n.list(elements, |n| match kind % 3 {
                    0 => n.within(-most, most) as i32,
                    1 => n.of(&[-most, 0, 1, most]) as i32,
                    _ => n.within(1 << 21, 1 << 23) as i32,
                });
                let gamma = Gamma {
                    exponent: n.of(&[-64, -23, -22, 0, 31]),
                    entries: &entries,
                };
                let width = width(elements);
                let (mut z, mut q) = (vec![0; elements], vec![0; elements]);
                let mut wanted = q.clone();
                let scale = op::norm::row(&x, gamma, &width, &mut wanted);
                assert_eq!((rows.norm)(&x, gamma, &width, &mut z, &mut q), scale);
                assert_eq!(q, wanted, "{x:?}");
                let (mut found, mut wanted) = (x.clone(), x.clone());
                op::head_norm::row(&mut wanted, gamma, &width).unwrap();
                (rows.head_norm)(&mut found, gamma, &width, &mut z).unwrap();
                assert_eq!(found, wanted, "{x:?}");
            }
        }
    });
}

#[test]
fn quantised() {
    each_backend(|rows, n| {
        for elements in WIDTHS {
            for kind in 0..KINDS {
                let x = n.row(elements, kind);
                let mut z = vec![0; elements];
                let (mut q, mut wanted) = (vec![0; elements], vec![0; elements]);
                let scale = op::quant::row16(&x, &mut wanted);
                assert_eq!((rows.quant16)(&x, &mut z, &mut q), scale);
                assert_eq!(q, wanted, "{x:?}");
                let (mut q, mut wanted) = (vec![0; elements], vec![0; elements]);
                let scale = op::quant::row8(&x, &mut wanted);
                assert_eq!((rows.quant8)(&x, &mut z, &mut q), scale);
                assert_eq!(q, wanted, "{x:?}");
                // What the cache's i8 holds.
                assert!((-128..=-7).contains(&scale.unwrap().exponent));
            }
        }
    });
}

#[test]
fn rotations() {
    let one = 1 << 30;
    each_backend(|rows, n| {
        for half in WIDTHS {
            for kind in 0..KINDS {
                let x = n.row(2 * half, kind);
                let turn = |n: &mut Numbers| match kind {
                    3 => n.of(&[-one, 0, one]) as i32,
                    _ => n.within(-one, one) as i32,
                };
                let (cos, sin) = (n.list(half, turn), n.list(half, turn));
                let angles = cos.iter().zip(&sin);
                let angles: Vec<Angle> = angles
                    .map(|(cos, sin)| Angle {
                        cos: *cos,
                        sin: *sin,
                    })
                    .collect();
                let (mut found, mut wanted) = (x.clone(), x.clone());
                op::rotary::row(&mut wanted, &angles).unwrap();
                (rows.rope)(&mut found, &cos, &sin);
                assert_eq!(found, wanted, "{x:?}");
            }
        }
    });
}

#[test]
fn gates() {
    let (table, intervals) = (tables::silu(), intervals());
    let around = |n: &mut Numbers| {
        let edge = n.of(&[0, 1 << 9, 1 << 19, 1 << 20]) + n.within(-2, 2) as i32;
        n.of(&[edge, -edge])
    };
    each_backend(|rows, n| {
        for elements in WIDTHS {
            for kind in 0..=KINDS {
                let gate = match kind {
                    KINDS => n.list(elements, around),
                    _ => n.row(elements, kind),
                };
                let up_kind = n.within(0, KINDS as i64 - 1) as usize;
                let up = n.row(elements, up_kind);
                let mut z = vec![0; elements];
                let (mut q, mut wanted) = (vec![0; elements], vec![0; elements]);
                let scale = op::silu::row(&gate, &up, &table, &mut wanted);
                assert_eq!((rows.silu)(&gate, &up, &intervals, &mut z, &mut q), scale);
                assert_eq!(q, wanted, "{gate:?} {up:?}");
            }
        }
    });
}

#[test]
fn linear_outputs() {
    let most = (32512 * 127) << 16;
    each_backend(|rows, n| {
        for count in WIDTHS {
            for kind in 0..4 {
                let sums = n.list(count, |n| match kind {
                    0 => n.of(&[-most, 0, 1, most]),
                    _ => n.within(-most, most) >> n.within(0, 38),
                });
                let exponents: &[i16] =
                    [&[-96, -24, 31][..], &[-26, -25, -24], &[-60], &[31]][kind];
                let parameters = n.list(count, |n| Row {
                    mantissa: n.mantissa(),
                    exponent: n.of(exponents),
                    bias: n.of(&[0, 0, -70_000, i32::MIN, i32::MAX]),
                });
                let mantissas: Vec<u32> =
                    parameters.iter().map(|row| row.mantissa.into()).collect();
                let exponents: Vec<i32> =
                    parameters.iter().map(|row| row.exponent.into()).collect();
                let biases: Vec<i32> = parameters.iter().map(|row| row.bias).collect();
                let used = parameters.iter().filter(|row| row.mantissa > 0);
                let of = Parameters {
                    rows: &parameters,
                    mantissas: &mantissas,
                    exponents: &exponents,
                    biases: &biases,
                    largest_exponent: used
                        .map(|row| row.exponent.into())
                        .max()
                        .unwrap_or(i32::MIN),
                };
                for exponent in [-128, -60, -50, -49, -31, -10, 0, 40] {
                    let scale = Scale {
                        mantissa: if exponent == -128 { 0 } else { n.mantissa() },
                        exponent,
                    };
                    let fraction_bits = n.of(&[8, 16, 20]);
                    let x = n.row(count, 5);
                    let each = sums.iter().zip(&parameters);
                    let wanted: Vec<i32> = each
                        .map(|(sum, row)| {
                            op::linear::output(*sum, *row, scale, fraction_bits).unwrap()
                        })
                        .collect();
                    let mut found = x.clone();
                    (rows.outputs)(&sums, of, scale, fraction_bits, &mut found).unwrap();
                    assert_eq!(found, wanted, "{sums:?} {parameters:?} {scale:?}");
                    let mut found = x.clone();
                    (rows.outputs_added)(&sums, of, scale, fraction_bits, &mut found).unwrap();
                    let added = x.iter().zip(&wanted);
                    let added: Vec<i32> = added.map(|(x, y)| op::linear::add(*x, *y)).collect();
                    assert_eq!(found, added);
                }
            }
        }
    });
}

#[test]
fn attention() {
    let (table, intervals) = (tables::exp2(), intervals());
    each_backend(|rows, n| {
        for count in WIDTHS {
            for kind in 0..5 {
                let exponents: &[i32] = [
                    &[-24, -23, -22][..],
                    &[-40, -24, -8],
                    &[-24],
                    &[-9, -8],
                    &[-30, -29],
                ][kind];
                let scales = |n: &mut Numbers| {
                    n.list(count, |n| match n.mantissa() {
                        0 => Scale::ZERO,
                        mantissa => Scale {
                            mantissa,
                            exponent: n.of(exponents),
                        },
                    })
                };
                let (keys, values) = (scales(n), scales(n));
                let most = 32512 * 127 * 512;
                let sums = n.list(count, |n| (n.within(-most, most) >> n.within(0, 31)) as i32);
                let query = Scale {
                    mantissa: n.mantissa().max(1 << 15),
                    exponent: n.of(&[-128, -31, -20, 0, 20]),
                };
                let split = |scales: &[Scale]| -> (Vec<u16>, Vec<i8>) {
                    let both = scales.iter();
                    both.map(|scale| (scale.mantissa, scale.exponent as i8))
                        .unzip()
                };
                let ((km, ke), (vm, ve)) = (split(&keys), split(&values));
                let of = |mantissas, exponents| Scales {
                    mantissas,
                    exponents,
                };
                let mut found = sums.clone();
                let maxima = (rows.scores)(&mut found, query, of(&km, &ke), of(&vm, &ve));
                let wanted: Vec<i32> = sums
                    .iter()
                    .zip(&keys)
                    .map(|(sum, key)| op::attention::score_of((*sum).into(), query, *key))
                    .collect();
                assert_eq!(found, wanted);
                let parts = wanted.chunks(256).zip(values.chunks(256));
                let parts = parts
                    .map(|(scores, values)| op::attention::partial_maxima(scores, values).unwrap());
                let all = parts.reduce(|a, b| Maxima {
                    score: a.score.max(b.score),
                    shifted: a.shifted.max(b.shifted),
                });
                assert_eq!(Some(maxima), all);
                let mut w = vec![0; count];
                let common = maxima.exponent().unwrap();
                let denominator =
                    (rows.weights)(&found, &maxima, common, of(&vm, &ve), &intervals, &mut w);
                let table = table.as_slice();
                let parts = wanted.chunks(256);
                let total: i64 = parts
                    .map(|scores| {
                        op::attention::partial_denominator(scores, &maxima, table).unwrap()
                    })
                    .sum();
                assert_eq!(denominator, total);
                for ((score, value), w) in wanted.iter().zip(&values).zip(&w) {
                    let weight = op::attention::weight(*score, *value, &maxima, table);
                    assert_eq!(Ok(*w), weight);
                }
                let most = (32767 * 127) << 20;
                let sums = n.list(count, |n| n.within(-most, most) >> n.within(0, 42));
                let mut out = vec![0; count];
                let inverse = Inverse::new(denominator, &maxima).unwrap();
                (rows.mixed)(&sums, &inverse, &mut out);
                for (sum, out) in sums.iter().zip(&out) {
                    let element = op::attention::element(&[*sum], denominator, &maxima);
                    assert_eq!(Ok(*out), element);
                }
            }
        }
    });
}
