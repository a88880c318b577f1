//! Random models on the disk: a GGUF file in Q8_0 for the peers and an imported model folder, of the same
//! numbers.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};
use assay_exact::import;
use candle_core::{
    quantized::{gguf_file, GgmlDType, QTensor},
    Device,
};
use safetensors::{Dtype, View};
use tempfile::TempDir;

use super::shape::{Shape, Tensor};

/// A model of one shape in both formats; dropping it removes the files.
pub struct Files {
    _scratch: TempDir,
    /// The Q8_0 file.
    pub gguf: PathBuf,
    /// The exact model folder.
    pub folder: PathBuf,
}

impl Files {
    /// Makes both from the same random numbers. The folder goes through the import that users call.
    pub fn create(shape: &Shape) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("assay-speed-").tempdir()?;
        let path = |name| scratch.path().join(name);
        let (gguf, checkpoint, folder) = (path("q8_0.gguf"), path("checkpoint"), path("exact"));
        let tensors = shape.tensors();

        let timed = |what: &str, began: Instant| {
            let seconds = began.elapsed().as_secs_f64();
            eprintln!("{}: {what} in {seconds:.1} s", shape.name);
        };
        let began = Instant::now();
        write_gguf(shape, &tensors, &gguf)?;
        timed("Q8_0 file written", began);
        let began = Instant::now();
        write_checkpoint(shape, &tensors, &checkpoint)?;
        timed("checkpoint written", began);
        let began = Instant::now();
        import::huggingface(&checkpoint, &folder, |_| ())?;
        fs::remove_dir_all(&checkpoint)?;
        timed("imported", began);
        Ok(Self {
            _scratch: scratch,
            gguf,
            folder,
        })
    }
}

fn write_gguf(shape: &Shape, tensors: &[Tensor], path: &Path) -> Result<()> {
    let quantised = tensors
        .iter()
        .map(|tensor| {
            // Vectors stay in f32, as every converter leaves them.
            let element = match tensor.dimensions.len() {
                1 => GgmlDType::F32,
                _ => GgmlDType::Q8_0,
            };
            let values: Vec<f32> = tensor.values().map(from_bf16).collect();
            let values =
                candle_core::Tensor::from_vec(values, tensor.dimensions.clone(), &Device::Cpu)?;
            Ok((tensor.gguf.as_str(), QTensor::quantize(&values, element)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata = metadata(shape);
    let metadata: Vec<_> = metadata
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    let tensors: Vec<_> = quantised
        .iter()
        .map(|(name, tensor)| (*name, tensor))
        .collect();
    let file = File::create_new(path).with_context(|| path.display().to_string())?;
    let mut file = BufWriter::new(file);
    gguf_file::write(&mut file, &metadata, &tensors)?;
    file.into_inner()?.sync_all()?;
    Ok(())
}

fn metadata(shape: &Shape) -> Vec<(String, gguf_file::Value)> {
    use gguf_file::Value;
    let text = |text: &str| Value::String(text.into());
    let number = |number: usize| Value::U32(number as u32);
    let family = shape.family.name();
    let of_family = [
        ("context_length", number(shape.context)),
        ("embedding_length", number(shape.hidden)),
        ("block_count", number(shape.layers)),
        ("feed_forward_length", number(shape.intermediate)),
        ("rope.dimension_count", number(shape.head_dim())),
        ("rope.freq_base", Value::F32(shape.rotary_base as f32)),
        ("attention.head_count", number(shape.heads)),
        ("attention.head_count_kv", number(shape.kv_heads)),
        (
            "attention.layer_norm_rms_epsilon",
            Value::F32(shape.epsilon as f32),
        ),
        ("vocab_size", number(shape.vocabulary)),
    ];
    let mut metadata = vec![
        ("general.architecture".to_string(), text(family)),
        ("general.name".to_string(), text(shape.name)),
        // Engines are given token ids, so that the file needs no tokenizer.
        ("tokenizer.ggml.model".to_string(), text("no_vocab")),
    ];
    metadata.extend(of_family.map(|(key, value)| (format!("{family}.{key}"), value)));
    metadata
}

/// A Hugging Face checkpoint of random weights, without anything for text.
pub fn write_checkpoint(shape: &Shape, tensors: &[Tensor], folder: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    let config = serde_json::to_vec_pretty(&shape.config())?;
    fs::write(folder.join("config.json"), config)?;
    // The import copies it, and only text would need what is in it.
    fs::write(folder.join("tokenizer.json"), "{}\n")?;
    let named = tensors.iter().map(|tensor| (&tensor.name, tensor));
    safetensors::serialize_to_file(named, None, &folder.join("model.safetensors"))?;
    Ok(())
}

impl Tensor {
    fn elements(&self) -> usize {
        self.dimensions.iter().product()
    }

    /// The tensor's random numbers as bf16, the same in each call: they follow from its name.
    fn values(&self) -> impl Iterator<Item = u16> + '_ {
        let seed = self
            .name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            });
        let step = self.values.spread / 32_768.0;
        (0..self.elements().div_ceil(4) as u64)
            .flat_map(move |index| {
                let random = split_mix(seed.wrapping_add(index));
                [0, 16, 32, 48].map(|shift| (random >> shift) as i16)
            })
            .take(self.elements())
            .map(move |random| to_bf16(self.values.middle + f32::from(random) * step))
    }
}

/// Written one tensor after the other, so that only one is in memory.
impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        Dtype::BF16
    }

    fn shape(&self) -> &[usize] {
        &self.dimensions
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        bytes.extend(self.values().flat_map(u16::to_le_bytes));
        bytes.into()
    }

    fn data_len(&self) -> usize {
        2 * self.elements()
    }
}

/// SplitMix64's output function (Steele, Lea and Flood 2014): the random number of this index.
pub fn split_mix(index: u64) -> u64 {
    let mut x = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The upper half of an f32, which is a bf16.
fn to_bf16(value: f32) -> u16 {
    (value.to_bits() >> 16) as u16
}

fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}
