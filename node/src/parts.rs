//! The types of the parts of which a full node is made.

use assay_runtime::{opaque::Block, RuntimeApi};

pub type FullClient = sc_service::TFullClient<
    Block,
    RuntimeApi,
    sc_executor::WasmExecutor<sp_io::SubstrateHostFunctions>,
>;
pub type FullBackend = sc_service::TFullBackend<Block>;
pub type FullPool = sc_transaction_pool::TransactionPoolHandle<Block, FullClient>;
pub type FullSelectChain = sc_consensus::LongestChain<FullBackend, Block>;
