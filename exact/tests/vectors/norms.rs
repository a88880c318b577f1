//! `norm_quant` and `head_norm`.

use assay_exact::{
    model::Gamma,
    op::{head_norm, norm},
    Scale,
};

use crate::{
    cases::{Numbers, HEAD_WIDTHS, KINDS, WIDTHS},
    check,
    judge::{
        files::{pair, HeadNorm, NormQuant},
        shape::norm_shape,
    },
    Generated,
};

impl Generated for NormQuant {
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
        let shape = norm_shape(self.x.len(), 2, self.eps40, self.fraction_bits);
        self.q = vec![0; self.x.len()];
        let gamma = Gamma {
            exponent: self.gamma_exponent,
            entries: &self.gamma,
        };
        let width = norm::Width::hidden(&shape);
        self.scale = pair(norm::row(&self.x, gamma, &width, &mut self.q).unwrap());
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
        let width = norm::Width::hidden(&norm_shape(1 << 14, 2, 1 << 30, fraction_bits));
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

impl Generated for HeadNorm {
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
        let shape = norm_shape(1, self.x.len(), self.eps40, 16);
        self.y = self.x.clone();
        let gamma = Gamma {
            exponent: self.gamma_exponent,
            entries: &self.gamma,
        };
        head_norm::row(&mut self.y, gamma, &norm::Width::head(&shape)).unwrap();
    }
}

#[test]
fn head_norm() {
    check::<HeadNorm>();
}
