//! Why validators put no more into their blocks, by what their logs say of each.

use std::collections::HashMap;

/// How the SDK ends a block that more would have gone into.
const FULL: [&str; 3] = ["HitDeadline", "HitBlockWeightLimit", "HitBlockSizeLimit"];

/// Whether the blocks that a validator made were full, by their hashes as text.
pub(super) fn proposals(log: &str) -> HashMap<String, bool> {
    let (mut prepared, mut sealed) = (HashMap::new(), HashMap::new());
    for line in log.lines() {
        if let Some((hash, is_full)) = of_prepared(line) {
            prepared.insert(hash, is_full);
        } else if let Some((hash, before)) = of_sealed(line) {
            // The seal is a part of the header, so that the hash is another one behind it.
            if let Some(is_full) = prepared.remove(before) {
                sealed.insert(hash.to_owned(), is_full);
            }
        }
    }
    sealed
}

/// The hash without the seal.
fn of_prepared(line: &str) -> Option<(&str, bool)> {
    let (_, rest) = line.split_once("Prepared block for proposing at ")?;
    let (hash, _) = rest.split_once(" hash: ")?.1.split_once(';')?;
    let (end, _) = rest.split_once("; end: ")?.1.split_once(';')?;
    Some((hash, FULL.contains(&end)))
}

/// The hash with the seal, and the one without.
fn of_sealed(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once("Pre-sealed block for proposal at ")?;
    let (_, rest) = rest.split_once("Hash now ")?;
    let (now, before) = rest.split_once(", previously ")?;
    Some((now, before.trim_end().strip_suffix('.')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_full_when_something_had_run_out() {
        let log = |end: &str| {
            format!(
                "2026-01-01 12:00:00 🎁 Prepared block for proposing at 7 (3 ms) hash: 0x01; parent_hash: 0x00…00; end: {end}; extrinsics_count: 2    \n\
                 2026-01-01 12:00:00 🔖 Pre-sealed block for proposal at 7. Hash now 0x02, previously 0x01.    \n"
            )
        };
        for end in FULL {
            assert_eq!(proposals(&log(end)), [("0x02".to_owned(), true)].into());
        }
        let not_full = proposals(&log("NoMoreTransactions"));
        assert_eq!(not_full, [("0x02".to_owned(), false)].into());
        assert!(proposals("2026-01-01 12:00:00 Imported #7").is_empty());
    }
}
