//! `assay model import`, `inspect` and `verify`: model folders on this machine, without a chain.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use assay_client::folder::{HuggingFace, ModelFolder, ModelWeights};
use assay_exact::{
    folder::Folder,
    import::{self, Clamped},
};
use assay_primitives::{ModelParts, ModelSpec, Profile, PPM_ONE};
use serde_json::{json, Value};

use crate::{context::Context, failure::Failure, records};

/// Makes an exact model of float weights.
pub fn import(
    context: &Context,
    source: &Path,
    target: Option<PathBuf>,
    fraction_bits: u8,
) -> Result<(), Failure> {
    let target = match target {
        Some(target) => target,
        None => beside(source)?,
    };
    let progress = context.progress();
    let imported = import::model(source, &target, fraction_bits, |step| {
        progress.advance(step.done_bytes, step.total_bytes, step.tensor);
    });
    drop(progress);
    let imported = imported.map_err(|error| Failure::Usage(error.to_string()))?;
    let parts = match ModelFolder::open(&target)?.weights() {
        ModelWeights::Exact(folder) => folder.parts(),
        ModelWeights::Float(_) => {
            let path = target.display();
            return Err(Failure::Usage(format!(
                "{path}: the import wrote no exact model; remove it and import again"
            )));
        }
    };
    let json = json!({
        "folder": target,
        "root": records::hash(&imported.root),
        "bytes": imported.weights_bytes,
        "clamped_biases": imported.clamped.biases,
        "clamped_embedding": imported.clamped.embedding,
        "parts": records::parts(&parts),
    });
    context.show(json, || {
        let path = target.display();
        format!(
            "{path} is an exact model\n  shape {}\n  size  {}\n  root  {:?}\n{}list it with `assay model register {path}`",
            shape(&parts.spec),
            bytes(imported.weights_bytes),
            imported.root,
            clamped(imported.clamped, fraction_bits),
        )
    });
    Ok(())
}

/// What the format cannot store as it is, a line each.
fn clamped(clamped: Clamped, fraction_bits: u8) -> String {
    let mut lines = String::new();
    if clamped.embedding > 0 {
        lines += &format!(
            "  clamped {} numbers of the embedding: a residual of {fraction_bits} fraction bits holds less than {}; \
             import with a smaller --fraction-bits\n",
            clamped.embedding,
            1u64 << 31u8.saturating_sub(fraction_bits),
        );
    }
    if clamped.biases > 0 {
        lines += &format!(
            "  clamped {} biases: the format holds less than 32768; answers may differ much from the floats'\n",
            clamped.biases
        );
    }
    lines
}

/// The folder that an import makes if none is named: `NAME-exact` in the current one.
fn beside(source: &Path) -> Result<PathBuf, Failure> {
    let unnamed = || {
        let source = source.display();
        Failure::Usage(format!("{source} has no name; name the folder to make"))
    };
    // Links and dots have names too.
    let source = source.canonicalize().unwrap_or_else(|_| source.into());
    let name = match source.is_dir() {
        true => source.file_name(),
        false => source.file_stem(),
    };
    let mut name = name.ok_or_else(unnamed)?.to_owned();
    name.push("-exact");
    Ok(name.into())
}

/// Shows what a folder holds, as its own files say.
pub fn inspect(context: &Context, dir: PathBuf) -> Result<(), Failure> {
    let folder = ModelFolder::open(&dir)?;
    let path = dir.display();
    match folder.weights() {
        ModelWeights::Exact(exact) => {
            let parts = exact.parts();
            let tensors = exact.tensors().map(|(name, bytes, root)| {
                json!({ "tensor": name, "bytes": bytes, "root": records::hash(&root) })
            });
            let json = record(&parts, tensors.collect());
            context.show(json, || {
                let mut lines = vec![
                    format!("{path} claims to be the exact model {:?}", parts.root()),
                    format!("  shape   {}", shape(&parts.spec)),
                    format!("  numbers {}", numbers(&parts.spec.profile)),
                ];
                lines.extend(exact_tensors(exact));
                lines.push(format!(
                    "`assay model verify {path}` holds every byte against that"
                ));
                lines.join("\n")
            });
        }
        ModelWeights::Float(float) => {
            let progress = context.progress();
            progress.wait("hashing the weights");
            let parts = folder.parts()?;
            drop(progress);
            let tensors = float.tensors().map(|(name, stored)| {
                json!({
                    "tensor": name,
                    "dtype": format!("{:?}", stored.dtype),
                    "shape": stored.shape,
                    "bytes": stored.bytes,
                })
            });
            let json = record(&parts, tensors.collect());
            context.show(json, || {
                let mut lines = vec![
                    format!("{path} holds the unverified model {:?}", parts.root()),
                    format!("  shape   {}", shape(&parts.spec)),
                    format!("  numbers {}", numbers(&parts.spec.profile)),
                ];
                lines.extend(float_tensors(float));
                lines.push(format!(
                    "`assay model import {path}` makes an exact model of it"
                ));
                lines.join("\n")
            });
        }
    }
    Ok(())
}

fn record(parts: &ModelParts, tensors: Vec<Value>) -> Value {
    json!({
        "root": records::hash(&parts.root()),
        "parts": records::parts(parts),
        "tensors": tensors,
    })
}

fn exact_tensors(folder: &Folder) -> Vec<String> {
    let all: Vec<_> = folder.tensors().collect();
    let total = all.iter().map(|(_, bytes, _)| bytes).sum();
    let mut lines = vec![format!("  {} tensors, {}", all.len(), bytes(total))];
    lines.extend(
        all.iter()
            .map(|(name, bytes, root)| format!("    {name:<26} {bytes:>13}  {root:?}")),
    );
    lines
}

fn float_tensors(folder: &HuggingFace) -> Vec<String> {
    let all: Vec<_> = folder.tensors().collect();
    let total = all.iter().map(|(_, stored)| stored.bytes as u64).sum();
    let mut lines = vec![format!("  {} tensors, {}", all.len(), bytes(total))];
    lines.extend(all.iter().map(|(name, stored)| {
        format!(
            "    {name:<48} {:>13}  {:?} {:?}",
            stored.bytes, stored.dtype, stored.shape
        )
    }));
    lines
}

/// Reads every byte of an exact folder and says whether it is the model that it claims to be.
pub fn verify(context: &Context, dir: PathBuf) -> Result<(), Failure> {
    let folder = ModelFolder::open(&dir)?;
    let path = dir.display();
    let ModelWeights::Exact(exact) = folder.weights() else {
        return Err(Failure::Usage(format!(
            "{path} holds floats, which claim no root; `assay model import {path}` makes an exact model of them"
        )));
    };
    let size: u64 = exact.tensors().map(|(_, bytes, _)| bytes).sum();
    let start = Instant::now();
    let progress = context.progress();
    progress.wait("reading every byte");
    let parts = folder.parts();
    drop(progress);
    // The question was asked rightly; the folder fails it.
    let parts = parts.map_err(|error| Failure::Request(error.to_string()))?;
    let seconds = start.elapsed().as_secs_f64();
    let json = json!({
        "root": records::hash(&parts.root()), "bytes": size, "seconds": seconds,
    });
    context.show(json, || {
        format!(
            "{path} is the exact model {:?}, to the last byte ({}, {seconds:.1} s)",
            parts.root(),
            bytes(size)
        )
    });
    Ok(())
}

/// A model's shape, in one line.
fn shape(spec: &ModelSpec) -> String {
    format!(
        "{:?}: {} layers of {}, feed-forward {}, {} query and {} key-value heads of {}, {} tokens, context {}, stop \
         tokens {:?}",
        spec.architecture,
        spec.layers,
        spec.hidden,
        spec.intermediate,
        spec.heads,
        spec.kv_heads,
        spec.head_dim,
        spec.vocabulary,
        spec.context,
        spec.stop_tokens.to_vec(),
    )
}

/// How a model's numbers are computed, in one line.
fn numbers(profile: &Profile) -> String {
    match profile {
        Profile::Unverified => "unverified: floats, so nobody can prove a wrong answer".into(),
        Profile::Exact {
            fraction_bits,
            eps40,
            rotary,
        } => {
            let scaled = match rotary.scaling {
                None => "",
                Some(_) => ", scaled as in Llama 3",
            };
            format!(
                "exact v1: residual in Q{fraction_bits}, epsilon {eps40} / 2^40, rotary base {}{scaled}",
                decimal(rotary.base)
            )
        }
    }
}

/// Parts per million as a decimal.
fn decimal(ppm: u64) -> String {
    let one = u64::from(PPM_ONE);
    let text = format!("{}.{:06}", ppm / one, ppm % one);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A length in the largest unit of which it is at least one.
fn bytes(length: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match UNITS.iter().find(|(_, unit)| length >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", length as f64 / *unit as f64),
        None => format!("{length} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_decimals_read_well() {
        for (length, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (3_742_852, "3.7 MB"),
            (1_240_000_000, "1.2 GB"),
        ] {
            assert_eq!(bytes(length), text);
        }
        assert_eq!(decimal(10_000_000_000), "10000");
        assert_eq!(decimal(1_500_000), "1.5");
    }

    #[test]
    fn an_import_without_a_name_goes_beside() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("llama");
        std::fs::create_dir(&model).unwrap();
        assert_eq!(beside(&model).unwrap(), Path::new("llama-exact"));
        assert_eq!(beside(&model.join(".")).unwrap(), Path::new("llama-exact"));
        let file = folder.path().join("qwen.gguf");
        std::fs::write(&file, "").unwrap();
        assert_eq!(beside(&file).unwrap(), Path::new("qwen-exact"));
        assert!(beside(Path::new("/")).is_err());
    }
}
