//! `cp.async`: what it brings, and when that is there.

use crate::machine::{kernel, Run};
use assay_ptx::{Cause, Fault};

/// Each of 32 threads copies its own 16 bytes of the words to shared memory, and reads them after `wait`.
fn copied(copy: &str, wait: &str, read: &str) -> Result<Vec<u64>, Fault> {
    let body = format!(
        "
        .shared .align 16 .b8 own[512];
        mov.u32 %r1, own; shl.b32 %r2, %r20, 4; add.s32 %r3, %r1, %r2;
        mad.wide.u32 %rd1, %r20, 16, %rd21;
        {copy}
        {wait}
        {read}
        st.global.v2.u64 [%rd1], {{%rd2, %rd3}};"
    );
    let words: Vec<u64> = (0..64)
        .map(|index| 0x0101_0101_0101_0101 * (index + 1))
        .collect();
    Run::of(32)
        .counted(&kernel(&body), &words)
        .map(|(words, _)| words)
}

const COPY: &str = "cp.async.cg.shared.global [%r3], [%rd1], 16; cp.async.commit_group;";
const READ: &str = "ld.shared.v2.u64 {%rd2, %rd3}, [%r3];";

#[test]
fn copies_are_there_after_the_wait() {
    let same: Vec<u64> = (0..64)
        .map(|index| 0x0101_0101_0101_0101 * (index + 1))
        .collect();
    for wait in [
        "cp.async.wait_group 0;",
        "cp.async.wait_all;",
        "cp.async.commit_group; cp.async.wait_group 1;",
    ] {
        assert_eq!(copied(COPY, wait, READ).unwrap(), same, "{wait}");
    }
    let pieces = "
        cp.async.ca.shared.global [%r3], [%rd1], 8;
        cp.async.ca.shared.global [%r3+8], [%rd1+8], 4;
        cp.async.ca.shared.global.L2::128B [%r3+12], [%rd1+12], 4;";
    assert_eq!(copied(pieces, "cp.async.wait_all;", READ).unwrap(), same);
}

#[test]
fn a_missing_wait_is_found() {
    let in_flight = |fault: Result<Vec<u64>, Fault>| {
        let cause = fault.expect_err("there was no wait").cause;
        assert!(matches!(cause, Cause::InFlight { .. }), "{cause}");
    };
    in_flight(copied(COPY, "", READ));
    in_flight(copied(COPY, "cp.async.wait_group 1;", READ));
    // The group was never ended, so that no wait for groups waits for it.
    in_flight(copied(
        "cp.async.cg.shared.global [%r3], [%rd1], 16;",
        "cp.async.wait_group 0;",
        READ,
    ));
    // A store into all that is being filled.
    in_flight(copied(COPY, "st.shared.v4.u32 [%r3], {0, 0, 0, 0};", READ));
}

#[test]
fn others_see_a_copy_behind_a_barrier_only() {
    let neighbour =
        "xor.b32 %r4, %r2, 16; add.s32 %r4, %r1, %r4; ld.shared.v2.u64 {%rd2, %rd3}, [%r4];";
    let cause = copied(COPY, "cp.async.wait_all;", neighbour)
        .unwrap_err()
        .cause;
    assert!(matches!(cause, Cause::SharedRace { .. }), "{cause}");
    let words = copied(COPY, "cp.async.wait_all; bar.sync 0;", neighbour).unwrap();
    assert_eq!(words[0], 0x0303_0303_0303_0303);
    // A barrier does not replace the wait.
    let cause = copied(COPY, "bar.sync 0;", neighbour).unwrap_err().cause;
    assert!(matches!(cause, Cause::InFlight { .. }), "{cause}");
}

#[test]
fn what_is_not_given_is_zero() {
    let part = "mov.u32 %r5, 5; cp.async.cg.shared.global [%r3], [%rd1], 16, %r5;";
    let words = copied(part, "cp.async.wait_all;", READ).unwrap();
    assert_eq!(words[..4], [0x01_0101_0101, 0, 0x03_0303_0303, 0]);
    // Nothing is read then, so that the address may be anything.
    let nothing = "mov.b64 %rd4, 16; cp.async.ca.shared.global [%r3], [%rd4], 4, 0; cp.async.ca.shared.global [%r3+4], [%rd4], 4, 0; cp.async.ca.shared.global [%r3+8], [%rd4], 8, 0;";
    assert_eq!(
        copied(nothing, "cp.async.wait_all;", READ).unwrap(),
        [0; 64]
    );
    let too_much = "mov.u32 %r5, 17; cp.async.cg.shared.global [%r3], [%rd1], 16, %r5;";
    assert!(copied(too_much, "", READ).is_err());
}

#[test]
fn a_pipeline_of_groups_waits_for_the_oldest() {
    // Three stages in flight; each turn waits until two are left.
    let body = "
        .shared .align 16 .b8 stages[48];
        mov.u32 %r1, stages; mov.u32 %r2, 0; mov.u64 %rd0, 0;
        cp.async.ca.shared.global [%r1], [%rd21], 8; cp.async.commit_group;
        cp.async.ca.shared.global [%r1+8], [%rd21+8], 8; cp.async.commit_group;
    again:
        add.s32 %r3, %r2, 2; rem.u32 %r4, %r3, 3; shl.b32 %r4, %r4, 3; add.s32 %r4, %r1, %r4;
        setp.lt.u32 %p1, %r3, 8; mul.wide.u32 %rd1, %r3, 8; add.s64 %rd1, %rd21, %rd1;
        @%p1 cp.async.ca.shared.global [%r4], [%rd1], 8;
        cp.async.commit_group;
        cp.async.wait_group 2;
        rem.u32 %r5, %r2, 3; shl.b32 %r5, %r5, 3; add.s32 %r5, %r1, %r5;
        ld.shared.u64 %rd2, [%r5]; mad.lo.s64 %rd0, %rd0, 10, %rd2;
        add.s32 %r2, %r2, 1; setp.lt.u32 %p2, %r2, 8; @%p2 bra again;
        st.global.u64 [%rd21], %rd0;";
    let (words, counts) = Run::of(1)
        .counted(&kernel(body), &[1, 2, 3, 4, 5, 6, 7, 8])
        .unwrap();
    assert_eq!(words[0], 12_345_678);
    assert_eq!(counts.global_loaded, 64);
    let late = body.replace("wait_group 2", "wait_group 3");
    assert!(matches!(
        Run::of(1)
            .counted(&kernel(&late), &[1; 8])
            .unwrap_err()
            .cause,
        Cause::InFlight { .. }
    ));
}
