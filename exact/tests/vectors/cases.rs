//! Awkward sizes and values.

use alloc::{vec, vec::Vec};

/// Around the sizes of the format's blocks.
pub const WIDTHS: [usize; 10] = [1, 2, 3, 15, 16, 17, 63, 255, 256, 257];

/// Even widths of a head.
pub const HEAD_WIDTHS: [usize; 6] = [2, 4, 30, 32, 34, 130];

/// Numbers that depend on nothing but their order: splitmix64.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// In [low, high].
    pub fn within(&mut self, low: i64, high: i64) -> i64 {
        low + (self.draw() % (high - low + 1) as u64) as i64
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.draw() % choices.len() as u64) as usize]
    }

    pub fn list<T>(&mut self, count: usize, mut number: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..count).map(|_| number(self)).collect()
    }

    /// A row in [-limit - 1, limit], of one of [`KINDS`] kinds.
    pub fn row(&mut self, count: usize, kind: usize, limit: i64) -> Vec<i64> {
        match kind {
            0 => vec![0; count],
            1 => (0..count).map(|i| [limit, -limit - 1][i & 1]).collect(),
            2 => self.list(count, |n| n.within(-limit - 1, limit)),
            3 => self.list(count, |n| n.within(-2, 2)),
            4 => {
                let mut row = self.list(count, |n| n.within(-300, 300));
                row[count / 2] = limit;
                row
            }
            _ => self.list(count, |n| {
                let power = 1i64 << n.within(0, 63 - i64::from(limit.leading_zeros()));
                n.of(&[power, power - 1, -power, 1 - power])
                    .clamp(-limit - 1, limit)
            }),
        }
    }

    pub fn row32(&mut self, count: usize, kind: usize) -> Vec<i32> {
        let row = self.row(count, kind, i32::MAX.into());
        row.into_iter().map(|x| x as i32).collect()
    }

    pub fn weights(&mut self, count: usize, kind: usize) -> Vec<i8> {
        let weight = |n: &mut Self| match kind {
            0 => 127,
            1 => n.of(&[-127, 0, 127]),
            _ => n.within(-127, 127),
        };
        self.list(count, |n| weight(n) as i8)
    }

    pub fn activations(&mut self, count: usize, kind: usize) -> Vec<i16> {
        let activation = |n: &mut Self| match kind {
            0 => 32512,
            1 => n.of(&[-32512, 0, 32512]),
            _ => n.within(-32512, 32512),
        };
        self.list(count, |n| activation(n) as i16)
    }

    pub fn mantissa(&mut self) -> u16 {
        match self.draw() % 4 {
            0 => 1 << 15,
            1 => u16::MAX,
            2 if self.draw().is_multiple_of(4) => 0,
            _ => self.within(1 << 15, u16::MAX.into()) as u16,
        }
    }

    pub fn gamma(&mut self, count: usize, kind: usize) -> Vec<i32> {
        let most = (1 << 24) - 1;
        self.list(count, |n| match kind {
            0 => most as i32,
            1 => n.of(&[-most, 0, 1, most]) as i32,
            _ => n.within(-most, most) as i32,
        })
    }
}

/// Kinds of [`Numbers::row`].
pub const KINDS: usize = 6;
