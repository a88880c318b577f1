//! The same shape in PyTorch, by a program of its own.

use std::{ffi::OsStr, process::Command};

use assay_exact::Shape;
use serde::{Deserialize, Serialize};

/// What measures it.
pub const SCRIPT: &str = include_str!("pytorch.py");

/// What is to be measured.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    /// As PyTorch names it.
    pub device: String,
    /// Seconds after which it gives up.
    pub limit: u32,
    pub shape: Sizes,
    pub batches: Vec<usize>,
    pub prefills: Vec<usize>,
    /// Positions that a sequence has when it begins to decode, and tokens that it decodes in a round.
    pub context: usize,
    pub steps: usize,
    pub rounds: usize,
    /// Rows and columns of the matrices whose product is the peak.
    pub product: usize,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sizes {
    pub layers: u16,
    pub hidden: u32,
    pub intermediate: u32,
    pub heads: u16,
    pub kv_heads: u16,
    pub head_dim: u16,
    pub vocabulary: u32,
}

impl Sizes {
    pub fn of(shape: &Shape) -> Self {
        Self {
            layers: shape.layers,
            hidden: shape.hidden,
            intermediate: shape.intermediate,
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
            vocabulary: shape.vocabulary,
        }
    }
}

/// What PyTorch reaches in bf16.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct PyTorch {
    /// Its version.
    pub torch: String,
    /// Operations a second of a large product of matrices.
    pub product: f64,
    /// Seconds of a step by batch, and of a prefill by tokens.
    decode: Vec<(usize, f64)>,
    prefill: Vec<(usize, f64)>,
}

/// What the script says where it has none.
#[derive(Deserialize)]
struct Missing {
    missing: String,
}

impl PyTorch {
    /// Lets `python` run the script; the error says why there are no figures.
    pub fn measure(python: &OsStr, script: &str, asked: &Asked) -> Result<Self, String> {
        let name = python.to_string_lossy();
        let asked = serde_json::to_string(asked).map_err(|error| error.to_string())?;
        let output = Command::new(python)
            .args(["-c", script, &asked])
            .output()
            .map_err(|error| format!("{name} does not start: {error}"))?;
        let out = String::from_utf8_lossy(&output.stdout);
        let said = out.lines().last().unwrap_or_default();
        if let Ok(found) = serde_json::from_str(said) {
            return Ok(found);
        }
        if let Ok(Missing { missing }) = serde_json::from_str(said) {
            return Err(format!("{name}: {missing}"));
        }
        let told = String::from_utf8_lossy(&output.stderr);
        let last = told.lines().last().unwrap_or("nothing is said");
        Err(format!("{name} ended with {}: {last}", output.status))
    }

    /// Seconds of a step of `batch` sequences.
    pub fn decode(&self, batch: usize) -> Option<f64> {
        of(&self.decode, batch)
    }

    /// Seconds of a prefill of so many tokens.
    pub fn prefill(&self, tokens: usize) -> Option<f64> {
        of(&self.prefill, tokens)
    }
}

fn of(found: &[(usize, f64)], size: usize) -> Option<f64> {
    let found = found.iter().find(|(other, _)| *other == size);
    found.map(|(_, seconds)| *seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            device: "cuda:3".into(),
            limit: 60,
            shape: Sizes {
                layers: 1,
                hidden: 64,
                intermediate: 96,
                heads: 4,
                kv_heads: 2,
                head_dim: 16,
                vocabulary: 300,
            },
            batches: vec![1, 8],
            prefills: vec![512],
            context: 16,
            steps: 2,
            rounds: 1,
            product: 64,
        }
    }

    fn said(script: &str) -> Result<PyTorch, String> {
        PyTorch::measure("sh".as_ref(), script, &asked())
    }

    #[test]
    fn figures_are_the_last_line() {
        let found = said(
            "echo compiling; echo '{\"torch\": \"2.5.1\", \"product\": 7e14, \"decode\": [[1, 0.004], \
             [8, 0.005]], \"prefill\": [[512, 0.02]]}'",
        );
        let found = found.unwrap();
        assert_eq!((found.torch.as_str(), found.product), ("2.5.1", 7e14));
        assert_eq!(found.decode(8), Some(0.005));
        assert_eq!((found.decode(2), found.prefill(8)), (None, None));
        assert_eq!(found.prefill(512), Some(0.02));
    }

    #[test]
    fn why_there_are_none_is_told() {
        let missing = said("echo '{\"missing\": \"no GPU\"}'");
        assert_eq!(missing.unwrap_err(), "sh: no GPU");
        let broken =
            said("echo compiling; echo first >&2; echo 'out of luck' >&2; exit 3").unwrap_err();
        assert!(
            broken.contains("exit status: 3") && broken.ends_with(": out of luck"),
            "{broken}"
        );
        let none = PyTorch::measure("no-such-python".as_ref(), "", &asked()).unwrap_err();
        assert!(none.starts_with("no-such-python does not start"), "{none}");
    }

    /// The script itself, as far as it comes with a PyTorch that is none; it gets what it reads.
    #[test]
    fn the_script_runs_and_says_that_there_is_no_pytorch() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("torch.py"),
            "import json, sys\n\
             asked = json.loads(sys.argv[1])\n\
             raise ImportError('none for %s' % asked['device'])\n",
        )
        .unwrap();
        let python = folder.path().join("python");
        std::fs::write(
            &python,
            format!(
                "#!/bin/sh\nPYTHONPATH={} exec python3 \"$@\"\n",
                folder.path().display()
            ),
        )
        .unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
        let told = PyTorch::measure(python.as_os_str(), SCRIPT, &asked()).unwrap_err();
        assert!(told.ends_with("/python: none for cuda:3"), "{told}");
    }
}
