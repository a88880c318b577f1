//! A walk through records, a page at a time.

use alloc::vec::Vec;
use frame_support::storage::{PrefixIterator, PrefixIteratorOnRemoval};

/// Records of a page: a few milliseconds' work.
const PAGE: usize = 500;

/// The key to begin behind.
pub fn start(after: Vec<u8>, prefix: impl Into<Vec<u8>>) -> Vec<u8> {
    match after.is_empty() {
        true => prefix.into(),
        false => after,
    }
}

/// Look at the next records. The key of the last one, unless it is the last there is.
pub fn walk<K, V, R: PrefixIteratorOnRemoval>(
    mut records: PrefixIterator<(K, V), R>,
    mut each: impl FnMut(V),
) -> Option<Vec<u8>> {
    for _ in 0..PAGE {
        each(records.next()?.1);
    }
    Some(records.last_raw_key().to_vec())
}
