//! The embedding's low limbs, read from the file.
//!
//! A token needs one row of them, which in the mapped file comes with the pages around it: after some
//! hundred tokens most of the tensor would be in memory.

use std::{fs::File, io, slice};

/// Where the embedding's low limbs lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LowLimbs<'a> {
    pub(super) file: &'a File,
    /// Of the first row, in bytes.
    pub(super) offset: u64,
}

impl LowLimbs<'_> {
    /// The row of `token`. All rows are as long as `row`.
    pub fn read(&self, token: u32, row: &mut [i8]) -> io::Result<()> {
        let start = u64::from(token).saturating_mul(row.len() as u64);
        // SAFETY: i8 and u8 have the same size and alignment, and any byte is either.
        let bytes = unsafe { slice::from_raw_parts_mut(row.as_mut_ptr().cast(), row.len()) };
        read_at(self.file, bytes, self.offset.saturating_add(start))
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(not(unix))]
use read_in_turn as read_at;

/// Where a file cannot be read but at its own position, which all threads share.
#[cfg(any(test, not(unix)))]
fn read_in_turn(mut file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    use std::{
        io::{Read, Seek, SeekFrom},
        sync::{Mutex, PoisonError},
    };
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_lies_behind_those_of_the_tokens_before_it() {
        let path = tempfile::tempdir().unwrap();
        let path = path.path().join("weights");
        let bytes: Vec<u8> = (0..=255).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = &File::open(&path).unwrap();
        let limbs = LowLimbs { file, offset: 100 };
        let mut row = [0; 12];
        for token in [0, 12, 1, 5] {
            limbs.read(token, &mut row).unwrap();
            let start = 100 + 12 * token as usize;
            let wanted = &bytes[start..start + 12];
            assert_eq!(row.map(|limb| limb as u8), wanted, "token {token}");
            let mut other = [0; 12];
            read_in_turn(file, &mut other, start as u64).unwrap();
            assert_eq!(other, wanted, "token {token}");
        }
        for token in [13, u32::MAX] {
            let error = limbs.read(token, &mut row).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        let error = read_in_turn(file, &mut [0; 12], 250).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
