//! The arithmetic of exact models in the node's own executor: its operators, compiled to Wasm as the
//! runtime is, give the bits of the conformance vectors, and of what the machine makes of other operands.

extern crate alloc;

#[allow(dead_code)] // Only what the elements of `rounds` read.
#[path = "../../../exact/tests/vectors/cases.rs"]
mod cases;
#[path = "../../../exact/tests/wasm/compile.rs"]
mod compile;
mod executor;
#[allow(dead_code)] // It runs in Wasm; here its cases are read.
#[path = "../../../exact/tests/judge/mod.rs"]
mod judge;
#[allow(dead_code)]
#[path = "../../../exact/tests/wasm/rounds.rs"]
mod rounds;
#[path = "../../../exact/tests/wasm/step.rs"]
mod step;
mod steps;

use assay_exact::tables;
use serde::de::DeserializeOwned;

use executor::Module;
use judge::{
    files::{
        self, Attention, Candidates, Choice, Embed, HeadNorm, Linear, NormQuant, Quant, Rope,
        SiluMul, Whole,
    },
    Judged,
};

/// Every case of one file, without its outputs, to the module; gives how many there were.
fn check<C: Judged + DeserializeOwned>(module: &Module) -> usize {
    let tables = (tables::exp2(), tables::silu());
    let cases = files::read::<C>();
    for (number, case) in cases.iter().enumerate() {
        let judged: Result<C, String> = module.call(C::NAME, &(tables.clone(), case.inputs()));
        assert!(
            judged.as_ref() == Ok(case),
            "{}, case {number}: the executor gives {judged:?}, the file has {case:?}",
            C::NAME
        );
    }
    println!("{:>12}: {} cases", C::NAME, cases.len());
    cases.len()
}

#[test]
fn the_executor_gives_the_bits_of_every_vector() {
    let module = Module::get();
    let cases = [
        check::<Embed>(module),
        check::<NormQuant>(module),
        check::<Quant>(module),
        check::<Linear>(module),
        check::<HeadNorm>(module),
        check::<Rope>(module),
        check::<Attention>(module),
        check::<SiluMul>(module),
        check::<Candidates>(module),
        check::<Choice>(module),
        check::<Whole>(module),
    ];
    let folder = files::path::<Whole>();
    let files = std::fs::read_dir(folder.parent().unwrap()).unwrap();
    let is_json = |path: &std::path::Path| path.extension().is_some_and(|name| name == "json");
    let files = files.filter(|file| is_json(&file.as_ref().unwrap().path()));
    assert_eq!(cases.len(), files.count(), "a file was not read");
    println!(
        "{:>12}: {} cases in the executor",
        "all",
        cases.iter().sum::<usize>()
    );
}

#[test]
fn each_element_gives_the_same_in_the_executor_and_natively() {
    let module = Module::get();
    for (place, element) in (0u32..).zip(rounds::ELEMENTS) {
        let wasm: i64 = module.call("rounds", &(place, 1000));
        assert_eq!(wasm, (element.run)(1000), "{}", element.name);
    }
    println!("{} elements, 1000 rounds each", rounds::ELEMENTS.len());
}
