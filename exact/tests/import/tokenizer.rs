//! The tokenizer that is made of a GGUF file's tokens cuts text as the model's own does.

use std::{collections::HashMap, fs, path::PathBuf};

use serde_json::Value as Json;
use tempfile::TempDir;
use tokenizers::{
    pre_tokenizers::PreTokenizerWrapper, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer, Tokenizer,
};

use crate::{
    gguf_file::{GgufFile, Numbers, Value},
    memory,
    tiny::{import_from, Size, Tiny},
};

fn demo() -> PathBuf {
    PathBuf::from("../models/demo/assay-demo")
}

/// The demo model as a tiny one.
fn demo_model() -> Tiny {
    let config = fs::read(demo().join("config.json")).unwrap();
    let bytes = fs::read(demo().join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let elements = |data: &[u8]| {
        let pairs = data.chunks(2);
        let wide = pairs.map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]])) << 16);
        wide.map(f32::from_bits).collect()
    };
    Tiny {
        config: serde_json::from_slice(&config).unwrap(),
        tensors: tensors
            .tensors()
            .into_iter()
            .map(|(name, tensor)| (name, (tensor.shape().to_vec(), elements(tensor.data()))))
            .collect(),
    }
}

/// Tokens in the order of their ids, the special ones and the merges of the demo's tokenizer.
fn demo_tokens() -> (Vec<String>, Vec<usize>, Vec<String>) {
    let file = fs::read(demo().join("tokenizer.json")).unwrap();
    let json: Json = serde_json::from_slice(&file).unwrap();
    let vocabulary = json["model"]["vocab"].as_object().unwrap();
    let mut tokens = vec![String::new(); vocabulary.len()];
    for (token, id) in vocabulary {
        tokens[id.as_u64().unwrap() as usize] = token.clone();
    }
    let added = json["added_tokens"].as_array().unwrap();
    let added = added
        .iter()
        .map(|token| token["id"].as_u64().unwrap() as usize);
    let merges = json["model"]["merges"].as_array().unwrap();
    let text = |pair: &Json| {
        format!(
            "{} {}",
            pair[0].as_str().unwrap(),
            pair[1].as_str().unwrap()
        )
    };
    (tokens, added.collect(), merges.iter().map(text).collect())
}

/// The demo model as a GGUF file.
fn demo_file(pre: &str) -> GgufFile {
    let mut file = GgufFile::of(&demo_model(), "llama", Numbers::Bf16);
    let (tokens, added, merges) = demo_tokens();
    let mut kinds = vec![1; tokens.len()];
    for id in added {
        kinds[id] = 3;
    }
    file.key("tokenizer.ggml.model", Value::Text("gpt2".into()))
        .key("tokenizer.ggml.pre", Value::Text(pre.into()))
        .key("tokenizer.ggml.tokens", Value::Texts(tokens))
        .key("tokenizer.ggml.token_type", Value::I32s(kinds))
        .key("tokenizer.ggml.merges", Value::Texts(merges))
        .key("tokenizer.ggml.bos_token_id", Value::U32(0));
    file
}

fn imported(file: &GgufFile) -> TempDir {
    let write = |folder: &std::path::Path| {
        fs::write(folder.join("model.gguf"), file.to_bytes()).unwrap();
    };
    import_from("model.gguf", write).unwrap().0
}

fn tokenizer(file: &GgufFile) -> Tokenizer {
    let target = imported(file);
    Tokenizer::from_file(target.path().join("model/tokenizer.json")).unwrap()
}

fn error_of(file: &GgufFile) -> String {
    let error = import_from("model.gguf", |folder| {
        fs::write(folder.join("model.gguf"), file.to_bytes()).unwrap();
    });
    error.expect_err("refused").to_string()
}

/// Texts of the demo's training, and some that nobody trains on.
fn texts() -> Vec<String> {
    let corpus = demo().join("../src/corpus");
    let mut texts: Vec<String> = fs::read_dir(corpus)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| !line.is_empty())
        .collect();
    assert!(texts.len() > 100);
    for odd in [
        "",
        " ",
        "  two  blanks   three ",
        "\n\n\ttabs\r\n",
        "It's 12345 o'clock, I'LL say.",
        "naïve café — 日本語 🙂\u{200d}",
        "e\u{301} \u{a0} ...!?#",
        "<|user|>Hello<|assistant|> there<|end|>",
    ] {
        texts.push(odd.into());
    }
    texts
}

#[test]
fn the_demos_tokenizer_comes_back() {
    let file = demo_file("gpt-2");
    let target = imported(&file);
    let path = target.path().join("model");
    let found = Tokenizer::from_file(path.join("tokenizer.json")).unwrap();
    let expected = Tokenizer::from_file(demo().join("tokenizer.json")).unwrap();
    for text in texts() {
        for special in [false, true] {
            let ids = |tokenizer: &Tokenizer| {
                let encoding = tokenizer.encode(text.as_str(), special).unwrap();
                encoding.get_ids().to_vec()
            };
            let found_ids = ids(&found);
            assert_eq!(found_ids, ids(&expected), "{text:?}");
            let back = |tokenizer: &Tokenizer| tokenizer.decode(&found_ids, special).unwrap();
            assert_eq!(back(&found), back(&expected));
        }
    }
    let config = fs::read_to_string(path.join("tokenizer_config.json")).unwrap();
    assert_eq!(config, r#"{"bos_token":"<|bos|>","eos_token":"<|end|>"}"#);
}

/// The demo's own files beside the GGUF file, and its template in it: the same model.
#[test]
fn with_the_publishers_tokenizer_the_root_is_the_folders() {
    let target = tempfile::tempdir().unwrap();
    let expected = assay_exact::import::huggingface(&demo(), &target.path().join("model"), |_| {});
    let config = fs::read(demo().join("tokenizer_config.json")).unwrap();
    let config: Json = serde_json::from_slice(&config).unwrap();
    let template = config["chat_template"].as_str().unwrap();
    let mut file = demo_file("without a name");
    file.key("tokenizer.chat_template", Value::Text(template.into()));
    let found = import_from("model.gguf", |folder| {
        fs::copy(demo().join("tokenizer.json"), folder.join("tokenizer.json")).unwrap();
        fs::write(folder.join("model.gguf"), file.to_bytes()).unwrap();
    });
    assert_eq!(found.unwrap().1, expected.unwrap());
}

/// Tensors are read row by row: an import needs less memory than its largest tensor and the writer's
/// buffer.
#[test]
fn an_import_holds_no_tensor() {
    let mut file = demo_file("gpt-2");
    let source = tempfile::tempdir().unwrap();
    let path = source.path().join("model.gguf");
    fs::copy(
        demo().join("tokenizer.json"),
        source.path().join("tokenizer.json"),
    )
    .unwrap();
    fs::write(&path, file.to_bytes()).unwrap();
    let target = source.path().join("model");
    let (imported, bytes) =
        memory::peak(|| assay_exact::import::gguf(&path, &target, |_| {}).unwrap());
    assert_eq!(imported.shape.layers, 4);
    let largest = file.tensor("token_embd.weight").bytes.len();
    assert!(bytes < largest + (1 << 20), "{bytes} bytes");
}

fn words(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
    let cut: &PreTokenizerWrapper = tokenizer.get_pre_tokenizer().unwrap();
    let mut words = PreTokenizedString::from(text);
    cut.pre_tokenize(&mut words).unwrap();
    let splits = words.get_splits(OffsetReferential::Original, OffsetType::Byte);
    splits
        .into_iter()
        .map(|(word, _, _)| word.to_owned())
        .collect()
}

#[test]
fn words_are_cut_as_the_pre_tokenizer_does() {
    let text = "It'S 12345  x\n y!";
    for (pre, expected) in [
        ("gpt-2", "It|'|S|Ġ12345|Ġ|Ġx|Ċ|Ġy|!"),
        ("llama-bpe", "It|'S|Ġ|123|45|Ġ|Ġx|Ċ|Ġy|!"),
        ("qwen2", "It|'S|Ġ|1|2|3|4|5|Ġ|Ġx|Ċ|Ġy|!"),
    ] {
        let found = words(&tokenizer(&demo_file(pre)), text).join("|");
        assert_eq!(found, expected, "{pre}");
    }
}

#[test]
fn a_text_begins_and_ends_as_the_file_says() {
    let encoded = |file: &GgufFile| {
        let encoding = tokenizer(file).encode("a", true).unwrap();
        encoding.get_tokens().join(" ")
    };
    assert_eq!(encoded(&demo_file("qwen2")), "a");
    assert_eq!(encoded(&demo_file("llama-bpe")), "<|bos|> a");
    let mut file = demo_file("llama-bpe");
    file.key("tokenizer.ggml.add_eos_token", Value::Flag(true));
    assert_eq!(encoded(&file), "<|bos|> a <|end|>");
    file.key("tokenizer.ggml.add_bos_token", Value::Flag(false));
    assert_eq!(encoded(&file), "a <|end|>");
    // One token for both.
    file.key("tokenizer.ggml.add_bos_token", Value::Flag(true))
        .key("tokenizer.ggml.bos_token_id", Value::U32(3));
    assert_eq!(encoded(&file), "<|end|> a <|end|>");
}

/// Composed characters are one thing to Qwen's normaliser, and whole words to Llama 3's vocabulary.
#[test]
fn normalisers_and_whole_words_are_those_of_the_family() {
    let ids = |pre: &str, text: &str| {
        let encoding = tokenizer(&demo_file(pre)).encode(text, false).unwrap();
        encoding.get_ids().to_vec()
    };
    assert_eq!(ids("qwen2", "e\u{301}"), ids("qwen2", "é"));
    assert_ne!(ids("llama-bpe", "e\u{301}"), ids("llama-bpe", "é"));
    let model = |pre: &str| {
        let target = imported(&demo_file(pre));
        let file = fs::read(target.path().join("model/tokenizer.json")).unwrap();
        serde_json::from_slice::<Json>(&file).unwrap()["model"]["ignore_merges"].clone()
    };
    assert_eq!(model("llama-bpe"), Json::Bool(true));
    assert_eq!(model("qwen2"), Json::Bool(false));
}

/// A vocabulary in SentencePiece's way, of the demo's merges: pieces of plain text, one-character
/// tokens with the lowest scores, and a token for each byte.
fn sentencepiece_file() -> (GgufFile, Vec<String>, Vec<f32>) {
    let (_, _, merges) = demo_tokens();
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    let mut kinds = vec![2, 3, 3];
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    kinds.extend([6; 256]);
    let mut pieces: Vec<String> = Vec::new();
    for merge in merges {
        let made = merge.replace(' ', "").replace('Ġ', "▁");
        if made.chars().all(|c| c.is_ascii_graphic() || c == '▁') && !pieces.contains(&made) {
            pieces.push(made);
        }
    }
    let characters = (b'!'..=b'~').map(|byte| char::from(byte).to_string());
    let blanks = ["▁", "▁▁", "▁▁▁▁"].map(str::to_owned);
    for piece in characters.chain(blanks) {
        if !pieces.contains(&piece) {
            pieces.push(piece);
        }
    }
    let mut scores = vec![0.0; tokens.len()];
    scores.extend((0..pieces.len()).map(|rank| -(rank as f32)));
    kinds.extend(vec![1; pieces.len()]);
    tokens.extend(pieces);
    let size = Size {
        vocabulary: tokens.len() + 5,
        ..Size::ODD
    };
    let mut file = GgufFile::of(&Tiny::sized("llama", false, size), "llama", Numbers::F32);
    file.key("tokenizer.ggml.model", Value::Text("llama".into()))
        .key("tokenizer.ggml.pre", Value::Text("default".into()))
        .key("tokenizer.ggml.tokens", Value::Texts(tokens.clone()))
        .key("tokenizer.ggml.token_type", Value::I32s(kinds))
        .key("tokenizer.ggml.scores", Value::F32s(scores.clone()))
        .key("tokenizer.ggml.bos_token_id", Value::U32(1))
        .key("tokenizer.ggml.eos_token_id", Value::U32(2))
        .key("tokenizer.ggml.unknown_token_id", Value::U32(0));
    (file, tokens, scores)
}

/// SentencePiece's own way: merge the two neighbours whose token has the highest score, the first such
/// two, until there are none.
fn by_scores(ids: &HashMap<&str, u32>, scores: &[f32], text: &str) -> Vec<u32> {
    let mut symbols: Vec<String> = format!(" {text}")
        .replace(' ', "▁")
        .chars()
        .map(String::from)
        .collect();
    loop {
        let mut best: Option<(f32, usize)> = None;
        for place in 1..symbols.len() {
            let made = symbols[place - 1].clone() + &symbols[place];
            let score = ids.get(made.as_str()).map(|id| scores[*id as usize]);
            if let Some(score) = score.filter(|score| best.is_none_or(|(most, _)| *score > most)) {
                best = Some((score, place));
            }
        }
        let Some((_, place)) = best else {
            break;
        };
        let second = symbols.remove(place);
        symbols[place - 1] += &second;
    }
    let of = |symbol: &String| match ids.get(symbol.as_str()) {
        Some(id) => vec![*id],
        None => symbol.bytes().map(|byte| 3 + u32::from(byte)).collect(),
    };
    symbols.iter().flat_map(of).collect()
}

#[test]
fn scores_merge_as_sentencepiece_merges() {
    let (file, tokens, scores) = sentencepiece_file();
    let ids: HashMap<&str, u32> = tokens.iter().map(String::as_str).zip(0..).collect();
    let tokenizer = tokenizer(&file);
    for text in texts() {
        if text.is_empty() {
            continue;
        }
        let encoding = tokenizer.encode(text.as_str(), true).unwrap();
        let mut expected = vec![1];
        expected.extend(by_scores(&ids, &scores, &text));
        assert_eq!(encoding.get_ids(), expected, "{text:?}");
        assert_eq!(tokenizer.decode(&expected, true).unwrap(), text);
    }
}

#[test]
fn a_file_may_have_no_space_before_the_text() {
    let (mut file, tokens, _) = sentencepiece_file();
    file.key("tokenizer.ggml.add_space_prefix", Value::Flag(false));
    let tokenizer = tokenizer(&file);
    let encoding = tokenizer.encode("a", false).unwrap();
    assert_eq!(tokens[encoding.get_ids()[0] as usize], "a");
    assert_eq!(tokenizer.decode(encoding.get_ids(), true).unwrap(), "a");
}

/// What is there for the number's sake is left out; what a user defined is found before all else.
#[test]
fn kinds_of_tokens_are_kept() {
    let (mut file, mut tokens, mut scores) = sentencepiece_file();
    let first = tokens.len() as u32;
    tokens.extend(["[PAD]".into(), "e t".into()]);
    scores.extend([9.0, 9.0]);
    let mut kinds = vec![2, 3, 3];
    kinds.extend([6; 256]);
    kinds.resize(tokens.len() - 2, 1);
    kinds.extend([5, 4]);
    file.key("tokenizer.ggml.tokens", Value::Texts(tokens))
        .key("tokenizer.ggml.token_type", Value::I32s(kinds))
        .key("tokenizer.ggml.scores", Value::F32s(scores));
    let tokenizer = tokenizer(&file);
    assert_eq!(tokenizer.token_to_id("[PAD]"), None);
    let encoding = tokenizer.encode("we take", false).unwrap();
    assert!(encoding.get_ids().contains(&(first + 1)), "{encoding:?}");
    let ids = [1, first + 1, 2];
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), "e t");
}

#[test]
fn what_cannot_be_converted_is_refused_with_the_way_out() {
    let text = |text: &str| Value::Text(text.into());
    let demo = demo_file("gpt-2");
    let (sentencepiece, tokens, _) = sentencepiece_file();
    let long = "x".repeat(257);
    let with_long = Value::Texts([&tokens[..tokens.len() - 1], &[long]].concat());
    for (file, key, value, named) in [
        (&demo, "tokenizer.ggml.model", text("t5"), "\"t5\""),
        (&demo, "tokenizer.ggml.pre", text("tekken"), "\"tekken\""),
        (
            &demo,
            "tokenizer.ggml.merges",
            Value::Texts(vec!["x qqqq".into()]),
            "x qqqq",
        ),
        (
            &demo,
            "tokenizer.ggml.merges",
            Value::Texts(vec!["the".into()]),
            "\"the\"",
        ),
        (
            &demo,
            "tokenizer.ggml.tokens",
            Value::Texts(vec!["a".into(); 1536]),
            "\"a\" twice",
        ),
        (
            &sentencepiece,
            "tokenizer.ggml.scores",
            Value::F32s(vec![1.0]),
            "score",
        ),
        (
            &sentencepiece,
            "tokenizer.ggml.scores",
            Value::F32s(vec![f32::NAN; tokens.len()]),
            "score",
        ),
        (
            &sentencepiece,
            "tokenizer.ggml.tokens",
            with_long,
            "257 bytes",
        ),
        (
            &sentencepiece,
            "tokenizer.ggml.remove_extra_whitespaces",
            Value::Flag(true),
            "normaliser",
        ),
        (
            &sentencepiece,
            "tokenizer.ggml.bos_token_id",
            Value::U32(1 << 30),
            "bos",
        ),
    ] {
        let mut file = file.clone();
        file.key(key, value);
        let error = error_of(&file);
        assert!(error.contains(named), "{named}: {error}");
        assert!(
            error.contains("put the model's tokenizer.json beside the file"),
            "{error}"
        );
    }
    for key in ["model", "tokens", "token_type", "merges"] {
        let mut file = demo.clone();
        let key = format!("tokenizer.ggml.{key}");
        file.without_key(&key);
        let error = error_of(&file);
        assert!(
            error.contains(&key) && error.contains("beside the file"),
            "{error}"
        );
    }
}
