//! Branches, loops, tables and calls, with lanes that part and meet.

use crate::machine::{results, with_declarations, Run};

#[test]
fn lanes_loop_as_often_as_each_wants() {
    let words = results(
        70,
        "
        mov.u32 %r1, 0; mov.u32 %r2, %r20;
    again:
        setp.eq.u32 %p1, %r2, 0;
        @%p1 bra done;
        add.s32 %r1, %r1, %r2; sub.s32 %r2, %r2, 1;
        bra.uni again;
    done:
        cvt.u64.u32 %rd0, %r1;",
    );
    assert!((0..70).all(|thread| words[thread as usize] == thread * (thread + 1) / 2));
}

#[test]
fn lanes_that_parted_meet_again() {
    // All four ways come together before the ballot, in whatever order they are run.
    let words = results(
        32,
        "
        and.b32 %r1, %r20, 3;
        setp.eq.u32 %p1, %r1, 0; @%p1 bra zero;
        setp.eq.u32 %p1, %r1, 1; @%p1 bra one;
        setp.eq.u32 %p1, %r1, 2; @%p1 bra two;
        mov.u32 %r2, 103; bra met;
    two:
        mov.u32 %r2, 102; bra met;
    zero:
        mov.u32 %r2, 100; bra met;
    one:
        mov.u32 %r2, 101;
    met:
        activemask.b32 %r3;
        mov.b64 %rd0, {%r2, %r3};",
    );
    assert!((0..32).all(|thread| words[thread as usize] == 0xffff_ffff << 32 | (100 + thread % 4)));
}

#[test]
fn lanes_meet_at_the_first_place_that_they_share() {
    // Lanes from 16 on come by where lanes 0 to 7 wait, and then all come to where 8 to 15 do.
    let words = results(
        32,
        "
        setp.lt.u32 %p1, %r20, 8; setp.lt.u32 %p2, %r20, 16; mov.u32 %r1, 0;
        @%p1 bra first;
        @%p2 bra second;
        add.s32 %r3, %r20, 1; add.s32 %r3, %r3, 1;
    first:
        activemask.b32 %r1;
    second:
        activemask.b32 %r2;
        mov.b64 %rd0, {%r1, %r2};",
    );
    let must = |lane| {
        0xffff_ffff << 32
            | if (8..16).contains(&lane) {
                0
            } else {
                0xffff_00ff
            }
    };
    assert_eq!(words, (0..32).map(must).collect::<Vec<u64>>());
}

#[test]
fn lanes_wait_for_those_that_call() {
    // What is called stands behind who calls it.
    let functions = "
        .func (.param .b32 result) outer(.param .b32 n);
        .func nothing();
        .func (.param .b32 result) outer(.param .b32 n)
        {
            .reg .pred %p<2>; .reg .b32 %r<3>;
            ld.param.b32 %r1, [n];
            setp.lt.u32 %p1, %r1, 8;
            @%p1 call nothing;
            activemask.b32 %r2;
            st.param.b32 [result], %r2;
            ret;
        }
        .func nothing() { .reg .b32 %r<2>; mov.u32 %r1, 1; ret; }";
    let body = "
        { .param .b32 p; .param .b32 q; st.param.b32 [p], %r20; call (q), outer, (p); ld.param.b32 %r1, [q]; }
        cvt.u64.u32 %rd0, %r1;
        st.global.u64 [%rd20], %rd0;";
    let (words, _) = Run::of(32)
        .counted(&with_declarations(functions, body), &[0; 32])
        .unwrap();
    assert_eq!(words, [0xffff_ffff; 32]);
}

#[test]
fn tables_of_branches_are_followed() {
    let words = results(
        32,
        "
        rem.u32 %r1, %r20, 3;
        table: .branchtargets first, second, third;
        brx.idx %r1, table;
    first:
        mov.u64 %rd0, 10; bra out;
    second:
        mov.u64 %rd0, 11; bra out;
    third:
        mov.u64 %rd0, 12;
    out:
        activemask.b32 %r2; cvt.u64.u32 %rd1, %r2; shl.b64 %rd1, %rd1, 32; or.b64 %rd0, %rd0, %rd1;",
    );
    assert!((0..32).all(|thread| words[thread as usize] == 0xffff_ffff << 32 | (10 + thread % 3)));
}

const FUNCTIONS: &str = "
.func (.param .b32 result) factorial(.param .b32 n);
.func (.param .b32 result) factorial(.param .b32 n)
{
    .reg .pred %p<2>; .reg .b32 %r<5>;
    ld.param.u32 %r1, [n];
    setp.lt.u32 %p1, %r1, 2;
    @%p1 bra small;
    sub.s32 %r2, %r1, 1;
    {
        .param .b32 given; .param .b32 got;
        st.param.b32 [given+0], %r2;
        call.uni (got), factorial, (given);
        ld.param.b32 %r3, [got+0];
    }
    mul.lo.s32 %r4, %r3, %r1;
    st.param.b32 [result+0], %r4;
    ret;
small:
    st.param.b32 [result+0], 1;
    ret;
}
.func (.param .align 8 .b8 sums[16]) both(.param .align 4 .b8 pair[8], .param .b64 more)
{
    .local .align 8 .b8 depot[8];
    .reg .b32 %r<4>; .reg .b64 %rd<9>;
    ld.param.v2.u32 {%r1, %r2}, [pair];
    ld.param.u64 %rd1, [more];
    mul.wide.u32 %rd2, %r1, %r2;
    st.local.u64 [depot], %rd2;
    mov.u64 %rd3, depot; cvta.local.u64 %rd3, %rd3;
    ld.u64 %rd4, [%rd3];
    add.s64 %rd5, %rd4, %rd1;
    st.param.b64 [sums+0], %rd5;
    st.param.b64 [sums+8], %rd2;
    ret;
}";

#[test]
fn functions_call_themselves_and_others() {
    // Lanes go to different depths, and half of them call another function beside.
    let ptx = with_declarations(
        FUNCTIONS,
        "
        .local .align 8 .b8 depot[8];
        st.local.u64 [depot], %rd20;
        and.b32 %r1, %r20, 7; add.s32 %r1, %r1, 1;
        setp.gt.u32 %p1, %r20, 15;
        @%p1 bra other;
        {
            .param .b32 p; .param .b32 q;
            st.param.b32 [p], %r1;
            call.uni (q), factorial, (p);
            ld.param.b32 %r2, [q];
        }
        cvt.u64.u32 %rd0, %r2;
        bra out;
    other:
        {
            .param .align 4 .b8 p[8]; .param .b64 m; .param .align 8 .b8 q[16];
            st.param.v2.b32 [p], {%r1, %r20};
            st.param.b64 [m], 1000;
            call (q), both, (p, m);
            ld.param.b64 %rd1, [q];
            ld.param.b64 %rd2, [q+8];
        }
        add.s64 %rd0, %rd1, %rd2;
    out:
        ld.local.u64 %rd3, [depot];
        st.global.u64 [%rd3], %rd0;",
    );
    let (words, _) = Run::of(32).counted(&ptx, &[0; 32]).unwrap();
    for thread in 0..32 {
        let n = thread % 8 + 1;
        let must = if thread < 16 {
            (1..=n).product()
        } else {
            2 * n * thread + 1000
        };
        assert_eq!(words[thread as usize], must, "thread {thread}");
    }
}

/// Twice the number; the lanes are in here from both calls at once.
const TWICE: &str = "
.func (.param .b32 result) twice(.param .b32 n)
{
    .reg .pred %p<2>; .reg .b32 %r<5>;
    ld.param.b32 %r1, [n];
    mov.u32 %r2, 0;
more:
    setp.eq.u32 %p1, %r1, 0;
    @%p1 bra none;
    add.s32 %r2, %r2, 2; sub.s32 %r1, %r1, 1;
    bra more;
none:
    st.param.b32 [result], %r2;
    ret;
}";

#[test]
fn each_lane_returns_to_its_own_call() {
    // Even lanes call from one place, odd ones from another, and they loop in the function together.
    let call = |result: &str| {
        format!(
            "{{ .param .b32 p; .param .b32 q; st.param.b32 [p], %r20; call (q), twice, (p); ld.param.b32 {result}, [q]; }}"
        )
    };
    let (first, second) = (call("%r1"), call("%r2"));
    let ptx = with_declarations(
        TWICE,
        &format!(
            "
        mov.u32 %r1, 0; mov.u32 %r2, 0;
        and.b32 %r3, %r20, 1; setp.eq.u32 %p1, %r3, 0;
        @%p1 bra even;
        {second} bra out;
    even:
        {first}
    out:
        mov.b64 %rd0, {{%r1, %r2}};
        st.global.u64 [%rd20], %rd0;"
        ),
    );
    let (words, _) = Run::of(32).counted(&ptx, &[0; 32]).unwrap();
    let must = |lane: u64| {
        if lane.is_multiple_of(2) {
            2 * lane
        } else {
            (2 * lane) << 32
        }
    };
    assert_eq!(words, (0..32).map(must).collect::<Vec<_>>());
}

#[test]
fn lanes_of_different_calls_do_not_meet() {
    let function = ".func meet() { bar.warp.sync -1; ret; }";
    let body = "
        setp.lt.u32 %p1, %r20, 9; @%p1 bra low;
        call meet; st.global.u64 [%rd20], 1; bra out;
    low:
        call meet; st.global.u64 [%rd20], 2;
    out: ";
    let fault = Run::of(32)
        .counted(&with_declarations(function, body), &[0; 32])
        .unwrap_err();
    assert!(
        matches!(fault.cause, assay_ptx::Cause::MissingLanes { .. }),
        "{fault}"
    );
}

#[test]
fn lanes_that_wait_in_a_function_are_there_when_others_enter_it() {
    let function = "
        .func (.param .b32 result) meet()
        {
            bar.warp.sync -1;
            st.param.b32 [result], 5;
            ret;
        }";
    let body = "
        setp.lt.u32 %p1, %r20, 9; @%p1 bra later;
    together:
        { .param .b32 q; call (q), meet; ld.param.b32 %r1, [q]; }
        bra out;
    later:
        bra together;
    out:
        cvt.u64.u32 %rd0, %r1; st.global.u64 [%rd20], %rd0;";
    let (words, _) = Run::of(32)
        .counted(&with_declarations(function, body), &[0; 32])
        .unwrap();
    assert_eq!(words, [5; 32]);
}

#[test]
fn what_lanes_write_leaves_the_others_alone() {
    let words = results(
        32,
        "
        setp.lt.u32 %p1, %r20, 10; mov.u32 %r1, 1; setp.eq.u32 %p2, %r1, 1; setp.eq.u32 %p3, %r1, 1;
        @%p1 bra low;
        setp.eq.u32 %p2, %r1, 0;
        @!%p1 mov.u32 %r1, 5;
        bra out;
    low:
        @%p1 setp.lt.u32 %p3, %r20, 5;
    out:
        selp.b64 %rd1, 1, 0, %p2; selp.b64 %rd2, 2, 0, %p3; cvt.u64.u32 %rd3, %r1; shl.b64 %rd3, %rd3, 2;
        add.s64 %rd0, %rd1, %rd2; add.s64 %rd0, %rd0, %rd3;",
    );
    let must = |lane| match lane {
        0..5 => 4 + 3,
        5..10 => 4 + 1,
        _ => 20 + 2,
    };
    assert_eq!(words, (0..32).map(must).collect::<Vec<_>>());
}

#[test]
fn a_guarded_return_ends_some_lanes() {
    let run = Run::of(40);
    let words = run
        .body(
            "
        setp.lt.u32 %p1, %r20, 5;
        @%p1 ret;
        st.global.u64 [%rd20], 1;
        setp.gt.u32 %p2, %r20, 20;
        @%p2 exit;
        st.global.u64 [%rd20], 2;",
        )
        .unwrap();
    let must = |thread| {
        if thread < 5 {
            0
        } else {
            2 - u64::from(thread > 20)
        }
    };
    assert_eq!(words, (0..40).map(must).collect::<Vec<_>>());
}

#[test]
fn names_belong_to_their_braces() {
    let words = results(
        1,
        "
        .reg .b32 x; mov.u32 x, 1;
        {
            .reg .b32 x; mov.u32 x, 2;
            bra inner;
            mov.u32 x, 9;
        inner:
            add.s32 %r1, x, 0;
        }
        {
            .reg .pred %p<1>;
            { bra inner; }
            mov.u32 x, 9;
        inner:
            shl.b32 %r1, %r1, 4;
        }
        add.s32 %r1, %r1, x;
        cvt.u64.u32 %rd0, %r1;",
    );
    assert_eq!(words, [0x21]);
}

#[test]
fn threads_know_where_they_are() {
    use assay_ptx::{launch, Launch, Memory, Module, Options};
    let ptx = crate::machine::kernel(
        "
        mov.u32 %r1, %tid.y; mov.u32 %r2, %tid.z; mov.u32 %r3, %ntid.x; mov.u32 %r4, %ntid.y; mov.u32 %r5, %ntid.z;
        mad.lo.s32 %r6, %r2, %r4, %r1; mad.lo.s32 %r6, %r6, %r3, %r20;
        mov.u32 %r7, %ctaid.x; mov.u32 %r8, %ctaid.y; mov.u32 %r9, %ctaid.z; mov.u32 %r10, %nctaid.x; mov.u32 %r11, %nctaid.y;
        mad.lo.s32 %r12, %r9, %r11, %r8; mad.lo.s32 %r12, %r12, %r10, %r7;
        mul.lo.s32 %r13, %r3, %r4; mul.lo.s32 %r13, %r13, %r5;
        mad.lo.s32 %r14, %r12, %r13, %r6;
        mul.wide.u32 %rd1, %r14, 8; add.s64 %rd1, %rd21, %rd1;
        mov.u32 %r15, %laneid; mov.u32 %r16, %warpid; shl.b32 %r16, %r16, 5; add.s32 %r15, %r15, %r16;
        mov.u32 %r17, %lanemask_lt; mov.u32 %r18, %lanemask_ge; xor.b32 %r17, %r17, %r18;
        setp.ne.u32 %p1, %r17, -1; @%p1 trap;
        mov.u32 %r17, %lanemask_le; mov.u32 %r18, %lanemask_gt; xor.b32 %r17, %r17, %r18;
        setp.ne.u32 %p1, %r17, -1; @%p1 trap;
        mov.u32 %r17, %lanemask_lt; mov.u32 %r18, %lanemask_le; xor.b32 %r17, %r17, %r18; mov.u32 %r18, %lanemask_eq;
        setp.ne.u32 %p1, %r17, %r18; @%p1 trap;
        mov.b64 %rd0, {%r14, %r15};
        st.global.u64 [%rd1], %rd0;",
    );
    let module = Module::parse(&ptx).unwrap();
    let mut memory = Memory::new(1 << 20);
    let (grid, block) = ([2, 3, 2], [5, 4, 3]);
    let count = 12 * 60;
    let out = memory.alloc(8 * count).unwrap();
    let what = Launch {
        kernel: "k",
        grid,
        block,
        dynamic_shared: 0,
        arguments: &[&out.to_le_bytes()],
    };
    launch(
        &module,
        &what,
        &mut memory,
        &Options {
            seed: 9,
            ..Options::default()
        },
    )
    .unwrap();
    let mut bytes = vec![0; 8 * count as usize];
    memory.read(out, &mut bytes).unwrap();
    for (index, word) in bytes.chunks(8).enumerate() {
        let index = index as u64;
        assert_eq!(word, (index | (index % 60) << 32).to_le_bytes());
    }
}
