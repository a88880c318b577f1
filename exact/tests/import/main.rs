//! Importing Hugging Face folders and GGUF files, and opening model folders, as a user sees it.

mod damage;
mod demo;
mod folder;
mod fraction;
mod gguf;
mod gguf_file;
mod gguf_refused;
mod hostile;
mod low_limbs;
mod memory;
mod refused;
mod tiny;
mod tokenizer;
mod variants;

use assay_exact::{folder::Folder, Backend, Cpu, Engine, EngineError, Logits, Sequence};

/// Every token's logits, from a new cache.
fn logits(folder: &Folder, tokens: &[u32]) -> Result<Vec<i32>, EngineError> {
    let cpu = Cpu::new(Backend::best(), 2).unwrap();
    let engine = Engine::of(folder, &cpu)?;
    let sequence = Sequence {
        cache: &mut engine.cache(),
        tokens,
        logits: Logits::All,
    };
    Ok(engine.run(&mut [sequence])?.remove(0))
}
