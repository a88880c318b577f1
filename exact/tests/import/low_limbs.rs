//! The embedding's low limbs come from the file and not from the mapping.

use std::{fs, fs::File, io};

use assay_exact::{folder::Folder, Backend, Cpu, Engine, EngineError, Logits, Sequence};

use crate::tiny::Tiny;

const TOKENS: [u32; 5] = [3, 39, 0, 17, 39];

fn run(engine: &Engine, tokens: &[u32]) -> Result<Vec<i32>, EngineError> {
    let sequence = Sequence {
        cache: &mut engine.cache(),
        tokens,
        logits: Logits::All,
    };
    Ok(engine.run(&mut [sequence])?.remove(0))
}

#[test]
fn they_decide_as_much_where_they_are_read_as_where_they_are_mapped() {
    let cpu = Cpu::new(Backend::best(), 2).unwrap();
    for tied in [false, true] {
        let mut tiny = Tiny::new("qwen3", tied);
        // The layers add little, so that the embedding decides.
        for (name, (_, weights)) in &mut tiny.tensors {
            if name.contains("o_proj") || name.contains("down_proj") {
                weights.iter_mut().for_each(|weight| *weight /= 4096.0);
            }
        }
        let (target, _) = tiny.import().unwrap();
        let folder = Folder::open(target.path().join("model")).unwrap();
        let found = run(&Engine::of(&folder, &cpu).unwrap(), &TOKENS).unwrap();
        let mut model = folder.model();
        let wanted = run(&Engine::new(&model, &cpu).unwrap(), &TOKENS).unwrap();
        assert!(found == wanted);
        let others: Vec<i8> = model.embedding.low.iter().map(|low| !low).collect();
        model.embedding.low = &others;
        let engine = Engine::new(&model, &cpu).unwrap();
        assert!(run(&engine, &TOKENS).unwrap() != wanted);
    }
}

#[test]
fn a_token_whose_row_is_no_longer_in_the_file_is_named() {
    let cpu = Cpu::new(Backend::best(), 1).unwrap();
    let (target, _) = Tiny::new("llama", false).import().unwrap();
    let path = target.path().join("model");
    let folder = Folder::open(&path).unwrap();
    let model = folder.model();
    let engine = Engine::of(&folder, &cpu).unwrap();
    let wanted = run(&engine, &TOKENS).unwrap();

    let weights = path.join("weights.bin");
    let good = fs::read(&weights).unwrap();
    let low: Vec<u8> = model.embedding.low.iter().map(|low| *low as u8).collect();
    let start = good.windows(low.len()).position(|window| window == low);
    let width = model.embedding.high.inputs;
    let file = File::options().write(true).open(&weights).unwrap();
    // Half of token 20's row is left.
    let rest = start.unwrap() + 20 * width + width / 2;
    file.set_len(rest as u64).unwrap();
    for token in [20, 21, 39] {
        let error = run(&engine, &[token]).unwrap_err();
        let kind = io::ErrorKind::UnexpectedEof;
        assert_eq!(error, EngineError::Read { token, error: kind });
        let text = error.to_string();
        let named = format!("the embedding of token {token} cannot be read");
        assert!(text.starts_with(&named) && !text.contains('\n'), "{text}");
    }
    fs::write(&weights, &good).unwrap();
    assert_eq!(run(&engine, &TOKENS).unwrap(), wanted);
}
