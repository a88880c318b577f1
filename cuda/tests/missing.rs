//! What is told where there is no GPU, and no compiler.

use assay_cuda::{
    driver::Bare,
    nvrtc::{Arch, Folders, Need, Nvrtc, Version},
};

/// Not a claim about this machine: with a GPU it is opened, and without one the reason is told.
#[test]
fn a_gpu_is_opened_or_its_absence_is_one_line_with_a_next_step() {
    let Err(error) = Bare::open(99) else {
        panic!("nobody has a hundred GPUs")
    };
    let told = error.to_string();
    assert!(!told.contains('\n'), "{told}");
    assert!(told.contains("--device"), "{told}");
}

#[test]
fn a_missing_compiler_is_told_with_where_it_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let only = Folders::of(Some(folder.path()));
    assert!(only
        .to_string()
        .starts_with(&folder.path().display().to_string()));
    assert!(only.to_string().contains("/usr/local/cuda/lib64"));
    // What is there and is no library is named.
    let file = folder.path().join("libnvrtc.so.13");
    std::fs::write(&file, "no library").unwrap();
    // A driver that is older than any NVRTC takes none of those that may be here.
    let need = Need {
        arch: Arch::Machine(80),
        cuda: Version {
            major: 10,
            minor: 2,
        },
    };
    let told = Nvrtc::find(&only, Some(need)).unwrap_err().to_string();
    assert!(told.contains(&file.display().to_string()), "{told}");
    assert!(
        !told.contains('\n') && told.contains("`pip install nvidia-cuda-nvrtc-cu12`"),
        "{told}"
    );
}
