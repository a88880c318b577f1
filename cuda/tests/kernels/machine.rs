//! The device of these tests, with the kernels that one architecture gets.

use std::sync::{Arc, OnceLock};

use assay_cuda::device::{bytes_of, numbers_of, Buffer, Device, Launch, Plain};
use assay_exact::Scale;
use assay_ptx::Counts;

use crate::common::{self, interpreter::Interpreter};

/// Architectures whose kernels differ, without and with large products and copies ahead; and the bytes
/// of shared memory that a block may have there.
const ARCHITECTURES: [(u32, u32); 2] = [(75, 64 << 10), (80, 163 << 10)];

pub struct Machine {
    /// Bytes that a block may have.
    pub shared: u32,
    interpreter: Arc<Interpreter>,
    device: Device,
}

/// Calls a test with a machine of each architecture.
pub fn each(test: impl Fn(&Machine)) {
    static PTX: OnceLock<Vec<String>> = OnceLock::new();
    let compiled = PTX.get_or_init(|| {
        let Some(nvrtc) = common::nvrtc() else {
            return Vec::new();
        };
        ARCHITECTURES
            .map(|(number, _)| common::ptx(&nvrtc, number))
            .into()
    });
    for (ptx, (_, shared)) in compiled.iter().zip(ARCHITECTURES) {
        let interpreter = Interpreter::new(ptx, 132);
        test(&Machine {
            shared,
            device: interpreter.device(),
            interpreter,
        });
    }
}

impl Machine {
    pub fn of<T: Plain>(&self, numbers: &[T]) -> Buffer {
        Buffer::of(&self.device, &bytes_of(numbers)).unwrap()
    }

    /// Room for so many numbers, which nobody has written.
    pub fn room<T: Plain>(&self, numbers: usize) -> Buffer {
        Buffer::new(&self.device, numbers * T::BYTES).unwrap()
    }

    /// Scales as the kernels read those of rows.
    pub fn scales(&self, scales: &[Scale]) -> Buffer {
        let pairs = scales
            .iter()
            .flat_map(|scale| [i32::from(scale.mantissa), scale.exponent]);
        self.of(&pairs.collect::<Vec<_>>())
    }

    /// Rows of activations as the kernels read them.
    pub fn activations(&self, rows: &[Vec<i16>], stride: u32) -> Buffer {
        self.of(&rows
            .iter()
            .flat_map(|row| limbs(row, stride))
            .collect::<Vec<_>>())
    }

    pub fn run(&self, launch: Launch) {
        self.device.launch(&launch).unwrap();
    }

    /// Eight bytes of device memory.
    pub fn word(&self, address: u64) -> i64 {
        let mut bytes = [0; 8];
        self.device.download(address, &mut bytes).unwrap();
        i64::from_le_bytes(bytes)
    }

    /// What the launches did so far.
    pub fn counts(&self) -> Counts {
        self.interpreter.counts()
    }
}

/// All numbers of a buffer.
pub fn read<T: Plain>(buffer: &Buffer) -> Vec<T> {
    numbers_of(&buffer.read().unwrap())
}

/// Scales of rows.
pub fn read_scales(buffer: &Buffer) -> Vec<Scale> {
    let pair = |pair: &[i32]| Scale {
        mantissa: pair[0].try_into().unwrap(),
        exponent: pair[1],
    };
    read(buffer).chunks_exact(2).map(pair).collect()
}

/// High limbs and low limbs of a row, each with zeros behind them.
pub fn limbs(row: &[i16], stride: u32) -> Vec<i8> {
    let high = |q: i16| (i32::from(q) + 128) >> 8;
    let mut limbs = vec![0; 2 * stride as usize];
    let (highs, lows) = limbs.split_at_mut(stride as usize);
    for ((q, slot), low) in row.iter().zip(highs).zip(lows) {
        *slot = high(*q) as i8;
        *low = (i32::from(*q) - 256 * high(*q)) as i8;
    }
    limbs
}
