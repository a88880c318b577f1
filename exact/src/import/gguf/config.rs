//! The keys about the architecture become a shape, or are refused by name (format page §6.3).

use std::collections::BTreeSet;

use super::{
    super::{
        checkpoint::Place,
        config::{eps40, parts_per_million, Config, DEFAULT_BASE, FRACTION_BITS},
        tensor::{Element, Order},
        ImportError,
    },
    header::Header,
    metadata::Metadata,
    rotary,
};
use crate::{
    shape::{Rotary, Scaling},
    Shape,
};

const EMBEDDING: &str = "token_embd.weight";
const HEAD: &str = "output.weight";
const QUERY_BIAS: &str = "blk.0.attn_q.bias";
/// What the rotary frequencies are divided by.
pub(super) const FACTORS: &str = "rope_freqs.weight";

/// Keys below the architecture's name that are read here, or say nothing about the arithmetic.
const KNOWN: [&str; 24] = [
    "attention.causal",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.value_length",
    "block_count",
    "context_length",
    "embedding_length",
    "expert_count",
    "expert_used_count",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.attn_factor",
    "rope.scaling.factor",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "tensor_data_layout",
    "use_parallel_residual",
    "vocab_size",
];

const HUGGING_FACE: &str = "import the model's Hugging Face folder";
const MERGE: &str = "merge its parts into one file first";

/// The configuration, and the order in which the outputs of query and key projections are stored.
pub(super) fn read(header: &Header<'_>, file: &[u8]) -> Result<(Config, Order), ImportError> {
    let metadata = &header.metadata;
    let path = metadata.path();
    if let Some(parts @ 2..) = metadata.integer("split.count")? {
        let what = format!("is one of {parts} parts of a model");
        return Err(ImportError::unclear(path, what, MERGE));
    }
    let architecture = metadata.text("general.architecture")?;
    let architecture = metadata.required("general.architecture", architecture)?;
    let keys = Keys {
        metadata,
        architecture,
    };
    let family = match architecture {
        "llama" => Family::Llama,
        "qwen2" => Family::Qwen2,
        "qwen3" => Family::Qwen3,
        other => return Err(keys.refuse(format!("the architecture {other:?}"))),
    };
    keys.check()?;
    let heads = keys.u16("attention.head_count")?;
    let hidden = keys.u32("embedding_length")?;
    let head_dim = match keys.optional("attention.key_length")? {
        Some(_) => keys.u16("attention.key_length")?,
        None => hidden
            .checked_div(heads.into())
            .and_then(|width| u16::try_from(width).ok())
            .ok_or_else(|| keys.refuse(format!("attention.head_count = {heads}")))?,
    };
    for other in ["attention.value_length", "rope.dimension_count"] {
        match keys.optional(other)? {
            Some(width) if width != u32::from(head_dim) => {
                let what = format!("{other} = {width} in heads of {head_dim}");
                return Err(keys.refuse(what));
            }
            _ => {}
        }
    }
    let context = keys.u32("context_length")?;
    if let Some(window @ 1..) = keys.optional("attention.sliding_window")? {
        if window < context {
            let what = format!("attention.sliding_window = {window} below the context");
            return Err(keys.refuse(what));
        }
    }
    let tensor = |wanted: &str| {
        let found = header.tensors.iter().find(|(name, _)| name == wanted);
        found.map(|(_, place)| place)
    };
    let vocabulary = tensor(EMBEDDING)
        .ok_or_else(|| ImportError::Missing(EMBEDDING.into()))?
        .shape
        .first()
        .and_then(|rows| u32::try_from(*rows).ok());
    let eps = keys.number("attention.layer_norm_rms_epsilon")?;
    let eps = metadata.required(&keys.full("attention.layer_norm_rms_epsilon"), eps)?;
    let mut shape = Shape {
        layers: keys.u16("block_count")?,
        hidden,
        intermediate: keys.u32("feed_forward_length")?,
        heads,
        kv_heads: match keys.optional("attention.head_count_kv")? {
            Some(_) => keys.u16("attention.head_count_kv")?,
            None => heads,
        },
        head_dim,
        // Beyond 32 bits it is beyond the format's bounds.
        vocabulary: vocabulary.unwrap_or(u32::MAX),
        context,
        tied: tensor(HEAD).is_none(),
        biases: match family {
            Family::Llama => tensor(QUERY_BIAS).is_some(),
            Family::Qwen2 => true,
            Family::Qwen3 => false,
        },
        head_norms: family == Family::Qwen3,
        fraction_bits: FRACTION_BITS,
        eps40: eps40(eps),
        rotary: Rotary {
            base: keys.rotary_base()?,
            scaling: None,
        },
    };
    shape.validate().map_err(ImportError::Shape)?;
    if let Some(place) = tensor(FACTORS) {
        shape.rotary.scaling = scaling(&shape, place, file).map_err(|what| {
            let what = format!("has {FACTORS} {what}");
            ImportError::unclear(path, what, HUGGING_FACE)
        })?;
    }
    let config = Config::new(path, shape, stop_tokens(metadata)?)?;
    // The converters of this architecture store what the rotary embedding turns side by side.
    let order = match family {
        Family::Llama => Order::Interleaved(head_dim.into()),
        Family::Qwen2 | Family::Qwen3 => Order::Halves,
    };
    Ok((config, order))
}

#[derive(Clone, Copy, PartialEq)]
enum Family {
    /// Llama, and Mistral under its name.
    Llama,
    Qwen2,
    Qwen3,
}

/// The keys below an architecture's name.
struct Keys<'k, 'a> {
    metadata: &'k Metadata<'a>,
    architecture: &'a str,
}

impl Keys<'_, '_> {
    fn refuse(&self, what: impl ToString) -> ImportError {
        ImportError::unsupported(self.metadata.path(), what)
    }

    fn full(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn optional(&self, key: &str) -> Result<Option<u32>, ImportError> {
        self.metadata.u32(&self.full(key))
    }

    fn number(&self, key: &str) -> Result<Option<f64>, ImportError> {
        self.metadata.number(&self.full(key))
    }

    fn u32(&self, key: &str) -> Result<u32, ImportError> {
        self.metadata.required(&self.full(key), self.optional(key)?)
    }

    fn u16(&self, key: &str) -> Result<u16, ImportError> {
        let value = self.u32(key)?;
        u16::try_from(value).map_err(|_| self.refuse(format!("{key} = {value}")))
    }

    /// Refuse what would change the arithmetic.
    fn check(&self) -> Result<(), ImportError> {
        let refuse = |condition: bool, what: String| match condition {
            true => Err(self.refuse(what)),
            false => Ok(()),
        };
        let prefix = self.full("");
        let mut keys = self.metadata.keys_below(&prefix);
        if let Some(key) = keys.find(|key| !KNOWN.contains(key)) {
            return Err(self.refuse(format!("the key {prefix}{key}")));
        }
        for key in ["expert_count", "expert_used_count"] {
            let experts = self.optional(key)?.unwrap_or(0);
            refuse(experts > 0, format!("{key} = {experts}"))?;
        }
        let flag = |key| self.metadata.flag(&self.full(key));
        refuse(
            flag("attention.causal")? == Some(false),
            "attention that is not causal".into(),
        )?;
        refuse(
            flag("use_parallel_residual")? == Some(true),
            "use_parallel_residual = true".into(),
        )
    }

    /// In parts per million.
    fn rotary_base(&self) -> Result<u64, ImportError> {
        let kind = self.metadata.text(&self.full("rope.scaling.type"))?;
        if let Some(other) = kind.filter(|kind| *kind != "none") {
            return Err(self.refuse(format!("rope scaling of the type {other:?}")));
        }
        for key in [
            "rope.scaling.factor",
            "rope.scaling.attn_factor",
            "rope.scale_linear",
        ] {
            match self.number(key)? {
                // Both mean that there is none.
                None | Some(0.0 | 1.0) => {}
                Some(factor) => return Err(self.refuse(format!("{key} = {factor}"))),
            }
        }
        let base = self.number("rope.freq_base")?.unwrap_or(DEFAULT_BASE);
        parts_per_million(base).ok_or_else(|| self.refuse(format!("rope.freq_base = {base}")))
    }
}

/// The scaling by the factors at `place`, or what is wrong with them.
fn scaling(shape: &Shape, place: &Place, file: &[u8]) -> Result<Option<Scaling>, &'static str> {
    let half = usize::from(shape.head_dim / 2);
    if place.shape != [half] || place.element != Ok(Element::F32) {
        return Err("in another shape or type than F32 for each frequency");
    }
    let bytes = file.get(place.start..place.end).unwrap_or_default();
    let factors: Vec<f32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    if factors.iter().all(|factor| *factor == 1.0) {
        return Ok(None);
    }
    let scaling = rotary::scaling(&factors, shape.rotary.base, shape.head_dim);
    scaling
        .map(Some)
        .ok_or("with another scaling than Llama 3's")
}

/// Ids of the tokens that end a text, a turn or a message.
fn stop_tokens(metadata: &Metadata<'_>) -> Result<BTreeSet<u32>, ImportError> {
    let mut ids = BTreeSet::new();
    for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
        ids.extend(metadata.u32(&format!("tokenizer.ggml.{key}"))?);
    }
    Ok(ids)
}
