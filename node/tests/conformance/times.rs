//! How long an element takes in the executor, and natively.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    compile,
    executor::Module,
    measure::{Element, ELEMENTS},
};

/// Rounds of which the time is taken, beside as many fewer.
const ROUNDS: u32 = 4096;
/// The least of so many is the time that nothing else disturbed.
const REPEATS: usize = 9;

/// Nanoseconds of one round: what more rounds take longer than fewer, so that the call and its
/// operands do not count.
fn nanoseconds(of: impl Fn(u32) -> Duration) -> f64 {
    let least = |rounds| (0..REPEATS).map(|_| of(rounds)).min().unwrap();
    let (fewer, more) = (ROUNDS, 5 * ROUNDS);
    let time = least(more).saturating_sub(least(fewer));
    time.as_secs_f64() * 1e9 / f64::from(more - fewer)
}

fn native(program: &Path, place: u32, rounds: u32) -> Duration {
    let numbers = [place, rounds].map(|number| number.to_string());
    let output = Command::new(program).args(numbers).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (time, _) = text.split_once(' ').unwrap();
    Duration::from_nanos(time.parse().unwrap())
}

fn places() -> impl Iterator<Item = (u32, &'static Element)> {
    (0..).zip(ELEMENTS)
}

/// What is measured computes the same on both sides.
#[test]
fn each_element_gives_the_same_in_the_executor_and_natively() {
    let module = Module::get();
    for (place, element) in places() {
        let wasm: i64 = module.call("measure", &(place, 1000));
        assert_eq!(wasm, (element.run)(1000), "{}", element.name);
    }
    println!("{} elements, 1000 rounds each", ELEMENTS.len());
}

#[test]
#[ignore = "a measurement: it asserts nothing"]
fn times_of_each_element_in_the_executor_and_natively() {
    let module = Module::get();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("native");
    compile::program("native", "bin", compile::NATIVE, &program);
    println!(
        "{:<28} {:>6} {:>10} {:>10} {:>6}",
        "element", "block", "wasm ns", "native ns", "ratio"
    );
    for (place, element) in places() {
        let wasm = nanoseconds(|rounds| {
            let start = Instant::now();
            let _: i64 = module.call("measure", &(place, rounds));
            start.elapsed()
        });
        let native = nanoseconds(|rounds| native(&program, place, rounds));
        println!(
            "{:<28} {:>6} {wasm:>10.1} {native:>10.1} {:>6.2}",
            element.name,
            element.block,
            wasm / native
        );
    }
    let call = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            let _: i64 = module.call("measure", &(0, 0));
            start.elapsed()
        })
        .min()
        .unwrap();
    println!("a call of no round: {call:?}");
}
