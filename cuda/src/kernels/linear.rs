//! Launches of `linear.cu`.

use super::layout::{padded_line, LINE};
use crate::device::{
    Argument::{I32, U32, U64},
    Launch,
};

/// Outputs of a block that reads weights as a stream.
const STREAM_OUTPUTS: u32 = 16;
/// Stages of a tile in shared memory.
const STAGES: u32 = 4;

/// int8 weights in device memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Matrix {
    pub weights: u64,
    pub parameters: u64,
    pub inputs: u32,
    pub outputs: u32,
}

/// `linear` (format page, §3.4).
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    pub rows: u32,
    pub matrix: Matrix,
    pub activations: u64,
    pub scales: u64,
    /// Of the outputs.
    pub fraction_bits: u8,
    /// Whether the outputs are added to what is there.
    pub added: bool,
    pub out: u64,
}

/// The kernels for many rows, by what one block makes.
struct Tile {
    kernel: &'static str,
    outputs: u32,
    /// Two for each row.
    columns: u32,
}

const NARROW: Tile = Tile {
    kernel: "linear_tile_narrow",
    outputs: 64,
    columns: 128,
};
const WIDE: Tile = Tile {
    kernel: "linear_tile_wide",
    outputs: 128,
    columns: 256,
};

impl Tile {
    fn blocks(&self, outputs: u32, rows: u32) -> u32 {
        outputs.div_ceil(self.outputs) * (2 * rows).div_ceil(self.columns)
    }

    fn shared(&self) -> u32 {
        STAGES * (self.outputs + self.columns) * LINE
    }
}

impl Linear {
    /// Whether blocks that may ask for so many bytes of shared memory have room for the widest tiles.
    pub(super) fn wide_fits(shared: u32) -> bool {
        WIDE.shared() <= shared
    }

    /// The launch on a device with so many multiprocessors and so many bytes of shared memory that a
    /// block may ask for, at least 48 KiB.
    pub fn launch(&self, multiprocessors: u32, shared: u32) -> Launch {
        let outputs = self.matrix.outputs;
        let stream = |kernel| (kernel, outputs.div_ceil(STREAM_OUTPUTS), 0);
        let (kernel, blocks, shared) = match self.rows {
            0..=4 => stream("linear_stream_4"),
            5..=8 => stream("linear_stream_8"),
            9..=16 => stream("linear_stream_16"),
            rows => {
                // Larger tiles read less, if there are enough of them for everybody.
                let wide = Self::wide_fits(shared) && WIDE.blocks(outputs, rows) >= multiprocessors;
                let tile = if wide { WIDE } else { NARROW };
                (tile.kernel, tile.blocks(outputs, rows), tile.shared())
            }
        };
        Launch {
            kernel,
            grid: [if self.rows == 0 { 0 } else { blocks }, 1, 1],
            block: [256, 1, 1],
            shared,
            arguments: vec![
                U64(self.matrix.weights),
                U64(self.matrix.parameters),
                U64(self.activations),
                U64(self.scales),
                U64(self.out),
                U32(self.rows),
                U32(outputs),
                U32(padded_line(self.matrix.inputs)),
                I32(self.fraction_bits.into()),
                U32(self.added.into()),
            ],
        }
    }
}
