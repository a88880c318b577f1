//! Disks that go bad.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use assay_exact::folder::Folder;

use crate::{copy, Scene};

impl Scene {
    /// Damages the listed model under a worker that has it open: what it sells from now on is not the
    /// model's, and what it shows of it fits no listing. Everybody else has an intact copy.
    pub fn damage_model(&mut self) -> Result<()> {
        let intact = self.folder().join("intact");
        copy(&self.model, &intact)?;
        damage(&std::mem::replace(&mut self.model, intact))
    }
}

/// No layer gives anything any more. The file is changed in place, so that whoever has it mapped sees it.
fn damage(model: &Path) -> Result<()> {
    let folder = Folder::open(model)?;
    let file = File::options().write(true).open(weights(model))?;
    let layers = folder.manifest().shape.layers;
    let places = places(&folder);
    for layer in 0..layers {
        for matrix in ["o", "down"] {
            let (start, bytes) = place(&places, &format!("layers.{layer}.{matrix}.weights"))?;
            file.write_all_at(&vec![0; bytes], start as u64)?;
        }
    }
    Ok(())
}

/// The file of a model's weights.
pub(crate) fn weights(model: &Path) -> PathBuf {
    model.join("weights.bin")
}

/// Name, start and length in bytes of each tensor in `weights.bin`.
pub(crate) fn places(folder: &Folder) -> Vec<(String, usize, usize)> {
    let mut end = 0usize;
    let tensors = folder.tensors().map(|(name, bytes, _)| {
        let start = end.next_multiple_of(64);
        end = start + bytes as usize;
        (name.to_owned(), start, bytes as usize)
    });
    tensors.collect()
}

/// Start and length of the tensor of this name.
pub(crate) fn place(places: &[(String, usize, usize)], name: &str) -> Result<(usize, usize)> {
    let found = places.iter().find(|(other, ..)| other == name);
    let (_, start, bytes) = found.with_context(|| format!("no {name} in {places:?}"))?;
    Ok((*start, *bytes))
}
