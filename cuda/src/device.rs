//! A machine that runs kernels: memory of its own, by address, and an order in which it does what it
//! is told.
//!
//! The driver of a GPU is a [`Machine`]; the tests' other one runs the same kernels on the processor. A
//! [`Device`] is a machine as several models share it. All calls but [`Device::synchronise`],
//! [`Device::read`] and [`Device::download`] may return before their work is done; the work is done in the
//! order of the calls. What is uploaded is the caller's again when the call returns.
//!
//! Nobody waits for ever: a machine that does not come to an end is given up, and asked nothing more.

use std::{
    fmt::Debug,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
    },
    thread,
    time::{Duration, Instant},
};

use assay_exact::accelerator::AcceleratorError;

/// Bytes of each of a machine's two windows: the memory through which bytes go to it, and come back.
pub const WINDOW: usize = 16 << 20;
/// Bytes that are sent at a time: while they are on their way, the next are put into the window.
const SENT: usize = 1 << 20;
/// Where what is sent begins: at multiples of so many bytes.
const ALIGNED: usize = 256;

/// How long a device may take for what it was told. Its longest pass takes some seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long one who waits asks again and again; behind that, passes are so long that a pause between two
/// questions costs nothing that counts.
const EAGER: Duration = Duration::from_millis(20);
const PAUSE: Duration = Duration::from_micros(100);

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

/// A place in the order of what a machine was told.
pub trait Mark: Debug + Send {
    /// Whether all that it was told before is done.
    fn is_done(&self) -> Result<bool, DeviceError>;
}

/// A machine, called from any thread; but while a capture is under way by nobody but whoever began it. None
/// of its calls waits for work to be done.
pub trait Machine: Debug + Send + Sync {
    /// What it is, for people.
    fn name(&self) -> String;

    /// What launches are made for.
    fn limits(&self) -> Limits;

    /// Bytes of memory that are free, and all.
    fn memory(&self) -> Result<(usize, usize), DeviceError>;

    /// Memory whose content is anything, at a multiple of 256. None is none: address 0.
    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError>;

    /// Gives memory back that was allocated, and that nothing under way needs.
    fn free(&self, address: u64);

    /// Puts `bytes` into the window that leads in, at `place`, and lets them go to `to`. They are read from
    /// the window until this is done, and nobody puts others there before.
    fn send(&self, place: usize, bytes: &[u8], to: u64) -> Result<(), DeviceError>;

    /// Lets bytes come from `from` to the beginning of the window that leads out.
    fn fetch(&self, from: u64, bytes: usize) -> Result<(), DeviceError>;

    /// Shows so many bytes of that window: those that were fetched last, when that is done.
    fn fetched(&self, bytes: usize, see: &mut dyn FnMut(&[u8]));

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), DeviceError>;

    fn zero(&self, address: u64, bytes: usize) -> Result<(), DeviceError>;

    fn launch(&self, launch: &Launch) -> Result<(), DeviceError>;

    /// Behind all that it was told so far.
    fn mark(self: Arc<Self>) -> Result<Box<dyn Mark>, DeviceError>;

    /// It does not answer. Nothing more is asked of it, and what it has is left to the system: giving
    /// something back would wait for what is under way.
    fn abandon(&self);

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
    shared: Arc<Shared>,
}

/// What all who share a machine have in common.
#[derive(Debug)]
struct Shared {
    /// Calls share the machine. A capture has it alone: whatever another thread did meanwhile would be
    /// captured with it, and waiting for the machine would spoil it.
    turns: RwLock<()>,
    /// Bytes of the window that leads in that may still be on their way, from its beginning on.
    sent: Mutex<usize>,
    /// The window that leads out is one reader's at a time.
    reading: Mutex<()>,
    patience: Duration,
    /// Whether the machine was given up.
    silent: AtomicBool,
}

/// Launches that were put together, to be run again and again at the cost of one.
#[derive(Debug)]
pub struct Graph {
    device: Device,
    captured: Box<dyn Captured>,
}

impl Graph {
    pub fn run(&self) -> Result<(), DeviceError> {
        let _turn = self.device.turn()?;
        self.captured.run()
    }
}

impl Device {
    /// A machine that nobody else calls.
    pub fn new(machine: Arc<dyn Machine>) -> Self {
        Self::with_patience(machine, PATIENCE)
    }

    /// One that is given up when it takes longer than `patience`.
    pub fn with_patience(machine: Arc<dyn Machine>, patience: Duration) -> Self {
        Self {
            machine,
            shared: Arc::new(Shared {
                turns: RwLock::default(),
                sent: Mutex::default(),
                reading: Mutex::default(),
                patience,
                silent: AtomicBool::default(),
            }),
        }
    }

    /// The same machine, called through another.
    pub fn through(&self, wrap: impl FnOnce(Arc<dyn Machine>) -> Arc<dyn Machine>) -> Self {
        Self {
            machine: wrap(self.machine.clone()),
            shared: self.shared.clone(),
        }
    }

    /// Lets the caller call the machine, unless that was given up.
    fn turn(&self) -> Result<RwLockReadGuard<'_, ()>, DeviceError> {
        let turns = &self.shared.turns;
        let turn = turns.read().unwrap_or_else(PoisonError::into_inner);
        self.answers().map(|()| turn)
    }

    fn answers(&self) -> Result<(), DeviceError> {
        let Shared {
            silent, patience, ..
        } = &*self.shared;
        match silent.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(DeviceError::Silent {
                seconds: patience.as_secs(),
            }),
        }
    }

    /// Waits until all that was told so far is done. The caller has a turn.
    fn wait(&self) -> Result<(), DeviceError> {
        let mark = self.machine.clone().mark()?;
        let since = Instant::now();
        while !mark.is_done()? {
            let waited = since.elapsed();
            if waited >= self.shared.patience {
                self.shared.silent.store(true, Ordering::Release);
                self.machine.abandon();
                return self.answers();
            }
            match waited < EAGER {
                true => thread::yield_now(),
                false => thread::sleep(PAUSE),
            }
        }
        Ok(())
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
        let _turn = self.turn()?;
        self.machine.memory()
    }

    /// Brings `bytes` to `to`. They are the caller's again when this returns.
    pub fn upload(&self, mut to: u64, mut bytes: &[u8]) -> Result<(), DeviceError> {
        let _turn = self.turn()?;
        let mut sent = own(&self.shared.sent);
        while !bytes.is_empty() {
            if *sent == WINDOW {
                self.wait()?;
                *sent = 0;
            }
            let place = *sent;
            let (now, later) = bytes.split_at(bytes.len().min(SENT).min(WINDOW - place));
            // Also where sending fails: they may be on their way.
            *sent += now.len().next_multiple_of(ALIGNED);
            self.machine.send(place, now, to)?;
            to += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Shows the `bytes` bytes from `from` on to `see`, in pieces, all but the last of a multiple of 256
    /// bytes.
    pub fn read(
        &self,
        mut from: u64,
        bytes: usize,
        see: &mut dyn FnMut(&[u8]),
    ) -> Result<(), DeviceError> {
        let _turn = self.turn()?;
        let _window = own(&self.shared.reading);
        let mut left = bytes;
        while left > 0 {
            let piece = left.min(WINDOW);
            self.machine.fetch(from, piece)?;
            self.wait()?;
            self.machine.fetched(piece, see);
            from += piece as u64;
            left -= piece;
        }
        Ok(())
    }

    /// Fills `bytes` with what is at `from`.
    pub fn download(&self, from: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let mut rest = &mut bytes[..];
        self.read(from, rest.len(), &mut |piece| {
            let (now, later) = std::mem::take(&mut rest).split_at_mut(piece.len());
            now.copy_from_slice(piece);
            rest = later;
        })
    }

    pub fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), DeviceError> {
        let _turn = self.turn()?;
        self.machine.copy(from, to, bytes)
    }

    pub fn zero(&self, address: u64, bytes: usize) -> Result<(), DeviceError> {
        let _turn = self.turn()?;
        self.machine.zero(address, bytes)
    }

    pub fn launch(&self, launch: &Launch) -> Result<(), DeviceError> {
        let _turn = self.turn()?;
        self.machine.launch(launch)
    }

    /// Waits until all that was told so far is done.
    pub fn synchronise(&self) -> Result<(), DeviceError> {
        let _turn = self.turn()?;
        self.wait()
    }

    /// Puts `launches` into a graph, and runs none of them.
    pub fn capture(&self, launches: &[Launch]) -> Result<Graph, DeviceError> {
        let turns = &self.shared.turns;
        let _alone = turns.write().unwrap_or_else(PoisonError::into_inner);
        self.answers()?;
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

/// What is behind a lock is whole whenever somebody panics.
fn own<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// It was given up: nothing more is asked of it.
    #[error(
        "the device has not come to an end for {seconds} s; see its driver's log, and start again"
    )]
    Silent { seconds: u64 },
}

/// The driver's code for what took too long.
const TIMEOUT: i32 = 702;

impl From<DeviceError> for AcceleratorError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Memory { .. } => Self::Slabs,
            DeviceError::Failed { action, name, code } => Self::Failed { action, name, code },
            DeviceError::Silent { .. } => Self::Failed {
                action: "a pass",
                name: "it does not come to an end",
                code: TIMEOUT,
            },
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
        let _turn = device.turn()?;
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
        let Ok(_turn) = self.device.turn() else {
            return;
        };
        // What is under way may still read it.
        match self.device.wait() {
            Err(DeviceError::Silent { .. }) => {}
            _ => self.device.machine.free(self.address),
        }
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
