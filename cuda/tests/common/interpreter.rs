//! A device that is the processor: it runs what the compiler made of the kernels, instruction by
//! instruction, and finds what they must not do.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::{
        atomic::{AtomicI64, Ordering},
        Arc, Mutex, PoisonError,
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use assay_cuda::device::{Captured, Device, DeviceError, Launch, Limits, Machine, Mark, WINDOW};
use assay_ptx::{Counts, Memory, Module, Options};

/// More than any test's model takes.
const MEMORY: u64 = 1 << 28;
/// Orders of blocks and warps among which launches differ.
const SCHEDULES: u64 = 4;

pub struct Interpreter {
    module: Module,
    limits: Limits,
    state: Mutex<State>,
    /// Calls until the device is lost; below 0, it is.
    left: AtomicI64,
}

struct State {
    memory: Memory,
    counts: Counts,
    launches: u64,
    /// Launches of a capture under way, and who makes them.
    captured: Option<(ThreadId, Vec<Launch>)>,
    captures: u64,
    /// Whether there is no memory for graphs.
    refusing: bool,
    graphs: u64,
    /// Downloads until one has a wrong bit.
    flip: Option<u64>,
    /// Bytes of all downloads so far.
    downloaded: u64,
    /// Copies from and into the windows that were begun, and how many of them are known to be done.
    copies: u64,
    done: u64,
    leading_in: Vec<u8>,
    /// Parts of that window that may still be read, each by which copy.
    sent: Vec<(u64, Range<usize>)>,
    leading_out: Vec<u8>,
    /// The copy that this window is of.
    fetched: u64,
    /// Until when it comes to no end, and whether it was given up for that.
    hangs: Option<Instant>,
    abandoned: bool,
}

impl State {
    /// What does more than launch spoils a capture, on whatever thread.
    fn uncaptured(&mut self) -> &mut Self {
        assert!(self.captured.is_none(), "a call during a capture");
        self
    }
}

impl Interpreter {
    /// As many multiprocessors as a test wants kernels to be launched for.
    pub fn new(ptx: &str, multiprocessors: u32) -> Arc<Self> {
        let memory = Memory::new(MEMORY);
        Arc::new(Self {
            module: Module::parse(ptx).unwrap_or_else(|error| panic!("{error}")),
            limits: Limits {
                multiprocessors,
                // What blocks of these architectures may ask for; of later ones it is no less.
                shared: if ptx.contains(".target sm_75") {
                    64
                } else {
                    99
                } << 10,
            },
            state: Mutex::new(State {
                memory,
                counts: Counts::default(),
                launches: 0,
                captured: None,
                captures: 0,
                refusing: false,
                graphs: 0,
                flip: None,
                downloaded: 0,
                copies: 0,
                done: 0,
                leading_in: vec![0; WINDOW],
                sent: Vec::new(),
                leading_out: Vec::new(),
                fetched: 0,
                hangs: None,
                abandoned: false,
            }),
            left: AtomicI64::new(i64::MAX),
        })
    }

    /// It, as models share it.
    pub fn device(self: &Arc<Self>) -> Device {
        Device::new(self.clone())
    }

    /// It, as those share it who give it up after `patience`.
    pub fn device_with_patience(self: &Arc<Self>, patience: Duration) -> Device {
        Device::with_patience(self.clone(), patience)
    }

    /// What it is told is not done for longer than any test runs, as when a GPU hangs.
    pub fn hang(&self) {
        self.hang_for(Duration::from_secs(24 * 3600));
    }

    /// Nothing is done until then.
    pub fn hang_for(&self, time: Duration) {
        self.with(|state| state.hangs = Instant::now().checked_add(time));
    }

    /// Whether it was given up.
    pub fn is_abandoned(&self) -> bool {
        self.with(|state| state.abandoned)
    }

    /// From now on there is no memory for graphs, or there is.
    pub fn refuse_graphs(&self, refusing: bool) {
        self.with(|state| state.refusing = refusing);
    }

    /// Captures that were begun.
    pub fn captures(&self) -> u64 {
        self.with(|state| state.captures)
    }

    /// Bytes that were downloaded.
    pub fn downloaded(&self) -> u64 {
        self.with(|state| state.downloaded)
    }

    /// The download after so many has one wrong bit.
    pub fn flip_after(&self, downloads: u64) {
        self.with(|state| state.flip = Some(downloads));
    }

    /// The device is gone after so many calls more.
    pub fn lose_after(&self, calls: i64) {
        self.left.store(calls, Ordering::Relaxed);
    }

    /// What all launches did so far.
    pub fn counts(&self) -> Counts {
        self.with(|state| state.counts.clone())
    }

    /// Launches, and runs of graphs.
    pub fn launches(&self) -> (u64, u64) {
        self.with(|state| (state.launches, state.graphs))
    }

    pub fn in_use(&self) -> u64 {
        self.with(|state| state.memory.in_use())
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A call that no capture takes.
    fn call<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, DeviceError> {
        self.enter(|state| work(state.uncaptured()))
    }

    fn enter<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, DeviceError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            self.left.store(0, Ordering::Relaxed);
            return Err(DeviceError::Failed {
                action: "a pass",
                name: "CUDA_ERROR_DEVICE_UNAVAILABLE",
                code: 46,
            });
        }
        Ok(self.with(|state| {
            assert!(!state.abandoned, "a call after it was given up");
            work(state)
        }))
    }

    fn run(&self, state: &mut State, launch: &Launch) {
        if launch.grid.contains(&0) {
            return;
        }
        let bytes: Vec<_> = launch.arguments.iter().map(|one| one.bytes()).collect();
        let arguments: Vec<&[u8]> = bytes
            .iter()
            .map(|(bytes, length)| &bytes[..*length])
            .collect();
        let asked = assay_ptx::Launch {
            kernel: launch.kernel,
            grid: launch.grid,
            block: launch.block,
            dynamic_shared: launch.shared,
            arguments: &arguments,
        };
        // Whatever order is chosen, the same launch gets it again.
        let mut hasher = DefaultHasher::new();
        (launch, state.launches).hash(&mut hasher);
        let options = Options {
            seed: hasher.finish() % SCHEDULES,
            ..Options::default()
        };
        match assay_ptx::launch(&self.module, &asked, &mut state.memory, &options) {
            Ok(counts) => state.counts += &counts,
            Err(fault) => panic!("{fault} (schedule {})", options.seed),
        }
        state.launches += 1;
    }
}

impl std::fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Interpreter")
    }
}

impl Machine for Interpreter {
    fn name(&self) -> String {
        "the processor as a GPU".into()
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn memory(&self) -> Result<(usize, usize), DeviceError> {
        self.call(|state| ((MEMORY - state.memory.in_use()) as usize, MEMORY as usize))
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        if bytes == 0 {
            return Ok(0);
        }
        self.call(|state| state.memory.alloc(bytes as u64))?
            .map_err(|_| DeviceError::Memory { bytes })
    }

    fn free(&self, address: u64) {
        if address != 0 {
            self.with(|state| {
                assert!(!state.abandoned, "a call after it was given up");
                state.uncaptured().memory.free(address).unwrap();
            });
        }
    }

    fn send(&self, place: usize, bytes: &[u8], to: u64) -> Result<(), DeviceError> {
        self.call(|state| {
            let part = place..place + bytes.len();
            let mut others = state.sent.iter();
            let met = others.find(|(_, other)| part.start < other.end && other.start < part.end);
            assert_eq!(met, None, "written while it is read");
            state.copies += 1;
            state.sent.push((state.copies, part.clone()));
            state.leading_in[part.clone()].copy_from_slice(bytes);
            state.memory.write(to, &state.leading_in[part]).unwrap();
        })
    }

    fn fetch(&self, from: u64, bytes: usize) -> Result<(), DeviceError> {
        self.call(|state| {
            assert!(bytes <= WINDOW, "past the window");
            state.copies += 1;
            state.fetched = state.copies;
            state.downloaded += bytes as u64;
            state.leading_out.resize(bytes, 0);
            state.memory.read(from, &mut state.leading_out).unwrap();
            match &mut state.flip {
                Some(0) => {
                    state.leading_out[0] ^= 1;
                    state.flip = None;
                }
                Some(left) => *left -= 1,
                None => {}
            }
        })
    }

    fn fetched(&self, bytes: usize, see: &mut dyn FnMut(&[u8])) {
        let window = self.with(|state| {
            assert!(state.fetched <= state.done, "read before it is there");
            std::mem::take(&mut state.leading_out)
        });
        assert_eq!(window.len(), bytes);
        see(&window);
    }

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), DeviceError> {
        let mut content = vec![0; bytes];
        self.call(|state| {
            state.memory.read(from, &mut content).unwrap();
            state.memory.write(to, &content).unwrap();
        })
    }

    fn zero(&self, address: u64, bytes: usize) -> Result<(), DeviceError> {
        self.call(|state| {
            if bytes > 0 {
                state.memory.zero(address, bytes as u64).unwrap();
            }
        })
    }

    fn launch(&self, launch: &Launch) -> Result<(), DeviceError> {
        let captured = self.enter(|state| match &mut state.captured {
            Some((by, captured)) => {
                assert_eq!(
                    *by,
                    thread::current().id(),
                    "a launch into another's capture"
                );
                captured.push(launch.clone());
                true
            }
            None => {
                self.run(state, launch);
                false
            }
        })?;
        if captured {
            // Whoever may call meanwhile does.
            thread::yield_now();
        }
        Ok(())
    }

    fn mark(self: Arc<Self>) -> Result<Box<dyn Mark>, DeviceError> {
        let copies = self.call(|state| state.copies)?;
        Ok(Box::new(Reached {
            device: self,
            copies,
        }))
    }

    fn abandon(&self) {
        self.with(|state| state.abandoned = true);
    }

    fn begin_capture(&self) -> Result<(), DeviceError> {
        self.call(|state| {
            state.captured = Some((thread::current().id(), Vec::new()));
            state.captures += 1;
        })
    }

    fn end_capture(self: Arc<Self>) -> Result<Box<dyn Captured>, DeviceError> {
        let (captured, refusing) = self.with(|state| (state.captured.take(), state.refusing));
        let (by, launches) = captured.expect("a capture is under way");
        assert_eq!(by, thread::current().id(), "another's capture");
        self.call(|_| ())?;
        match refusing {
            true => Err(DeviceError::Memory { bytes: 1 }),
            false => Ok(Box::new(Recorded {
                device: self,
                launches,
            })),
        }
    }
}

/// Behind so many copies.
#[derive(Debug)]
struct Reached {
    device: Arc<Interpreter>,
    copies: u64,
}

impl Mark for Reached {
    fn is_done(&self) -> Result<bool, DeviceError> {
        self.device.call(|state| {
            if state.hangs.is_some_and(|until| Instant::now() < until) {
                return false;
            }
            state.done = state.done.max(self.copies);
            state.sent.retain(|(copy, _)| *copy > self.copies);
            true
        })
    }
}

#[derive(Debug)]
struct Recorded {
    device: Arc<Interpreter>,
    launches: Vec<Launch>,
}

impl Captured for Recorded {
    fn run(&self) -> Result<(), DeviceError> {
        self.device.call(|state| {
            state.graphs += 1;
            for launch in &self.launches {
                self.device.run(state, launch);
            }
        })
    }
}
