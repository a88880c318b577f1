//! Launches of `rows.cu`.

use super::layout::padded_line;
use crate::device::{
    Argument::{U32, U64},
    Launch,
};

/// Threads of the block that has a row: four elements for each, which it loads together.
pub(super) fn row_threads(width: u32) -> u32 {
    width.div_ceil(4).next_multiple_of(32).min(1024)
}

/// int16 (format page, §3.3) of rows in Q16.
#[derive(Clone, Copy, Debug)]
pub struct Quantise {
    pub rows: u32,
    pub width: u32,
    pub numbers: u64,
    pub activations: u64,
    pub scales: u64,
}

impl Quantise {
    pub fn launch(&self) -> Launch {
        Launch {
            kernel: "quantise",
            grid: [self.rows, 1, 1],
            block: [row_threads(self.width), 1, 1],
            shared: 0,
            arguments: vec![
                U64(self.numbers),
                U32(self.width),
                U32(padded_line(self.width)),
                U64(self.activations),
                U64(self.scales),
            ],
        }
    }
}

/// `silu_mul` (§3.8) and its int16.
#[derive(Clone, Copy, Debug)]
pub struct Silu {
    pub rows: u32,
    /// ff.
    pub width: u32,
    /// Gates, then ups, of each row.
    pub gates_and_ups: u64,
    /// B.
    pub table: u64,
    pub activations: u64,
    pub scales: u64,
}

impl Silu {
    pub fn launch(&self) -> Launch {
        Launch {
            kernel: "silu",
            grid: [self.rows, 1, 1],
            block: [row_threads(self.width), 1, 1],
            shared: 0,
            arguments: vec![
                U64(self.gates_and_ups),
                U64(self.table),
                U32(self.width),
                U32(padded_line(self.width)),
                U64(self.activations),
                U64(self.scales),
            ],
        }
    }
}
