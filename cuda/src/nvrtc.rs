//! NVRTC, NVIDIA's compiler of kernels, as a library that is looked for when the program runs.

mod find;

use std::{
    ffi::{c_char, c_int, c_void, CStr, CString},
    fmt,
    path::{Path, PathBuf},
};

use libloading::os::unix::{Library, Symbol, RTLD_GLOBAL, RTLD_NOW};

pub(crate) use self::find::user_folder;
use self::find::NAMES;
pub use self::find::{Folders, Need, Rejected};

/// What the library loads by its name, and finds only where that is loaded already.
const BUILTINS: &str = "libnvrtc-builtins.so";

/// Why nothing is compiled.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NvrtcError {
    #[error(
        "NVRTC is missing: {} is in none of {folders}; install it (`pip install {package}`) \
         and name its folder with --cuda-lib-dir",
        NAMES[0]
    )]
    Missing {
        folders: Folders,
        /// Python's, which has one that would do.
        package: &'static str,
    },
    #[error(
        "no NVRTC that is here can be used: {}; install one that can (`pip install {package}`) and name its \
         folder with --cuda-lib-dir",
        find::list(rejected)
    )]
    Unusable {
        rejected: Vec<Rejected>,
        package: &'static str,
    },
    #[error(
        "NVRTC {version} does not compile for {arch}; install a version that does, or compute elsewhere with \
         --device"
    )]
    Architecture { version: Version, arch: Arch },
    #[error("the kernels do not compile for {arch} with NVRTC {version}: {log}; report this")]
    Source {
        version: Version,
        arch: Arch,
        log: String,
    },
    #[error("NVRTC {version} failed: {problem}; report this")]
    Failed { version: Version, problem: String },
}

/// NVRTC's version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version {
    pub major: i32,
    pub minor: i32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What is compiled for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arch {
    /// Machine code of one architecture, such as 90 for 9.0.
    Machine(u32),
    /// PTX, for any architecture from this one on.
    Virtual(u32),
}

impl Arch {
    fn number(self) -> u32 {
        match self {
            Self::Machine(number) | Self::Virtual(number) => number,
        }
    }
}

/// As the compiler's option names it.
impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            // Its own instructions are in its own variant alone.
            Self::Machine(90) => write!(f, "sm_90a"),
            Self::Machine(number) => write!(f, "sm_{number}"),
            Self::Virtual(number) => write!(f, "compute_{number}"),
        }
    }
}

/// What the compiler made, and what it said meanwhile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compiled {
    /// A cubin, or PTX's text.
    pub code: Vec<u8>,
    pub log: String,
}

type Program = *mut c_void;
type Status = c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> Status;
type Text = unsafe extern "C" fn(Program, *mut c_char) -> Status;
type Create = unsafe extern "C" fn(
    *mut Program,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> Status;

/// The library.
pub struct Nvrtc {
    file: PathBuf,
    version: Version,
    architectures: Vec<u32>,
    create: Symbol<Create>,
    compile: Symbol<unsafe extern "C" fn(Program, c_int, *const *const c_char) -> Status>,
    destroy: Symbol<unsafe extern "C" fn(*mut Program) -> Status>,
    message: Symbol<unsafe extern "C" fn(Status) -> *const c_char>,
    cubin: (Symbol<Size>, Symbol<Text>),
    ptx: (Symbol<Size>, Symbol<Text>),
    log: (Symbol<Size>, Symbol<Text>),
    // Last, as fields are dropped in order: the symbols are of these.
    _libraries: Vec<Library>,
}

impl fmt::Debug for Nvrtc {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "NVRTC {} at {}", self.version, self.file.display())
    }
}

impl Nvrtc {
    /// The first in `folders`, or where the system looks, that loads and is good for what is needed.
    pub fn find(folders: &Folders, need: Option<Need>) -> Result<Self, NvrtcError> {
        let package = find::package(need);
        let open = |file: &Path| {
            let nvrtc = Self::open(file)?;
            if let Some(need) = need {
                need.check(nvrtc.version, &nvrtc.architectures)?;
            }
            Ok(nvrtc)
        };
        find::first(folders.files().chain(of_system()), open).map_err(|rejected| {
            match rejected.is_empty() {
                true => NvrtcError::Missing {
                    folders: folders.clone(),
                    package,
                },
                false => NvrtcError::Unusable { rejected, package },
            }
        })
    }

    fn open(file: &Path) -> Result<Self, String> {
        let load = |file: &Path| {
            // SAFETY: neither library does anything when it is loaded.
            unsafe { Library::open(Some(file), RTLD_NOW | RTLD_GLOBAL) }
                .map_err(|error| error.to_string())
        };
        let mut libraries = Vec::new();
        if let Some(builtins) = builtins(file) {
            libraries.push(load(&builtins)?);
        }
        let library = load(file)?;
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the function has this type in every version of NVRTC's interface.
                unsafe { library.get($name) }.map_err(|error| error.to_string())?
            };
        }
        let version: Symbol<unsafe extern "C" fn(*mut c_int, *mut c_int) -> Status> =
            symbol!(b"nvrtcVersion\0");
        let count: Symbol<unsafe extern "C" fn(*mut c_int) -> Status> =
            symbol!(b"nvrtcGetNumSupportedArchs\0");
        let list: Symbol<unsafe extern "C" fn(*mut c_int) -> Status> =
            symbol!(b"nvrtcGetSupportedArchs\0");
        let (mut major, mut minor, mut entries) = (0, 0, 0);
        // SAFETY: each writes one number where it is told to.
        let states = unsafe { [version(&mut major, &mut minor), count(&mut entries)] };
        let mut architectures = vec![0; usize::try_from(entries).unwrap_or_default()];
        // SAFETY: it writes as many numbers as it has counted.
        let listed = unsafe { list(architectures.as_mut_ptr()) };
        if states != [0, 0] || listed != 0 {
            return Err("it does not tell its version".into());
        }
        let architectures = architectures.into_iter().flat_map(u32::try_from).collect();
        let found = Self {
            file: file.into(),
            version: Version { major, minor },
            architectures,
            create: symbol!(b"nvrtcCreateProgram\0"),
            compile: symbol!(b"nvrtcCompileProgram\0"),
            destroy: symbol!(b"nvrtcDestroyProgram\0"),
            message: symbol!(b"nvrtcGetErrorString\0"),
            cubin: (symbol!(b"nvrtcGetCUBINSize\0"), symbol!(b"nvrtcGetCUBIN\0")),
            ptx: (symbol!(b"nvrtcGetPTXSize\0"), symbol!(b"nvrtcGetPTX\0")),
            log: (
                symbol!(b"nvrtcGetProgramLogSize\0"),
                symbol!(b"nvrtcGetProgramLog\0"),
            ),
            _libraries: {
                libraries.push(library);
                libraries
            },
        };
        Ok(found)
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// The file that was loaded.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Compiles `source` with `options` beside the architecture's.
    pub fn compile(
        &self,
        source: &str,
        arch: Arch,
        options: &[&str],
    ) -> Result<Compiled, NvrtcError> {
        let version = self.version;
        if !self.architectures.contains(&arch.number()) {
            return Err(NvrtcError::Architecture { version, arch });
        }
        let text = |text: &str| {
            CString::new(text).map_err(|_| NvrtcError::Failed {
                version,
                problem: "a source holds a zero byte".into(),
            })
        };
        let option = format!("--gpu-architecture={arch}");
        let options = [option.as_str()].into_iter().chain(options.iter().copied());
        let texts = options.map(text).collect::<Result<Vec<_>, _>>()?;
        let options: Vec<_> = texts.iter().map(|option| option.as_ptr()).collect();
        let source = text(source)?;
        let mut program = Owned {
            nvrtc: self,
            program: std::ptr::null_mut(),
        };
        // SAFETY: all pointers are of zero-terminated texts that live until the call is over.
        let created = unsafe {
            (self.create)(
                &mut program.program,
                source.as_ptr(),
                c"kernels.cu".as_ptr(),
                0,
                std::ptr::null(),
                std::ptr::null(),
            )
        };
        self.check(created)?;
        // SAFETY: as above, and the program is there.
        let status =
            unsafe { (self.compile)(program.program, options.len() as c_int, options.as_ptr()) };
        let log = self.text(&program, &self.log)?;
        let log = String::from_utf8_lossy(&log)
            .trim_end_matches('\0')
            .to_owned();
        if status != 0 {
            let log = match log.trim() {
                "" => self.message(status),
                log => log.into(),
            };
            return Err(NvrtcError::Source { version, arch, log });
        }
        let code = match arch {
            Arch::Machine(_) => self.text(&program, &self.cubin)?,
            Arch::Virtual(_) => self.text(&program, &self.ptx)?,
        };
        Ok(Compiled { code, log })
    }

    fn text(
        &self,
        program: &Owned,
        (size, get): &(Symbol<Size>, Symbol<Text>),
    ) -> Result<Vec<u8>, NvrtcError> {
        let mut bytes = 0;
        // SAFETY: it writes one number.
        self.check(unsafe { size(program.program, &mut bytes) })?;
        let mut text = vec![0; bytes];
        // SAFETY: it writes as many bytes as it has said.
        self.check(unsafe { get(program.program, text.as_mut_ptr().cast()) })?;
        Ok(text)
    }

    fn message(&self, status: Status) -> String {
        // SAFETY: it gives a constant text for every number.
        let text = unsafe {
            let text = (self.message)(status);
            (!text.is_null()).then(|| CStr::from_ptr(text))
        };
        text.unwrap_or(c"unknown").to_string_lossy().into_owned()
    }

    fn check(&self, status: Status) -> Result<(), NvrtcError> {
        match status {
            0 => Ok(()),
            _ => Err(NvrtcError::Failed {
                version: self.version,
                problem: self.message(status),
            }),
        }
    }
}

/// What the system finds by itself.
fn of_system() -> impl Iterator<Item = PathBuf> {
    // SAFETY: NVRTC does nothing when it is loaded.
    let found = |name: &&str| unsafe { Library::open(Some(*name), RTLD_NOW) }.is_ok();
    NAMES.into_iter().filter(found).map(PathBuf::from)
}

/// The builtins beside the library, whatever their version.
fn builtins(file: &Path) -> Option<PathBuf> {
    let entries = file.parent()?.read_dir().ok()?;
    let mut found: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            name.is_some_and(|name| name.starts_with(BUILTINS))
        })
        .collect();
    // The longest name is the file, the others are links to it.
    found.sort_by_key(|path| path.as_os_str().len());
    found.pop()
}

/// A program, destroyed in the end.
struct Owned<'a> {
    nvrtc: &'a Nvrtc,
    program: Program,
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        if !self.program.is_null() {
            // SAFETY: it was created, and nobody uses it any more.
            unsafe { (self.nvrtc.destroy)(&mut self.program) };
        }
    }
}
