//! The residual's fraction bits, and numbers that are too large.

use assay_exact::{
    folder::Folder,
    import::{self, Clamped, FRACTION_BITS},
    op::embed,
    Shape,
};
use safetensors::Dtype;

use crate::tiny::Tiny;

/// The shape of `tiny` imported with so many fraction bits, what was clamped, and how many numbers of
/// the embedding are at the residual's ends.
fn imported(tiny: &Tiny, fraction_bits: u8) -> Result<(Shape, Clamped, u64), String> {
    let scratch = tempfile::tempdir().unwrap();
    let (source, target) = (scratch.path().join("float"), scratch.path().join("exact"));
    std::fs::create_dir(&source).unwrap();
    tiny.write(&source, Dtype::BF16);
    let imported = import::model(&source, &target, fraction_bits, |_| {});
    let imported = imported.map_err(|error| error.to_string())?;
    let folder = Folder::open(&target).unwrap();
    assert_eq!(folder.verify().unwrap(), imported.root);
    let model = folder.model();
    let mut row = vec![0; model.embedding.high.inputs];
    let mut at_an_end = 0;
    for token in 0..imported.shape.vocabulary {
        embed::row(&model.embedding, token, fraction_bits, &mut row).unwrap();
        let ends = row.iter().filter(|x| [i32::MIN, i32::MAX].contains(*x));
        at_an_end += ends.count() as u64;
    }
    Ok((imported.shape, imported.clamped, at_an_end))
}

#[test]
fn the_residual_has_the_fraction_bits_that_are_asked_for() {
    let tiny = Tiny::new("qwen3", true);
    let (default, ..) = imported(&tiny, FRACTION_BITS).unwrap();
    for fraction_bits in [8, 13, 20] {
        let (shape, ..) = imported(&tiny, fraction_bits).unwrap();
        let wanted = Shape {
            fraction_bits,
            ..default.clone()
        };
        assert_eq!(shape, wanted);
    }
    for fraction_bits in [0, 7, 21, 255] {
        let error = imported(&tiny, fraction_bits).unwrap_err();
        assert!(error.contains("FractionBits"), "{error}");
    }
}

#[test]
fn numbers_of_the_embedding_that_the_residual_does_not_hold_are_counted() {
    let mut tiny = Tiny::new("llama", false);
    let (_, clamped, at_an_end) = imported(&tiny, FRACTION_BITS).unwrap();
    assert_eq!((clamped, at_an_end), (Clamped::default(), 0));
    let weights = &mut tiny.tensor("model.embed_tokens.weight").1;
    for (index, number) in [
        (0, 33_024.0),
        (5, -66_048.0),
        (99, 32_640.0),
        (100, 4_128.0),
    ] {
        weights[index] = number;
    }
    for (fraction_bits, wanted) in [(16, 2), (17, 3), (19, 4), (15, 1), (14, 0)] {
        let (_, clamped, at_an_end) = imported(&tiny, fraction_bits).unwrap();
        let counted = Clamped {
            embedding: wanted,
            biases: 0,
        };
        assert_eq!((clamped, at_an_end), (counted, wanted), "{fraction_bits}");
    }
}

#[test]
fn clamped_biases_are_counted() {
    let mut tiny = Tiny::new("qwen2", true);
    let biases = &mut tiny.tensor("model.layers.1.self_attn.q_proj.bias").1;
    // Equalisation takes 12 bits away at most.
    biases[3] = 3e8;
    biases[4] = -3e8;
    let (_, clamped, _) = imported(&tiny, FRACTION_BITS).unwrap();
    let wanted = Clamped {
        biases: 2,
        embedding: 0,
    };
    assert_eq!(clamped, wanted);
}
