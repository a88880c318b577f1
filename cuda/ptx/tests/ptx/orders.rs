//! Orders in which blocks and warps run.

use crate::machine::{kernel, Run};
use std::collections::BTreeSet;

/// Each warp of each block appends its number.
const APPEND: &str = "
    and.b32 %r1, %r20, 31; setp.ne.u32 %p1, %r1, 0; @%p1 exit;
    mov.u32 %r2, %ctaid.x; mov.u32 %r3, %warpid; shl.b32 %r2, %r2, 2; add.s32 %r2, %r2, %r3; add.s32 %r2, %r2, 1;
    atom.global.exch.b32 %r4, [%rd21], %r2;
    mul.wide.u32 %rd1, %r4, 8; add.s64 %rd1, %rd21, %rd1;
    cvt.u64.u32 %rd2, %r2;
    atom.global.exch.b64 %rd3, [%rd1+8], %rd2;
";

#[test]
fn seeds_shuffle_and_repeat() {
    let order = |seed| {
        let (words, _) = Run::of(128)
            .blocks(3)
            .seeded(seed)
            .counted(&kernel(APPEND), &[0; 16])
            .unwrap();
        // A list: the successor of i is at i + 1.
        let mut next = words[1];
        let mut order = vec![];
        for _ in 0..12 {
            order.push(next);
            next = words[next as usize + 1];
        }
        order
    };
    assert_eq!(order(0), (1..=12).collect::<Vec<_>>());
    assert_eq!(order(7), order(7));
    let orders: BTreeSet<_> = (0..20).map(order).collect();
    assert!(orders.len() > 15, "{} orders of 20 seeds", orders.len());
}

#[test]
fn warps_that_wait_for_a_word_of_another_go_on() {
    // Warp 1 spins on an atomic until warp 0 has set it, whoever begins.
    let body = "
        .shared .align 4 .b8 flag[4];
        setp.eq.u32 %p1, %r20, 0; @%p1 st.shared.u32 [flag], 0;
        bar.sync 0;
        setp.lt.u32 %p2, %r20, 32; @%p2 bra first;
    again:
        atom.shared.add.u32 %r1, [flag], 0; setp.eq.u32 %p3, %r1, 0; @%p3 bra again;
        bra out;
    first:
        atom.shared.exch.b32 %r1, [flag], 1;
    out:
        st.global.u64 [%rd20], 1;";
    for seed in 0..10 {
        assert_eq!(Run::of(64).seeded(seed).body(body).unwrap(), [1; 64]);
    }
}

#[test]
fn costs_are_counted() {
    use assay_ptx::Class;
    let count = |body: &str| Run::of(32).counted(&kernel(body), &[0; 128]).unwrap().1;
    let none = count("");
    let one = count("ld.global.u64 %rd1, [%rd20];");
    assert_eq!((one.global_loaded, one.global_sectors), (256, 8));
    assert_eq!(one.of(Class::GlobalLoad), 1);
    assert_eq!(one.total(), none.total() + 1);
    // Every fourth word: as many sectors as words.
    let far = count("mad.wide.u32 %rd1, %r20, 32, %rd21; ld.global.u32 %r1, [%rd1];");
    assert_eq!((far.global_loaded, far.global_sectors), (128, 32));
    let same = count("ld.global.u32 %r1, [%rd21];");
    assert_eq!((same.global_loaded, same.global_sectors), (128, 1));
    assert_eq!(count("st.global.u32 [%rd20], 1;").global_stored, 128);

    let conflicts = |stride: u32, store: &str| {
        let body = format!(".shared .align 16 .b8 s[8192]; mov.u32 %r1, s; mad.lo.s32 %r1, %r20, {stride}, %r1; {store}");
        count(&body).bank_conflicts
    };
    assert_eq!(conflicts(4, "st.shared.u32 [%r1], 0;"), 0);
    assert_eq!(conflicts(8, "st.shared.u32 [%r1], 0;"), 1);
    assert_eq!(conflicts(128, "st.shared.u32 [%r1], 0;"), 31);
    assert_eq!(conflicts(132, "st.shared.u32 [%r1], 0;"), 0);
    assert_eq!(conflicts(16, "st.shared.v4.u32 [%r1], {0, 0, 0, 0};"), 0);
    assert_eq!(conflicts(32, "st.shared.v4.u32 [%r1], {0, 0, 0, 0};"), 4);
    assert_eq!(conflicts(16, "st.shared.v2.u32 [%r1], {0, 0};"), 2);
}
