//! What GGUF calls Hugging Face's tensors.

use super::super::tensor::Order;

const AROUND: [(&str, &str); 3] = [
    ("model.embed_tokens.weight", "token_embd.weight"),
    ("model.norm.weight", "output_norm.weight"),
    ("lm_head.weight", "output.weight"),
];

const IN_LAYER: [(&str, &str); 11] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// GGUF's name of the tensor that Hugging Face calls `name`; `name` itself where they agree.
pub(super) fn of(name: &str) -> String {
    let around = AROUND.iter().find(|(theirs, _)| *theirs == name);
    if let Some((_, ours)) = around {
        return (*ours).into();
    }
    let in_layer = || {
        let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
        let (tensor, part) = rest.rsplit_once('.')?;
        let (_, ours) = IN_LAYER.iter().find(|(theirs, _)| *theirs == tensor)?;
        Some(format!("blk.{layer}.{ours}.{part}"))
    };
    in_layer().unwrap_or_else(|| name.into())
}

/// The order in which the outputs of GGUF's tensor `name` are stored if those of queries and keys are
/// in the order `rotated`.
pub(super) fn order(name: &str, rotated: Order) -> Order {
    let tensor = name
        .strip_suffix(".weight")
        .or_else(|| name.strip_suffix(".bias"));
    match tensor {
        Some(tensor) if tensor.ends_with(".attn_q") || tensor.ends_with(".attn_k") => rotated,
        _ => Order::Halves,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_have_their_names() {
        for (theirs, ours) in [
            ("lm_head.weight", "output.weight"),
            (
                "model.layers.17.self_attn.k_proj.bias",
                "blk.17.attn_k.bias",
            ),
            (
                "model.layers.0.self_attn.k_norm.weight",
                "blk.0.attn_k_norm.weight",
            ),
            ("rope_freqs.weight", "rope_freqs.weight"),
        ] {
            assert_eq!(of(theirs), ours);
        }
    }

    #[test]
    fn only_queries_and_keys_are_in_another_order() {
        let rotated = Order::Interleaved(8);
        for (name, expected) in [
            ("blk.3.attn_q.weight", rotated),
            ("blk.3.attn_k.bias", rotated),
            ("blk.3.attn_v.weight", Order::Halves),
            ("blk.3.attn_k_norm.weight", Order::Halves),
        ] {
            assert_eq!(order(name, rotated), expected, "{name}");
        }
    }
}
