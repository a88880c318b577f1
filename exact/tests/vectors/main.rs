//! The conformance vectors in `vectors/`: each operator at awkward sizes and values, and small whole
//! models. The portable functions, the judge's elements and every other implementation are held
//! against the same files.
//!
//! `ASSAY_WRITE_VECTORS=1 cargo test --test vectors` writes them anew.

extern crate alloc;

mod attention;
mod cases;
// The bytes are for the one who runs the judge in Wasm.
#[allow(dead_code)]
#[path = "../judge/mod.rs"]
mod judge;
mod model;
mod norms;
mod rows;
mod sampling;
mod tables;

use std::fs;

use blake2::{digest::consts::U32, Blake2b, Digest};
use serde::{de::DeserializeOwned, Serialize};

use judge::{files, leaves, Judge, Judged};

/// Cases that this crate generates.
trait Generated: Judged + Serialize + DeserializeOwned {
    /// The inputs, with empty outputs.
    fn cases() -> Vec<Self>;
    /// Fills the outputs with what the row function gives.
    fn run(&mut self);
}

fn check<C: Generated>() {
    let mut cases = C::cases();
    cases.iter_mut().for_each(C::run);
    let lines: Vec<String> = cases
        .iter()
        .map(|case| serde_json::to_string(case).unwrap())
        .collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    if std::env::var_os("ASSAY_WRITE_VECTORS").is_some() {
        fs::write(files::path::<C>(), &text).unwrap();
    }
    let (exp2, silu) = (assay_exact::tables::exp2(), assay_exact::tables::silu());
    let judge = Judge {
        exp2: &leaves(&exp2),
        silu: &leaves(&silu),
        hash,
    };
    for (number, case) in files::read::<C>().iter().enumerate() {
        let mut again = case.inputs();
        again.run();
        assert!(again == *case, "{}, case {number}", C::NAME);
        // Element by element, and block by block.
        let judged = case.inputs().judged(&judge);
        assert!(judged.as_ref() == Ok(case), "{}, case {number}", C::NAME);
    }
    let written = fs::read_to_string(files::path::<C>()).unwrap();
    assert!(text == written, "{} is not what is generated", C::NAME);
}

/// BLAKE2b-256.
fn hash(message: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::digest(message).into()
}
