//! The key-value cache: int8 keys and values of the positions so far, with a scale for each head.
//!
//! A *page* is 16 positions of one key-value head, in the layout that [`crate::kernel`] reads. A
//! *slab* is a few pages one after the other, of every layer and head: the piece in which memory is
//! taken. Slabs are counted references, so that a clone of a cache shares them until one of the two
//! writes. Those of an [accelerator](crate::accelerator) are in its own memory, and have a name here.

// A cache's own lengths are products of its sizes, which the shape's bounds keep far below 2^64, and
// every place is below them.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::{ops::Range, sync::Arc};

use crate::{
    accelerator::{AcceleratorError, Slabs},
    leaf::PAGE,
    number::Scale,
    rows::Scales,
    shape::Shape,
};

/// Positions of a slab.
pub const SLAB: usize = 4 * PAGE;

/// Keys and values of the positions so far.
#[derive(Clone, Debug)]
pub struct Cache {
    sizes: Sizes,
    positions: usize,
    slabs: Vec<Arc<Slab>>,
    /// None: this machine's memory.
    elsewhere: Option<Arc<dyn Slabs>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sizes {
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
}

/// A slab, wherever it is.
#[derive(Debug)]
pub(crate) enum Slab {
    Here(Filled),
    Elsewhere(Lent),
}

/// A slab of an accelerator's, which has it back in the end.
#[derive(Debug)]
pub(crate) struct Lent {
    slabs: Arc<dyn Slabs>,
    name: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Filled {
    sizes: Sizes,
    keys: Rows,
    values: Rows,
}

/// \[layer\]\[head\], then pages of numbers, or positions of scales.
#[derive(Clone, Debug)]
struct Rows {
    numbers: Box<[i8]>,
    mantissas: Box<[u16]>,
    exponents: Box<[i8]>,
}

/// What one head reads of one slab.
#[derive(Clone, Copy)]
pub(crate) struct Pages<'a> {
    /// \[pages\]\[d/2\]\[16\]\[2\]: pair of dimensions, position, which of the two.
    pub keys: &'a [i8],
    /// \[pages\]\[8\]\[d\]\[2\]: pair of positions, dimension, which of the two.
    pub values: &'a [i8],
    /// Of the positions that were asked for.
    pub key_scales: Scales<'a>,
    pub value_scales: Scales<'a>,
}

/// One head's row at one position, and its scale.
#[derive(Clone, Copy)]
pub(crate) struct Quantised<'a> {
    pub numbers: &'a [i8],
    pub scale: Scale,
}

impl Cache {
    /// An empty cache.
    pub fn new(shape: &Shape) -> Self {
        Self {
            sizes: Sizes::of(shape),
            positions: 0,
            slabs: Vec::new(),
            elsewhere: None,
        }
    }

    /// An empty cache in an accelerator's memory.
    pub(crate) fn elsewhere(shape: &Shape, slabs: Arc<dyn Slabs>) -> Self {
        Self {
            elsewhere: Some(slabs),
            ..Self::new(shape)
        }
    }

    /// Positions that it holds.
    pub fn positions(&self) -> usize {
        self.positions
    }

    /// Forgets every position from `positions` on.
    pub fn truncate(&mut self, positions: usize) {
        self.positions = self.positions.min(positions);
        self.slabs.truncate(self.positions.div_ceil(SLAB));
    }

    /// Bytes of memory of one slab.
    pub(crate) fn slab_bytes(shape: &Shape) -> usize {
        let sizes = Sizes::of(shape);
        // A key and a value, each with a mantissa and an exponent.
        sizes.layers * sizes.kv_heads * SLAB * 2 * (sizes.head_dim + 3)
    }

    /// Slab number `index`, if all its positions are filled.
    pub(crate) fn complete(&self, index: usize) -> Option<&Arc<Slab>> {
        let filled = self.positions / SLAB;
        self.slabs.get(index).filter(|_| index < filled)
    }

    #[cfg(test)]
    pub(crate) fn slabs(&self) -> impl Iterator<Item = &Arc<Slab>> {
        self.slabs.iter()
    }

    /// Puts a complete slab behind a cache that ends at a slab's border.
    pub(crate) fn push(&mut self, slab: Arc<Slab>) {
        self.slabs.push(slab);
        self.positions += SLAB;
    }

    /// Whether it was made for a shape with the same keys and values, in this memory. That it was filled
    /// by the same model is the caller's to keep.
    pub(crate) fn fits(&self, shape: &Shape, memory: Option<&Arc<dyn Slabs>>) -> bool {
        let same_memory = match (&self.elsewhere, memory) {
            (None, None) => true,
            (Some(one), Some(other)) => core::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other)),
            _ => false,
        };
        same_memory && self.sizes == Sizes::of(shape)
    }

    /// Takes memory for more positions, and makes what will be written its own.
    pub(crate) fn reserve(&mut self, positions: usize) -> Result<(), AcceleratorError> {
        let first = self.positions / SLAB;
        let slabs = (self.positions + positions).div_ceil(SLAB);
        for slab in self.slabs.iter_mut().skip(first) {
            if Arc::get_mut(slab).is_none() {
                *slab = Arc::new(slab.duplicate()?);
            }
        }
        while self.slabs.len() < slabs {
            self.slabs.push(Arc::new(match &self.elsewhere {
                None => Slab::Here(Filled::new(self.sizes)),
                Some(slabs) => Slab::Elsewhere(Lent::new(slabs)?),
            }));
        }
        Ok(())
    }

    /// The names of its slabs in an accelerator's memory.
    pub(crate) fn names(&self) -> Vec<u32> {
        let name = |slab: &Arc<Slab>| match &**slab {
            Slab::Here(_) => None,
            Slab::Elsewhere(lent) => Some(lent.name),
        };
        self.slabs.iter().filter_map(name).collect()
    }

    /// Writes one head's key and value at a position that was reserved.
    pub(crate) fn write(
        &mut self,
        layer: usize,
        head: usize,
        position: usize,
        key: Quantised,
        value: Quantised,
    ) {
        let Some(Slab::Here(slab)) = Arc::get_mut(&mut self.slabs[position / SLAB]) else {
            unreachable!("an engine writes what it has reserved in this memory");
        };
        slab.write(layer, head, position % SLAB, key, value);
    }

    /// Counts the positions whose keys and values every layer has got.
    pub(crate) fn advance(&mut self, positions: usize) {
        self.positions += positions;
    }

    /// What a head reads of slab number `slab` at its positions below `end`.
    pub(crate) fn pages(&self, slab: usize, layer: usize, head: usize, end: usize) -> Pages<'_> {
        let Slab::Here(slab) = &*self.slabs[slab] else {
            unreachable!("an engine reads the caches that it accepts");
        };
        let (pages, scales) = slab.places(layer, head);
        let scales = scales.start..scales.start + end.min(SLAB);
        Pages {
            keys: &slab.keys.numbers[pages.clone()],
            values: &slab.values.numbers[pages],
            key_scales: slab.keys.scales(scales.clone()),
            value_scales: slab.values.scales(scales),
        }
    }
}

impl Pages<'_> {
    /// Dimension `dimension` of `d` of the key at a place in the slab.
    pub fn key(&self, d: usize, place: usize, dimension: usize) -> i8 {
        let (page, row) = (place / PAGE * PAGE * d, place % PAGE);
        self.keys[page + dimension / 2 * 2 * PAGE + 2 * row + dimension % 2]
    }

    /// As [`key`](Self::key), of the value.
    pub fn value(&self, d: usize, place: usize, dimension: usize) -> i8 {
        let (page, row) = (place / PAGE * PAGE * d, place % PAGE);
        self.values[page + row / 2 * 2 * d + 2 * dimension + row % 2]
    }

    pub fn key_scale(&self, place: usize) -> Scale {
        scale(self.key_scales, place)
    }

    pub fn value_scale(&self, place: usize) -> Scale {
        scale(self.value_scales, place)
    }
}

fn scale(scales: Scales, place: usize) -> Scale {
    Scale {
        mantissa: scales.mantissas[place],
        exponent: scales.exponents[place].into(),
    }
}

impl Sizes {
    fn of(shape: &Shape) -> Self {
        Self {
            layers: shape.layers.into(),
            kv_heads: shape.kv_heads.into(),
            head_dim: shape.head_dim.into(),
        }
    }
}

impl Slab {
    fn duplicate(&self) -> Result<Self, AcceleratorError> {
        Ok(match self {
            Self::Here(filled) => Self::Here(filled.clone()),
            Self::Elsewhere(lent) => {
                let copy = Lent::new(&lent.slabs)?;
                lent.slabs.copy(lent.name, copy.name)?;
                Self::Elsewhere(copy)
            }
        })
    }
}

impl Lent {
    fn new(slabs: &Arc<dyn Slabs>) -> Result<Self, AcceleratorError> {
        Ok(Self {
            name: slabs.take()?,
            slabs: slabs.clone(),
        })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.slabs.give(self.name);
    }
}

impl Filled {
    fn new(sizes: Sizes) -> Self {
        let scales = sizes.layers * sizes.kv_heads * SLAB;
        let rows = Rows {
            numbers: vec![0; scales * sizes.head_dim].into(),
            mantissas: vec![0; scales].into(),
            exponents: vec![0; scales].into(),
        };
        Self {
            sizes,
            keys: rows.clone(),
            values: rows,
        }
    }

    /// Where a head's pages and scales lie.
    fn places(&self, layer: usize, head: usize) -> (Range<usize>, Range<usize>) {
        let first = (layer * self.sizes.kv_heads + head) * SLAB;
        let d = self.sizes.head_dim;
        (first * d..(first + SLAB) * d, first..first + SLAB)
    }

    fn write(
        &mut self,
        layer: usize,
        head: usize,
        position: usize,
        key: Quantised,
        value: Quantised,
    ) {
        let (pages, scales) = self.places(layer, head);
        let d = self.sizes.head_dim;
        let (page, place) = (position / PAGE, position % PAGE);
        let page = pages.start + page * PAGE * d;
        let page = page..page + PAGE * d;
        let keys = self.keys.numbers[page.clone()].chunks_exact_mut(2 * PAGE);
        for (pair, keys) in key.numbers.chunks_exact(2).zip(keys) {
            keys[2 * place..2 * place + 2].copy_from_slice(pair);
        }
        let values = &mut self.values.numbers[page][place / 2 * 2 * d..];
        for (number, pair) in value.numbers.iter().zip(values.chunks_exact_mut(2)) {
            pair[place % 2] = *number;
        }
        self.keys.set_scale(scales.start + position, key.scale);
        self.values.set_scale(scales.start + position, value.scale);
    }
}

impl Rows {
    fn scales(&self, range: Range<usize>) -> Scales<'_> {
        Scales {
            mantissas: &self.mantissas[range.clone()],
            exponents: &self.exponents[range],
        }
    }

    fn set_scale(&mut self, place: usize, scale: Scale) {
        self.mantissas[place] = scale.mantissa;
        // Of a row of i32 in Q16 the exponent is in [-38, -7], or -128 (format page §3.3).
        self.exponents[place] = scale.exponent as i8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Rotary, PPM};

    fn shape() -> Shape {
        Shape {
            layers: 2,
            hidden: 4,
            intermediate: 4,
            heads: 6,
            kv_heads: 3,
            head_dim: 6,
            vocabulary: 4,
            context: 500,
            tied: true,
            biases: false,
            head_norms: false,
            fraction_bits: 16,
            eps40: 1,
            rotary: Rotary {
                base: PPM,
                scaling: None,
            },
        }
    }

    /// The row that layer, head and position have in these tests.
    fn row(layer: usize, head: usize, position: usize, value: bool) -> ([i8; 6], Scale) {
        let seed = layer * 50 + head * 13 + position * 7 + usize::from(value) * 101;
        let numbers = core::array::from_fn(|i| (seed + i * 31) as i8);
        let scale = Scale {
            mantissa: (1 << 15) + seed as u16,
            exponent: [-128, -38, -7][seed % 3],
        };
        (numbers, scale)
    }

    fn fill(cache: &mut Cache, positions: Range<usize>) {
        cache.reserve(positions.len()).unwrap();
        for position in positions.clone() {
            for layer in 0..2 {
                for head in 0..3 {
                    let rows = [false, true].map(|kind| row(layer, head, position, kind));
                    let [key, value] = rows.each_ref().map(|(numbers, scale)| Quantised {
                        numbers,
                        scale: *scale,
                    });
                    cache.write(layer, head, position, key, value);
                }
            }
        }
        cache.advance(positions.len());
    }

    /// Every position's rows are where the kernels look for them.
    fn assert_filled(cache: &Cache) {
        for position in 0..cache.positions() {
            for layer in 0..2 {
                for head in 0..3 {
                    let (slab, inside) = (position / SLAB, position % SLAB);
                    let pages = cache.pages(slab, layer, head, inside + 1);
                    let (page, place) = (inside / PAGE * PAGE * 6, inside % PAGE);
                    let (key, key_scale) = row(layer, head, position, false);
                    let (value, value_scale) = row(layer, head, position, true);
                    for i in 0..6 {
                        let at = page + i / 2 * 32 + 2 * place + i % 2;
                        assert_eq!(pages.keys[at], key[i], "key {position}");
                        let at = page + place / 2 * 12 + 2 * i + place % 2;
                        assert_eq!(pages.values[at], value[i], "value {position}");
                    }
                    let last = |scales: Scales| Scale {
                        mantissa: *scales.mantissas.last().unwrap(),
                        exponent: i32::from(*scales.exponents.last().unwrap()),
                    };
                    assert_eq!(last(pages.key_scales), key_scale);
                    assert_eq!(last(pages.value_scales), value_scale);
                    assert_eq!(pages.key_scales.mantissas.len(), inside + 1);
                }
            }
        }
    }

    #[test]
    fn rows_lie_in_the_layout_of_the_kernels() {
        let mut cache = Cache::new(&shape());
        fill(&mut cache, 0..1);
        fill(&mut cache, 1..150);
        assert_eq!(cache.positions(), 150);
        assert_filled(&cache);
    }

    #[test]
    fn memory_is_taken_by_slabs_and_given_back() {
        let mut cache = Cache::new(&shape());
        assert_eq!(cache.slabs.len(), 0);
        fill(&mut cache, 0..SLAB);
        assert_eq!(cache.slabs.len(), 1);
        fill(&mut cache, SLAB..SLAB + 1);
        assert_eq!(cache.slabs.len(), 2);
        cache.truncate(SLAB);
        assert_eq!((cache.positions(), cache.slabs.len()), (SLAB, 1));
        cache.truncate(0);
        assert_eq!(cache.slabs.len(), 0);
    }

    #[test]
    fn clones_share_what_neither_writes() {
        let mut cache = Cache::new(&shape());
        fill(&mut cache, 0..SLAB + 5);
        let other = cache.clone();
        let zeros = Quantised {
            numbers: &[0; 6],
            scale: Scale::ZERO,
        };
        cache.truncate(SLAB + 3);
        cache.reserve(2).unwrap();
        cache.write(0, 0, SLAB + 3, zeros, zeros);
        assert!(Arc::ptr_eq(&cache.slabs[0], &other.slabs[0]));
        assert_filled(&other);
    }
}
