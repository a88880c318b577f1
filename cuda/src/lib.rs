//! Exact models on NVIDIA GPUs: the bits of the processor's engine.
//!
//! * [`device`] is what a machine does that runs kernels; [`driver`] is a GPU.
//! * [`kernels`] are CUDA C, compiled for the GPU that is found by [`nvrtc`] when the program starts,
//!   and kept by [`store`]; [`start`] puts these together.
//! * [`resident`] is a model in a device's memory, on which an engine's passes run: [`weights`],
//!   [`slabs`] of keys and values, and what a [`pass`] launches.
//! * [`selftest`] compares a device with the processor; [`ceilings`] are what a device does at most.
//!
//! Neither driver nor compiler is needed to build this, nor to run a program that holds it: both are
//! libraries that are looked for when a GPU is asked for.

pub mod ceilings;
pub mod device;
pub mod driver;
pub mod kernels;
pub mod nvrtc;
pub mod pass;
pub mod resident;
pub mod selftest;
pub mod slabs;
pub mod start;
pub mod store;
pub mod weights;

pub use self::{
    device::{Device, DeviceError},
    resident::{Resident, ResidentError},
    start::{open, open_with, Opened, StartError},
};

/// How the kernels are compiled, whatever for.
pub const OPTIONS: [&str; 1] = ["--std=c++17"];
