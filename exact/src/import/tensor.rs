//! One tensor of a checkpoint, read row by row into f64.

// The places were checked against their file, and every size below is that of a part of it.
#![allow(clippy::arithmetic_side_effects)]

use super::{
    float::{from_bf16, from_f16},
    ImportError,
};

/// How numbers are stored. All are exact in f64.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Element {
    F32,
    F16,
    Bf16,
    /// Blocks of 32: a scale d (f16) and 32 integers q (i8), for d · q.
    Q8_0,
}

/// Numbers and bytes of a block of Q8_0.
const Q8_0_NUMBERS: usize = 32;
const Q8_0_BYTES: usize = 34;

impl Element {
    /// Bytes of a row of `inputs` numbers; none if the type does not come in rows of this length.
    pub fn row_bytes(self, inputs: usize) -> Option<usize> {
        match self {
            Self::F32 => inputs.checked_mul(4),
            Self::F16 | Self::Bf16 => inputs.checked_mul(2),
            Self::Q8_0 if inputs.is_multiple_of(Q8_0_NUMBERS) => {
                (inputs / Q8_0_NUMBERS).checked_mul(Q8_0_BYTES)
            }
            Self::Q8_0 => None,
        }
    }
}

/// In which order the outputs of a projection are stored: its rows, or the entries of its bias.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// As the format has them: the rotary embedding turns i and i + d/2 of a head together.
    Halves,
    /// In heads of this width, with the two that are turned together beside each other.
    Interleaved(usize),
}

impl Order {
    /// Where output `index` is stored.
    fn place(self, index: usize) -> usize {
        match self {
            Self::Interleaved(head_dim) if head_dim > 1 => {
                let within = index % head_dim;
                let half = head_dim / 2;
                index - within + within % half * 2 + within / half
            }
            _ => index,
        }
    }
}

/// A tensor of one or two dimensions.
pub(super) struct Tensor<'a> {
    name: String,
    bytes: &'a [u8],
    element: Element,
    order: Order,
    rows: usize,
    inputs: usize,
}

impl<'a> Tensor<'a> {
    /// A vector is one row; its entries are what `order` is about.
    pub fn new(
        name: String,
        bytes: &'a [u8],
        element: Element,
        order: Order,
        rows: usize,
        inputs: usize,
    ) -> Self {
        Self {
            name,
            bytes,
            element,
            order,
            rows,
            inputs,
        }
    }

    /// As its file calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The elements of one row, in place of what `out` had. An element that is not finite is an error.
    pub fn row(&self, row: usize, out: &mut Vec<f64>) -> Result<(), ImportError> {
        if self.rows == 1 {
            self.stored_row(0, out)?;
            if self.order != Order::Halves {
                let stored = out.clone();
                let place = |index| stored.get(self.order.place(index));
                *out = (0..stored.len()).filter_map(place).copied().collect();
            }
            return Ok(());
        }
        self.stored_row(self.order.place(row), out)
    }

    fn stored_row(&self, row: usize, out: &mut Vec<f64>) -> Result<(), ImportError> {
        let width = self.element.row_bytes(self.inputs).unwrap_or(0);
        let start = row * width;
        let bytes = self.bytes.get(start..start + width).unwrap_or_default();
        out.clear();
        match self.element {
            Element::F32 => out.extend(
                bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| f64::from(f32::from_le_bytes(*b))),
            ),
            Element::F16 => out.extend(halves(bytes).map(from_f16)),
            Element::Bf16 => out.extend(halves(bytes).map(from_bf16)),
            Element::Q8_0 => {
                for [d0, d1, numbers @ ..] in bytes.as_chunks::<Q8_0_BYTES>().0 {
                    let scale = from_f16(u16::from_le_bytes([*d0, *d1]));
                    out.extend(numbers.iter().map(|q| scale * f64::from(*q as i8)));
                }
            }
        }
        match out.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(place) => Err(ImportError::NotFinite {
                name: self.name.clone(),
                index: row * self.inputs + place,
                value: out.get(place).copied().unwrap_or(f64::NAN),
            }),
        }
    }
}

fn halves(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().map(|pair| u16::from_le_bytes(*pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(element: Element, bytes: &[u8], inputs: usize) -> Vec<f64> {
        let mut out = vec![];
        let tensor = Tensor::new("t".into(), bytes, element, Order::Halves, 2, inputs);
        tensor.row(1, &mut out).unwrap();
        out
    }

    #[test]
    fn rows_of_every_type_are_read() {
        assert_eq!(row(Element::F32, &[0, 0, 0, 0, 0, 0, 0x80, 0x3f], 1), [1.0]);
        assert_eq!(row(Element::F16, &[0, 0, 0, 0xc0], 1), [-2.0]);
        assert_eq!(row(Element::Bf16, &[0, 0, 0xa0, 0xc0], 1), [-5.0]);
        // Two rows of two blocks each; the second row has the scales 0.5 and 2^-24.
        let mut bytes = vec![0xff; 2 * 34];
        bytes.extend([0x00, 0x38]);
        bytes.extend((0..32).map(|q| q as u8));
        bytes.extend([0x01, 0x00]);
        bytes.extend([0x80; 32]);
        let found = row(Element::Q8_0, &bytes, 64);
        assert_eq!((found[0], found[1], found[31]), (0.0, 0.5, 15.5));
        assert_eq!(found[32..], [-128.0 / 16_777_216.0; 32]);
    }

    #[test]
    fn blocks_have_32_numbers() {
        assert_eq!(Element::Q8_0.row_bytes(64), Some(68));
        assert_eq!(Element::Q8_0.row_bytes(48), None);
        assert_eq!(Element::F32.row_bytes(usize::MAX), None);
    }

    /// In two heads of width 6, numbered as they are stored.
    #[test]
    fn interleaved_outputs_are_put_back_into_halves() {
        let expected = [0.0, 2.0, 4.0, 1.0, 3.0, 5.0, 6.0, 8.0, 10.0, 7.0, 9.0, 11.0];
        let bytes: Vec<u8> = (0..12).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let (name, order, mut out) = (String::new, Order::Interleaved(6), vec![]);
        let matrix = Tensor::new(name(), &bytes, Element::F32, order, 12, 1);
        for (index, expected) in expected.iter().enumerate() {
            matrix.row(index, &mut out).unwrap();
            assert_eq!(out, [*expected]);
        }
        let vector = Tensor::new(name(), &bytes, Element::F32, order, 1, 12);
        vector.row(0, &mut out).unwrap();
        assert_eq!(out, expected);
    }
}
