//! What an honest provider has to send fits into its move.

use std::collections::BTreeSet;

use assay_exact::{
    shape::{self, Shape, PPM},
    trace::{made, Case, Layout, Operator},
};
use assay_primitives::blake2_256;
use codec::Encode;

use crate::{mock::parts, MAX_PARTS, MAX_PROOF_BYTES};

/// As large as the format allows, with so many layers and tokens.
fn largest(layers: u16, context: u32) -> Shape {
    Shape {
        layers,
        hidden: shape::MAX_HIDDEN,
        intermediate: shape::MAX_WIDTH,
        heads: 128,
        kv_heads: 32,
        head_dim: shape::MAX_HEAD_DIM,
        vocabulary: shape::MAX_VOCABULARY,
        context,
        tied: false,
        biases: false,
        head_norms: true,
        fraction_bits: 16,
        eps40: 11,
        rotary: shape::Rotary {
            base: 10_000 * PPM,
            scaling: None,
        },
    }
}

#[test]
fn the_proof_of_any_step_of_any_model_fits() {
    let small = Shape::try_from(&parts().spec).unwrap();
    let settings = assay_primitives::Sampling {
        temperature: 900_000,
        top_k: 40,
        top_p: 900_000,
        min_p: 1_000,
        penalty: 1_100_000,
        nonce: 1,
    };
    let (long, short) = (shape::MAX_CONTEXT, 600);
    let mut operators = BTreeSet::new();
    let mut most = 0;
    for shape in [
        largest(shape::MAX_LAYERS, long),
        largest(1, long),
        largest(1, short),
        small,
    ] {
        // Half of the tokens are asked for, or all but one.
        for prompt in [shape.context / 2, 1] {
            let output_len = shape.context - prompt;
            let layout = Layout::new(&shape, &settings.into(), prompt, output_len - 1).unwrap();
            let case = Case {
                layout,
                seed: [0; 32],
            };
            for target in made::targets(&case.layout) {
                let (_, proof) = made::proof(&case, &target, output_len, true, blake2_256).unwrap();
                let bytes = proof.encoded_size();
                assert!(bytes <= MAX_PROOF_BYTES as usize, "{bytes}: {target:?}");
                assert!(proof.parts.len() <= MAX_PARTS as usize, "{target:?}");
                most = most.max(bytes);
                operators.insert(target.cell.place.row.operator());
            }
        }
    }
    println!("at most {most} bytes");
    assert!(operators.into_iter().eq(Operator::ALL.iter().copied()));
}
