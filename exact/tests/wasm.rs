//! The judge's functions as the runtime gets them: Wasm without one float instruction, and without
//! a way to panic.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use wasmparser::{Operator, Parser, Payload, ValType};

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

fn compile(source: &Path, crate_type: &str, out: &Path, arguments: &[&str]) {
    let output = compiler()
        .args([
            "--edition",
            "2021",
            "--target",
            TARGET,
            "--cap-lints",
            "allow",
        ])
        .args([
            "-Copt-level=3",
            "-Cpanic=abort",
            "--crate-type",
            crate_type,
            "-o",
        ])
        .arg(out)
        .args(arguments)
        .arg(source)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", source.display());
}

/// What a module imports, exports, and has of floats.
#[derive(Debug, Default)]
struct Contents {
    imports: Vec<String>,
    functions: usize,
    instructions: usize,
    floats: Vec<String>,
}

fn contents(wasm: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let is_float = |value: &ValType| matches!(value, ValType::F32 | ValType::F64);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.unwrap() {
            Payload::TypeSection(types) => {
                for signature in types.into_iter_err_on_gc_types() {
                    let signature = signature.unwrap();
                    let mut values = signature.params().iter().chain(signature.results());
                    if values.any(is_float) {
                        contents.floats.push(signature.to_string());
                    }
                }
            }
            Payload::ImportSection(imports) => {
                let names = imports
                    .into_iter()
                    .map(|import| import.unwrap().name.to_owned());
                contents.imports.extend(names);
            }
            Payload::ExportSection(exports) => {
                let kind = wasmparser::ExternalKind::Func;
                let functions = exports
                    .into_iter()
                    .filter(|export| export.as_ref().unwrap().kind == kind);
                contents.functions += functions.count();
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    if is_float(&global.unwrap().ty.content_type) {
                        contents.floats.push("a global".into());
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                for local in body.get_locals_reader().unwrap() {
                    if is_float(&local.unwrap().1) {
                        contents.floats.push("a local".into());
                    }
                }
                for operator in body.get_operators_reader().unwrap() {
                    let operator = operator.unwrap();
                    contents.instructions += 1;
                    if touches_floats(&operator) {
                        contents.floats.push(format!("{operator:?}"));
                    }
                }
            }
            _ => {}
        }
    }
    contents
}

/// All float instructions carry a float type in their names, conversions on either side.
fn touches_floats(operator: &Operator) -> bool {
    let text = format!("{operator:?}");
    text.contains("F32") || text.contains("F64")
}

fn library(folder: &Path) -> PathBuf {
    let library = folder.join("libassay_exact.rlib");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    compile(&source, "rlib", &library, &["--crate-name", "assay_exact"]);
    library
}

#[test]
fn the_judge_has_no_floats_and_cannot_panic() {
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path());
    let module = folder.path().join("elements.wasm");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wasm/elements.rs");
    let extern_crate = format!("assay_exact={}", library.display());
    compile(
        &source,
        "cdylib",
        &module,
        &["-Clto=fat", "--extern", &extern_crate],
    );
    let contents = contents(&std::fs::read(module).unwrap());
    let exported = std::fs::read_to_string(source).unwrap();
    let (_, exported) = exported.split_once("export! {").unwrap();
    let wanted = exported
        .lines()
        .filter(|line| line.starts_with("    ") && line.as_bytes()[4].is_ascii_lowercase());
    assert_eq!(contents.functions, wanted.count());
    assert!(contents.instructions > 2_000, "{contents:?}");
    assert_eq!(contents.floats, [""; 0]);
    assert_eq!(contents.imports, [""; 0], "a panic can be reached");
}

#[test]
fn a_float_would_be_found() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("probe.rs");
    let text = "#![no_std]
        #[panic_handler] fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }
        #[no_mangle] pub extern \"C\" fn probe(x: i64) -> i64 { (x as f64 * 0.5) as i64 }";
    std::fs::write(&source, text).unwrap();
    let module = folder.path().join("probe.wasm");
    compile(&source, "cdylib", &module, &[]);
    let contents = contents(&std::fs::read(module).unwrap());
    assert!(!contents.floats.is_empty(), "{contents:?}");
}
