//! The weights of a model folder as tensors.

use std::{collections::HashMap, path::Path};

use assay_client::folder::HuggingFace;
use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;

use super::EngineError;

/// Every tensor of the model by its name in the files, widened to f32.
pub(super) fn read_tensors(
    path: &Path,
    folder: &HuggingFace,
) -> Result<HashMap<String, Tensor>, EngineError> {
    folder
        .tensors()
        .map(|(name, _)| Ok((name.to_owned(), read_tensor(path, folder, name)?)))
        .collect()
}

fn read_tensor(path: &Path, folder: &HuggingFace, name: &str) -> Result<Tensor, EngineError> {
    let unreadable = |problem: String| EngineError::Model {
        file: path.into(),
        problem: format!("{name} cannot be read: {}", one_line(&problem)),
        next: "check the folder and start again".into(),
    };
    let raw = folder.read(name)?;
    let dtype = match raw.dtype {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        other => return Err(unreadable(format!("{other:?} is not a float"))),
    };
    Tensor::from_raw_buffer(&raw.bytes, dtype, raw.shape, &Device::Cpu)
        .and_then(|tensor| tensor.to_dtype(DType::F32))
        .map_err(|error| unreadable(error.to_string()))
}

/// The first line of a message from elsewhere.
pub(super) fn one_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().into()
}
