//! Builds the Wasm of the version after this one: the same sources with the feature `next`.

fn main() {
    let manifest = std::fs::canonicalize("../../runtime/Cargo.toml");
    substrate_wasm_builder::WasmBuilder::new()
        .with_project(manifest.expect("the runtime is there"))
        .expect("it has a manifest")
        .enable_feature("next")
        .import_memory()
        .export_heap_base()
        .set_file_name("next_runtime")
        .build();
    println!("cargo:rerun-if-changed=src/migration.rs");
}
