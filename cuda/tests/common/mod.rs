//! What tests of kernels and of the engine share: the compiler, and a device that is the processor.

#![allow(dead_code)] // Each test binary uses a part.

pub mod interpreter;

use std::io::Write;

use assay_cuda::nvrtc::{Arch, Folders, Nvrtc};

/// NVRTC; none, said aloud, when `ASSAY_SKIP_CUDA` is 1.
pub fn nvrtc() -> Option<Nvrtc> {
    if std::env::var("ASSAY_SKIP_CUDA").is_ok_and(|value| value == "1") {
        // Not by a macro: the harness keeps what a test that passes prints.
        let said = "SKIPPED: the kernels are not compiled, because ASSAY_SKIP_CUDA is 1";
        let _ = writeln!(std::io::stderr(), "{said}");
        return None;
    }
    match Nvrtc::find(&Folders::of(None), None) {
        Ok(nvrtc) => Some(nvrtc),
        Err(error) => panic!("{error}: run scripts/cuda, or set ASSAY_SKIP_CUDA=1"),
    }
}

/// The kernels' PTX.
pub fn ptx(nvrtc: &Nvrtc, arch: u32) -> String {
    ptx_of(nvrtc, arch, &assay_cuda::kernels::source())
}

/// What `source` is compiled to.
pub fn ptx_of(nvrtc: &Nvrtc, arch: u32, source: &str) -> String {
    let arch = Arch::Virtual(arch);
    let compiled = nvrtc.compile(source, arch, &assay_cuda::OPTIONS).unwrap();
    let text = String::from_utf8(compiled.code).unwrap();
    text.trim_end_matches('\0').into()
}
