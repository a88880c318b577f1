//! PTX that is written here or by NVRTC, run and compared with what it must do.

mod arithmetic;
mod barriers;
mod bits;
mod compiled;
mod control;
mod copies;
mod faults;
mod machine;
mod matrices;
mod memory;
mod orders;
mod parsing;
mod races;
mod warps;
