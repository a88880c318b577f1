//! Where NVRTC is looked for, and which of those that are there is taken.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

use super::{Arch, Version};

/// Names of the library, the newest first. The last is what a toolkit for developers links.
pub(super) const NAMES: [&str; 3] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];

/// What NVRTC has to be good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    pub arch: Arch,
    /// What the driver speaks, that loads what is compiled.
    pub cuda: Version,
}

impl Need {
    /// Whether an NVRTC of this version, which compiles for these architectures, is good for it; else why
    /// it is not.
    pub(super) fn check(self, version: Version, architectures: &[u32]) -> Result<(), String> {
        let Self { arch, cuda } = self;
        // Within a major version drivers load what newer compilers make.
        if version.major > cuda.major {
            return Err(format!(
                "{version} is newer than the driver, which speaks CUDA {cuda}"
            ));
        }
        if !architectures.contains(&arch.number()) {
            return Err(format!("{version} does not compile for {arch}"));
        }
        Ok(())
    }
}

/// A library that is there and cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    pub file: PathBuf,
    pub reason: String,
}

/// All of `rejected`, on one line.
pub(super) fn list(rejected: &[Rejected]) -> String {
    let each = rejected.iter().map(|Rejected { file, reason }| {
        let reason = reason.lines().collect::<Vec<_>>().join(" ");
        format!("{} ({reason})", file.display())
    });
    each.collect::<Vec<_>>().join(", ")
}

/// The package of Python whose newest version would do.
pub(super) fn package(need: Option<Need>) -> &'static str {
    match need {
        Some(need) if need.cuda.major < 13 => "nvidia-cuda-nvrtc-cu12",
        _ => "nvidia-cuda-nvrtc",
    }
}

/// What `open` makes of the first of `files` that it can use; else why it can use none.
pub(super) fn first<T>(
    files: impl Iterator<Item = PathBuf>,
    open: impl Fn(&Path) -> Result<T, String>,
) -> Result<T, Vec<Rejected>> {
    let mut rejected = Vec::new();
    for file in files {
        match open(&file) {
            Ok(found) => return Ok(found),
            Err(reason) => rejected.push(Rejected { file, reason }),
        }
    }
    Err(rejected)
}

/// Folders in which NVRTC is looked for, in this order, before what the system finds by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Folders(Vec<PathBuf>);

impl Folders {
    /// `given`, those of `LD_LIBRARY_PATH`, a toolkit's, that of [`scripts/cuda`](crate), and those of
    /// Python's packages.
    pub fn of(given: Option<&Path>) -> Self {
        let mut folders: Vec<PathBuf> = given.map(Path::to_owned).into_iter().collect();
        if let Some(path) = env::var_os("LD_LIBRARY_PATH") {
            folders.extend(env::split_paths(&path).filter(|path| path.is_absolute()));
        }
        folders.push("/usr/local/cuda/lib64".into());
        folders.extend(user_folder().map(|folder| folder.join("lib")));
        for root in python_roots() {
            for package in ["cu13", "cuda_nvrtc"] {
                folders.push(root.join("nvidia").join(package).join("lib"));
            }
        }
        Self(folders)
    }

    /// The libraries in them: each once, whatever its names.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let mut seen = Vec::new();
        let all = self
            .0
            .iter()
            .flat_map(|folder| NAMES.map(|name| folder.join(name)));
        all.filter(move |file| {
            let Ok(real) = file.canonicalize() else {
                return false;
            };
            let new = real.is_file() && !seen.contains(&real);
            seen.push(real);
            new
        })
    }
}

/// The user's folder, where scripts/cuda puts what it fetches: `ASSAY_CUDA_DIR`, or ~/.cache/assay/cuda.
pub(crate) fn user_folder() -> Option<PathBuf> {
    match env::var_os("ASSAY_CUDA_DIR") {
        Some(folder) => Some(folder.into()),
        None => Some(PathBuf::from(env::var_os("HOME")?).join(".cache/assay/cuda")),
    }
}

/// Folders of Python's packages: the active environment's, the user's and the system's.
fn python_roots() -> Vec<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from);
    let prefixes = [
        variable("VIRTUAL_ENV"),
        variable("CONDA_PREFIX"),
        variable("HOME").map(|home| home.join(".local")),
        Some("/usr/local".into()),
        Some("/usr".into()),
    ];
    let mut roots = Vec::new();
    for lib in prefixes.into_iter().flatten().map(|one| one.join("lib")) {
        let Ok(entries) = lib.read_dir() else {
            continue;
        };
        let mut pythons: Vec<_> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
            .map(|entry| entry.path())
            .collect();
        pythons.sort();
        for python in pythons {
            roots.extend(["site-packages", "dist-packages"].map(|kind| python.join(kind)));
        }
    }
    roots
}

impl fmt::Display for Folders {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (index, folder) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", folder.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    const OLD_DRIVER: Need = Need {
        arch: Arch::Machine(90),
        cuda: Version {
            major: 12,
            minor: 4,
        },
    };

    /// Libraries that are texts: a version, and one architecture.
    fn open(file: &Path) -> Result<(Version, u32), String> {
        let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
        let numbers: Vec<u32> = text.split(' ').flat_map(str::parse).collect();
        let [major, minor, arch] = numbers[..] else {
            return Err("no\nlibrary".into());
        };
        let version = Version {
            major: major as i32,
            minor: minor as i32,
        };
        OLD_DRIVER.check(version, &[arch])?;
        Ok((version, arch))
    }

    #[test]
    fn what_cannot_be_used_is_passed_over_and_told_with_its_reason() {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str, library: &str, content: &str| {
            let folder = root.path().join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(library), content).unwrap();
            folder
        };
        let mut folders = Folders(vec![
            folder("broken", "libnvrtc.so.12", "no library"),
            root.path().join("missing"),
            folder("new", "libnvrtc.so.13", "13 0 90"),
            folder("young", "libnvrtc.so.12", "12 0 75"),
        ]);
        // A link is the same library again.
        symlink("libnvrtc.so.13", root.path().join("new/libnvrtc.so")).unwrap();
        let rejected = first(folders.files(), open).unwrap_err();
        let told = list(&rejected);
        let at = |file: &str| root.path().join(file).display().to_string();
        let expected = [
            at("broken/libnvrtc.so.12") + " (no library)",
            at("new/libnvrtc.so.13") + " (13.0 is newer than the driver, which speaks CUDA 12.4)",
            at("young/libnvrtc.so.12") + " (12.0 does not compile for sm_90a)",
        ];
        assert_eq!(told, expected.join(", "));
        // A newer minor version is taken, and nothing behind it is opened.
        folders.0.push(folder("good", "libnvrtc.so.12", "12 9 90"));
        folders.0.push(folder("later", "libnvrtc.so.12", "12 8 90"));
        let (version, _) = first(folders.files(), open).unwrap();
        assert_eq!(version.to_string(), "12.9");
    }

    #[test]
    fn the_package_is_of_the_drivers_major_version() {
        let new = Need {
            cuda: Version {
                major: 13,
                minor: 1,
            },
            ..OLD_DRIVER
        };
        assert_eq!(package(Some(OLD_DRIVER)), "nvidia-cuda-nvrtc-cu12");
        assert_eq!(package(Some(new)), "nvidia-cuda-nvrtc");
        assert_eq!(package(None), "nvidia-cuda-nvrtc");
    }
}
