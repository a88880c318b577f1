//! Compiled kernels on disk: found again, and made anew where they are damaged or of something else.

mod common;

use std::fs;

use assay_cuda::{
    nvrtc::{Arch, Nvrtc},
    store::{Code, Origin, Store},
};

const SOURCE: &str = "extern \"C\" __global__ void f(int* x) { *x = 1; }";

fn compiled(store: &Store, nvrtc: &Nvrtc, source: &str, arch: u32) -> Code {
    store
        .compiled(nvrtc, source, Arch::Machine(arch), &[])
        .unwrap()
}

#[test]
fn what_was_compiled_is_found_again_and_damage_is_compiled_anew() {
    let Some(nvrtc) = common::nvrtc() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kernels");
    let store = Store::new(path.clone());
    let cold = compiled(&store, &nvrtc, SOURCE, 80);
    assert_eq!(cold.origin, Origin::Compiler(None));
    let warm = compiled(&store, &nvrtc, SOURCE, 80);
    assert_eq!((warm.origin, &warm.bytes), (Origin::Store, &cold.bytes));
    let other = compiled(&store, &nvrtc, SOURCE, 90);
    assert_eq!(other.origin, Origin::Compiler(None));
    let changed = SOURCE.replace('1', "2");
    let changed = compiled(&store, &nvrtc, &changed, 80);
    assert_eq!(changed.origin, Origin::Compiler(None));
    let files: Vec<_> = fs::read_dir(&path).unwrap().flatten().collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in &files {
        let file = file.path();
        let whole = fs::read(&file).unwrap();
        for damaged in [&whole[..whole.len() - 1], &whole[..7], &[][..]] {
            fs::write(&file, damaged).unwrap();
            for arch in [80, 90] {
                let again = compiled(&store, &nvrtc, SOURCE, arch);
                let expected = if arch == 80 { &cold } else { &other };
                assert_eq!(again.bytes, expected.bytes);
            }
            let _ = compiled(&store, &nvrtc, &SOURCE.replace('1', "2"), 80);
            assert_eq!(fs::read(&file).unwrap(), whole, "{}", file.display());
        }
    }
}

#[test]
fn a_store_that_cannot_be_written_keeps_nobody_from_compiling() {
    let Some(nvrtc) = common::nvrtc() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no folder");
    fs::write(&file, "").unwrap();
    let code = compiled(&Store::new(file), &nvrtc, SOURCE, 80);
    assert!(
        matches!(code.origin, Origin::Compiler(Some(_))),
        "{:?}",
        code.origin
    );
    assert!(code.bytes.starts_with(b"\x7fELF"));
}
