//! Nanoseconds of one element, natively: the place of an element in the list and a number of rounds
//! are the arguments, the time of all rounds and what they gave the output.

extern crate alloc;

#[allow(dead_code)]
#[path = "../vectors/cases.rs"]
mod cases;
mod measure;

use std::time::Instant;

fn main() {
    let numbers: Vec<u32> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse().expect("a number"))
        .collect();
    let [place, rounds] = numbers[..] else {
        panic!("usage: native PLACE ROUNDS");
    };
    let element = &measure::ELEMENTS[place as usize];
    let start = Instant::now();
    let given = (element.run)(rounds);
    println!("{} {given}", start.elapsed().as_nanos());
}
