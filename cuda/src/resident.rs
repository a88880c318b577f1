//! A model in a device's memory, on which the passes of engines run.

use std::sync::{Arc, Mutex, PoisonError};

use assay_exact::{
    accelerator::{Accelerator, AcceleratorError, AcceleratorPass, AcceleratorRows, Slabs},
    cache::SLAB,
    engine::CHUNK,
    model::Model,
    Shape,
};

use crate::{
    device::{Device, DeviceError},
    kernels::layout::slab_bytes,
    pass::{Pass, Scratch},
    slabs::Pool,
    weights::Weights,
};

/// Memory that is left to the driver, for graphs and the like.
const LEFT: usize = 64 << 20;

/// A model on a device.
#[derive(Debug)]
pub struct Resident {
    device: Device,
    shape: Shape,
    weights: Weights,
    pool: Arc<Pool>,
    /// Passes take turns.
    pass: Mutex<Pass>,
}

/// Bytes that a model takes on a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footprint {
    pub weights: usize,
    /// The rows of a pass.
    pub scratch: usize,
    /// Keys and values of as many slabs as were asked for.
    pub cache: usize,
}

/// Why a model is not on a device.
#[derive(Debug, thiserror::Error)]
pub enum ResidentError {
    #[error(
        "the model does not fit into the device's memory: its weights take {} MiB, a pass {} MiB, and keys \
         and values {} MiB, and {} MiB are free; {}",
        mib(*weights), mib(*scratch), mib(*cache), mib(*free), advice(*fits)
    )]
    Memory {
        weights: usize,
        scratch: usize,
        cache: usize,
        free: usize,
        /// Bytes of keys and values for which there is room.
        fits: usize,
    },
    #[error(transparent)]
    Device(#[from] DeviceError),
}

fn mib(bytes: usize) -> usize {
    bytes.div_ceil(1 << 20)
}

fn advice(fits: usize) -> String {
    match fits >> 20 {
        0 => "stop what else uses the device, or take a larger one".into(),
        fits => format!("give --cache-memory at most {fits}"),
    }
}

impl Resident {
    /// Brings `model` to `device`, with room for `cache` bytes of keys and values. All memory that
    /// passes will need is taken now.
    pub fn new(device: Device, model: &Model, cache: usize) -> Result<Self, ResidentError> {
        let shape = model.shape;
        let slab = slab_bytes(shape);
        let count = u32::try_from(cache / slab).unwrap_or(u32::MAX);
        let footprint = Footprint {
            weights: Weights::bytes(model),
            scratch: Scratch::bytes(shape, CHUNK, device.limits().multiprocessors),
            cache: slab * count as usize,
        };
        footprint.check(device.memory()?.0)?;
        Ok(Self {
            weights: Weights::upload(&device, model)?,
            pool: Arc::new(Pool::new(&device, slab, count)?),
            pass: Mutex::new(Pass::new(&device, shape, CHUNK)?),
            shape: shape.clone(),
            device,
        })
    }

    /// Bytes of the keys and values of one sequence of `positions` positions.
    pub fn cache(shape: &Shape, positions: usize) -> usize {
        positions.div_ceil(SLAB).saturating_mul(slab_bytes(shape))
    }

    /// What it is on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Slabs of keys and values that nobody has.
    pub fn free_slabs(&self) -> usize {
        self.pool.free()
    }
}

impl Footprint {
    /// Whether it fits into `free` bytes.
    fn check(self, free: usize) -> Result<(), ResidentError> {
        let Self {
            weights,
            scratch,
            cache,
        } = self;
        let fits = free.saturating_sub(weights + scratch + LEFT);
        match cache <= fits {
            true => Ok(()),
            false => Err(ResidentError::Memory {
                weights,
                scratch,
                cache,
                free,
                fits,
            }),
        }
    }
}

impl Accelerator for Resident {
    fn slabs(&self) -> Arc<dyn Slabs> {
        self.pool.clone()
    }

    fn run(
        &self,
        pass: &AcceleratorPass,
        asked: &mut [AcceleratorRows],
    ) -> Result<(), AcceleratorError> {
        // A pass writes all that it reads.
        let mut own = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        own.run(&self.shape, &self.weights, &self.pool, pass, asked)?;
        Ok(())
    }
}
