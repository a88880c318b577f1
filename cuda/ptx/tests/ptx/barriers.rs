//! Barriers of blocks: whole, named, with arrivals that do not wait, and with reductions.

use crate::machine::{results, Run};
use assay_ptx::Cause;

/// Each thread writes its own word of shared memory and reads that of the thread opposite.
fn exchange(barrier: &str) -> String {
    format!(
        "
        .shared .align 4 .b8 words[512];
        mov.u32 %r1, words; shl.b32 %r2, %r20, 2; add.s32 %r3, %r1, %r2; sub.s32 %r4, 508, %r2; add.s32 %r4, %r1, %r4;
        st.shared.u32 [%r3], %r20;
        {barrier}
        ld.shared.u32 %r5, [%r4]; cvt.u64.u32 %rd0, %r5;"
    )
    .replace("sub.s32 %r4, 508, %r2;", "mov.u32 %r4, 508; sub.s32 %r4, %r4, %r2;")
}

#[test]
fn a_barrier_orders_what_the_threads_of_a_block_do() {
    for barrier in [
        "bar.sync 0;",
        "barrier.sync.aligned 3;",
        "barrier.cta.sync 15, 128;",
        "bar.red.popc.u32 %r9, 1, %p1;",
    ] {
        for seed in 0..20 {
            let body = format!("{} st.global.u64 [%rd20], %rd0;", exchange(barrier));
            let words = Run::of(128)
                .seeded(seed)
                .body(&body)
                .unwrap_or_else(|fault| panic!("{barrier}: {fault}"));
            assert_eq!(words, (0..128).rev().collect::<Vec<_>>());
        }
    }
}

#[test]
fn reductions_count_the_whole_block() {
    let words = results(
        96,
        "
        setp.lt.u32 %p1, %r20, 70;
        bar.red.popc.u32 %r1, 0, %p1;
        barrier.cta.red.popc.aligned.u32 %r2, 2, 96, !%p1;
        bar.red.and.pred %p2, 0, %p1;
        bar.red.or.pred %p3, 0, %p1;
        selp.b32 %r3, 1000, 0, %p2; selp.b32 %r4, 2000, 0, %p3;
        shl.b32 %r2, %r2, 12; add.s32 %r1, %r1, %r2; add.s32 %r1, %r1, %r3; add.s32 %r1, %r1, %r4;
        cvt.u64.u32 %rd0, %r1;",
    );
    assert_eq!(words, [70 + (26 << 12) + 2000; 96]);
}

/// Warp 0 writes and arrives; warps 1 and 2 wait and read.
const PIPELINE: &str = "
    .shared .align 4 .b8 word[4];
    setp.gt.u32 %p1, %r20, 31;
    @%p1 bra reader;
    setp.eq.u32 %p2, %r20, 0;
    @%p2 st.shared.u32 [word], 77;
    bar.arrive 1, 96;
    bra out;
reader:
    bar.sync 1, 96;
    ld.shared.u32 %r1, [word];
    cvt.u64.u32 %rd0, %r1;
    st.global.u64 [%rd20], %rd0;
out:
";

#[test]
fn who_arrives_goes_on_and_who_waits_sees_what_was_before() {
    for seed in 0..20 {
        let words = Run::of(96).seeded(seed).body(PIPELINE).unwrap();
        assert!(
            words[..32].iter().all(|word| *word == 0) && words[32..].iter().all(|word| *word == 77)
        );
    }
}

#[test]
fn who_does_not_wait_is_not_ordered_behind_the_others() {
    // The writer writes again behind its arrival.
    let again = PIPELINE.replace(
        "bar.arrive 1, 96;",
        "bar.arrive 1, 96; @%p2 st.shared.u32 [word], 78;",
    );
    assert!((0..4).all(|seed| matches!(
        Run::of(96).seeded(seed).cause(&again),
        Cause::SharedRace { .. }
    )));
}

#[test]
fn who_arrives_has_not_seen_what_those_did_that_wait() {
    let body = "
        .shared .align 4 .b8 word[4];
        setp.eq.u32 %p2, %r20, 0; @%p2 st.shared.u32 [word], 1;
        bar.sync 0;
        setp.gt.u32 %p1, %r20, 31; @%p1 bra waiter;
        bar.arrive 1, 64;
        ld.shared.u32 %r1, [word];
        bra out;
    waiter:
        setp.eq.u32 %p3, %r20, 32; @%p3 st.shared.u32 [word], 2;
        bar.sync 1, 64;
    out:
    ";
    for seed in 0..30 {
        assert!(matches!(
            Run::of(64).seeded(seed).cause(body),
            Cause::SharedRace { .. }
        ));
    }
}

#[test]
fn a_barrier_for_some_warps_orders_only_those() {
    // Warps 0 and 1 meet; warp 2 reads without having met anybody.
    let body = "
        .shared .align 4 .b8 word[4];
        setp.gt.u32 %p1, %r20, 63;
        @%p1 bra reader;
        setp.eq.u32 %p2, %r20, 0; @%p2 st.shared.u32 [word], 77;
        bar.sync 1, 64;
        ld.shared.u32 %r1, [word];
        bra out;
    reader:
        bar.sync 2, 32;
        ld.shared.u32 %r1, [word];
    out:
    ";
    assert!(matches!(Run::of(96).cause(body), Cause::SharedRace { .. }));
    let without_reader = body.replace("bar.sync 2, 32;\n        ld.shared.u32 %r1, [word];", "");
    Run::of(96).body(&without_reader).unwrap();
}

#[test]
fn barriers_that_nobody_can_leave_are_found() {
    let cause = |body: &str| Run::of(96).cause(body);
    // Warp 0 waits at another barrier than the others.
    let different =
        "setp.lt.u32 %p1, %r20, 32; @%p1 bra one; bar.sync 2; bra out; one: bar.sync 1; out: ";
    assert_eq!(
        cause(different),
        Cause::Deadlock {
            barrier: 1,
            arrived: 32,
            expected: 96
        }
    );
    // A whole warp has ended, or one lane of one.
    assert_eq!(
        cause("setp.gt.u32 %p1, %r20, 63; @%p1 exit; bar.sync 0;"),
        Cause::EndedBeforeBarrier
    );
    assert_eq!(
        cause("setp.eq.u32 %p1, %r20, 5; @%p1 exit; bar.sync 0;"),
        Cause::EndedBeforeBarrier
    );
    // The lanes of a warp come to different barriers.
    let parted =
        "setp.eq.u32 %p1, %r20, 5; @%p1 bra one; bar.sync 0; bra out; one: bar.sync 0; out: ";
    assert!(matches!(cause(parted), Cause::MissingLanes { .. }));
    assert_eq!(cause("bar.sync 16;"), Cause::NoBarrier { barrier: 16 });
    assert_eq!(
        cause("bar.sync 1, 33;"),
        Cause::BarrierThreads {
            barrier: 1,
            threads: 33
        }
    );
    assert_eq!(
        cause("bar.sync 1, 128;"),
        Cause::BarrierThreads {
            barrier: 1,
            threads: 128
        }
    );
    assert!(matches!(
        cause("bar.sync %r20;"),
        Cause::Disagreement { .. }
    ));
    let numbers = "setp.lt.u32 %p1, %r20, 32; @%p1 bra one; bar.sync 1, 96; bra out; one: bar.sync 1, 64; out: ";
    assert_eq!(cause(numbers), Cause::BarrierDisagreement { barrier: 1 });
}

#[test]
fn a_block_that_is_no_number_of_warps_has_barriers_too() {
    let words = results(
        40,
        "
        .shared .align 4 .b8 word[4];
        setp.eq.u32 %p1, %r20, 39; @%p1 st.shared.u32 [word], 5;
        bar.sync 0;
        ld.shared.u32 %r1, [word]; cvt.u64.u32 %rd0, %r1;",
    );
    assert_eq!(words, [5; 40]);
}
