//! The models of the format's conformance vectors: parameters of ordinary sizes, and such at the limits
//! of their ranges. What they give was computed once and for all, by whoever implements the format.

use assay_exact::{
    folder::root::blake2_256,
    model::{Embedding, Gamma, Layer, Matrix, Model, Row, Tables},
    tables, Shape,
};
use serde::Deserialize;

const FILE: &str = include_str!("../../../exact/vectors/model.json");

/// Rows of weights, and each row's mantissa, exponent and bias.
type Map = (Vec<Vec<i8>>, Vec<(u16, i16, i32)>);
/// Exponent and entries.
type Norm = (i32, Vec<i32>);

/// One model of the file, its tokens, and the hash of all their logits.
#[derive(Deserialize)]
pub(super) struct Vector {
    pub shape: Shape,
    embedding: Map,
    embedding_low: Vec<Vec<i8>>,
    embedding_columns: Vec<i8>,
    layers: Vec<VectorLayer>,
    final_norm: Norm,
    head: Option<Map>,
    rotary_low: Vec<i32>,
    rotary_high: Vec<i32>,
    pub tokens: Vec<u32>,
    logits: String,
}

#[derive(Deserialize)]
struct VectorLayer {
    input_norm: Norm,
    q: Map,
    k: Map,
    v: Map,
    q_norm: Option<Norm>,
    k_norm: Option<Norm>,
    o: Map,
    post_norm: Norm,
    gate: Map,
    up: Map,
    down: Map,
}

impl VectorLayer {
    /// In the order in which a layer's matrices are named.
    fn maps(&self) -> [&Map; 7] {
        [
            &self.q, &self.k, &self.v, &self.o, &self.gate, &self.up, &self.down,
        ]
    }
}

/// All models of the file.
pub(super) fn read() -> Result<Vec<Vector>, serde_json::Error> {
    serde_json::from_str(FILE)
}

/// The numbers of a model in the layout of the engines.
struct Held {
    maps: Vec<(usize, Vec<i8>, Vec<Row>)>,
    low: Vec<i8>,
    exp2: Vec<i32>,
    silu: Vec<i32>,
}

impl Vector {
    /// Calls `with` with the model.
    pub fn with<T>(&self, with: impl FnOnce(&Model) -> T) -> T {
        let maps = [&self.embedding].into_iter();
        let maps = maps.chain(self.layers.iter().flat_map(VectorLayer::maps));
        let held = Held {
            maps: maps.chain(&self.head).map(laid_out).collect(),
            low: self.embedding_low.concat(),
            exp2: tables::exp2(),
            silu: tables::silu(),
        };
        with(&self.model(&held))
    }

    fn model<'a>(&'a self, held: &'a Held) -> Model<'a> {
        let mut maps = held.maps.iter().map(|(inputs, weights, rows)| Matrix {
            inputs: *inputs,
            weights,
            rows,
        });
        let mut matrix = || {
            let none = Matrix {
                inputs: 0,
                weights: &[],
                rows: &[],
            };
            // The engine refuses a model that lacks one.
            maps.next().unwrap_or(none)
        };
        let high = matrix();
        let layers = self.layers.iter().map(|layer| Layer {
            input_norm: gamma(&layer.input_norm),
            q: matrix(),
            k: matrix(),
            v: matrix(),
            q_norm: layer.q_norm.as_ref().map(gamma),
            k_norm: layer.k_norm.as_ref().map(gamma),
            o: matrix(),
            post_norm: gamma(&layer.post_norm),
            gate: matrix(),
            up: matrix(),
            down: matrix(),
        });
        let layers = layers.collect();
        Model {
            shape: &self.shape,
            tables: Tables {
                exp2: &held.exp2,
                silu: &held.silu,
                low: &self.rotary_low,
                high: &self.rotary_high,
            },
            embedding: Embedding {
                high,
                low: &held.low,
                columns: &self.embedding_columns,
            },
            layers,
            final_norm: gamma(&self.final_norm),
            head: self.head.as_ref().map(|_| matrix()),
        }
    }

    /// Whether these are the logits of all tokens.
    pub fn gives(&self, logits: &[i32]) -> bool {
        let bytes: Vec<u8> = logits
            .iter()
            .flat_map(|logit| logit.to_le_bytes())
            .collect();
        let hash = blake2_256(&bytes).0;
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        hex == self.logits
    }
}

fn laid_out((weights, rows): &Map) -> (usize, Vec<i8>, Vec<Row>) {
    let row = |(mantissa, exponent, bias): &(u16, i16, i32)| Row {
        mantissa: *mantissa,
        exponent: *exponent,
        bias: *bias,
    };
    let inputs = weights.first().map_or(0, Vec::len);
    (inputs, weights.concat(), rows.iter().map(row).collect())
}

fn gamma((exponent, entries): &Norm) -> Gamma<'_> {
    Gamma {
        exponent: *exponent,
        entries,
    }
}
