//! Traces of small models, made by the judge's own functions, and what is proven of them.

mod book;
mod causality;
mod hostile;
mod steps;
mod stored;

use std::{vec, vec::Vec};

use crate::{
    sampling::Settings,
    shape::{Rotary, Shape, PPM},
};

fn shape() -> Shape {
    Shape {
        layers: 2,
        hidden: 72,
        intermediate: 130,
        heads: 4,
        kv_heads: 2,
        head_dim: 10,
        vocabulary: 1100,
        context: 400,
        tied: true,
        biases: false,
        head_norms: false,
        fraction_bits: 16,
        eps40: 11,
        rotary: Rotary {
            base: 10_000 * PPM,
            scaling: None,
        },
    }
}

/// One of each kind.
fn shapes() -> Vec<Shape> {
    vec![
        shape(),
        Shape {
            head_norms: true,
            tied: false,
            fraction_bits: 9,
            ..shape()
        },
        Shape {
            head_dim: 128,
            heads: 3,
            kv_heads: 1,
            biases: true,
            ..shape()
        },
        Shape {
            head_dim: 64,
            heads: 2,
            kv_heads: 2,
            layers: 1,
            vocabulary: 37,
            ..shape()
        },
        Shape {
            head_dim: 32,
            hidden: 300,
            intermediate: 1100,
            layers: 1,
            vocabulary: 513,
            fraction_bits: 20,
            ..shape()
        },
    ]
}

fn all_settings() -> Vec<Settings> {
    let drawn = Settings {
        temperature: 900_000,
        ..Settings::GREEDY
    };
    let every = Settings {
        top_k: 20,
        top_p: 800_000,
        min_p: 1_000,
        penalty: 1_300_000,
        ..drawn
    };
    vec![
        Settings::GREEDY,
        drawn,
        every,
        Settings {
            temperature: 0,
            ..every
        },
        Settings { top_k: 0, ..every },
        Settings {
            top_p: 1_000_000,
            penalty: 700_000,
            ..every
        },
    ]
}
