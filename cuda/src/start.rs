//! From a GPU's number to a device that has the kernels.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    device::Device,
    driver::{Bare, GpuError},
    kernels::{self, Kernels},
    nvrtc::{Folders, Nvrtc, NvrtcError, Version},
    store::{Origin, Store},
    OPTIONS,
};

/// A GPU, and how it came to its kernels.
#[derive(Debug)]
pub struct Opened {
    pub device: Device,
    pub compiler: Version,
    pub origin: Origin,
    /// How long it took to have them, and to load them.
    pub compiling: Duration,
    pub loading: Duration,
}

/// Why there is no GPU with kernels.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error(transparent)]
    Nvrtc(#[from] NvrtcError),
}

/// The GPU of this number with the kernels of a model's passes. NVRTC is looked for in `libraries` first;
/// `store` keeps what it compiles, and without one it compiles anew.
pub fn open(
    ordinal: usize,
    libraries: Option<&Path>,
    store: Option<&Store>,
) -> Result<Opened, StartError> {
    open_with(&kernels::all(), ordinal, libraries, store)
}

/// As [`open`], with other kernels.
pub fn open_with(
    kernels: &Kernels,
    ordinal: usize,
    libraries: Option<&Path>,
    store: Option<&Store>,
) -> Result<Opened, StartError> {
    let bare = Bare::open(ordinal)?;
    let started = Instant::now();
    let nvrtc = Nvrtc::find(&Folders::of(libraries), Some(bare.need()))?;
    let (code, origin) = match store {
        Some(store) => {
            let code = store.compiled(&nvrtc, &kernels.source, bare.arch(), &OPTIONS)?;
            (code.bytes, code.origin)
        }
        None => {
            let compiled = nvrtc.compile(&kernels.source, bare.arch(), &OPTIONS)?;
            (compiled.code, Origin::Compiler(None))
        }
    };
    let compiling = started.elapsed();
    let started = Instant::now();
    let gpu = bare.load(&code, kernels.names)?;
    Ok(Opened {
        device: Device::new(Arc::new(gpu)),
        compiler: nvrtc.version(),
        origin,
        compiling,
        loading: started.elapsed(),
    })
}
