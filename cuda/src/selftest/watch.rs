//! A device of which it is seen what it launches, and which launches as a smaller one would.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    device::{Captured, Device, DeviceError, Launch, Limits, Machine, Mark},
    kernels,
};

/// Multiprocessors for which tiles are as large, and splits as long, as they get; a few; and those that
/// the device has.
const MULTIPROCESSORS: [Option<u32>; 3] = [Some(1), Some(7), None];
/// Kinds of devices.
pub(super) const KINDS: usize = MULTIPROCESSORS.len();

type Names = Arc<Mutex<BTreeSet<&'static str>>>;

/// A device, and the kernels that it has launched.
pub(super) struct Watch<'a> {
    device: &'a Device,
    launched: Names,
}

impl<'a> Watch<'a> {
    pub fn new(device: &'a Device) -> Self {
        Self {
            device,
            launched: Names::default(),
        }
    }

    /// The device, as if it had fewer multiprocessors, and as it is.
    pub fn kinds(&self) -> [Device; KINDS] {
        MULTIPROCESSORS.map(|multiprocessors| {
            self.device.through(|machine| {
                let mut limits = machine.limits();
                limits.multiprocessors = multiprocessors.unwrap_or(limits.multiprocessors);
                Arc::new(Watched {
                    machine,
                    limits,
                    launched: self.launched.clone(),
                })
            })
        })
    }

    /// Kernels that the device could launch, and has not.
    pub fn never(&self) -> Vec<&'static str> {
        let launched = self.launched.lock();
        let launched = launched.unwrap_or_else(PoisonError::into_inner);
        kernels::names(self.device.limits().shared)
            .filter(|name| !launched.contains(name))
            .collect()
    }
}

#[derive(Debug)]
struct Watched {
    machine: Arc<dyn Machine>,
    limits: Limits,
    launched: Names,
}

impl Machine for Watched {
    fn name(&self) -> String {
        self.machine.name()
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn memory(&self) -> Result<(usize, usize), DeviceError> {
        self.machine.memory()
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        self.machine.allocate(bytes)
    }

    fn free(&self, address: u64) {
        self.machine.free(address);
    }

    fn send(&self, place: usize, bytes: &[u8], to: u64) -> Result<(), DeviceError> {
        self.machine.send(place, bytes, to)
    }

    fn fetch(&self, from: u64, bytes: usize) -> Result<(), DeviceError> {
        self.machine.fetch(from, bytes)
    }

    fn fetched(&self, bytes: usize, see: &mut dyn FnMut(&[u8])) {
        self.machine.fetched(bytes, see);
    }

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), DeviceError> {
        self.machine.copy(from, to, bytes)
    }

    fn zero(&self, address: u64, bytes: usize) -> Result<(), DeviceError> {
        self.machine.zero(address, bytes)
    }

    fn launch(&self, launch: &Launch) -> Result<(), DeviceError> {
        if !launch.grid.contains(&0) {
            let launched = self.launched.lock();
            let mut launched = launched.unwrap_or_else(PoisonError::into_inner);
            launched.insert(launch.kernel);
        }
        self.machine.launch(launch)
    }

    fn mark(self: Arc<Self>) -> Result<Box<dyn Mark>, DeviceError> {
        self.machine.clone().mark()
    }

    fn abandon(&self) {
        self.machine.abandon();
    }

    fn begin_capture(&self) -> Result<(), DeviceError> {
        self.machine.begin_capture()
    }

    fn end_capture(self: Arc<Self>) -> Result<Box<dyn Captured>, DeviceError> {
        self.machine.clone().end_capture()
    }
}
