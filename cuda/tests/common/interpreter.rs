//! A device that is the processor: it runs what the compiler made of the kernels, instruction by
//! instruction, and finds what they must not do.

use std::sync::{
    atomic::{AtomicI64, Ordering},
    Arc, Mutex, PoisonError,
};

use assay_cuda::device::{Device, DeviceError, Graph, Launch, Limits};
use assay_ptx::{Counts, Memory, Module, Options};

/// More than any test's model takes.
const MEMORY: u64 = 1 << 28;

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
    /// Launches of a capture under way.
    captured: Option<Vec<Launch>>,
    graphs: u64,
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
                graphs: 0,
            }),
            left: AtomicI64::new(i64::MAX),
        })
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

    fn call<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, DeviceError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            self.left.store(0, Ordering::Relaxed);
            return Err(DeviceError::Failed {
                action: "a pass",
                name: "CUDA_ERROR_DEVICE_UNAVAILABLE",
                code: 46,
            });
        }
        Ok(self.with(work))
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
        let options = Options::default();
        match assay_ptx::launch(&self.module, &asked, &mut state.memory, &options) {
            Ok(counts) => state.counts += &counts,
            Err(fault) => panic!("{fault}"),
        }
        state.launches += 1;
    }
}

impl std::fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Interpreter")
    }
}

impl Device for Interpreter {
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
            self.with(|state| state.memory.free(address).unwrap());
        }
    }

    fn upload(&self, to: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.call(|state| {
            if !bytes.is_empty() {
                state.memory.write(to, bytes).unwrap();
            }
        })
    }

    fn download(&self, from: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.call(|state| {
            if !bytes.is_empty() {
                state.memory.read(from, bytes).unwrap();
            }
        })
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
        self.call(|state| match &mut state.captured {
            Some(captured) => captured.push(launch.clone()),
            None => self.run(state, launch),
        })
    }

    fn synchronise(&self) -> Result<(), DeviceError> {
        self.call(|_| ())
    }

    fn capture(
        self: Arc<Self>,
        work: &mut dyn FnMut() -> Result<(), DeviceError>,
    ) -> Result<Box<dyn Graph>, DeviceError> {
        self.call(|state| state.captured = Some(Vec::new()))?;
        let done = work();
        let launches = self.with(|state| state.captured.take()).unwrap();
        done?;
        Ok(Box::new(Recorded {
            device: self,
            launches,
        }))
    }
}

#[derive(Debug)]
struct Recorded {
    device: Arc<Interpreter>,
    launches: Vec<Launch>,
}

impl Graph for Recorded {
    fn run(&self) -> Result<(), DeviceError> {
        self.device.call(|state| {
            state.graphs += 1;
            for launch in &self.launches {
                self.device.run(state, launch);
            }
        })
    }
}
