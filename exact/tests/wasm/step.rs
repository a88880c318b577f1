//! The proof of a step with all that is known of it, on its way into Wasm, and what it shows.

use alloc::{format, string::String, vec::Vec};

use assay_exact::{
    sampling::Settings,
    shape::Shape,
    trace::{check_step, Case, Hash, Layout, Opening, Part, Proof, Roots, Target, Tensors},
};

use crate::judge::bytes::record;

pub struct Step {
    pub shape: Shape,
    pub settings: Settings,
    pub prompt_len: u32,
    pub index: u32,
    pub seed: [u8; 32],
    pub roots: Roots,
    /// The leaf in question, and which of its elements.
    pub leaf: u64,
    pub element: u32,
    pub value: i64,
    pub parts: Vec<Part>,
    pub proof: Proof,
}

record!(Step {
    shape,
    settings,
    prompt_len,
    index,
    seed,
    roots,
    leaf,
    element,
    value,
    parts,
    proof,
});

record!(Settings {
    temperature,
    top_k,
    top_p,
    min_p,
    penalty,
});

record!(Roots {
    trace,
    prompt,
    output,
    tables,
    weights,
    salted,
    output_len,
});

record!(Part { index, value });
record!(Opening { leaves, siblings });
record!(Tensors { tensors, siblings });

record!(Proof {
    trace,
    prompt,
    output,
    tables,
    weights,
    parts,
});

impl Step {
    /// The name of the ruling, or of what is wrong with the proof.
    pub fn ruled(&self, hash: Hash) -> Result<String, String> {
        let layout = Layout::new(&self.shape, &self.settings, self.prompt_len, self.index);
        let layout = layout.map_err(|error| format!("{error:?}"))?;
        let cell = layout.cell(self.leaf, self.element);
        let target = Target {
            cell: cell.ok_or("no such cell")?,
            value: self.value,
            parts: self.parts.clone(),
        };
        let case = Case {
            layout,
            seed: self.seed,
        };
        let ruling = check_step(&case, &self.roots, &target, &self.proof, hash);
        ruling
            .map(|ruling| format!("{ruling:?}"))
            .map_err(|error| format!("{error:?}"))
    }
}
