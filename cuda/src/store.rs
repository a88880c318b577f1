//! Compiled kernels on disk: a start that finds them needs no compiler's time.
//!
//! A file's name is the hash of all that decides its content, and its content begins with its own hash:
//! what is damaged, or written by half, is made anew.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use blake2b_simd::Params;

use crate::nvrtc::{Arch, Compiled, Nvrtc, NvrtcError};

/// Bytes of a hash.
const HASH: usize = 32;

/// A folder of compiled kernels.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// Machine code, and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Code {
    pub bytes: Vec<u8>,
    pub origin: Origin,
}

/// Where code comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    Store,
    /// It was compiled now; what kept it from being stored.
    Compiler(Option<io::ErrorKind>),
}

impl Store {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The user's: `kernels` in `ASSAY_CUDA_DIR`, or in ~/.cache/assay/cuda.
    pub fn of_user() -> Option<Self> {
        let folder = crate::nvrtc::user_folder()?;
        Some(Self::new(folder.join("kernels")))
    }

    /// What `source` compiles to.
    pub fn compiled(
        &self,
        nvrtc: &Nvrtc,
        source: &str,
        arch: Arch,
        options: &[&str],
    ) -> Result<Code, NvrtcError> {
        let file = self.folder.join(name(nvrtc, source, arch, options));
        if let Some(bytes) = fs::read(&file).ok().and_then(|content| sound(&content)) {
            return Ok(Code {
                bytes,
                origin: Origin::Store,
            });
        }
        let Compiled { code, .. } = nvrtc.compile(source, arch, options)?;
        let stored = self.write(&file, &code);
        Ok(Code {
            bytes: code,
            origin: Origin::Compiler(stored.err().map(|error| error.kind())),
        })
    }

    fn write(&self, file: &Path, code: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        // Another process may write the same file; each renames a whole one of its own.
        let whole = file.with_extension(std::process::id().to_string());
        let content = [hash(code).as_slice(), code].concat();
        let written = fs::write(&whole, content).and_then(|()| fs::rename(&whole, file));
        if written.is_err() {
            let _ = fs::remove_file(&whole);
        }
        written
    }
}

/// The code of a file that is whole.
fn sound(content: &[u8]) -> Option<Vec<u8>> {
    let (head, code) = content.split_at_checked(HASH)?;
    (head == hash(code)).then(|| code.to_vec())
}

fn name(nvrtc: &Nvrtc, source: &str, arch: Arch, options: &[&str]) -> String {
    let (version, arch) = (nvrtc.version().to_string(), arch.to_string());
    let parts = [version.as_str(), &arch, source].into_iter();
    let mut all = Vec::new();
    for part in parts.chain(options.iter().copied()) {
        all.extend((part.len() as u64).to_le_bytes());
        all.extend(part.as_bytes());
    }
    let hex: String = hash(&all)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex + ".bin"
}

fn hash(bytes: &[u8]) -> [u8; HASH] {
    let mut hash = [0; HASH];
    let made = Params::new().hash_length(HASH).hash(bytes);
    hash.copy_from_slice(made.as_bytes());
    hash
}
