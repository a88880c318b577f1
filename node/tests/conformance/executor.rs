//! A module in an executor as the node's is, with the settings of a node that was given none.

use std::sync::OnceLock;

use clap::Parser;
use sc_cli::{CliConfiguration, RunCmd};
use sc_executor::WasmExecutor;
use sc_service::config::ExecutorConfiguration;
use sp_core::traits::{CallContext, CodeExecutor, RuntimeCode, WrappedRuntimeCode};
use sp_io::{SubstrateHostFunctions, TestExternalities};

use crate::{
    compile,
    judge::bytes::{read, written, Bytes},
};

/// The judge of the vectors.
pub struct Module {
    executor: WasmExecutor<SubstrateHostFunctions>,
    code: Vec<u8>,
}

impl Module {
    /// The one that all tests share.
    pub fn get() -> &'static Self {
        static MODULE: OnceLock<Module> = OnceLock::new();
        MODULE.get_or_init(Self::new)
    }

    fn new() -> Self {
        let run = RunCmd::parse_from(["assay-node"]);
        let defaults = ExecutorConfiguration::default();
        let settings = ExecutorConfiguration {
            wasm_method: run.wasm_method().unwrap(),
            max_runtime_instances: run
                .max_runtime_instances()
                .unwrap()
                .unwrap_or(defaults.max_runtime_instances),
            default_heap_pages: run.default_heap_pages().unwrap(),
            runtime_cache_size: run.runtime_cache_size().unwrap(),
        };
        let folder = tempfile::tempdir().unwrap();
        Self {
            executor: sc_service::new_wasm_executor(&settings),
            code: compile::module("judge", folder.path()),
        }
    }

    /// Calls a function as the node calls its runtime's to import a block.
    pub fn call<T: Bytes>(&self, name: &str, operands: &impl Bytes) -> T {
        let code = RuntimeCode {
            code_fetcher: &WrappedRuntimeCode((&self.code).into()),
            heap_pages: None,
            hash: Vec::new(),
        };
        let (result, _) = self.executor.call(
            &mut TestExternalities::default().ext(),
            &code,
            name,
            &written(operands),
            CallContext::Onchain { import: true },
        );
        let bytes = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        read(&bytes).unwrap_or_else(|| panic!("{name} gave no result but {bytes:?}"))
    }
}
