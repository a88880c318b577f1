//! What a GPU does at most, to measure the engine by: kernels of their own, compiled when they are asked for,
//! and no part of what serves.
//!
//! Both leave sums behind, so that one who measures sees that the work was done.

use crate::{
    device::{
        Argument::{U32, U64},
        Launch,
    },
    kernels::{joined, Kernels},
};

/// Threads of a block.
const THREADS: u32 = 256;
/// Blocks for each multiprocessor: enough that it always has something to do while others wait.
const BLOCKS: u32 = 4;
/// Bytes that a thread reads at once.
const WORD: u64 = 16;
/// Products of 16 by 8 numbers over 32 terms that a warp makes in a round.
const CHAINS: u64 = 8;
const PRODUCT: u64 = 16 * 8 * 32;

/// The kernels.
pub fn kernels() -> Kernels {
    Kernels {
        source: joined(&[
            ("number.cuh", include_str!("kernels/number.cuh")),
            ("reduce.cuh", include_str!("kernels/reduce.cuh")),
            ("product.cuh", include_str!("kernels/product.cuh")),
            ("ceilings.cu", include_str!("ceilings/ceilings.cu")),
        ]),
        names: &["read_all", "multiply_all"],
    }
}

/// Blocks of either launch, each of which leaves a sum of 32 bits.
pub fn blocks(multiprocessors: u32) -> u32 {
    BLOCKS * multiprocessors
}

/// Reads memory, all of it once.
#[derive(Clone, Copy, Debug)]
pub struct ReadAll {
    pub from: u64,
    /// A multiple of 16.
    pub bytes: u64,
    /// Sums of the 32-bit words of each block's share.
    pub sums: u64,
}

impl ReadAll {
    pub fn launch(&self, multiprocessors: u32) -> Launch {
        Launch {
            kernel: "read_all",
            grid: [blocks(multiprocessors), 1, 1],
            block: [THREADS, 1, 1],
            shared: 0,
            arguments: vec![U64(self.from), U64(self.bytes / WORD), U64(self.sums)],
        }
    }
}

/// Multiplies int8 on the tensor cores, by the instruction that the kernels use.
#[derive(Clone, Copy, Debug)]
pub struct MultiplyAll {
    pub rounds: u32,
    /// Every number of either side.
    pub a: i8,
    pub b: i8,
    /// Sums of all products of each block.
    pub sums: u64,
}

impl MultiplyAll {
    pub fn launch(&self, multiprocessors: u32) -> Launch {
        let four = |number: i8| u32::from_le_bytes([number as u8; 4]);
        Launch {
            kernel: "multiply_all",
            grid: [blocks(multiprocessors), 1, 1],
            block: [THREADS, 1, 1],
            shared: 0,
            arguments: vec![
                U32(self.rounds),
                U32(four(self.a)),
                U32(four(self.b)),
                U64(self.sums),
            ],
        }
    }

    /// Multiplications of one block.
    fn products(&self) -> u64 {
        u64::from(self.rounds) * CHAINS * PRODUCT * u64::from(THREADS / 32)
    }

    /// Multiplications and additions of a launch.
    pub fn operations(&self, multiprocessors: u32) -> u64 {
        2 * self.products() * u64::from(blocks(multiprocessors))
    }

    /// What each block leaves: the sum's last 32 bits.
    pub fn sum(&self) -> u32 {
        let product = i64::from(self.a) * i64::from(self.b);
        product.wrapping_mul(self.products() as i64) as u32
    }
}
