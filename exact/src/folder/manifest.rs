//! `manifest.json`: the shape, the stop tokens and the hash of every tensor.
//!
//! It has one spelling. A manifest that the import would write otherwise, down to a space, is refused;
//! and the root follows from all the rest.

use std::{
    string::{String, ToString},
    vec::Vec,
};

use assay_primitives::ModelParts;
use serde::{Deserialize, Serialize};
use sp_core::H256;

use super::{
    layout::{self, Layout, TABLES},
    root, MAX_STOP_TOKENS,
};
use crate::Shape;

/// Name of the numeric format.
pub const FORMAT: &str = "exact v1";

/// What `manifest.json` holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    pub shape: Shape,
    /// Token ids that end an answer, in ascending order.
    pub stop_tokens: Vec<u32>,
    /// BLAKE2b-256 of `tokenizer.json`.
    pub tokenizer: H256,
    /// BLAKE2b-256 of `chat_template.jinja`.
    pub template: H256,
    /// Root of the numeric tables.
    pub tables: H256,
    /// Root of the weights.
    pub weights_root: H256,
    /// The model root, of all of the above.
    pub root: H256,
    /// The tensors of `weights.bin` in their order.
    pub tensors: Vec<Listed>,
}

/// One tensor's root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    pub name: String,
    pub root: H256,
}

impl Manifest {
    /// The manifest of `weights`, the content of a finished `weights.bin`. None for a shape that has no
    /// root.
    pub(crate) fn of(
        shape: Shape,
        stop_tokens: Vec<u32>,
        tokenizer: H256,
        template: H256,
        weights: &[u8],
    ) -> Option<Self> {
        let listed = |tensor: &layout::Placed| Listed {
            name: tensor.name.clone(),
            root: root::tensor(tensor.form, tensor.of(weights)),
        };
        let mut manifest = Self {
            format: FORMAT.into(),
            tensors: Layout::of(&shape).tensors.iter().map(listed).collect(),
            shape,
            stop_tokens,
            tokenizer,
            template,
            tables: H256::zero(),
            weights_root: H256::zero(),
            root: H256::zero(),
        };
        (manifest.tables, manifest.weights_root) = manifest.roots();
        manifest.root = manifest.parts()?.root();
        Some(manifest)
    }

    /// Roots of the tables and of the weights, by the tensors' roots.
    fn roots(&self) -> (H256, H256) {
        let (tables, weights) = self.tensors.split_at_checked(TABLES).unwrap_or_default();
        let of = |listed: &[Listed]| root::of_roots(listed.iter().map(|tensor| tensor.root));
        (of(tables), of(weights))
    }

    /// What a listing binds. None for a shape of no family and for too many stop tokens: see
    /// [`Shape::spec`].
    pub fn parts(&self) -> Option<ModelParts> {
        Some(ModelParts {
            spec: self.shape.spec(&self.stop_tokens)?,
            tokenizer: self.tokenizer,
            template: self.template,
            tables: self.tables,
            weights_root: self.weights_root,
        })
    }

    /// The file's bytes.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Read a manifest and check that its parts agree with one another. The error says which do not.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let require = |holds: bool, otherwise: &str| match holds {
            true => Ok(()),
            false => Err(otherwise.to_string()),
        };
        require(manifest.format == FORMAT, "format is another than exact v1")?;
        let valid = manifest.shape.validate();
        valid.map_err(|error| std::format!("shape is outside the format's bounds: {error:?}"))?;
        require(
            manifest.stop_tokens.len() <= MAX_STOP_TOKENS
                && manifest.stop_tokens.is_sorted_by(|a, b| a < b)
                && manifest
                    .stop_tokens
                    .iter()
                    .all(|token| *token < manifest.shape.vocabulary),
            "stop_tokens are too many, not ascending or beyond the vocabulary",
        )?;
        // Before the layout is listed: the shape is not trusted yet to be of this size.
        require(
            manifest.tensors.len() == layout::count(&manifest.shape),
            "tensors are not as many as the shape asks for",
        )?;
        let layout = Layout::of(&manifest.shape);
        for (listed, tensor) in manifest.tensors.iter().zip(&layout.tensors) {
            if listed.name != tensor.name {
                return Err(std::format!(
                    "{:?} is in the place of {}",
                    listed.name,
                    tensor.name
                ));
            }
        }
        let (tables, weights_root) = manifest.roots();
        require(
            manifest.tables == tables,
            "tables is not the root of the tables",
        )?;
        require(
            manifest.weights_root == weights_root,
            "weights_root is not the root of the tensors",
        )?;
        require(
            Some(manifest.root) == manifest.parts().map(|parts| parts.root()),
            "root is not the root of the parts",
        )?;
        require(
            manifest.to_bytes()? == bytes,
            "not spelled as an import writes it",
        )?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Rotary, PPM};
    use std::vec;

    fn manifest() -> Manifest {
        let shape = Shape {
            layers: 1,
            hidden: 4,
            intermediate: 4,
            heads: 1,
            kv_heads: 1,
            head_dim: 2,
            vocabulary: 4,
            context: 8,
            tied: true,
            biases: false,
            head_norms: false,
            fraction_bits: 16,
            eps40: 1,
            rotary: Rotary {
                base: PPM,
                scaling: None,
            },
        };
        Manifest::of(shape, vec![1, 3], H256::zero(), H256::zero(), &[]).unwrap()
    }

    fn parsed_after(change: impl FnOnce(&mut Manifest)) -> Result<Manifest, String> {
        let mut manifest = manifest();
        change(&mut manifest);
        Manifest::parse(&manifest.to_bytes().unwrap())
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(parsed_after(|_| {}), Ok(manifest()));
    }

    /// Each of these has a root of its own parts, so that only the part itself is wrong.
    #[test]
    fn parts_that_do_not_follow_from_the_tensors_are_named() {
        type Change = (&'static str, fn(&mut Manifest));
        let changes: [Change; 6] = [
            ("tables", |m| m.tables = H256::repeat_byte(1)),
            ("weights_root", |m| m.weights_root = H256::repeat_byte(1)),
            ("stop_tokens", |m| m.stop_tokens = vec![3, 1]),
            ("stop_tokens", |m| m.stop_tokens = vec![3, 3]),
            ("stop_tokens", |m| m.stop_tokens = vec![4]),
            ("stop_tokens", |m| m.stop_tokens = (0..9).collect()),
        ];
        for (named, change) in changes {
            let error = parsed_after(|manifest| {
                change(manifest);
                let parts = manifest.parts();
                manifest.root = parts.map(|parts| parts.root()).unwrap_or_default();
            });
            let error = error.unwrap_err();
            assert!(error.contains(named), "{named} is not in: {error}");
        }
        let error = parsed_after(|manifest| manifest.root = H256::zero());
        assert!(error.unwrap_err().contains("root"));
        let error = parsed_after(|manifest| manifest.tensors.swap(5, 6));
        assert!(error.unwrap_err().contains("in the place of"));
    }

    #[test]
    fn a_family_that_is_none_has_no_root() {
        let error = parsed_after(|manifest| {
            (manifest.shape.biases, manifest.shape.head_norms) = (true, true);
            let layout = Layout::of(&manifest.shape);
            manifest.tensors = layout
                .tensors
                .into_iter()
                .map(|tensor| Listed {
                    name: tensor.name,
                    root: H256::zero(),
                })
                .collect();
            (manifest.tables, manifest.weights_root) = manifest.roots();
        });
        assert!(error.unwrap_err().contains("root is not"));
    }
}
