//! The judge's functions as the runtime gets them: Wasm without one float instruction, and without
//! a way to panic.

#[path = "wasm/compile.rs"]
mod compile;

use compile::module;
use wasmparser::{Operator, Parser, Payload, ValType};

/// What a module imports, exports, and has of floats.
#[derive(Debug, Default)]
struct Contents {
    imports: Vec<String>,
    functions: Vec<String>,
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
                    .map(|export| export.unwrap())
                    .filter(|export| export.kind == kind);
                let names = functions.map(|export| export.name.to_owned());
                contents.functions.extend(names);
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

#[test]
fn the_judge_has_no_floats_and_cannot_panic() {
    let folder = tempfile::tempdir().unwrap();
    let contents = contents(&module("elements", folder.path()));
    let exported = std::fs::read_to_string(compile::source("elements")).unwrap();
    let (_, exported) = exported.split_once("export! {").unwrap();
    let wanted = exported
        .lines()
        .filter(|line| line.starts_with("    ") && line.as_bytes()[4].is_ascii_lowercase());
    assert_eq!(contents.functions.len(), wanted.count());
    assert!(contents.instructions > 2_000, "{contents:?}");
    assert_eq!(contents.floats, [""; 0]);
    assert_eq!(contents.imports, [""; 0], "a panic can be reached");
}

/// The module that the node's executor runs, of which more is asked: whole rows, and lists of them.
#[test]
fn the_judge_of_the_vectors_has_no_floats_and_wants_only_what_the_node_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut contents = contents(&module("judge", folder.path()));
    contents.imports.sort();
    assert!(contents.instructions > 10_000, "{contents:?}");
    assert!(contents.functions.iter().any(|name| name == "step"));
    assert_eq!(contents.floats, [""; 0]);
    assert_eq!(
        contents.imports,
        [
            "ext_allocator_free_version_1",
            "ext_allocator_malloc_version_1",
            "ext_hashing_blake2_256_version_1",
        ]
    );
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
    compile::compile(&source, "cdylib", &module, &[]);
    let contents = contents(&std::fs::read(module).unwrap());
    assert!(!contents.floats.is_empty(), "{contents:?}");
}
