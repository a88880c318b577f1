//! The conformance vectors in `vectors/`: each operator at awkward sizes and values, and small whole
//! models. The portable functions, the judge's elements and every other implementation are held
//! against the same files.
//!
//! `ASSAY_WRITE_VECTORS=1 cargo test --test vectors` writes them anew.

mod attention;
mod cases;
mod model;
mod norms;
mod rows;
mod sampling;

use std::{fmt::Debug, fs, path::PathBuf};

use serde::{de::DeserializeOwned, Serialize};

/// One line of a file: inputs, and what comes out.
trait Vector: Clone + PartialEq + Debug + Serialize + DeserializeOwned {
    /// The file's name.
    const NAME: &'static str;
    /// The inputs, with empty outputs.
    fn cases() -> Vec<Self>;
    /// Fills the outputs with what the row function gives.
    fn run(&mut self);
    /// Asserts that the judge's functions, block by block, give the same.
    fn judge(&self);
}

fn check<V: Vector>() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(V::NAME)
        .with_extension("json");
    let mut cases = V::cases();
    cases.iter_mut().for_each(V::run);
    let lines: Vec<String> = cases
        .iter()
        .map(|case| serde_json::to_string(case).unwrap())
        .collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    if std::env::var_os("ASSAY_WRITE_VECTORS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap();
    let vectors: Vec<V> = serde_json::from_str(&written).unwrap();
    for (number, vector) in vectors.iter().enumerate() {
        let mut again = vector.clone();
        again.run();
        assert!(again == *vector, "{}, case {number}", V::NAME);
        vector.judge();
    }
    assert!(text == written, "{} is not what is generated", V::NAME);
}

/// A scale, as mantissa and exponent.
type Pair = (u16, i32);

fn pair(scale: assay_exact::Scale) -> Pair {
    (scale.mantissa, scale.exponent)
}

fn scale((mantissa, exponent): Pair) -> assay_exact::Scale {
    assay_exact::Scale { mantissa, exponent }
}

/// Mantissa, exponent and bias of an output row.
type Parameters = (u16, i16, i32);

fn row((mantissa, exponent, bias): Parameters) -> assay_exact::model::Row {
    assay_exact::model::Row {
        mantissa,
        exponent,
        bias,
    }
}
