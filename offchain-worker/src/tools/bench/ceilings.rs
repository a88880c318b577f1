//! What a device does at most, measured by kernels that do nothing else.

use anyhow::{ensure, Context};
use assay_cuda::{
    ceilings::{self, MultiplyAll, ReadAll},
    device::{bytes_of, numbers_of, Buffer},
    Device,
};
use assay_exact::random::Numbers;

use super::median;

/// Bytes that are drawn; the rest of what is read repeats them.
const DRAWN: usize = 1 << 20;

/// How much is done between two looks at the clock.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Far more than any cache holds: a power of two.
    pub bytes: usize,
    /// How often they are read, or copied.
    pub times: u32,
    /// Rounds of products.
    pub rounds: u32,
}

impl Work {
    /// Some milliseconds of a large GPU.
    pub const ALL: Self = Self {
        bytes: 1 << 30,
        times: 8,
        rounds: 8192,
    };
}

/// Bytes and operations a second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ceilings {
    /// Bytes that are read by a kernel that reads alone.
    pub read: f64,
    /// Bytes that a copy inside the memory reads and writes.
    pub copied: f64,
    /// Multiplications and additions of int8 on the tensor cores, by the instruction that the kernels use.
    pub multiplied: f64,
}

/// Measures a device that has the kernels of [`ceilings`]. That they did what they are timed for is seen by
/// their sums.
pub fn measure(device: &Device, work: Work) -> anyhow::Result<Ceilings> {
    let room =
        |bytes| Buffer::new(device, bytes).context("there is no room to measure the memory in");
    let multiprocessors = device.limits().multiprocessors;
    let (from, to) = (room(work.bytes)?, room(work.bytes)?);
    let sums = room(4 * ceilings::blocks(multiprocessors) as usize)?;
    let added = || -> anyhow::Result<Vec<u32>> { Ok(numbers_of(&sums.read()?)) };

    let sum = fill(device, &from)?;
    let read = ReadAll {
        from: from.address(),
        bytes: work.bytes as u64,
        sums: sums.address(),
    }
    .launch(multiprocessors);
    let reading = median(|| {
        (0..work.times).try_for_each(|_| device.launch(&read))?;
        Ok(device.synchronise()?)
    })?;
    let found = added()?.into_iter().fold(0, u32::wrapping_add);
    ensure!(
        found == sum,
        "the device reads other numbers than it was given"
    );

    let copying = median(|| {
        (0..work.times).try_for_each(|_| device.copy(from.address(), to.address(), work.bytes))?;
        Ok(device.synchronise()?)
    })?;

    let multiply = MultiplyAll {
        rounds: work.rounds,
        a: -93,
        b: 71,
        sums: sums.address(),
    };
    let launch = multiply.launch(multiprocessors);
    let multiplying = median(|| {
        device.launch(&launch)?;
        Ok(device.synchronise()?)
    })?;
    ensure!(
        added()?.iter().all(|sum| *sum == multiply.sum()),
        "the device multiplies wrongly"
    );
    let bytes = f64::from(work.times) * work.bytes as f64;
    Ok(Ceilings {
        read: bytes / reading.as_secs_f64(),
        copied: 2.0 * bytes / copying.as_secs_f64(),
        multiplied: multiply.operations(multiprocessors) as f64 / multiplying.as_secs_f64(),
    })
}

/// Fills a buffer with numbers; their sum.
fn fill(device: &Device, buffer: &Buffer) -> anyhow::Result<u32> {
    let drawn = DRAWN.min(buffer.bytes());
    let mut numbers = Numbers::new(1);
    let words: Vec<u32> = (0..drawn / 4).map(|_| numbers.draw() as u32).collect();
    device.upload(buffer.address(), &bytes_of(&words))?;
    let mut filled = drawn;
    while filled < buffer.bytes() {
        let next = filled.min(buffer.bytes() - filled);
        device.copy(buffer.address(), buffer.address() + filled as u64, next)?;
        filled += next;
    }
    let sum = words
        .iter()
        .fold(0, |sum: u32, word| sum.wrapping_add(*word));
    Ok(sum.wrapping_mul((buffer.bytes() / drawn) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{self, interpreter::Interpreter};

    #[test]
    fn ceilings_are_of_work_that_was_done() {
        let Some(nvrtc) = common::nvrtc() else { return };
        let ptx = common::ptx_of(&nvrtc, 80, &ceilings::kernels().source);
        let interpreter = Interpreter::new(&ptx, 1);
        let work = Work {
            bytes: 2 * DRAWN,
            times: 2,
            rounds: 3,
        };
        let found = measure(&interpreter.device(), work).unwrap();
        for figure in [found.read, found.copied, found.multiplied] {
            assert!(figure.is_finite() && figure > 0.0, "{found:?}");
        }
        assert_eq!(interpreter.in_use(), 0);
        // One bit of either's sums.
        for (downloads, told) in [(0, "reads other numbers"), (1, "multiplies wrongly")] {
            interpreter.flip_after(downloads);
            let error = measure(&interpreter.device(), work).unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
