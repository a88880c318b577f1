//! Threads and blocks that touch the same bytes.

use crate::machine::{kernel, Run};
use assay_ptx::{Cause, Did, Options};

const WORDS: &str = "
    .shared .align 4 .b8 words[512];
    mov.u32 %r1, words; shl.b32 %r2, %r20, 2; add.s32 %r3, %r1, %r2; xor.b32 %r4, %r2, 4; add.s32 %r4, %r1, %r4;
    xor.b32 %r5, %r2, 128; add.s32 %r5, %r1, %r5;
";

fn raced(threads: u32, body: &str) -> Option<Did> {
    match Run::of(threads).body(&format!("{WORDS}{body}")) {
        Ok(_) => None,
        Err(fault) => match fault.cause {
            Cause::SharedRace { did, .. } => Some(did),
            other => panic!("{other}"),
        },
    }
}

#[test]
fn threads_race_without_a_barrier() {
    // With a lane of the own warp, and with another warp.
    for opposite in ["%r4", "%r5"] {
        let start = "st.shared.u32 [%r3], 1; bar.sync 0;";
        let write_read = |between: &str| {
            raced(
                128,
                &format!(
                    "{start} st.shared.u32 [%r3], 1; {between} ld.shared.u32 %r9, [{opposite}];"
                ),
            )
        };
        let warp_suffices = opposite == "%r4";
        // The first warp is through before the second one begins.
        let first = if warp_suffices { Did::Wrote } else { Did::Read };
        assert_eq!(write_read(""), Some(first));
        assert_eq!(write_read("bar.sync 0;"), None);
        assert_eq!(write_read("bar.warp.sync -1;").is_none(), warp_suffices);

        let read_write = |between: &str| {
            raced(
                128,
                &format!(
                    "{start} ld.shared.u32 %r9, [{opposite}]; {between} st.shared.u32 [%r3], 2;"
                ),
            )
        };
        let first = if warp_suffices { Did::Read } else { Did::Wrote };
        assert_eq!(read_write(""), Some(first));
        assert_eq!(read_write("bar.sync 0;"), None);
        assert_eq!(read_write("bar.warp.sync -1;").is_none(), warp_suffices);

        let write_write = |between: &str| {
            raced(
                128,
                &format!("st.shared.u32 [%r3], 1; {between} st.shared.u32 [{opposite}], 2;"),
            )
        };
        assert_eq!(write_write(""), Some(Did::Wrote));
        assert_eq!(write_write("bar.sync 0;"), None);
    }
}

#[test]
fn many_readers_are_remembered() {
    // All read the first word; then one of them writes it.
    let body = |between: &str| {
        format!(
            "setp.eq.u32 %p1, %r20, 0; @%p1 st.shared.u32 [%r1], 1; bar.sync 0;
             ld.shared.u32 %r9, [%r1]; {between} @%p1 st.shared.u32 [%r1], 2;"
        )
    };
    assert_eq!(raced(32, &body("")), Some(Did::Read));
    assert_eq!(raced(32, &body("bar.warp.sync -1;")), None);
    assert_eq!(raced(128, &body("")), Some(Did::Read));
    // The other warps read behind the first one's write.
    assert_eq!(raced(128, &body("bar.warp.sync -1;")), Some(Did::Wrote));
    assert_eq!(raced(128, &body("bar.sync 0;")), None);
}

#[test]
fn the_last_reader_does_not_hide_the_others() {
    for last in [31, 127] {
        let body = format!(
            "setp.eq.u32 %p1, %r20, {last}; @%p1 st.shared.u32 [%r1], 1; bar.sync 0;
             ld.shared.u32 %r9, [%r1]; @%p1 st.shared.u32 [%r1], 2;"
        );
        assert_eq!(raced(last + 1, &body), Some(Did::Read));
    }
    // All blocks read, and the last one writes.
    let body = format!("{OWN} setp.eq.u32 %p2, %r1, 2; ld.global.u64 %rd3, [%rd21]; @%p2 st.global.u64 [%rd21], 1;");
    assert_eq!(blocks(&body), Some(Did::Read));
}

#[test]
fn bytes_are_watched_one_by_one() {
    // Neighbours write neighbouring bytes of one word.
    assert_eq!(
        raced(128, "add.s32 %r6, %r1, %r20; st.shared.u8 [%r6], 1;"),
        None
    );
    assert_eq!(
        raced(
            128,
            "add.s32 %r6, %r1, %r20; and.b32 %r6, %r6, -2; st.shared.u16 [%r6], %rs1;"
        ),
        Some(Did::Wrote)
    );
}

#[test]
fn a_barrier_of_some_lanes_orders_those() {
    let body = |mask: &str| {
        format!(
            "setp.gt.u32 %p1, %r20, 1; @%p1 bra out;
             st.shared.u32 [%r3], 1; bar.warp.sync {mask}; ld.shared.u32 %r9, [%r4];
             out: "
        )
    };
    assert_eq!(raced(32, &body("3")), None);
    let own = body("%r6").replace(
        "st.shared.u32 [%r3], 1;",
        "add.s32 %r6, %r20, 1; st.shared.u32 [%r3], 1;",
    );
    assert_eq!(raced(32, &own), Some(Did::Wrote));
}

#[test]
fn atomics_do_not_race_with_atomics_but_with_others() {
    let start = "setp.eq.u32 %p1, %r20, 0; @%p1 st.shared.u32 [%r1], 0; bar.sync 0;";
    assert_eq!(
        raced(128, &format!("{start} red.shared.add.u32 [%r1], 1;")),
        None
    );
    assert_eq!(
        raced(
            128,
            &format!("{start} red.shared.add.u32 [%r1], 1; ld.shared.u32 %r9, [%r1];")
        ),
        Some(Did::Wrote)
    );
    assert_eq!(
        raced(
            128,
            &format!("{start} red.shared.add.u32 [%r1], 1; bar.sync 0; ld.shared.u32 %r9, [%r1];")
        ),
        None
    );
    assert_eq!(
        raced(
            32,
            &format!("{start} red.shared.add.u32 [%r1], 1; @%p1 st.shared.u32 [%r1], 1;")
        ),
        Some(Did::Wrote)
    );
    assert_eq!(
        raced(
            128,
            "@%p1 nanosleep.u32 5; st.shared.u32 [%r3], 0; red.shared.add.u32 [%r4], 1;"
        ),
        Some(Did::Wrote)
    );
}

#[test]
fn races_can_be_left_alone() {
    let quiet = Run {
        options: Options {
            races: false,
            ..Options::default()
        },
        ..Run::of(128)
    };
    quiet
        .body(&format!(
            "{WORDS} st.shared.u32 [%r3], 1; ld.shared.u32 %r9, [%r4];"
        ))
        .unwrap();
    let blocks = Run {
        options: Options {
            races: false,
            ..Options::default()
        },
        ..Run::of(1).blocks(4)
    };
    blocks.body("st.global.u64 [%rd21], 1;").unwrap();
}

fn blocks(body: &str) -> Option<Did> {
    match Run::of(32).blocks(3).body(body) {
        Ok(_) => None,
        Err(fault) => match fault.cause {
            Cause::GlobalRace { did, .. } => Some(did),
            other => panic!("{other}"),
        },
    }
}

/// `%rd1` is the block's own word, `%rd2` that of the next block.
const OWN: &str = "
    mov.u32 %r1, %ctaid.x; mad.wide.u32 %rd1, %r1, 8, %rd21;
    add.s32 %r2, %r1, 1; rem.u32 %r2, %r2, 3; mad.wide.u32 %rd2, %r2, 8, %rd21;
    setp.eq.u32 %p1, %r20, 0;
";

#[test]
fn blocks_race_through_device_memory() {
    assert_eq!(
        blocks(&format!(
            "{OWN} @%p1 st.global.u64 [%rd1], 1; ld.global.u64 %rd3, [%rd1];"
        )),
        None
    );
    assert_eq!(
        blocks(&format!(
            "{OWN} ld.global.u64 %rd3, [%rd2]; ld.global.u64 %rd3, [%rd1];"
        )),
        None
    );
    assert_eq!(
        blocks(&format!(
            "{OWN} @%p1 st.global.u64 [%rd1], 1; ld.global.u64 %rd3, [%rd2];"
        )),
        Some(Did::Read)
    );
    assert_eq!(
        blocks(&format!("{OWN} @%p1 st.global.u8 [%rd21+7], 1;")),
        Some(Did::Wrote)
    );
    assert_eq!(
        blocks("ld.global.u64 %rd3, [%rd21]; st.global.u64 [%rd21], 1;"),
        Some(Did::Wrote)
    );
    // Bytes of one word.
    assert_eq!(
        blocks(&format!(
            "{OWN} cvt.u64.u32 %rd4, %r1; add.s64 %rd4, %rd21, %rd4; @%p1 st.global.u8 [%rd4], 1;"
        )),
        None
    );
    assert_eq!(blocks("red.global.add.u64 [%rd21], 1;"), None);
    assert_eq!(
        blocks("red.global.add.u64 [%rd21], 1; ld.global.u64 %rd3, [%rd21];"),
        Some(Did::Read)
    );
}

/// Each block leaves a number; the last one to come adds them up.
const LAST: &str = "
    add.s32 %r3, %r1, 5; cvt.u64.u32 %rd3, %r3;
    @%p1 st.global.u64 [%rd1+8], %rd3;
    FENCE
    bar.sync 0;
    @!%p1 exit;
    atom.global.add.u32 %r4, [%rd21], 1;
    setp.ne.u32 %p2, %r4, 2;
    @%p2 exit;
    ld.global.u64 %rd4, [%rd21+8]; ld.global.u64 %rd5, [%rd21+16]; ld.global.u64 %rd6, [%rd21+24];
    add.s64 %rd4, %rd4, %rd5; add.s64 %rd4, %rd4, %rd6;
    st.global.u64 [%rd21+8], %rd4;
    st.global.u32 [%rd21], 0;
";

/// Whether the last block sees what the others left; if not, that is a race.
fn last_sees(fence: &str, atomic: &str, seed: u64) -> bool {
    let last = LAST.replace("FENCE", fence).replace("atom.global", atomic);
    let run = Run::of(32).blocks(3).seeded(seed);
    match run.counted(&kernel(&format!("{OWN}{last}")), &[0; 4]) {
        Ok((words, _)) => {
            assert_eq!(words[..2], [0, 18]);
            true
        }
        Err(fault) => {
            let Cause::GlobalRace { did, .. } = fault.cause else {
                panic!("{fault}");
            };
            assert_eq!(did, Did::Wrote);
            false
        }
    }
}

#[test]
fn the_last_block_sees_what_the_others_left_behind_a_fence() {
    for seed in 0..10 {
        for fence in ["membar.gl;", "fence.acq_rel.gpu;", "fence.sc.sys;"] {
            assert!(last_sees(fence, "atom.global", seed), "{fence}");
        }
        // None, or one that other blocks need not see.
        for fence in ["", "membar.cta;", "fence.acq_rel.cta;", "fence.sc.cluster;"] {
            assert!(!last_sees(fence, "atom.global", seed), "{fence}");
        }
    }
}

#[test]
fn an_atomic_that_releases_is_a_fence() {
    for seed in 0..10 {
        for atomic in ["atom.acq_rel.global", "atom.release.gpu.global"] {
            assert!(last_sees("", atomic, seed), "{atomic}");
        }
        for atomic in ["atom.relaxed.gpu.global", "atom.acq_rel.cta.global"] {
            assert!(!last_sees("", atomic, seed), "{atomic}");
        }
    }
}

#[test]
fn launches_come_one_after_another() {
    use assay_ptx::{launch, Launch, Memory, Module};
    let module = Module::parse(&kernel("mov.u32 %r1, %ctaid.x; cvt.u64.u32 %rd1, %r1; ld.global.u64 %rd2, [%rd21]; add.s64 %rd2, %rd2, %rd1; st.global.u64 [%rd20+8], %rd2;")).unwrap();
    let mut memory = Memory::new(1024);
    let out = memory.alloc(16).unwrap();
    memory.zero(out, 16).unwrap();
    let shifted = out.to_le_bytes();
    let what = Launch {
        kernel: "k",
        grid: [1; 3],
        block: [1; 3],
        dynamic_shared: 0,
        arguments: &[&shifted],
    };
    // The second launch reads and writes what the first one wrote.
    for _ in 0..3 {
        launch(&module, &what, &mut memory, &Options::default()).unwrap();
    }
}
