//! Every kernel's PTX, run on the processor, against the functions of `assay_exact::op`, bit for bit:
//! the conformance vectors, awkward sizes, and the ends of ranges.

extern crate alloc;

mod attention;
mod cache;
#[allow(dead_code)]
#[path = "../../../exact/tests/vectors/cases.rs"]
mod cases;
mod choose;
#[path = "../common/mod.rs"]
mod common;
mod heads;
#[allow(dead_code, unused_imports)]
#[path = "../../../exact/tests/judge/mod.rs"]
mod judge;
mod launches;
mod linear;
mod machine;
mod norm;
mod rows;
