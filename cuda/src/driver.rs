//! A GPU, through NVIDIA's driver.

use std::{
    ffi::{c_void, CStr, CString},
    fmt,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
};

use cudarc::driver::{
    result::{self, DriverError},
    sys, CudaContext,
};

use crate::{
    device::{Captured, DeviceError, Launch, Limits, Machine, Mark, WINDOW},
    nvrtc::{Arch, Need, Version},
};

/// The oldest driver whose functions are enough: it comes with CUDA 12.0.
const OLDEST: i32 = 12_000;
/// The oldest architecture that the kernels are written for.
pub const OLDEST_ARCH: u32 = 75;

/// Why a GPU cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GpuError {
    #[error(
        "no NVIDIA driver: libcuda.so.1 is nowhere that the system looks; install the driver, or compute \
         with --device cpu"
    )]
    NoDriver,
    #[error(
        "the NVIDIA driver is too old: it speaks CUDA {}.{}, and 12.0 is needed; install a newer one, or \
         compute with --device cpu",
        version / 1000, version % 1000 / 10
    )]
    OldDriver { version: i32 },
    #[error("the NVIDIA driver does not start ({name}, code {code}); see its log, or compute with --device cpu")]
    Driver { name: &'static str, code: i32 },
    #[error(
        "there is no cuda:{ordinal}: the NVIDIA driver finds {count} GPUs; name another one with --device, \
         such as --device cpu"
    )]
    NoGpu { ordinal: usize, count: i32 },
    #[error(
        "{name} has compute capability {}.{}, and the kernels need 7.5; take a newer GPU, or compute with \
         --device cpu",
        arch / 10, arch % 10
    )]
    OldGpu { name: String, arch: u32 },
    #[error("cuda:{ordinal} cannot be used: {error}")]
    Device { ordinal: usize, error: DeviceError },
}

/// A GPU's context, and the stream in which everything happens.
pub struct Gpu {
    name: String,
    arch: u32,
    limits: Limits,
    context: Arc<CudaContext>,
    stream: Stream,
    module: Module,
    /// What goes to it, and what comes from it. Nothing is under way in either that its user does not know
    /// of.
    leading_in: Mutex<Window>,
    leading_out: Mutex<Window>,
    /// Whether it does not answer, and nothing may be asked of it.
    abandoned: AtomicBool,
}

/// A GPU without kernels: what they are compiled for.
pub struct Bare {
    ordinal: usize,
    name: String,
    arch: u32,
    /// What the driver speaks.
    cuda: Version,
    context: Arc<CudaContext>,
}

impl Bare {
    /// The GPU of this number.
    pub fn open(ordinal: usize) -> Result<Self, GpuError> {
        // SAFETY: it loads the driver's library, if there is one, which does nothing by itself.
        if !unsafe { sys::is_culib_present() } {
            return Err(GpuError::NoDriver);
        }
        let driver = |error| not_started(ordinal, error);
        let mut version = 0;
        // SAFETY: it writes one number, and may be called before all others.
        let found = unsafe { sys::cuDriverGetVersion(&mut version) };
        found.result().map_err(driver)?;
        if version < OLDEST {
            return Err(GpuError::OldDriver { version });
        }
        result::init().map_err(driver)?;
        let count = result::device::get_count().map_err(driver)?;
        if ordinal >= usize::try_from(count).unwrap_or_default() {
            return Err(GpuError::NoGpu { ordinal, count });
        }
        let device = |error| GpuError::Device {
            ordinal,
            error: failed("its start", error),
        };
        let context = CudaContext::new(ordinal).map_err(device)?;
        let name = context.name().map_err(device)?;
        let (major, minor) = context.compute_capability().map_err(device)?;
        let arch = u32::try_from(major * 10 + minor).unwrap_or_default();
        if arch < OLDEST_ARCH {
            return Err(GpuError::OldGpu { name, arch });
        }
        Ok(Self {
            ordinal,
            name,
            arch,
            cuda: Version {
                major: version / 1000,
                minor: version % 1000 / 10,
            },
            context,
        })
    }

    /// What kernels are compiled for.
    pub fn arch(&self) -> Arch {
        Arch::Machine(self.arch)
    }

    /// What a compiler of kernels has to be good for.
    pub fn need(&self) -> Need {
        Need {
            arch: self.arch(),
            cuda: self.cuda,
        }
    }

    /// The GPU with `code`, which was compiled for it and has these kernels.
    pub fn load(self, code: &[u8], kernels: &[&'static str]) -> Result<Gpu, GpuError> {
        let Self {
            ordinal,
            name,
            arch,
            context,
            ..
        } = self;
        let loaded = || -> Result<_, DeviceError> {
            bind(&context)?;
            let limit = |attribute| {
                let limit = context.attribute(attribute);
                let limit = limit.map_err(|error| failed("asking for its limits", error))?;
                Ok(u32::try_from(limit).unwrap_or_default())
            };
            let limits = Limits {
                multiprocessors: limit(
                    sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
                )?,
                shared: limit(
                    sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
                )?,
            };
            let module = Module::load(limits.shared, code, kernels)?;
            let stream = result::stream::create(result::stream::StreamKind::NonBlocking)
                .map_err(|error| failed("making a stream", error))?;
            let stream = Stream(stream);
            Ok((limits, module, stream, [Window::new()?, Window::new()?]))
        };
        let (limits, module, stream, [leading_in, leading_out]) =
            loaded().map_err(|error| GpuError::Device { ordinal, error })?;
        Ok(Gpu {
            name,
            arch,
            limits,
            stream,
            module,
            context,
            leading_in: Mutex::new(leading_in),
            leading_out: Mutex::new(leading_out),
            abandoned: AtomicBool::new(false),
        })
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Gpu({}, sm_{})", self.name, self.arch)
    }
}

struct Stream(sys::CUstream);
// SAFETY: the driver's functions take a stream on any thread.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

/// Memory of this machine that the GPU reads and writes itself, at any time until it has come to the end of
/// what it was told. Of other memory, when it is read depends on the driver and the machine.
struct Window(*mut u8);
// SAFETY: it is memory like any other.
unsafe impl Send for Window {}

impl Window {
    fn new() -> Result<Self, DeviceError> {
        let making = |error| failed("making a window to its memory", error);
        // SAFETY: it is the calling thread's context's, and freed with the GPU.
        let memory = unsafe { result::malloc_host(WINDOW, 0) }.map_err(making)?;
        let memory = memory.cast::<u8>();
        // SAFETY: it is as long; whoever sees a part of it sees numbers.
        unsafe { memory.write_bytes(0, WINDOW) };
        Ok(Self(memory))
    }

    fn of(window: &Mutex<Self>) -> MutexGuard<'_, Self> {
        window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Code, and its kernels by name.
struct Module {
    module: sys::CUmodule,
    kernels: Vec<(&'static str, sys::CUfunction)>,
}
// SAFETY: as for streams.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    /// `shared` bytes of shared memory are the most that a block may ask for.
    fn load(shared: u32, code: &[u8], kernels: &[&'static str]) -> Result<Self, DeviceError> {
        let loading = |error| failed("loading the kernels", error);
        // SAFETY: the driver checks what it is given, whose length it reads from itself.
        let module = unsafe { result::module::load_data(code.as_ptr().cast()) }.map_err(loading)?;
        let mut found = Self {
            module,
            kernels: Vec::new(),
        };
        let most = i32::try_from(shared).unwrap_or(i32::MAX);
        for name in kernels {
            let text = CString::new(*name).unwrap_or_default();
            // SAFETY: the module is loaded.
            let kernel = unsafe { result::module::get_function(module, text) }.map_err(loading)?;
            // SAFETY: the kernel is the module's.
            unsafe {
                let own = result::function::get_function_attribute(
                    kernel,
                    sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES,
                );
                result::function::set_function_attribute(
                    kernel,
                    sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                    most - own.map_err(loading)?,
                )
                .map_err(loading)?;
            }
            found.kernels.push((name, kernel));
        }
        Ok(found)
    }

    fn kernel(&self, name: &str) -> Option<sys::CUfunction> {
        let found = self.kernels.iter().find(|(other, _)| *other == name);
        found.map(|(_, kernel)| *kernel)
    }
}

impl Machine for Gpu {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn memory(&self) -> Result<(usize, usize), DeviceError> {
        bind(&self.context)?;
        result::mem_get_info().map_err(|error| failed("asking for its memory", error))
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        if bytes == 0 {
            return Ok(0);
        }
        bind(&self.context)?;
        // SAFETY: what is in it is never read before it is written.
        unsafe { result::malloc_sync(bytes) }.map_err(|error| match error.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => DeviceError::Memory { bytes },
            _ => failed("allocating memory", error),
        })
    }

    fn free(&self, address: u64) {
        if address != 0 && bind(&self.context).is_ok() {
            // Nothing is left to be done where the GPU is gone.
            // SAFETY: it was allocated, and whoever had it gives it back once.
            let _ = unsafe { result::free_sync(address) };
        }
    }

    fn send(&self, place: usize, bytes: &[u8], to: u64) -> Result<(), DeviceError> {
        if bytes.is_empty() {
            return Ok(());
        }
        bind(&self.context)?;
        let window = Window::of(&self.leading_in);
        assert!(
            bytes.len() <= WINDOW.saturating_sub(place),
            "past the window"
        );
        // SAFETY: the place is the window's, and as long. That the GPU has read what was there is the
        // caller's to see to; if not, it gets a mixture of both.
        unsafe {
            let place = window.0.add(place);
            place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            let bytes = std::slice::from_raw_parts(place, bytes.len());
            result::memcpy_htod_async(to, bytes, self.stream.0)
        }
        .map_err(|error| failed("an upload", error))
    }

    fn fetch(&self, from: u64, bytes: usize) -> Result<(), DeviceError> {
        if bytes == 0 {
            return Ok(());
        }
        bind(&self.context)?;
        let window = Window::of(&self.leading_out);
        assert!(bytes <= WINDOW, "past the window");
        // SAFETY: the window is as long, and there as long as the GPU.
        unsafe {
            let bytes = std::slice::from_raw_parts_mut(window.0, bytes);
            result::memcpy_dtoh_async(bytes, from, self.stream.0)
        }
        .map_err(|error| failed("a download", error))
    }

    fn fetched(&self, bytes: usize, see: &mut dyn FnMut(&[u8])) {
        let window = Window::of(&self.leading_out);
        // SAFETY: the window is as long, and the caller knows that the GPU does not write it any more.
        see(unsafe { std::slice::from_raw_parts(window.0, bytes.min(WINDOW)) });
    }

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), DeviceError> {
        if bytes == 0 {
            return Ok(());
        }
        bind(&self.context)?;
        // SAFETY: both are allocated and as long.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream.0) }
            .map_err(|error| failed("a copy", error))
    }

    fn zero(&self, address: u64, bytes: usize) -> Result<(), DeviceError> {
        if bytes == 0 {
            return Ok(());
        }
        bind(&self.context)?;
        // SAFETY: it is allocated and as long.
        unsafe { result::memset_d8_async(address, 0, bytes, self.stream.0) }
            .map_err(|error| failed("zeroing memory", error))
    }

    fn launch(&self, launch: &Launch) -> Result<(), DeviceError> {
        if launch.grid.contains(&0) {
            return Ok(());
        }
        bind(&self.context)?;
        let Some(kernel) = self.module.kernel(launch.kernel) else {
            return Err(DeviceError::Failed {
                action: launch.kernel,
                name: "no such kernel",
                code: sys::CUresult::CUDA_ERROR_NOT_FOUND as i32,
            });
        };
        let mut values: Vec<[u8; 8]> = Vec::with_capacity(launch.arguments.len());
        values.extend(launch.arguments.iter().map(|argument| argument.bytes().0));
        let mut pointers: Vec<*mut c_void> = values
            .iter_mut()
            .map(|value| value.as_mut_ptr().cast())
            .collect();
        let dimensions = |[x, y, z]: [u32; 3]| (x, y, z);
        // SAFETY: the arguments are those of the kernel's parameters, and the driver has copied them when
        // it returns.
        unsafe {
            result::launch_kernel(
                kernel,
                dimensions(launch.grid),
                dimensions(launch.block),
                launch.shared,
                self.stream.0,
                &mut pointers,
            )
        }
        .map_err(|error| failed(launch.kernel, error))
    }

    fn mark(self: Arc<Self>) -> Result<Box<dyn Mark>, DeviceError> {
        bind(&self.context)?;
        let flags = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING;
        let event = result::event::create(flags).map_err(waiting)?;
        let reached = Reached { event, gpu: self };
        // SAFETY: event and stream are there.
        unsafe { result::event::record(reached.event, reached.gpu.stream.0) }.map_err(waiting)?;
        Ok(Box::new(reached))
    }

    fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    fn begin_capture(&self) -> Result<(), DeviceError> {
        bind(&self.context)?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is there.
        unsafe { result::stream::begin_capture(self.stream.0, mode) }.map_err(capturing)
    }

    fn end_capture(self: Arc<Self>) -> Result<Box<dyn Captured>, DeviceError> {
        bind(&self.context)?;
        // SAFETY: the stream is there, and what comes of it is nobody else's.
        let graph = unsafe { result::stream::end_capture(self.stream.0) }.map_err(capturing)?;
        // SAFETY: the graph is there; what is made of it is independent of it.
        let ready = unsafe {
            let ready = result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0));
            let _ = result::graph::destroy(graph);
            ready.map_err(capturing)?
        };
        let ready = Ready {
            graph: ready,
            gpu: self,
        };
        // The memory that it runs in is taken now.
        // SAFETY: graph and stream are there.
        unsafe { result::graph::upload(ready.graph, ready.gpu.stream.0) }.map_err(capturing)?;
        Ok(Box::new(ready))
    }
}

fn capturing(error: DriverError) -> DeviceError {
    failed("capturing a graph", error)
}

impl Gpu {
    /// Whether the driver may be asked to give something back, which waits for what is under way.
    fn gives_back(&self) -> bool {
        !self.abandoned.load(Ordering::Acquire) && bind(&self.context).is_ok()
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        if self.gives_back() {
            // SAFETY: nobody else has any of it; nothing is left to be done where the GPU is gone.
            unsafe {
                let _ = result::stream::synchronize(self.stream.0);
                let _ = result::stream::destroy(self.stream.0);
                let _ = result::module::unload(self.module.module);
                for window in [&self.leading_in, &self.leading_out] {
                    let _ = result::free_host(Window::of(window).0.cast());
                }
            }
        } else {
            // The context's end would wait as well.
            std::mem::forget(self.context.clone());
        }
    }
}

/// An event behind what the GPU was told.
struct Reached {
    gpu: Arc<Gpu>,
    event: sys::CUevent,
}

// SAFETY: as for streams.
unsafe impl Send for Reached {}

impl fmt::Debug for Reached {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Reached({:?})", self.gpu)
    }
}

impl Mark for Reached {
    fn is_done(&self) -> Result<bool, DeviceError> {
        // SAFETY: the event is there.
        match unsafe { result::event::query(self.event) } {
            Ok(()) => Ok(true),
            Err(DriverError(sys::CUresult::CUDA_ERROR_NOT_READY)) => Ok(false),
            Err(error) => Err(waiting(error)),
        }
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        if self.gpu.gives_back() {
            // SAFETY: nobody else has it.
            let _ = unsafe { result::event::destroy(self.event) };
        }
    }
}

/// Whatever went wrong before is found by whoever waits.
fn waiting(error: DriverError) -> DeviceError {
    failed("a pass", error)
}

/// A graph that is ready to run.
struct Ready {
    gpu: Arc<Gpu>,
    graph: sys::CUgraphExec,
}

// SAFETY: as for streams.
unsafe impl Send for Ready {}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Ready({:?})", self.gpu)
    }
}

impl Captured for Ready {
    fn run(&self) -> Result<(), DeviceError> {
        bind(&self.gpu.context)?;
        // SAFETY: graph and stream are there.
        unsafe { result::graph::launch(self.graph, self.gpu.stream.0) }
            .map_err(|error| failed("a graph", error))
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if self.gpu.gives_back() {
            // SAFETY: nobody else has it.
            let _ = unsafe { result::graph::exec_destroy(self.graph) };
        }
    }
}

/// Why the driver has no GPU number `ordinal`.
fn not_started(ordinal: usize, error: DriverError) -> GpuError {
    match error.0 {
        // A driver on a machine without GPUs, or one that is shown none of them.
        sys::CUresult::CUDA_ERROR_NO_DEVICE => GpuError::NoGpu { ordinal, count: 0 },
        code => GpuError::Driver {
            name: name(error),
            code: code as i32,
        },
    }
}

/// Makes the context the calling thread's.
fn bind(context: &CudaContext) -> Result<(), DeviceError> {
    context
        .bind_to_thread()
        .map_err(|error| failed("entering its context", error))
}

fn failed(action: &'static str, error: DriverError) -> DeviceError {
    DeviceError::Failed {
        action,
        name: name(error),
        code: error.0 as i32,
    }
}

/// The driver's name of an error: a text that it never gives back.
fn name(error: DriverError) -> &'static str {
    let mut text = std::ptr::null();
    // SAFETY: it writes a pointer to a constant text, or none.
    let text = unsafe {
        let known = sys::cuGetErrorName(error.0, &mut text).result();
        (known.is_ok() && !text.is_null()).then(|| CStr::from_ptr(text))
    };
    text.and_then(|text: &'static CStr| text.to_str().ok())
        .unwrap_or("an unknown error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_without_gpus_is_told_as_no_such_gpu() {
        let none = DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE);
        let told = not_started(2, none).to_string();
        assert!(told.starts_with("there is no cuda:2"), "{told}");
        assert!(told.contains("finds 0 GPUs") && told.contains("--device cpu"));
    }
}
