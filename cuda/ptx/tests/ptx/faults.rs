//! What ends a launch, and what is said about it.

use crate::machine::{kernel, with_declarations, Run};
use assay_ptx::{launch, Cause, Launch, Memory, Module, Options};

#[test]
fn a_fault_says_where_it_was() {
    let fault = Run::of(64).blocks(3).body("mov.u32 %r1, %ctaid.x;\nsetp.eq.u32 %p1, %r1, 2;\nsetp.eq.and.u32 %p1, %r20, 37, %p1;\n@%p1 ld.global.u32 %r2, [%rd21+-4];").unwrap_err();
    let place = fault.place.clone().unwrap();
    assert_eq!((place.block, place.thread), ([2, 0, 0], [37, 0, 0]));
    assert_eq!(place.text, "@%p1 ld.global.u32 %r2, [%rd21+-4];");
    let said = fault.to_string();
    let start = "kernel k, block [2, 0, 0], thread [37, 0, 0], PTX line 19 (@%p1 ld.global.u32 %r2, [%rd21+-4];): 4 bytes at 0x7f";
    assert!(said.starts_with(start), "{said}");
    assert!(said.ends_with("are outside device memory"), "{said}");
}

fn outside(cause: &Cause) -> Option<&'static str> {
    match cause {
        Cause::Outside { space, .. } => Some(space),
        _ => None,
    }
}

#[test]
fn accesses_outside_are_found() {
    let cause = |body: &str| Run::of(1).cause(body);
    for beyond in [
        "ld.global.u8 %r1, [%rd21+8];",
        "ld.global.u8 %r1, [%rd21+-1];",
        "ld.global.v2.u64 {%rd1, %rd2}, [%rd21];",
        "st.global.u32 [%rd21+8], 0;",
        "atom.global.add.u32 %r1, [%rd21+8], 1;",
        // The upper half of the address is lost.
        "cvt.u32.u64 %r1, %rd21; cvt.u64.u32 %rd1, %r1; ld.global.u8 %r1, [%rd1];",
        "ld.u32 %r1, [%rd0];",
        "ld.global.u32 %r1, [%rd21+0x7fffffff0];",
    ] {
        assert_eq!(outside(&cause(beyond)), Some("device memory"), "{beyond}");
    }
    assert_eq!(
        outside(&cause(
            ".shared .align 8 .b8 s[8]; st.shared.u32 [s+2048], 0;"
        )),
        Some("shared memory")
    );
    assert_eq!(
        outside(&cause("mov.u32 %r1, -4; st.shared.u32 [%r1], 0;")),
        Some("shared memory")
    );
    assert_eq!(
        outside(&cause(
            ".local .align 8 .b8 d[8]; mov.u64 %rd1, d; st.local.u32 [%rd1+16], 0;"
        )),
        Some("local memory")
    );
    assert_eq!(
        outside(&cause("mov.b64 %rd1, out; ld.param.u64 %rd2, [%rd1+8];")),
        Some("the kernel's arguments")
    );
}

#[test]
fn accesses_that_are_misaligned_are_found() {
    for body in [
        "ld.global.u32 %r1, [%rd21+2];",
        "st.global.u64 [%rd21+4], %rd1;",
        "ld.global.v2.u16 {%rs1, %rs2}, [%rd21+2];",
        ".shared .align 16 .b8 s[64]; st.shared.v4.u32 [s+8], {%r1, %r1, %r1, %r1};",
        "atom.global.add.u64 %rd1, [%rd21+4], 1;",
        ".shared .align 16 .b8 s[64]; cp.async.ca.shared.global [s+4], [%rd21], 8;",
    ] {
        assert!(
            matches!(Run::of(1).cause(body), Cause::Misaligned { .. }),
            "{body}"
        );
    }
}

#[test]
fn bytes_that_nobody_wrote_are_not_read() {
    let never = |body: &str| {
        assert!(
            matches!(Run::of(1).cause(body), Cause::NeverWritten { .. }),
            "{body}"
        )
    };
    never(".shared .align 8 .b8 s[64]; st.shared.u16 [s], %rs1; ld.shared.u32 %r1, [s];");
    never(".shared .align 8 .b8 s[64]; atom.shared.add.u32 %r1, [s], 1;");
    let module = Module::parse(&kernel("ld.global.u16 %r1, [%rd21+2];")).unwrap();
    let mut memory = Memory::new(1024);
    let out = memory.alloc(8).unwrap();
    memory.write(out, &[1, 2, 3]).unwrap();
    let what = Launch {
        kernel: "k",
        grid: [1; 3],
        block: [1; 3],
        dynamic_shared: 0,
        arguments: &[&out.to_le_bytes()],
    };
    let fault = launch(&module, &what, &mut memory, &Options::default()).unwrap_err();
    assert_eq!(
        fault.cause,
        Cause::NeverWritten {
            space: "device memory",
            address: out + 3
        }
    );
    let module = Module::parse(&kernel("red.global.add.u32 [%rd21+4], 1;")).unwrap();
    let fault = launch(&module, &what, &mut memory, &Options::default()).unwrap_err();
    assert!(matches!(fault.cause, Cause::NeverWritten { .. }));
}

#[test]
fn arithmetic_and_control_have_their_faults() {
    let cause = |body: &str| Run::of(32).cause(body);
    assert_eq!(cause("div.s32 %r1, 5, %r20;"), Cause::DivisionByZero);
    assert_eq!(
        cause("cvt.u64.u32 %rd1, %r20; rem.u64 %rd2, %rd1, %rd1;"),
        Cause::DivisionByZero
    );
    // Not where the guard does not hold.
    Run::of(32)
        .body("setp.ne.u32 %p1, %r20, 0; @%p1 div.s32 %r1, 5, %r20;")
        .unwrap();
    assert_eq!(cause("trap;"), Cause::Trap);
    assert_eq!(
        cause("table: .branchtargets l, l; brx.idx %r20, table; l: "),
        Cause::BranchIndex {
            index: 2,
            targets: 2
        }
    );
    let endless = Run {
        options: Options {
            limit: 50_000,
            ..Options::default()
        },
        ..Run::of(1)
    };
    assert_eq!(endless.cause("again: bra again;"), Cause::Endless(50_000));
    let with_barriers = "again: bar.sync 0; bra again;";
    assert_eq!(endless.cause(with_barriers), Cause::Endless(50_000));
    let recursion = with_declarations(".func f() { call f; ret; }", "call f;");
    assert_eq!(
        Run::of(1).counted(&recursion, &[0]).unwrap_err().cause,
        Cause::Calls
    );
}

#[test]
fn a_launch_that_does_not_fit_the_kernel_is_refused() {
    let ptx = kernel("").replace(")\n{", ")\n.maxntid 64, 2, 1\n{");
    let module = Module::parse(&ptx).unwrap();
    let mut memory = Memory::new(1024);
    let out = memory.alloc(8).unwrap().to_le_bytes();
    let mut cause = |change: &dyn Fn(&mut Launch<'_>)| {
        let mut what = Launch {
            kernel: "k",
            grid: [1; 3],
            block: [1; 3],
            dynamic_shared: 0,
            arguments: &[&out],
        };
        change(&mut what);
        launch(&module, &what, &mut memory, &Options::default()).map_err(|fault| fault.cause)
    };
    assert!(cause(&|_| {}).is_ok());
    assert_eq!(
        cause(&|what| what.kernel = "other"),
        Err(Cause::UnknownKernel)
    );
    assert_eq!(
        cause(&|what| what.block = [129, 1, 1]),
        Err(Cause::Threads {
            threads: 129,
            most: 128
        })
    );
    assert_eq!(
        cause(&|what| what.block = [0, 1, 1]),
        Err(Cause::Threads {
            threads: 0,
            most: 128
        })
    );
    assert_eq!(
        cause(&|what| what.grid = [1, 65_536, 1]),
        Err(Cause::Grid([1, 65_536, 1]))
    );
    assert_eq!(
        cause(&|what| what.grid = [0, 1, 1]),
        Err(Cause::Grid([0, 1, 1]))
    );
    assert_eq!(
        cause(&|what| what.arguments = &[]),
        Err(Cause::ArgumentCount {
            given: 0,
            expected: 1
        })
    );
    assert_eq!(
        cause(&|what| what.arguments = &[&[1, 2, 3, 4]]),
        Err(Cause::ArgumentSize {
            index: 0,
            given: 4,
            expected: 8
        })
    );
    let shared = cause(&|what| what.dynamic_shared = (163 << 10) + 1);
    assert!(matches!(shared, Err(Cause::SharedMemory { most, .. }) if most == 163 << 10));
}
