//! Where the elements of small matrices lie in the registers of a warp.
//!
//! The lanes stand in eight groups of four. In every fragment a register holds four bytes that are
//! neighbours along the depth, or one sum.

use crate::lanes::Lanes;

/// The shape of a product of 8-bit integers; it has always 8 columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// 8 or 16.
    pub rows: u32,
    /// 16 or 32: terms of each sum.
    pub depth: u32,
}

/// The most rows and the most depth.
const ROWS: usize = 16;
const DEPTH: usize = 32;
const COLUMNS: usize = 8;

impl Shape {
    /// Registers of C and D in each lane.
    pub fn sums(self) -> u32 {
        self.rows / 4
    }

    /// Registers of A.
    pub fn left(self) -> u32 {
        self.rows * self.depth / 128
    }

    /// Registers of B.
    pub fn right(self) -> u32 {
        self.depth / 16
    }

    /// Row and first column of what register `index` of A holds in a lane.
    fn left_place(self, index: usize, lane: usize) -> (usize, usize) {
        let blocks_of_rows = self.rows as usize / 8;
        let (row_block, depth_block) = (index % blocks_of_rows, index / blocks_of_rows);
        (lane / 4 + 8 * row_block, 4 * (lane % 4) + 16 * depth_block)
    }

    /// D = A · B + C; A, B and C are given register by register.
    ///
    /// Sums wrap, or saturate once, at the end: intermediate sums have room.
    pub fn multiply(
        self,
        a: &[&Lanes],
        b: &[&Lanes],
        c: &[&Lanes],
        signed: (bool, bool),
        saturates: bool,
    ) -> [Lanes; 4] {
        let mut left = [[0i16; DEPTH]; ROWS];
        for (index, register) in a.iter().enumerate() {
            for (lane, value) in register.iter().enumerate() {
                let (row, first) = self.left_place(index, lane);
                left[row][first..first + 4].copy_from_slice(&bytes(*value, signed.0));
            }
        }
        let mut right = [[0i16; DEPTH]; COLUMNS];
        for (index, register) in b.iter().enumerate() {
            for (lane, value) in register.iter().enumerate() {
                let first = 4 * (lane % 4) + 16 * index;
                right[lane / 4][first..first + 4].copy_from_slice(&bytes(*value, signed.1));
            }
        }
        let mut d = [[0; 32]; 4];
        for (index, (to, from)) in d.iter_mut().zip(c).enumerate() {
            for lane in 0..32 {
                let (row, column) = (lane / 4 + 8 * (index / 2), 2 * (lane % 4) + index % 2);
                let products = left[row].iter().zip(&right[column]);
                // 32 products of at most 2^16 stay far below 2^31.
                let sum: i32 = products.map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
                let before = from[lane] as i32;
                let sum = if saturates {
                    before.saturating_add(sum)
                } else {
                    before.wrapping_add(sum)
                };
                to[lane] = u64::from(sum as u32);
            }
        }
        d
    }
}

fn bytes(register: u64, signed: bool) -> [i16; 4] {
    (register as u32).to_le_bytes().map(|byte| {
        if signed {
            i16::from(byte as i8)
        } else {
            i16::from(byte)
        }
    })
}

/// An 8×8 matrix of 16-bit elements, two neighbours of a row in each lane's register, transposed.
pub(crate) fn transposed(register: &Lanes) -> Lanes {
    let element =
        |row: usize, column: usize| register[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff;
    core::array::from_fn(|lane| {
        let (row, column) = (lane / 4, 2 * (lane % 4));
        element(column, row) | element(column + 1, row) << 16
    })
}
