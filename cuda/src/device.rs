//! A machine that runs kernels: memory of its own, by address, and an order in which it does what it
//! is told.
//!
//! The driver of a GPU is a [`Machine`]; the tests' other one runs the same kernels on the processor. A
//! [`Device`] is a machine as several models share it. All calls but [`Device::synchronise`] and
//! [`Device::download`] may return before their work is done; the work is done in the order of the calls.

use std::{
    fmt::Debug,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use assay_exact::accelerator::AcceleratorError;

/// A kernel's name, how many threads run it, and what it is given.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Launch {
    pub kernel: &'static str,
    /// Blocks in each dimension; nothing is done where one is 0.
    pub grid: [u32; 3],
    /// Threads of a block in each dimension.
    pub block: [u32; 3],
    /// Bytes of shared memory that the kernel does not declare itself.
    pub shared: u32,
    /// One for each of the kernel's parameters, in order.
    pub arguments: Vec<Argument>,
}

/// An argument, of the size that its name says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Argument {
    U32(u32),
    I32(i32),
    /// An address, or a number of 64 bits.
    U64(u64),
}

impl Argument {
    /// As the machine reads it, and how many bytes of that it reads.
    pub fn bytes(self) -> ([u8; 8], usize) {
        match self {
            Self::U32(value) => (u64::from(value).to_le_bytes(), 4),
            Self::I32(value) => (i64::from(value).to_le_bytes(), 4),
            Self::U64(value) => (value.to_le_bytes(), 8),
        }
    }
}

/// What a machine's blocks run on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub multiprocessors: u32,
    /// Bytes of shared memory that a block may ask for.
    pub shared: u32,
}

/// Launches that a machine put together.
pub trait Captured: Debug + Send {
    fn run(&self) -> Result<(), DeviceError>;
}

/// A machine, called from any thread; but while a capture is under way by nobody but whoever began it.
pub trait Machine: Debug + Send + Sync {
    /// What it is, for people.
    fn name(&self) -> String;

    /// What launches are made for.
    fn limits(&self) -> Limits;

    /// Bytes of memory that are free, and all.
    fn memory(&self) -> Result<(usize, usize), DeviceError>;

    /// Memory whose content is anything, at a multiple of 256. None is none: address 0.
    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError>;

    /// Gives memory back that was allocated.
    fn free(&self, address: u64);

    fn upload(&self, to: u64, bytes: &[u8]) -> Result<(), DeviceError>;

    fn download(&self, from: u64, bytes: &mut [u8]) -> Result<(), DeviceError>;

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), DeviceError>;

    fn zero(&self, address: u64, bytes: usize) -> Result<(), DeviceError>;

    fn launch(&self, launch: &Launch) -> Result<(), DeviceError>;

    /// Waits until all is done.
    fn synchronise(&self) -> Result<(), DeviceError>;

    /// From now on launches are put together, and not run.
    fn begin_capture(&self) -> Result<(), DeviceError>;

    /// Ends the capture in any case, and makes ready what was launched since: running it takes no more
    /// memory.
    fn end_capture(self: Arc<Self>) -> Result<Box<dyn Captured>, DeviceError>;
}

/// A machine, shared by all who have a clone of this.
#[derive(Clone, Debug)]
pub struct Device {
    machine: Arc<dyn Machine>,
    /// Calls share the machine. A capture has it alone: whatever another thread did meanwhile would be
    /// captured with it, and waiting for the machine would spoil it.
    turns: Arc<RwLock<()>>,
}

/// Launches that were put together, to be run again and again at the cost of one.
#[derive(Debug)]
pub struct Graph {
    device: Device,
    captured: Box<dyn Captured>,
}

impl Graph {
    pub fn run(&self) -> Result<(), DeviceError> {
        let _turn = self.device.turn();
        self.captured.run()
    }
}

impl Device {
    /// A machine that nobody else calls.
    pub fn new(machine: Arc<dyn Machine>) -> Self {
        Self {
            machine,
            turns: Arc::default(),
        }
    }

    /// The same machine, called through another.
    pub fn through(&self, wrap: impl FnOnce(Arc<dyn Machine>) -> Arc<dyn Machine>) -> Self {
        Self {
            machine: wrap(self.machine.clone()),
            turns: self.turns.clone(),
        }
    }

    fn turn(&self) -> RwLockReadGuard<'_, ()> {
        self.turns.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is, for people.
    pub fn name(&self) -> String {
        self.machine.name()
    }

    /// What launches are made for.
    pub fn limits(&self) -> Limits {
        self.machine.limits()
    }

    /// Bytes of memory that are free, and all.
    pub fn memory(&self) -> Result<(usize, usize), DeviceError> {
        let _turn = self.turn();
        self.machine.memory()
    }

    pub fn upload(&self, to: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let _turn = self.turn();
        self.machine.upload(to, bytes)
    }

    pub fn download(&self, from: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let _turn = self.turn();
        self.machine.download(from, bytes)
    }

    pub fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), DeviceError> {
        let _turn = self.turn();
        self.machine.copy(from, to, bytes)
    }

    pub fn zero(&self, address: u64, bytes: usize) -> Result<(), DeviceError> {
        let _turn = self.turn();
        self.machine.zero(address, bytes)
    }

    pub fn launch(&self, launch: &Launch) -> Result<(), DeviceError> {
        let _turn = self.turn();
        self.machine.launch(launch)
    }

    /// Waits until all is done.
    pub fn synchronise(&self) -> Result<(), DeviceError> {
        let _turn = self.turn();
        self.machine.synchronise()
    }

    /// Puts `launches` into a graph, and runs none of them.
    pub fn capture(&self, launches: &[Launch]) -> Result<Graph, DeviceError> {
        let _alone = self.turns.write().unwrap_or_else(PoisonError::into_inner);
        self.machine.begin_capture()?;
        let capture = Capture {
            machine: self.machine.clone(),
            open: true,
        };
        for launch in launches {
            self.machine.launch(launch)?;
        }
        Ok(Graph {
            captured: capture.end()?,
            device: self.clone(),
        })
    }
}

/// A capture under way, which ends whatever happens.
struct Capture {
    machine: Arc<dyn Machine>,
    open: bool,
}

impl Capture {
    fn end(mut self) -> Result<Box<dyn Captured>, DeviceError> {
        self.open = false;
        self.machine.clone().end_capture()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if self.open {
            let _ = self.machine.clone().end_capture();
        }
    }
}

/// Why a machine does not do what it was told.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeviceError {
    #[error(
        "the device has no {bytes} bytes of memory left; stop what else uses it, or give it less"
    )]
    Memory { bytes: usize },
    /// Nothing more can be expected of it.
    #[error(
        "the device failed at {action} ({name}, code {code}); see its driver's log, and start again"
    )]
    Failed {
        action: &'static str,
        /// The driver's name of the error, and its code.
        name: &'static str,
        code: i32,
    },
}

impl From<DeviceError> for AcceleratorError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Memory { .. } => Self::Slabs,
            DeviceError::Failed { action, name, code } => Self::Failed { action, name, code },
        }
    }
}

/// Memory of a machine, given back in the end.
#[derive(Debug)]
pub struct Buffer {
    device: Device,
    address: u64,
    bytes: usize,
}

impl Buffer {
    /// Memory whose content is anything.
    pub fn new(device: &Device, bytes: usize) -> Result<Self, DeviceError> {
        let _turn = device.turn();
        Ok(Self {
            address: device.machine.allocate(bytes)?,
            device: device.clone(),
            bytes,
        })
    }

    /// Memory that holds `content`.
    pub fn of(device: &Device, content: &[u8]) -> Result<Self, DeviceError> {
        let buffer = Self::new(device, content.len())?;
        device.upload(buffer.address, content)?;
        Ok(buffer)
    }

    pub fn address(&self) -> u64 {
        self.address
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// All that it holds.
    pub fn read(&self) -> Result<Vec<u8>, DeviceError> {
        let mut content = vec![0; self.bytes];
        self.device.download(self.address, &mut content)?;
        Ok(content)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let _turn = self.device.turn();
        self.device.machine.free(self.address);
    }
}

/// Numbers that a machine reads as this one writes them: little-endian, without gaps.
pub trait Plain: Copy {
    const BYTES: usize;
    fn put(self, out: &mut [u8]);
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! plain {
    ($($number:ty),*) => {$(
        impl Plain for $number {
            const BYTES: usize = size_of::<Self>();
            fn put(self, out: &mut [u8]) {
                out.copy_from_slice(&self.to_le_bytes());
            }
            fn get(bytes: &[u8]) -> Self {
                let mut number = [0; size_of::<Self>()];
                number.copy_from_slice(bytes);
                Self::from_le_bytes(number)
            }
        }
    )*};
}
plain!(i8, u8, i16, u16, i32, u32, i64, u64);

/// The bytes of numbers.
pub fn bytes_of<T: Plain>(numbers: &[T]) -> Vec<u8> {
    let mut bytes = vec![0; numbers.len() * T::BYTES];
    for (number, out) in numbers.iter().zip(bytes.chunks_exact_mut(T::BYTES)) {
        number.put(out);
    }
    bytes
}

/// The numbers of bytes.
pub fn numbers_of<T: Plain>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(T::BYTES).map(T::get).collect()
}
