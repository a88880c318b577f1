//! Whole models with random parameters, of shapes that have every option between them.

use std::borrow::Cow;

use assay_exact::{
    engine::{Logits, Sequence},
    leaf::Parameter,
    model::{Embedding, Fault, Gamma, Layer, Matrix, Model, Row, Tables},
    shape::{Rotary, Shape},
    tables, Backend, Cache, Cpu, Engine, EngineError, LeafError,
};

use crate::{
    cases::Numbers,
    check, hash,
    judge::files::{self, row, LayerParameters, Map, Norm, Whole},
    Generated,
};

/// Parameters of ordinary sizes, or at the limits of their ranges.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Ordinary,
    Limits,
}

fn linear(n: &mut Numbers, kind: Kind, outputs: usize, inputs: usize, biases: bool) -> Map {
    let limits = kind == Kind::Limits;
    let of_weights = if limits { n.within(0, 1) as usize } else { 2 };
    let weights = n.list(outputs, |n| n.weights(inputs, of_weights));
    let common = n.of(&[-96, -40, -24, -20, 0, 31]);
    let rows = n.list(outputs, |n| {
        let (exponent, bias) = match kind {
            Kind::Ordinary => (n.within(-27, -24) as i16, n.within(-90_000, 90_000) as i32),
            Kind::Limits => (common, n.of(&[i32::MIN, 0, i32::MAX])),
        };
        (n.mantissa(), exponent, if biases { bias } else { 0 })
    });
    (weights, rows)
}

fn norm(n: &mut Numbers, kind: Kind, width: usize) -> Norm {
    match kind {
        Kind::Ordinary => (-23, n.gamma(width, 2)),
        Kind::Limits => (n.of(&[-64, -24, 0, 31]), n.gamma(width, 1)),
    }
}

impl Whole {
    fn random(seed: u64, kind: Kind, shape: Shape, positions: usize) -> Self {
        let mut numbers = Numbers::new(seed);
        let n = &mut numbers;
        let (hidden, ff) = (shape.hidden as usize, shape.intermediate as usize);
        let (query, kv) = (shape.query_width() as usize, shape.kv_width() as usize);
        let (vocabulary, head_dim) = (shape.vocabulary as usize, shape.head_dim.into());
        let columns = if kind == Kind::Limits { 16 } else { 3 };
        let layers = (0..shape.layers)
            .map(|_| LayerParameters {
                input_norm: norm(n, kind, hidden),
                q: linear(n, kind, query, hidden, shape.biases),
                k: linear(n, kind, kv, hidden, shape.biases),
                v: linear(n, kind, kv, hidden, shape.biases),
                q_norm: shape.head_norms.then(|| norm(n, kind, head_dim)),
                k_norm: shape.head_norms.then(|| norm(n, kind, head_dim)),
                o: linear(n, kind, hidden, query, false),
                post_norm: norm(n, kind, hidden),
                gate: linear(n, kind, ff, hidden, false),
                up: linear(n, kind, ff, hidden, false),
                down: linear(n, kind, hidden, ff, false),
            })
            .collect();
        let (rotary_low, rotary_high) = tables::rotary(&shape);
        Self {
            embedding: linear(n, kind, vocabulary, hidden, false),
            embedding_low: n.list(vocabulary, |n| {
                n.list(hidden, |n| n.within(-128, 127) as i8)
            }),
            embedding_columns: n.list(hidden, |n| n.within(-columns, columns) as i8),
            layers,
            final_norm: norm(n, kind, hidden),
            head: (!shape.tied).then(|| linear(n, kind, vocabulary, hidden, false)),
            rotary_low,
            rotary_high,
            tokens: n.list(positions, |n| n.within(0, vocabulary as i64 - 1) as u32),
            last: Vec::new(),
            logits: String::new(),
            shape,
        }
    }

    /// Runs the tokens, cut into `pieces` of these lengths, and gives every position's logits.
    fn run_in(&self, cpu: &Cpu, pieces: impl Iterator<Item = usize>) -> Vec<i32> {
        let (exp2, silu) = (tables::exp2(), tables::silu());
        let held = Held::new(self);
        let model = held.model(self, &exp2, &silu);
        let engine = Engine::new(&model, cpu).unwrap();
        let mut cache = engine.cache();
        let mut logits = Vec::new();
        let mut left = self.tokens.as_slice();
        for piece in pieces {
            let (tokens, rest) = left.split_at(piece.min(left.len()));
            logits.extend(run(&engine, &mut cache, tokens, Logits::All).unwrap());
            left = rest;
        }
        assert!(left.is_empty());
        logits
    }
}

/// Weights and rows in the layout of the engines.
struct Held(Vec<(usize, Vec<i8>, Vec<Row>)>);

impl Held {
    fn new(whole: &Whole) -> Self {
        let mut held = Vec::new();
        let mut hold = |(weights, rows): &Map| {
            let rows = rows.iter().map(|parameters| row(*parameters)).collect();
            held.push((weights[0].len(), weights.concat(), rows));
        };
        hold(&whole.embedding);
        for layer in &whole.layers {
            for linear in [&layer.q, &layer.k, &layer.v, &layer.o] {
                hold(linear);
            }
            for linear in [&layer.gate, &layer.up, &layer.down] {
                hold(linear);
            }
        }
        whole.head.iter().for_each(&mut hold);
        let low: Cow<[Vec<i8>]> = (&whole.embedding_low).into();
        held.push((0, low.concat(), Vec::new()));
        Self(held)
    }

    fn matrix(&self, index: usize) -> Matrix<'_> {
        let (inputs, weights, rows) = &self.0[index];
        Matrix {
            inputs: *inputs,
            weights,
            rows,
        }
    }

    fn model<'a>(&'a self, whole: &'a Whole, exp2: &'a [i32], silu: &'a [i32]) -> Model<'a> {
        let gamma = |(exponent, entries): &'a Norm| Gamma {
            exponent: *exponent,
            entries,
        };
        let layer = |(index, layer): (usize, &'a LayerParameters)| {
            let first = 1 + 7 * index;
            Layer {
                input_norm: gamma(&layer.input_norm),
                q: self.matrix(first),
                k: self.matrix(first + 1),
                v: self.matrix(first + 2),
                q_norm: layer.q_norm.as_ref().map(gamma),
                k_norm: layer.k_norm.as_ref().map(gamma),
                o: self.matrix(first + 3),
                post_norm: gamma(&layer.post_norm),
                gate: self.matrix(first + 4),
                up: self.matrix(first + 5),
                down: self.matrix(first + 6),
            }
        };
        let last = self.0.len() - 1;
        Model {
            shape: &whole.shape,
            tables: Tables {
                exp2,
                silu,
                low: &whole.rotary_low,
                high: &whole.rotary_high,
            },
            embedding: Embedding {
                high: self.matrix(0),
                low: &self.0[last].1,
                columns: &whole.embedding_columns,
            },
            layers: whole.layers.iter().enumerate().map(layer).collect(),
            final_norm: gamma(&whole.final_norm),
            head: whole.head.as_ref().map(|_| self.matrix(last - 1)),
        }
    }
}

fn portable() -> Cpu {
    Cpu::new(Backend::Portable, 1).unwrap()
}

/// A run of one sequence.
fn run(
    engine: &Engine,
    cache: &mut Cache,
    tokens: &[u32],
    logits: Logits,
) -> Result<Vec<i32>, EngineError> {
    let sequence = Sequence {
        cache,
        tokens,
        logits,
    };
    Ok(engine.run(&mut [sequence])?.remove(0))
}

fn hash_of(logits: &[i32]) -> String {
    let bytes: Vec<u8> = logits.iter().flat_map(|x| x.to_le_bytes()).collect();
    hash(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Generated for Whole {
    fn cases() -> Vec<Self> {
        let rotary = Rotary {
            base: 10_000_000_000,
            scaling: None,
        };
        let every_option = Shape {
            layers: 2,
            hidden: 18,
            intermediate: 23,
            heads: 4,
            kv_heads: 2,
            head_dim: 6,
            vocabulary: 19,
            context: 300,
            tied: false,
            biases: true,
            head_norms: true,
            fraction_bits: 16,
            eps40: 1_099_512,
            rotary,
        };
        let smallest = Shape {
            layers: 1,
            hidden: 1,
            intermediate: 1,
            heads: 1,
            kv_heads: 1,
            head_dim: 2,
            vocabulary: 3,
            context: 5,
            tied: true,
            biases: false,
            head_norms: false,
            fraction_bits: 8,
            eps40: 1,
            ..every_option.clone()
        };
        let plain = Shape {
            layers: 3,
            hidden: 33,
            kv_heads: 1,
            head_dim: 8,
            fraction_bits: 20,
            context: 257,
            ..smallest.clone()
        };
        let limits = (0u8..12).map(|index| {
            let shape = Shape {
                layers: 1,
                hidden: 9,
                intermediate: 11,
                head_dim: 4,
                vocabulary: 5,
                context: 4,
                tied: index % 2 == 0,
                biases: index % 3 == 0,
                head_norms: index % 4 < 2,
                fraction_bits: [8, 16, 20][usize::from(index % 3)],
                eps40: [1, 1 << 30][usize::from(index % 2)],
                ..every_option.clone()
            };
            Self::random(20 + u64::from(index), Kind::Limits, shape, 4)
        });
        let ordinary = [
            Self::random(11, Kind::Ordinary, every_option.clone(), 262),
            Self::random(12, Kind::Ordinary, smallest, 5),
            Self::random(13, Kind::Ordinary, plain, 33),
        ];
        ordinary.into_iter().chain(limits).collect()
    }

    fn run(&mut self) {
        let logits = self.run_in(&portable(), [self.tokens.len()].into_iter());
        self.last = logits[logits.len() - self.shape.vocabulary as usize..].to_vec();
        self.logits = hash_of(&logits);
    }
}

#[test]
fn model() {
    check::<Whole>();
}

/// Decoding gives what prefill gives, on every backend.
#[test]
fn the_logits_are_the_same_however_the_positions_are_cut() {
    for whole in files::read::<Whole>() {
        let once = |length| std::iter::repeat_n(length, whole.tokens.len().div_ceil(length));
        for backend in Backend::ALL.into_iter().filter(|one| one.is_available()) {
            let cpu = Cpu::new(backend, 2).unwrap();
            for length in [1, 7, 31, 32, 33, 400] {
                let logits = whole.run_in(&cpu, once(length));
                assert_eq!(hash_of(&logits), whole.logits, "{backend}, {length}");
            }
        }
    }
}

/// What [`Whole::cases`]' smallest model gives to `test`.
fn smallest<T>(test: impl FnOnce(Model) -> T) -> T {
    let whole = &Whole::cases()[1];
    let (exp2, silu) = (tables::exp2(), tables::silu());
    let held = Held::new(whole);
    test(held.model(whole, &exp2, &silu))
}

#[test]
fn only_the_logits_that_were_asked_for_are_given() {
    smallest(|model| {
        let cpu = portable();
        let engine = Engine::new(&model, &cpu).unwrap();
        let of = |tokens, logits| run(&engine, &mut engine.cache(), tokens, logits).unwrap();
        let three = |logits| of(&[0, 2, 1], logits);
        let all = three(Logits::All);
        assert_eq!(all.len(), 9);
        assert_eq!(three(Logits::Last), all[6..]);
        assert_eq!(three(Logits::None), [0; 0]);
        assert_eq!(three(Logits::Tail(0)), [0; 0]);
        assert_eq!(three(Logits::Tail(2)), all[3..]);
        assert_eq!(three(Logits::Tail(9)), all);
        assert_eq!(of(&[], Logits::Last), [0; 0]);
        assert_eq!(engine.run(&mut []), Ok(vec![]));
    });
}

#[test]
fn a_refused_run_leaves_the_cache_as_it_was() {
    smallest(|model| {
        let cpu = portable();
        let engine = Engine::new(&model, &cpu).unwrap();
        let all = run(&engine, &mut engine.cache(), &[0, 1, 2, 2, 0], Logits::All).unwrap();
        let (mut cache, mut other) = (engine.cache(), engine.cache());
        run(&engine, &mut cache, &[0, 1], Logits::None).unwrap();
        for (tokens, error) in [
            (&[0, 3][..], EngineError::Token(3)),
            (&[0; 4], EngineError::Context),
        ] {
            // The batch is refused as a whole.
            let of = |cache, tokens| Sequence {
                cache,
                tokens,
                logits: Logits::None,
            };
            let mut batch = [of(&mut other, &[1][..]), of(&mut cache, tokens)];
            assert_eq!(engine.run(&mut batch), Err(error));
            assert_eq!((cache.positions(), other.positions()), (2, 0));
        }
        let rest = run(&engine, &mut cache, &[2, 2, 0], Logits::All).unwrap();
        assert_eq!(rest, all[6..]);
        cache.truncate(3);
        let rest = run(&engine, &mut cache, &[2, 0], Logits::All).unwrap();
        assert_eq!(rest, all[9..]);
    });
}

#[test]
fn a_model_that_contradicts_its_shape_is_refused() {
    let fault = |change: fn(&mut Model)| {
        smallest(|mut model| {
            change(&mut model);
            match Engine::new(&model, &portable()) {
                Err(EngineError::Model(error)) => (error.tensor, error.layer, error.fault),
                other => panic!("{other:?}"),
            }
        })
    };
    let parameter = |parameter| Fault::Range(LeafError::Parameter(parameter));
    let length = |tensor, layer| (tensor, layer, Fault::Length);
    assert_eq!(fault(|m| m.layers.clear()), length("layers", None));
    assert_eq!(
        fault(|m| m.embedding.low = &[0; 2]),
        length("embedding low", None)
    );
    assert_eq!(fault(|m| m.tables.high = &[]), length("rotary high", None));
    assert_eq!(fault(|m| m.layers[0].q.inputs = 2), length("q", Some(0)));
    assert_eq!(
        fault(|m| m.layers[0].down.weights = &[]),
        length("down", Some(0))
    );
    assert_eq!(
        fault(|m| m.head = Some(m.embedding.high)),
        ("head", None, Fault::Presence)
    );
    assert_eq!(
        fault(|m| m.layers[0].k_norm = Some(m.final_norm)),
        ("k_norm", Some(0), Fault::Presence)
    );
    assert_eq!(
        fault(|m| m.final_norm.exponent = 32),
        ("final_norm", None, parameter(Parameter::GammaExponent))
    );
    assert_eq!(
        fault(|m| m.embedding.columns = &[17]),
        (
            "embedding columns",
            None,
            parameter(Parameter::ColumnExponent)
        )
    );
    assert_eq!(
        fault(|m| m.tables.exp2 = &[1 << 29; 257]),
        ("exp2", None, parameter(Parameter::Exp2))
    );
}
