//! What a pass uploads: its rows, their positions, and the slabs of their sequences.

use assay_exact::{accelerator::AcceleratorPass, cache::SLAB, Shape};

use super::{Plan, Scratch};
use crate::{
    device::{bytes_of, Buffer, Device, DeviceError},
    kernels::Tiles,
};

/// The numbers of a pass, and the plan that they make.
pub(super) struct Inputs<'a> {
    pub plan: Plan,
    residual: &'a [i32],
    angles: &'a [i32],
    positions: Vec<u32>,
    sequences: Vec<u32>,
    tables: Vec<u32>,
    tiles: Vec<u32>,
    picked: Vec<u32>,
}

impl<'a> Inputs<'a> {
    /// Of a pass of whose rows so many choose.
    pub fn of(shape: &Shape, pass: &AcceleratorPass<'a>, chosen: usize) -> Self {
        let slabs = pass.pieces.iter().map(|piece| {
            let positions = piece.position + piece.tokens;
            positions.div_ceil(SLAB)
        });
        let table = rounded(slabs.max().unwrap_or_default());
        let (mut positions, mut sequences) = (Vec::new(), Vec::new());
        let (mut tables, mut picked) = (Vec::new(), Vec::new());
        for (sequence, piece) in pass.pieces.iter().enumerate() {
            let end = positions.len() + piece.tokens;
            picked.extend((end - piece.logits..end).map(|row| row as u32));
            let of = piece.position..piece.position + piece.tokens;
            positions.extend(of.map(|position| position as u32));
            sequences.resize(end, sequence as u32);
            tables.extend_from_slice(&piece.slabs);
            tables.resize((sequence + 1) * table, 0);
        }
        let tiles = Tiles::new(shape, pass.pieces.iter().map(|piece| piece.tokens as u32));
        Self {
            plan: Plan {
                rows: positions.len(),
                tiles: tiles.list.len(),
                many: tiles.many,
                table,
                logits: picked.len(),
                chosen,
            },
            residual: pass.residual,
            angles: pass.angles,
            positions,
            sequences,
            tables,
            tiles: tiles.list.concat(),
            picked,
        }
    }

    pub fn upload(&self, device: &Device, to: &Scratch<Buffer>) -> Result<(), DeviceError> {
        let numbers =
            |to: &Buffer, numbers: &[u32]| device.upload(to.address(), &bytes_of(numbers));
        device.upload(to.residual.address(), &bytes_of(self.residual))?;
        device.upload(to.angles.address(), &bytes_of(self.angles))?;
        numbers(&to.positions, &self.positions)?;
        numbers(&to.sequences, &self.sequences)?;
        numbers(&to.tables, &self.tables)?;
        numbers(&to.tiles, &self.tiles)?;
        numbers(&to.picked, &self.picked)
    }
}

/// A length not much above `slabs`, so that few lengths differ.
pub(super) fn rounded(slabs: usize) -> usize {
    slabs.next_multiple_of((slabs.next_power_of_two() / 8).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_rounded_up_by_an_eighth_at_most() {
        for slabs in 1..3000 {
            let found = rounded(slabs);
            assert!(
                found >= slabs && found <= slabs + slabs / 4,
                "{slabs}: {found}"
            );
            assert!(found <= slabs.next_power_of_two());
            assert_eq!(rounded(found), found);
        }
        assert_eq!((rounded(9), rounded(65), rounded(100)), (10, 80, 112));
    }
}
