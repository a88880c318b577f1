//! A cache in device memory, written and read by the host.

use assay_cuda::{
    device::Buffer,
    kernels::{
        layout::{padded_line, padded_values, slab_bytes, SLAB},
        Cache,
    },
};
use assay_exact::{Scale, Shape};

use crate::machine::{read, Machine};

/// One key or one value, and its scale.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cached {
    pub numbers: Vec<i8>,
    pub scale: Scale,
}

/// What is cached of a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Key,
    Value,
}

/// Where something of a position is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub sequence: usize,
    pub layer: usize,
    pub kv_head: usize,
    pub position: usize,
}

/// Slabs of all sequences, in any order.
pub struct Slabs {
    shape: Shape,
    bytes: Vec<u8>,
    tables: Vec<Vec<u32>>,
}

impl Slabs {
    /// Zeros.
    pub fn new(shape: &Shape, tables: Vec<Vec<u32>>) -> Self {
        let most = tables.iter().flatten().max().unwrap();
        Self {
            bytes: vec![0; slab_bytes(shape) * (*most as usize + 1)],
            shape: shape.clone(),
            tables,
        }
    }

    /// Where a position's numbers begin, how far apart they are, and where its scale is.
    fn find(&self, kind: Kind, place: Place) -> (usize, usize, usize) {
        let d = u32::from(self.shape.head_dim);
        let (slab, inside) = (SLAB as usize, place.position % SLAB as usize);
        let (line, rows) = (padded_line(d) as usize, padded_values(d) as usize);
        let number = self.tables[place.sequence][place.position / slab] as usize;
        let head = place.layer * usize::from(self.shape.kv_heads) + place.kv_head;
        let first = number * slab_bytes(&self.shape) + head * slab * (line + rows + 8);
        let scales = first + slab * (line + rows);
        match kind {
            Kind::Key => (first + inside * line, 1, scales + 4 * inside),
            Kind::Value => (
                first + slab * line + inside,
                slab,
                scales + 4 * (slab + inside),
            ),
        }
    }

    pub fn put(&mut self, kind: Kind, place: Place, cached: &Cached) {
        let (first, apart, scale) = self.find(kind, place);
        for (index, number) in cached.numbers.iter().enumerate() {
            self.bytes[first + apart * index] = *number as u8;
        }
        let exponent = i16::try_from(cached.scale.exponent).unwrap();
        self.bytes[scale..scale + 2].copy_from_slice(&cached.scale.mantissa.to_le_bytes());
        self.bytes[scale + 2..scale + 4].copy_from_slice(&exponent.to_le_bytes());
    }

    pub fn get(&self, kind: Kind, place: Place) -> Cached {
        let (first, apart, scale) = self.find(kind, place);
        let number = |index| self.bytes[first + apart * index] as i8;
        let half = |at: usize| [self.bytes[at], self.bytes[at + 1]];
        Cached {
            numbers: (0..usize::from(self.shape.head_dim)).map(number).collect(),
            scale: Scale {
                mantissa: u16::from_le_bytes(half(scale)),
                exponent: i16::from_le_bytes(half(scale + 2)).into(),
            },
        }
    }

    /// Bytes that are not 0.
    pub fn written(&self) -> usize {
        self.bytes.iter().filter(|byte| **byte != 0).count()
    }

    pub fn upload(&self, machine: &Machine) -> Uploaded {
        let stride = self.tables.iter().map(Vec::len).max().unwrap();
        let mut tables = Vec::new();
        for table in &self.tables {
            tables.extend(table);
            // Numbers that nobody may follow.
            tables.resize(tables.len().next_multiple_of(stride), u32::MAX);
        }
        Uploaded {
            slabs: machine.of(&self.bytes),
            tables: machine.of(&tables),
            stride: stride as u32,
        }
    }

    /// What the device has made of it.
    pub fn read(&mut self, uploaded: &Uploaded) {
        self.bytes = read(&uploaded.slabs);
    }
}

/// Slabs in device memory.
pub struct Uploaded {
    slabs: Buffer,
    tables: Buffer,
    stride: u32,
}

impl Uploaded {
    pub fn cache(&self) -> Cache {
        Cache {
            slabs: self.slabs.address(),
            tables: self.tables.address(),
            table_stride: self.stride,
        }
    }
}

/// A shape whose heads matter alone.
pub fn shape(layers: u16, heads: u16, kv_heads: u16, head_dim: u16) -> Shape {
    Shape {
        layers,
        hidden: 1,
        intermediate: 1,
        heads,
        kv_heads,
        head_dim,
        vocabulary: 1,
        context: 1 << 20,
        tied: true,
        biases: false,
        head_norms: false,
        fraction_bits: 16,
        eps40: 11,
        rotary: assay_exact::shape::Rotary {
            base: assay_exact::shape::PPM,
            scaling: None,
        },
    }
}
