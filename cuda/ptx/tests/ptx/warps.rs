//! Shuffles, votes, matches and reductions.

use crate::machine::{results, Run};
use assay_ptx::Cause;

fn shuffled(instruction: &str) -> Vec<(u32, bool)> {
    let words = results(
        32,
        &format!("add.s32 %r1, %r20, 100; {instruction} selp.b32 %r3, 1, 0, %p1; mov.b64 %rd0, {{%r2, %r3}};"),
    );
    words
        .iter()
        .map(|word| (*word as u32, word >> 32 == 1))
        .collect()
}

/// What a shuffle gives where lane `from(lane)` is in reach, or the own value.
fn must(from: impl Fn(i32) -> Option<i32>) -> Vec<(u32, bool)> {
    (0..32)
        .map(|lane| {
            (
                from(lane).unwrap_or(lane) as u32 + 100,
                from(lane).is_some(),
            )
        })
        .collect()
}

#[test]
fn shuffles_stop_at_the_ends_of_their_segments() {
    let within = |lane: i32, first, last| (first..=last).contains(&lane).then_some(lane);
    assert_eq!(
        shuffled("shfl.sync.up.b32 %r2|%p1, %r1, 3, 0, -1;"),
        must(|lane| within(lane - 3, 0, 31))
    );
    assert_eq!(
        shuffled("shfl.sync.down.b32 %r2|%p1, %r1, 5, 31, -1;"),
        must(|lane| within(lane + 5, 0, 31))
    );
    assert_eq!(
        shuffled("shfl.sync.bfly.b32 %r2|%p1, %r1, 21, 31, -1;"),
        must(|lane| Some(lane ^ 21))
    );
    assert_eq!(
        shuffled("shfl.sync.idx.b32 %r2|%p1, %r1, 35, 31, -1;"),
        must(|_| Some(3))
    );
    // Segments of eight lanes: c is the mask 0x18 above, and 7 or 0 below.
    let segment = |lane: i32| (lane & !7, lane | 7);
    assert_eq!(
        shuffled("shfl.sync.up.b32 %r2|%p1, %r1, 3, 0x1800, -1;"),
        must(|lane| within(lane - 3, segment(lane).0, 31))
    );
    assert_eq!(
        shuffled("shfl.sync.down.b32 %r2|%p1, %r1, 3, 0x1807, -1;"),
        must(|lane| within(lane + 3, 0, segment(lane).1))
    );
    assert_eq!(
        shuffled("shfl.sync.bfly.b32 %r2|%p1, %r1, 9, 0x1807, -1;"),
        must(|lane| within(lane ^ 9, 0, segment(lane).1))
    );
    assert_eq!(
        shuffled("shfl.sync.idx.b32 %r2|%p1, %r1, 13, 0x1807, -1;"),
        must(|lane| Some((lane & !7) + 5))
    );
}

#[test]
fn each_half_of_a_warp_shuffles_alone() {
    // The halves go different ways, and their shuffles stand at different places.
    let words = results(
        32,
        "
        setp.lt.u32 %p1, %r20, 16;
        @%p1 bra low;
        shfl.sync.bfly.b32 %r2, %r20, 1, 31, 0xffff0000;
        bra out;
    low:
        shfl.sync.bfly.b32 %r2, %r20, 2, 31, 0xffff;
    out:
        cvt.u64.u32 %rd0, %r2;",
    );
    assert!((0..32).all(|lane| words[lane as usize] == if lane < 16 { lane ^ 2 } else { lane ^ 1 }));
}

#[test]
fn lanes_wait_for_those_that_come_later() {
    // The even lanes come to the shuffle at once, the odd ones after a loop behind it.
    let words = results(
        32,
        "
        and.b32 %r1, %r20, 1; mov.u32 %r5, 0;
        setp.eq.u32 %p1, %r1, 1;
        @%p1 bra later;
    together:
        shfl.sync.bfly.b32 %r2, %r20, 1, 31, -1;
        bra out;
    later:
        add.s32 %r5, %r5, 1; setp.lt.u32 %p2, %r5, %r20; @%p2 bra later;
        bra together;
    out:
        cvt.u64.u32 %rd0, %r2;",
    );
    assert!((0..32).all(|lane| words[lane as usize] == lane ^ 1));
}

#[test]
fn lanes_that_end_let_those_go_that_wait_for_them() {
    // The first lanes wait for the next ones, and those for the last ones, which end.
    let words = Run::of(32)
        .body(
            "
        setp.lt.u32 %p1, %r20, 8; setp.lt.u32 %p2, %r20, 16;
        @!%p1 bra next;
    together:
        bar.warp.sync 0xffff;
        st.global.u64 [%rd20], 1;
        ret;
    next:
        @!%p2 bra last;
        bar.warp.sync 0xffffff00;
        bra together;
    last:
        exit;",
        )
        .unwrap();
    assert_eq!(
        words,
        (0..32).map(|lane| u64::from(lane < 16)).collect::<Vec<_>>()
    );
}

#[test]
fn votes_are_counted() {
    let words = results(
        48,
        "
        setp.lt.u32 %p1, %r20, 40; setp.gt.u32 %p2, %r20, 31;
        activemask.b32 %r9;
        vote.sync.all.pred %p3, %p1, %r9; vote.sync.any.pred %p4, %p2, %r9; vote.sync.uni.pred %p5, %p2, %r9;
        vote.sync.any.pred %p6, !%p1, %r9;
        selp.b32 %r1, 1, 0, %p3; selp.b32 %r2, 2, 0, %p4; selp.b32 %r3, 4, 0, %p5; selp.b32 %r4, 8, 0, %p6;
        or.b32 %r1, %r1, %r2; or.b32 %r1, %r1, %r3; or.b32 %r1, %r1, %r4;
        vote.sync.ballot.b32 %r5, %p1, %r9;
        mov.b64 %rd0, {%r1, %r5};",
    );
    assert!(words[..32]
        .iter()
        .all(|word| *word == 0xffff_ffff << 32 | (1 | 4)));
    assert!(words[32..]
        .iter()
        .all(|word| *word == 0xff << 32 | (2 | 4 | 8)));
}

#[test]
fn equal_values_find_each_other() {
    let words = results(
        32,
        "
        rem.u32 %r1, %r20, 5;
        match.any.sync.b32 %r2, %r1, -1;
        cvt.u64.u32 %rd1, %r1;
        match.all.sync.b64 %r3|%p1, %rd1, -1;
        mov.u32 %r4, 7;
        match.all.sync.b32 %r5|%p2, %r4, -1;
        setp.ne.u32 %p3, %r5, -1; @%p3 trap;
        @!%p2 trap; @%p1 trap;
        mov.b64 %rd0, {%r2, %r3};",
    );
    let same = |lane: u64| {
        (0..32)
            .filter(|other| other % 5 == lane % 5)
            .map(|other| 1u64 << other)
            .sum()
    };
    assert!((0..32).all(|lane| words[lane as usize] == same(lane)));
}

#[test]
fn reductions_know_signs() {
    let reduced = |what: &str| {
        let words = results(
            32,
            &format!(
                "sub.s32 %r1, %r20, 10; redux.sync.{what} %r2, %r1, -1; cvt.u64.u32 %rd0, %r2;"
            ),
        );
        assert!(words.iter().all(|word| *word == words[0]));
        words[0] as u32
    };
    let values = || (0..32).map(|lane| lane - 10);
    assert_eq!(reduced("add.s32"), values().sum::<i32>() as u32);
    assert_eq!(reduced("min.s32"), -10i32 as u32);
    assert_eq!(reduced("max.s32"), 21);
    assert_eq!(reduced("min.u32"), 0);
    assert_eq!(reduced("max.u32"), u32::MAX);
    assert_eq!(reduced("and.b32"), 0);
    assert_eq!(reduced("or.b32"), u32::MAX);
    assert_eq!(
        reduced("xor.b32"),
        values().fold(0, |all, value| all ^ value as u32)
    );
}

#[test]
fn missing_lanes_are_found() {
    // A lane that ended is not waited for, but has nothing to give.
    let ended = "setp.eq.u32 %p1, %r20, 4; @%p1 exit; shfl.sync.bfly.b32 %r1, %r20, 1, 31, -1;";
    assert_eq!(Run::of(32).cause(ended), Cause::InactiveLane { lane: 4 });
    let elsewhere = "
        setp.eq.u32 %p1, %r20, 4; @%p1 bra other;
        shfl.sync.bfly.b32 %r1, %r20, 1, 31, -1; bra out;
    other:
        bar.warp.sync -1;
    out: ";
    assert!(matches!(
        Run::of(32).cause(elsewhere),
        Cause::MissingLanes { .. }
    ));
    let not_named = "shfl.sync.bfly.b32 %r1, %r20, 1, 31, 0xff;";
    assert_eq!(
        Run::of(32).cause(not_named),
        Cause::NotInMask { mask: 0xff }
    );
    let outside =
        "setp.gt.u32 %p1, %r20, 7; @%p1 bra out; shfl.sync.idx.b32 %r1, %r20, 9, 31, 0xff; out: ";
    assert_eq!(Run::of(32).cause(outside), Cause::InactiveLane { lane: 9 });
    let own_masks =
        "setp.lt.u32 %p1, %r20, 2; selp.b32 %r1, 3, -1, %p1; vote.sync.ballot.b32 %r2, %p1, %r1;";
    assert!(matches!(
        Run::of(32).cause(own_masks),
        Cause::Disagreement { .. }
    ));
    assert_eq!(
        Run::of(20).cause("redux.sync.add.u32 %r1, %r20, 1;"),
        Cause::NotInMask { mask: 1 }
    );
}
