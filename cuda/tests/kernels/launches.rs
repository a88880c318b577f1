//! How queries and positions are shared out.

use assay_cuda::kernels::{layout::SLAB, Splits, Tiles};

use crate::cache::shape;

#[test]
fn tiles_take_every_query_once() {
    for (heads, kv_heads) in [(1, 1), (8, 2), (14, 2), (32, 1)] {
        let shape = shape(1, heads, kv_heads, 2);
        let group = u32::from(heads / kv_heads);
        for rows in [vec![1], vec![1, 1, 1], vec![5, 1, 64], vec![256]] {
            let tiles = Tiles::new(&shape, rows.iter().copied());
            let width = if tiles.many { 32 } else { 8 };
            let mut seen = Vec::new();
            for [row, rows, query] in &tiles.list {
                let queries = *query..(query + width).min(rows * group);
                seen.extend(queries.map(|query| row * group + query));
            }
            let all: Vec<u32> = (0..rows.iter().sum::<u32>() * group).collect();
            assert_eq!(seen, all);
        }
    }
}

#[test]
fn splits_cover_all_positions_and_no_sum_overflows() {
    let shape = shape(1, 8, 2, 64);
    for tiles in [1, 3, 64, 100_000] {
        for positions in [1, 63, 64, 65, 5_000, 1 << 20] {
            for multiprocessors in [1, 132] {
                let splits = Splits::new(&shape, tiles, positions, multiprocessors);
                let covered = u64::from(splits.slabs * SLAB) * u64::from(splits.count);
                assert!(covered >= positions.into());
                assert!(
                    u64::from(splits.slabs * SLAB) * u64::from(splits.count - 1) < positions.into()
                );
                // A low limb's sum of 255 · 127 for each position.
                assert!(255 * 127 * u64::from(splits.slabs * SLAB) < 1 << 31);
            }
        }
    }
    // One row of a long context is worth many blocks, many rows are enough by themselves.
    assert!(Splits::new(&shape, 1, 4096, 132).count >= 32);
    assert_eq!(Splits::new(&shape, 1000, 4096, 132).count, 1);
}
