//! Programs over the crate's core, compiled as the runtime is: to Wasm, by a compiler that has its
//! target, optimised, without the standard library and without Cargo.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "wasm32v1-none";

/// A compiler that has the target's core and alloc: the one that builds the runtime.
fn compiler() -> Command {
    let of_toolchain = |name: &str| ["rustup", "run", name, "rustc"].map(str::to_owned).to_vec();
    let named = std::env::var("WASM_BUILD_TOOLCHAIN");
    let mut candidates: Vec<_> = named.iter().map(|name| of_toolchain(name)).collect();
    candidates.extend([vec!["rustc".to_owned()], of_toolchain("debian")]);
    for words in candidates {
        let command = || {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            command
        };
        let libraries = command()
            .args(["--target", TARGET, "--print", "target-libdir"])
            .output();
        let Ok(libraries) = libraries else { continue };
        let folder = String::from_utf8_lossy(&libraries.stdout).trim().to_owned();
        if libraries.status.success() && Path::new(&folder).is_dir() {
            return command();
        }
    }
    panic!(
        "no Rust compiler here has {TARGET}, without which this cannot be shown: run scripts/setup"
    );
}

/// Compiles one file.
pub fn compile(source: &Path, crate_type: &str, out: &Path, arguments: &[&str]) {
    let output = compiler()
        .args(["--target", TARGET])
        .args(["--edition", "2021", "--cap-lints", "allow"])
        .args(["-Copt-level=3", "-Cpanic=abort"])
        .args(["--crate-type", crate_type, "-o"])
        .arg(out)
        .args(arguments)
        .arg(source)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", source.display());
}

/// This crate's folder, seen from where Cargo runs its tests and those of the package beside it that
/// includes this file.
fn crate_folder() -> &'static Path {
    Path::new("../exact")
}

/// A program of `tests/wasm`.
pub fn source(name: &str) -> PathBuf {
    let sources = crate_folder().join("tests/wasm");
    sources.join(name).with_extension("rs")
}

/// The Wasm module of a program of `tests/wasm` over the crate's core, compiled in `folder`.
pub fn module(name: &str, folder: &Path) -> Vec<u8> {
    let out = folder.join(name).with_extension("wasm");
    let library = folder.join("libassay_exact.rlib");
    let core = crate_folder().join("src/lib.rs");
    compile(&core, "rlib", &library, &["--crate-name", "assay_exact"]);
    let extern_crate = format!("assay_exact={}", library.display());
    compile(
        &source(name),
        "cdylib",
        &out,
        &["-Clto=fat", "--extern", &extern_crate],
    );
    std::fs::read(out).unwrap()
}
