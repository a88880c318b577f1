//! The memory for keys and values: one piece, cut into slabs that are lent out by number.

use std::sync::{Mutex, MutexGuard, PoisonError};

use assay_exact::accelerator::{AcceleratorError, Slabs};

use crate::device::{Buffer, Device, DeviceError};

/// All slabs of a model.
#[derive(Debug)]
pub struct Pool {
    device: Device,
    memory: Buffer,
    /// Bytes of one.
    bytes: usize,
    /// Those that nobody has.
    free: Mutex<Vec<u32>>,
}

impl Pool {
    /// `count` slabs of `bytes`, all zeros: kernels read the positions behind a sequence's end, and
    /// multiply them with 0.
    pub fn new(device: &Device, bytes: usize, count: u32) -> Result<Self, DeviceError> {
        let memory = Buffer::new(device, bytes.saturating_mul(count as usize))?;
        device.zero(memory.address(), memory.bytes())?;
        Ok(Self {
            device: device.clone(),
            memory,
            bytes,
            // The first comes last, and is taken first.
            free: Mutex::new((0..count).rev().collect()),
        })
    }

    /// Where slab 0 is; the others follow.
    pub fn address(&self) -> u64 {
        self.memory.address()
    }

    /// Slabs that nobody has.
    pub fn free(&self) -> usize {
        self.list().len()
    }

    fn list(&self) -> MutexGuard<'_, Vec<u32>> {
        // A list of numbers is never half changed.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, slab: u32) -> u64 {
        self.address() + u64::from(slab) * self.bytes as u64
    }
}

impl Slabs for Pool {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn take(&self) -> Result<u32, AcceleratorError> {
        self.list().pop().ok_or(AcceleratorError::Slabs)
    }

    fn give(&self, slab: u32) {
        self.list().push(slab);
    }

    fn copy(&self, from: u32, to: u32) -> Result<(), AcceleratorError> {
        let copied = self
            .device
            .copy(self.place(from), self.place(to), self.bytes);
        copied.map_err(AcceleratorError::from)
    }
}
