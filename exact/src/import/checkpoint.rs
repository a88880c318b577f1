//! The tensors that an import reads, by name, whatever format their files have.
//!
//! The files are mapped, so memory holds one row at a time. They must not be changed while they are
//! read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::Path,
};

use memmap2::Mmap;

use super::{
    tensor::{Element, Order, Tensor},
    ImportError,
};

/// Longest name of a tensor that is read, in bytes.
pub(super) const MAX_NAME: usize = 256;
/// The most dimensions of a tensor that is read.
pub(super) const MAX_DIMENSIONS: usize = 8;

/// The tensors of one file or several.
pub(super) struct Checkpoint {
    files: Vec<Mmap>,
    /// By the files' own names, with the number of the file.
    places: BTreeMap<String, (usize, Place)>,
    used: BTreeSet<String>,
    spelling: fn(&str) -> String,
}

/// Where a tensor lies in its file.
pub(super) struct Place {
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// The type's name if it is one that is not read.
    pub element: Result<Element, String>,
    pub order: Order,
    /// First byte in the file, and the first one behind the tensor.
    pub start: usize,
    pub end: usize,
}

impl Checkpoint {
    /// No tensors yet. `spelling` gives the files' name for Hugging Face's, which all other
    /// functions take.
    pub fn new(spelling: fn(&str) -> String) -> Self {
        Self {
            files: Vec::new(),
            places: BTreeMap::new(),
            used: BTreeSet::new(),
            spelling,
        }
    }

    /// Add a file's tensors, under the names that it gives them.
    pub fn add(
        &mut self,
        file: Mmap,
        tensors: impl IntoIterator<Item = (String, Place)>,
    ) -> Result<(), ImportError> {
        for (name, place) in tensors {
            if self.places.contains_key(&name) {
                return Err(ImportError::Duplicate(name));
            }
            self.places.insert(name, (self.files.len(), place));
        }
        self.files.push(file);
        Ok(())
    }

    /// Mark a tensor as known, whether it is there or not.
    pub fn ignore(&mut self, name: &str) {
        self.used.insert((self.spelling)(name));
    }

    /// Every tensor must have been asked for or ignored.
    pub fn finish(&self) -> Result<(), ImportError> {
        match self.places.keys().find(|name| !self.used.contains(*name)) {
            Some(name) => Err(ImportError::Unexpected(name.clone())),
            None => Ok(()),
        }
    }

    /// Check that the tensor `name` is there, has this shape and can be read.
    pub fn require(&mut self, name: &str, shape: &[usize]) -> Result<(), ImportError> {
        self.tensor(name, shape)?;
        self.ignore(name);
        Ok(())
    }

    /// The tensor `name`, which must have this shape; a vector is one row.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor<'_>, ImportError> {
        let name = (self.spelling)(name);
        let Some((file, place)) = self.places.get(&name) else {
            return Err(ImportError::Missing(name));
        };
        if place.shape != shape {
            return Err(ImportError::TensorShape {
                name,
                found: place.shape.clone(),
                expected: shape.into(),
            });
        }
        let element = match &place.element {
            Ok(element) => *element,
            Err(found) => {
                let found = found.clone();
                return Err(ImportError::ElementType { name, found });
            }
        };
        let bytes = self
            .files
            .get(*file)
            .and_then(|file| file.get(place.start..place.end));
        let (Some(bytes), [.., inputs]) = (bytes, shape) else {
            return Err(ImportError::Missing(name));
        };
        let rows = shape.iter().rev().skip(1).product();
        Ok(Tensor::new(
            name,
            bytes,
            element,
            place.order,
            rows,
            *inputs,
        ))
    }

    /// All elements of a vector.
    pub fn vector(&self, name: &str, length: usize) -> Result<Vec<f64>, ImportError> {
        let mut elements = Vec::new();
        self.tensor(name, &[length])?.row(0, &mut elements)?;
        Ok(elements)
    }
}

/// Map a file that nobody writes to while the import reads it.
pub(super) fn map(path: &Path) -> Result<Mmap, ImportError> {
    let file = File::open(path).map_err(|error| ImportError::file(path, &error))?;
    // SAFETY: the mapping is only read, as bytes; that nobody else writes to the file meanwhile is
    // the caller's part of the contract.
    unsafe { Mmap::map(&file) }.map_err(|error| ImportError::file(path, &error))
}
