use assay_exact::import;
use assay_primitives::tree::weights_root;
use serde_json::json;

use super::{
    huggingface::{CONFIG, GENERATION_CONFIG},
    *,
};

const WEIGHTS: &str = "model.safetensors";
const WEIGHTS_INDEX: &str = "model.safetensors.index.json";

struct Source(tempfile::TempDir);

impl Source {
    /// A whole model of one layer.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap())
            .with(
                CONFIG,
                r#"{"model_type": "llama", "architectures": ["LlamaForCausalLM"],
                    "num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 12,
                    "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 8,
                    "max_position_embeddings": 512, "eos_token_id": 7,
                    "tie_word_embeddings": true, "rms_norm_eps": 1e-5}"#,
            )
            .with(GENERATION_CONFIG, r#"{"eos_token_id": [3, 7]}"#)
            .with(
                TOKENIZER,
                r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
                    "normalizer": null, "pre_tokenizer": null, "post_processor": null,
                    "decoder": null,
                    "model": {"type": "WordLevel", "vocab": {"w": 0}, "unk_token": "w"}}"#,
            )
            .with(
                TOKENIZER_CONFIG,
                r#"{"chat_template": "{{ messages }}", "bos_token": {"content": "<s>"},
                    "eos_token": "</s>"}"#,
            );
        let weights = safetensors(folder.tensors());
        folder.with(WEIGHTS, weights)
    }

    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let config = Config::read(&self.0.path().join(CONFIG)).unwrap();
        config.tensors().collect()
    }

    fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.0.path().join(name), content).unwrap();
        self
    }

    fn without(self, name: &str) -> Self {
        fs::remove_file(self.0.path().join(name)).unwrap();
        self
    }

    fn path(&self) -> PathBuf {
        self.0.path().into()
    }

    fn parts(&self) -> Result<ModelParts, Error> {
        ModelFolder::open(self.path())?.parts()
    }

    /// The one line with which opening fails.
    fn refusal(&self) -> String {
        let message = self.parts().unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }
}

/// A file of these tensors in BF16, all zero.
fn safetensors(tensors: Vec<(String, Vec<usize>)>) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += shape.iter().product::<usize>() * 2;
        let entry = json!({"dtype": "BF16", "shape": shape, "data_offsets": [start, end]});
        header.insert(name, entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.resize(file.len() + end, 0);
    file
}

#[test]
fn the_hash_is_blake2b_256() {
    assert_eq!(
        hex::encode(hash(b"abc")),
        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
    );
}

#[test]
fn shape_hashes_and_stop_tokens_are_read() {
    let folder = Source::new();
    let parts = folder.parts().unwrap();
    assert_eq!(parts.spec.head_dim, 4);
    assert_eq!(parts.spec.stop_tokens.to_vec(), [3, 7]);
    assert!(parts.spec.tied_embeddings);
    assert_eq!(
        parts.tokenizer,
        hash(&fs::read(folder.path().join(TOKENIZER)).unwrap())
    );
    assert_eq!(parts.template, hash(b"{{ messages }}"));
    let weights = fs::read(folder.path().join(WEIGHTS)).unwrap();
    assert_eq!(
        parts.weights_root,
        weights_root([(WEIGHTS, weights.len() as u64, hash(&weights))])
    );
}

#[test]
fn a_template_file_goes_before_the_tokenizers_configuration() {
    let folder = Source::new().with(TEMPLATE, "newer");
    assert_eq!(template(&folder.path()).unwrap(), "newer");
    let tokens = special_tokens(&folder.path()).unwrap();
    assert_eq!(tokens.bos_token.as_deref(), Some("<s>"));
    assert_eq!(tokens.eos_token.as_deref(), Some("</s>"));
}

#[test]
fn a_model_may_have_no_template() {
    let folder = Source::new().without(TOKENIZER_CONFIG);
    assert_eq!(template(&folder.path()).unwrap(), "");
}

#[test]
fn shards_are_those_of_the_index_in_the_order_of_their_names() {
    let folder = Source::new().without(WEIGHTS);
    let mut first = folder.tensors();
    let last = first.split_off(3);
    let mut map = serde_json::Map::new();
    for (file, tensors) in [("b.safetensors", &first), ("a.safetensors", &last)] {
        for (name, _) in tensors {
            map.insert(name.clone(), json!(file));
        }
    }
    let (a, b) = (safetensors(last), safetensors(first));
    let expected = weights_root([
        ("a.safetensors", a.len() as u64, hash(&a)),
        ("b.safetensors", b.len() as u64, hash(&b)),
    ]);
    let folder = folder
        .with("a.safetensors", a)
        .with("b.safetensors", b)
        .with("unused.safetensors", "c")
        .with(WEIGHTS_INDEX, json!({ "weight_map": map }).to_string());
    assert_eq!(folder.parts().unwrap().weights_root, expected);
}

#[test]
fn an_index_cannot_lead_out_of_the_folder() {
    let folder = Source::new()
        .without(WEIGHTS)
        .with(WEIGHTS_INDEX, r#"{"weight_map": {"x": "../secret"}}"#);
    assert!(folder.refusal().contains("../secret"));
}

#[test]
fn what_is_missing_or_broken_is_named() {
    for name in [CONFIG, TOKENIZER, WEIGHTS] {
        let error = Source::new().without(name).refusal();
        assert!(
            error.contains(name) && error.contains("is missing"),
            "{error}"
        );
    }
    for content in ["", "[]", r#"{"model_type": "gpt2"}"#] {
        let error = Source::new().with(CONFIG, content).refusal();
        assert!(error.contains(CONFIG), "{error}");
    }
}

#[test]
fn weights_that_no_worker_could_load_are_refused() {
    let folder = Source::new();
    let whole = fs::read(folder.path().join(WEIGHTS)).unwrap();
    let huge = [&(1u64 << 63).to_le_bytes()[..], &whole[8..]].concat();
    let mut other_shape = folder.tensors();
    other_shape[0].1 = vec![9, 8];
    let mut one_more = folder.tensors();
    one_more.push(("a\nname".into(), vec![2]));
    let mut one_less = folder.tensors();
    one_less.pop();
    for (weights, problem) in [
        (whole[..whole.len() - 1].to_vec(), "is truncated"),
        (whole[..100].to_vec(), "is truncated"),
        (Vec::new(), "is truncated"),
        (huge, "is not a safetensors file"),
        (safetensors(other_shape), "with shape [9, 8]"),
        (safetensors(one_more), "holds tensor a name"),
        (safetensors(one_less), "lacks tensor model.layers.0."),
    ] {
        let error = Source::new().with(WEIGHTS, weights).refusal();
        assert!(error.contains(problem), "{error}");
    }
}

/// A source folder, and what an import makes of it.
fn imported() -> (Source, PathBuf) {
    let source = Source::new();
    let target = source.path().join("exact");
    import::huggingface(&source.path(), &target, |_| {}).unwrap();
    (source, target)
}

#[test]
fn an_exact_folder_is_known_by_its_manifest_and_has_the_same_texts() {
    let (source, path) = imported();
    let folder = ModelFolder::open(&path).unwrap();
    assert!(folder.is_exact() && !ModelFolder::open(source.path()).unwrap().is_exact());
    let (exact, float) = (folder.parts().unwrap(), source.parts().unwrap());
    assert_eq!(
        (exact.tokenizer, exact.template),
        (float.tokenizer, float.template)
    );
    assert_eq!(exact.spec.stop_tokens, float.spec.stop_tokens);
    assert_eq!(template(&path).unwrap(), "{{ messages }}");
    assert_eq!(
        special_tokens(&path).unwrap(),
        special_tokens(&source.path()).unwrap()
    );
    let ModelWeights::Exact(weights) = folder.weights() else {
        panic!("it is exact")
    };
    assert_eq!(exact.root(), weights.root());
}

#[test]
fn an_exact_folder_that_is_not_what_it_claims_is_refused_with_what_differs() {
    let (_source, path) = imported();
    let weights = path.join("weights.bin");
    let whole = fs::read(&weights).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&weights, bytes).unwrap();
        let parts = ModelFolder::open(&path).and_then(|folder| folder.parts());
        let message = parts.unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        assert!(
            message.starts_with(&path.display().to_string()),
            "{message}"
        );
        message
    };
    let mut flipped = whole.clone();
    // The last tensor is the final norm, an exponent and 8 entries; before it is a bias of the last matrix.
    let bias = flipped.len() - 9 * 4 - 1;
    flipped[bias] ^= 1;
    assert!(refused(&flipped).contains("layers.0.down.rows"));
    assert!(refused(&whole[..whole.len() - 1]).contains("bytes long"));
    fs::write(&weights, &whole).unwrap();
    assert!(ModelFolder::open(&path).unwrap().parts().is_ok());

    let tokenizer = path.join(TOKENIZER);
    let text = fs::read_to_string(&tokenizer).unwrap();
    fs::write(&tokenizer, text + "\n").unwrap();
    let error = ModelFolder::open(&path).unwrap().parts().unwrap_err();
    assert!(error.to_string().contains(TOKENIZER), "{error}");
    fs::remove_file(&tokenizer).unwrap();
    assert!(ModelFolder::open(&path).is_err());
}
