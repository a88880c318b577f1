//! `norm_quant` and `head_norm`.

use assay_exact::{
    model::Gamma,
    op::{self, head_norm, norm},
    shape::{Rotary, Shape},
    Scale,
};
use serde::{Deserialize, Serialize};

use crate::{
    cases::{Numbers, HEAD_WIDTHS, KINDS, WIDTHS},
    check, pair, Pair, Vector,
};

/// A shape of which a norm reads only these.
fn shape(hidden: usize, head_dim: usize, eps40: u32, fraction_bits: u8) -> Shape {
    Shape {
        layers: 1,
        hidden: hidden as u32,
        intermediate: 1,
        heads: 1,
        kv_heads: 1,
        head_dim: head_dim as u16,
        vocabulary: 1,
        context: 1,
        tied: true,
        biases: false,
        head_norms: true,
        fraction_bits,
        eps40,
        rotary: Rotary {
            base: 10_000_000_000,
            scaling: None,
        },
    }
}

fn statistics(x: &[i32], gamma: &[i32]) -> norm::Statistics {
    let over = |block: &dyn Fn(&[i32]) -> i64| x.chunks(256).map(block).collect::<Vec<_>>();
    let maximum = op::maximum(&over(&|x| norm::partial_maximum(x).unwrap())).unwrap();
    let squares = over(&|x| norm::partial_squares(x, maximum).unwrap());
    let products: Vec<i64> = x
        .chunks(256)
        .zip(gamma.chunks(256))
        .map(|(x, gamma)| norm::partial_product(x, gamma, maximum).unwrap())
        .collect();
    norm::Statistics {
        maximum,
        squares: op::sum(&squares).unwrap(),
        product: op::maximum(&products).unwrap(),
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct NormQuant {
    eps40: u32,
    fraction_bits: u8,
    gamma_exponent: i32,
    x: Vec<i32>,
    gamma: Vec<i32>,
    q: Vec<i16>,
    scale: Pair,
}

impl Vector for NormQuant {
    const NAME: &'static str = "norm_quant";

    fn cases() -> Vec<Self> {
        let mut numbers = Numbers::new(1);
        let mut cases = Vec::new();
        for (index, width) in WIDTHS.into_iter().enumerate() {
            for kind in 0..KINDS {
                cases.push(Self {
                    eps40: [1, 1_099_512, 1 << 30][(index + kind) % 3],
                    fraction_bits: [8, 16, 20, 13][(index + kind) % 4],
                    gamma_exponent: [-64, -24, 31, -22, -24][(index + kind) % 5],
                    x: numbers.row32(width, kind),
                    gamma: numbers.gamma(width, (index + kind) % 3),
                    q: Vec::new(),
                    scale: (0, 0),
                });
            }
        }
        cases
    }

    fn run(&mut self) {
        let shape = shape(self.x.len(), 2, self.eps40, self.fraction_bits);
        self.q = vec![0; self.x.len()];
        let gamma = Gamma {
            exponent: self.gamma_exponent,
            entries: &self.gamma,
        };
        let width = norm::Width::hidden(&shape);
        self.scale = pair(norm::row(&self.x, gamma, &width, &mut self.q).unwrap());
    }

    fn judge(&self) {
        let shape = shape(self.x.len(), 2, self.eps40, self.fraction_bits);
        let statistics = statistics(&self.x, &self.gamma);
        let width = norm::Width::hidden(&shape);
        let scale = norm::scale(&statistics, self.gamma_exponent, &width);
        assert_eq!(scale.map(pair), Ok(self.scale));
        for ((x, gamma), q) in self.x.iter().zip(&self.gamma).zip(&self.q) {
            assert_eq!(norm::element(*x, *gamma, &statistics), Ok(*q));
        }
    }
}

#[test]
fn norm_quant() {
    check::<NormQuant>();
}

/// The widest residual that a shape may have, at its largest values, in both signs.
#[test]
fn the_widest_norm_stays_within_its_bounds() {
    for (x, fraction_bits) in [(i32::MIN, 20), (i32::MAX, 8), (1, 20)] {
        let x = vec![x; 1 << 14];
        let gamma = vec![(1 << 24) - 1; 1 << 14];
        let width = norm::Width::hidden(&shape(1 << 14, 2, 1 << 30, fraction_bits));
        let mut q = vec![0; 1 << 14];
        let gamma = Gamma {
            exponent: -24,
            entries: &gamma,
        };
        let scale = norm::row(&x, gamma, &width, &mut q).unwrap();
        assert_eq!(i32::from(q[0]), 32512 * x[0].signum());
        assert_ne!(scale, Scale::ZERO);
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct HeadNorm {
    eps40: u32,
    gamma_exponent: i32,
    x: Vec<i32>,
    gamma: Vec<i32>,
    y: Vec<i32>,
}

impl Vector for HeadNorm {
    const NAME: &'static str = "head_norm";

    fn cases() -> Vec<Self> {
        let mut numbers = Numbers::new(2);
        let mut cases = Vec::new();
        for (index, width) in HEAD_WIDTHS.into_iter().enumerate() {
            for kind in 0..KINDS {
                cases.push(Self {
                    eps40: [1, 1_099_512, 1 << 30][(index + kind) % 3],
                    gamma_exponent: [-24, -64, -22, 31, -23][(index + kind) % 5],
                    x: numbers.row32(width, kind),
                    gamma: numbers.gamma(width, (index + kind) % 3),
                    y: Vec::new(),
                });
            }
        }
        cases
    }

    fn run(&mut self) {
        let shape = shape(1, self.x.len(), self.eps40, 16);
        self.y = self.x.clone();
        let gamma = Gamma {
            exponent: self.gamma_exponent,
            entries: &self.gamma,
        };
        head_norm::row(&mut self.y, gamma, &norm::Width::head(&shape)).unwrap();
    }

    fn judge(&self) {
        let width = norm::Width::head(&shape(1, self.x.len(), self.eps40, 16));
        let statistics = statistics(&self.x, &self.gamma);
        for ((x, gamma), y) in self.x.iter().zip(&self.gamma).zip(&self.y) {
            let element = head_norm::element(*x, *gamma, self.gamma_exponent, &statistics, &width);
            assert_eq!(element, Ok(*y));
        }
    }
}

#[test]
fn head_norm() {
    check::<HeadNorm>();
}
