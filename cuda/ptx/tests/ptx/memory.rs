//! Loads and stores of all spaces, atomics, variables and arguments.

use crate::machine::{check, kernel, results, with_declarations, Run};
use assay_ptx::{launch, Launch, Memory, MemoryError, Module, Options};

#[test]
fn narrow_values_are_extended_and_cut() {
    check(
        "st.global.u8 [%rd20+16], %rd1; ld.global.u8 %rd0, [%rd20+16];",
        64,
        |a, _, _| a & 0xff,
    );
    check(
        "st.global.u8 [%rd20+16], %r1; ld.global.s8 %r0, [%rd20+16];",
        32,
        |a, _, _| a as i8 as u64,
    );
    check(
        "st.global.u16 [%rd20+18], %rs1; ld.global.s16 %rd0, [%rd20+18];",
        64,
        |a, _, _| a as i16 as u64,
    );
    check(
        "st.global.b32 [%rd20+20], %r1; ld.global.s32 %rd0, [%rd20+20];",
        64,
        |a, _, _| a as i32 as u64,
    );
    check(
        "st.volatile.global.u32 [%rd20+20], %r1; ld.relaxed.gpu.global.u32 %r0, [%rd20+20];",
        32,
        |a, _, _| a,
    );
    check(
        "st.global.u64 [%rd20+16], %rd1; ld.global.nc.L1::no_allocate.s8 %rs0, [%rd20+16];",
        16,
        |a, _, _| a as i8 as u64,
    );
}

#[test]
fn vectors_are_loaded_stored_packed_and_unpacked() {
    let swap = "
        .shared .align 16 .b8 own[2048];
        mov.u32 %r10, own; shl.b32 %r11, %r20, 4; add.s32 %r10, %r10, %r11;
        st.shared.v4.u32 [%r10], {%r20, 7, %r20, -1};
        ld.shared.v2.u64 {%rd4, %rd5}, [%r10];
        ld.shared.v2.u16 {%rs1, _}, [%r10+12];
        mov.b64 {%r4, %r5}, %rd4;
        mov.b32 %r6, {%rs1, %rs1};
        mov.b32 {%rs3, %rs4}, %r6;
        cvt.u32.u16 %r7, %rs4;
        add.s32 %r5, %r5, %r7;
        mov.b64 %rd0, {%r5, %r4};";
    let words = results(40, swap);
    assert!((0..40u64).all(|thread| words[thread as usize] == thread << 32 | (7 + 0xffff)));
}

#[test]
fn generic_addresses_reach_every_space() {
    let words = results(
        3,
        "
        .shared .align 8 .b8 own[24];
        .local .align 8 .b8 depot[16];
        cvt.u64.u32 %rd1, %r20;
        mov.u64 %rd4, own; cvta.shared.u64 %rd4, %rd4;
        mov.u64 %rd5, depot; cvta.local.u64 %rd5, %rd5;
        shl.b64 %rd6, %rd1, 3; add.s64 %rd4, %rd4, %rd6;
        st.u64 [%rd4], 5;
        st.u64 [%rd5+8], %rd1;
        st.u64 [%rd20], 100;
        ld.u64 %rd7, [%rd4];
        ld.local.u64 %rd8, [depot+8];
        ld.u64 %rd9, [%rd20];
        isspacep.shared %p1, %rd4; isspacep.local %p2, %rd5; isspacep.global %p3, %rd20; isspacep.global %p4, %rd4;
        selp.b64 %rd10, 1000, 0, %p1; selp.b64 %rd11, 2000, 0, %p2; selp.b64 %rd12, 4000, 0, %p3; selp.b64 %rd13, 8000, 0, %p4;
        cvta.to.shared.u64 %rd14, %rd4; ld.shared.u64 %rd14, [%rd14];
        add.s64 %rd0, %rd7, %rd8; add.s64 %rd0, %rd0, %rd9; add.s64 %rd0, %rd0, %rd10; add.s64 %rd0, %rd0, %rd11;
        add.s64 %rd0, %rd0, %rd12; add.s64 %rd0, %rd0, %rd13; add.s64 %rd0, %rd0, %rd14;",
    );
    assert_eq!(words, [7110, 7111, 7112]);
}

#[test]
fn variables_begin_as_they_are_declared() {
    let ptx = with_declarations(
        ".const .align 2 .b8 bytes[8] = {1, 2, 0xff};
         .global .align 8 .u64 counter = 40;
         .global .align 4 .u32 halves[2][2] = {{1, 2}, {3, -1}};
         .const .align 8 .u64 where = generic(counter);
         .const .align 8 .u64 inside[2] = {0, halves+12};",
        "
        ld.const.s8 %rd1, [bytes+2];
        ld.const.u8 %rd2, [bytes+7];
        ld.global.u64 %rd3, [counter];
        ld.const.u64 %rd4, [where];
        mov.u64 %rd5, inside; ld.const.u64 %rd5, [%rd5+8];
        ld.global.u32 %r1, [%rd5];
        cvt.u64.u32 %rd6, %r1;
        add.s64 %rd0, %rd1, %rd2; add.s64 %rd0, %rd0, %rd3; add.s64 %rd0, %rd0, %rd6;
        st.global.u64 [%rd20], %rd0;
        atom.global.add.u64 %rd7, [%rd4], 1;",
    );
    let module = Module::parse(&ptx).unwrap();
    let mut memory = Memory::new(1 << 16);
    let out = memory.alloc(8).unwrap();
    memory.zero(out, 8).unwrap();
    let what = Launch {
        kernel: "k",
        grid: [1; 3],
        block: [1; 3],
        dynamic_shared: 0,
        arguments: &[&out.to_le_bytes()],
    };
    for launches in 1..3 {
        launch(&module, &what, &mut memory, &Options::default()).unwrap();
        let mut word = [0; 8];
        memory.read(out, &mut word).unwrap();
        assert_eq!(
            u64::from_le_bytes(word),
            38 + launches + 0xffff_ffff,
            "variables outlive a launch"
        );
    }
    let (address, bytes) = memory.symbol(&module, "counter").unwrap().unwrap();
    let mut word = [0; 8];
    memory.read(address, &mut word).unwrap();
    assert_eq!((bytes, u64::from_le_bytes(word)), (8, 42));
    assert_eq!(memory.symbol(&module, "nothing").unwrap(), None);
}

#[test]
fn arguments_lie_where_their_alignment_says() {
    let ptx = "
        .version 8.0
        .target sm_80
        .address_size 64
        .visible .entry k(.param .u32 small, .param .align 8 .b8 pair[16], .param .u64 .ptr .global .align 8 out)
        .maxntid 64, 1, 1
        {
            .reg .b32 %r<3>; .reg .b64 %rd<6>;
            ld.param.u32 %r1, [small];
            ld.param.u64 %rd1, [pair+8];
            mov.b64 %rd4, pair;
            ld.param.u16 %r2, [%rd4+2];
            ld.param.u64 %rd2, [out];
            cvt.u64.u32 %rd3, %r1;
            add.s64 %rd3, %rd3, %rd1;
            cvt.u64.u32 %rd5, %r2;
            add.s64 %rd3, %rd3, %rd5;
            st.global.u64 [%rd2], %rd3;
        }";
    let module = Module::parse(ptx).unwrap();
    let kernel = module.kernel("k").unwrap();
    assert_eq!(
        kernel
            .parameters
            .iter()
            .map(|parameter| parameter.bytes)
            .collect::<Vec<_>>(),
        [4, 16, 8]
    );
    assert_eq!((kernel.max_threads, kernel.static_shared), (Some(64), 0));
    let mut memory = Memory::new(1 << 16);
    let out = memory.alloc(8).unwrap();
    let pair: Vec<u8> = [0xaaaa_u16, 3, 0xbbbb, 0xbbbb]
        .iter()
        .flat_map(|half| half.to_le_bytes())
        .chain(50u64.to_le_bytes())
        .collect();
    let arguments: [&[u8]; 3] = [&7u32.to_le_bytes(), &pair, &out.to_le_bytes()];
    let what = Launch {
        kernel: "k",
        grid: [1; 3],
        block: [1; 3],
        dynamic_shared: 0,
        arguments: &arguments,
    };
    launch(&module, &what, &mut memory, &Options::default()).unwrap();
    let mut word = [0; 8];
    memory.read(out, &mut word).unwrap();
    assert_eq!(u64::from_le_bytes(word), 60);
}

#[test]
fn dynamic_shared_memory_lies_behind_what_the_kernel_declares() {
    let ptx = with_declarations(
        ".extern .shared .align 16 .b8 dynamic[];",
        "
        .shared .align 4 .b8 own[20];
        mov.u64 %rd1, own; mov.u64 %rd2, dynamic;
        sub.s64 %rd0, %rd2, %rd1;
        mov.u32 %r1, %dynamic_smem_size; mov.u32 %r2, %total_smem_size;
        shl.b32 %r1, %r1, 8; add.s32 %r1, %r1, %r2; cvt.u64.u32 %rd3, %r1;
        shl.b64 %rd3, %rd3, 32; add.s64 %rd0, %rd0, %rd3;
        st.shared.u8 [dynamic+63], 1;
        st.global.u64 [%rd20], %rd0;",
    );
    let run = Run {
        shared: 64,
        ..Run::of(1)
    };
    let (words, _) = run.counted(&ptx, &[0]).unwrap();
    assert_eq!(words, [((64 << 8) + 96) << 32 | 32]);
}

/// An atomic operation on a word that begins as `a`, by 40 threads.
fn atomic(what: &str, begin: u64) -> (u64, Vec<u64>) {
    let body = format!(
        "add.s32 %r1, %r20, 1; cvt.u64.u32 %rd1, %r1; {what} st.global.u64 [%rd20+8], %rd0;"
    );
    let mut words = vec![0; 41];
    words[0] = begin;
    let (words, _) = Run::of(40).counted(&kernel(&body), &words).unwrap();
    (words[0], words[1..].to_vec())
}

#[test]
fn atomics_of_many_threads_lose_nothing() {
    assert_eq!(
        atomic("atom.global.add.u64 %rd0, [%rd21], %rd1;", 5).0,
        5 + 820
    );
    let (last, mut before) = atomic(
        "atom.global.inc.u32 %r0, [%rd21], 100; cvt.u64.u32 %rd0, %r0;",
        90,
    );
    before.sort_unstable();
    assert_eq!(last, 29);
    assert_eq!(before, (0..29).chain(90..=100).collect::<Vec<_>>());
    assert_eq!(
        atomic("atom.global.dec.u32 %r0, [%rd21], 10; mov.b64 %rd0, 0;", 3).0,
        7
    );
    assert_eq!(
        atomic(
            "atom.global.max.s32 %r0, [%rd21], %r1; mov.b64 %rd0, 0;",
            0xffff_fff0
        )
        .0,
        40
    );
    assert_eq!(
        atomic(
            "atom.global.max.u32 %r0, [%rd21], %r1; mov.b64 %rd0, 0;",
            0xffff_fff0
        )
        .0,
        0xffff_fff0
    );
    assert_eq!(
        atomic(
            "neg.s64 %rd1, %rd1; red.global.min.s64 [%rd21], %rd1; mov.b64 %rd0, 0;",
            3
        )
        .0,
        -40i64 as u64
    );
    assert_eq!(
        atomic("red.global.or.b32 [%rd21], %r1; mov.b64 %rd0, 0;", 64).0,
        127
    );
    assert_eq!(
        atomic("red.global.xor.b64 [%rd21], %rd1; mov.b64 %rd0, 0;", 0).0,
        (1..=40).fold(0, |sum, n| sum ^ n)
    );
    assert_eq!(
        atomic(
            "red.relaxed.gpu.global.and.b32 [%rd21], -2; mov.b64 %rd0, 0;",
            7
        )
        .0,
        6
    );
    let (last, before) = atomic("atom.global.exch.b64 %rd0, [%rd21], %rd1;", 77);
    assert_eq!((last, before[0], before[39]), (40, 77, 39));
    let (last, before) = atomic("atom.global.cas.b64 %rd0, [%rd21], 3, %rd1;", 3);
    assert_eq!((last, before[0], before[1]), (1, 3, 1));
}

#[test]
fn atomics_of_shared_memory_work_too() {
    let words = results(
        96,
        "
        .shared .align 4 .b8 sum[4];
        setp.eq.u32 %p1, %r20, 0;
        @%p1 st.shared.u32 [sum], 0;
        bar.sync 0;
        atom.shared.add.u32 %r1, [sum], %r20;
        bar.sync 0;
        ld.shared.u32 %r2, [sum];
        cvt.u64.u32 %rd0, %r2;",
    );
    assert_eq!(words, [95 * 96 / 2; 96]);
}

#[test]
fn the_host_is_watched_too() {
    let mut memory = Memory::new(4096);
    let first = memory.alloc(1000).unwrap();
    let second = memory.alloc(3000).unwrap();
    assert!(
        second >= first + 1000 + 256,
        "there is room between allocations"
    );
    assert!(first.is_multiple_of(256) && second.is_multiple_of(256));
    assert_eq!(
        memory.alloc(97),
        Err(MemoryError::OutOfMemory {
            bytes: 97,
            free: 96,
            capacity: 4096
        })
    );
    assert_eq!(
        memory.write(first + 999, &[1, 2]),
        Err(MemoryError::Outside {
            address: first + 999,
            bytes: 2
        })
    );
    assert_eq!(
        memory.write(7, &[1]),
        Err(MemoryError::Outside {
            address: 7,
            bytes: 1
        })
    );
    memory.write(first, &[1, 2, 3]).unwrap();
    assert_eq!(
        memory.read(first, &mut [0; 4]),
        Err(MemoryError::NeverWritten(first + 3))
    );
    memory.copy(first, second + 5, 3).unwrap();
    let mut bytes = [0; 3];
    memory.read(second + 5, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 2, 3]);
    assert_eq!(
        memory.read(second + 4, &mut [0; 2]),
        Err(MemoryError::NeverWritten(second + 4))
    );
    memory.free(first).unwrap();
    assert_eq!(memory.free(first), Err(MemoryError::NotAllocated(first)));
    assert_eq!(
        memory.read(first, &mut [0; 1]),
        Err(MemoryError::Outside {
            address: first,
            bytes: 1
        })
    );
    assert_eq!(memory.in_use(), 3000);
    // Where the first one was there is room for 1024 bytes, and not for a red zone behind more.
    let small = memory.alloc(1024 + 1).unwrap();
    assert!(small > second);
    memory.free(small).unwrap();
    let again = memory.alloc(500).unwrap();
    assert_eq!(again, first);
    assert_eq!(
        memory.read(again, &mut [0; 1]),
        Err(MemoryError::NeverWritten(again))
    );
}
