//! What is asked for of a pass's rows of logits: themselves, or the tokens that they choose.

use std::mem;

use assay_exact::accelerator::{AcceleratorChoice, AcceleratorRows};

use super::Scratch;
use crate::{
    device::{bytes_of, numbers_of, Buffer, Device, DeviceError, Plain},
    kernels::choose::{mark_words, marks, Choice},
};

/// One row, and where what is asked for goes.
pub(super) enum Row<'a> {
    Logits(&'a mut [i32]),
    Token(AcceleratorChoice<'a>, &'a mut u32),
}

impl Row<'_> {
    pub fn chooses(&self) -> bool {
        matches!(self, Self::Token(..))
    }
}

/// All rows of the pieces, in order.
pub(super) fn rows<'a>(vocabulary: u32, pieces: &'a mut [AcceleratorRows]) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for piece in pieces {
        match piece {
            AcceleratorRows::Logits(logits) => {
                let all = logits.chunks_mut(vocabulary as usize);
                rows.extend(all.map(Row::Logits));
            }
            AcceleratorRows::Tokens { choices, tokens } => {
                let all = choices.iter().zip(tokens.iter_mut());
                rows.extend(all.map(|(choice, token)| Row::Token(*choice, token)));
            }
        }
    }
    rows
}

/// Rows whose logits are held together, from the first on.
pub(super) struct Held<'a, 'b> {
    pub vocabulary: u32,
    pub device: &'a Device,
    pub scratch: &'a Scratch<Buffer>,
    pub rows: &'a mut [Row<'b>],
}

impl Held<'_, '_> {
    /// Tells the device how those rows choose that do, and how many they are.
    pub fn upload(&self) -> Result<usize, DeviceError> {
        let mut all = Vec::new();
        for (row, asked) in (0..).zip(self.rows.iter()) {
            let Row::Token(asked, _) = asked else {
                continue;
            };
            let choice = Choice {
                row,
                settings: asked.settings,
                random: asked.random,
            };
            if choice.is_penalised() {
                let place = all.len() * mark_words(self.vocabulary) * u32::BYTES;
                let marks = bytes_of(&marks(asked.seen, self.vocabulary));
                let to = self.scratch.seen.address() + place as u64;
                self.device.upload(to, &marks)?;
            }
            all.push(choice.words(self.vocabulary));
        }
        let to = self.scratch.choices.address();
        self.device.upload(to, &bytes_of(all.as_flattened()))?;
        Ok(all.len())
    }

    /// Brings what was asked for to where it goes.
    pub fn download(&mut self) -> Result<(), DeviceError> {
        let tokens = self.rows.iter_mut().filter_map(|row| match row {
            Row::Token(_, token) => Some(token),
            Row::Logits(_) => None,
        });
        let tokens: Vec<_> = tokens.collect();
        if !tokens.is_empty() {
            let mut found = vec![0; tokens.len() * u32::BYTES];
            let from = self.scratch.tokens.address();
            self.device.download(from, &mut found)?;
            for (token, found) in tokens.into_iter().zip(numbers_of::<u32>(&found)) {
                **token = found;
            }
        }
        let bytes = self.vocabulary as usize * i32::BYTES;
        let mut from = self.scratch.logits.address();
        for rows in self
            .rows
            .chunk_by_mut(|one, next| one.chooses() == next.chooses())
        {
            let (place, all) = (from, rows.len() * bytes);
            from += all as u64;
            let logits = rows.iter_mut().filter_map(|row| match row {
                Row::Logits(logits) => Some(&mut logits[..]),
                Row::Token(..) => None,
            });
            let mut logits = logits.peekable();
            if logits.peek().is_some() {
                let mut filled = Filled::new(logits);
                // From where they arrive into their rows at once: there may be tens of megabytes of them.
                self.device
                    .read(place, all, &mut |piece| filled.put(piece))?;
            }
        }
        Ok(())
    }
}

/// Rows that are filled one after the other, by numbers that come in pieces.
struct Filled<'a, I> {
    rows: I,
    /// What is left of the row that is filled.
    row: &'a mut [i32],
}

impl<'a, I: Iterator<Item = &'a mut [i32]>> Filled<'a, I> {
    fn new(rows: I) -> Self {
        Self { rows, row: &mut [] }
    }

    fn put(&mut self, mut piece: &[u8]) {
        while piece.len() >= i32::BYTES {
            if self.row.is_empty() {
                let Some(next) = self.rows.next() else { return };
                self.row = next;
            }
            let count = self.row.len().min(piece.len() / i32::BYTES);
            let (now, later) = mem::take(&mut self.row).split_at_mut(count);
            let (found, rest) = piece.split_at(count * i32::BYTES);
            for (slot, number) in now.iter_mut().zip(found.chunks_exact(i32::BYTES)) {
                *slot = i32::get(number);
            }
            (self.row, piece) = (later, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_filled_wherever_pieces_end() {
        let numbers: Vec<i32> = (1..=20).map(|i| i * 0x0102_0305).collect();
        for piece in 1..=21 {
            let mut all = [[0; 6]; 3];
            let mut rows = Filled::new(all.iter_mut().map(|row| &mut row[..]));
            for piece in numbers.chunks(piece) {
                rows.put(&bytes_of(piece));
            }
            // What no row is left for is dropped.
            assert_eq!(all.as_flattened(), &numbers[..18], "{piece}");
        }
    }
}
