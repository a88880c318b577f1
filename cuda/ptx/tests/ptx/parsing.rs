//! What is refused, and how that is said.

use crate::machine::{kernel, with_declarations};
use assay_ptx::Module;

fn refused(ptx: &str, why: &str) {
    let error = Module::parse(ptx).expect_err(why).to_string();
    assert!(error.contains(why), "{error}\nis not: {why}");
}

#[test]
fn an_instruction_that_is_not_known_is_refused_with_its_line() {
    let ptx = kernel("add.s32 %r1, %r2, %r3;\n  wgmma.fence.sync.aligned;");
    let error = Module::parse(&ptx).unwrap_err();
    assert_eq!(error.text, "wgmma.fence.sync.aligned;");
    assert_eq!(
        ptx.lines().nth(error.line as usize - 1).unwrap().trim(),
        error.text
    );
    assert_eq!(
        error.to_string(),
        format!(
            "PTX line {}: `wgmma` is no opcode that is supported: wgmma.fence.sync.aligned;",
            error.line
        )
    );
}

#[test]
fn floats_are_refused() {
    for float in [
        "add.f32 %r1, %r2, %r3;",
        "cvt.rn.f32.s32 %r1, %r2;",
        "mov.b32 %r1, 0f3F800000;",
        "ld.global.f64 %rd1, [%rd21];",
        "setp.lt.f16 %p1, %rs1, %rs2;",
        "atom.global.add.f32 %r1, [%rd21], %r2;",
        ".reg .f32 %f<4>;",
    ] {
        refused(&kernel(float), "a float: exact arithmetic has none");
    }
    refused(
        &with_declarations(".global .align 4 .f32 half = 0f3F000000;", ""),
        "a float",
    );
}

#[test]
fn operands_must_fit() {
    let refuse = |body: &str, why: &str| refused(&kernel(body), why);
    refuse(
        "add.s32 %r1, %r2, %rd3;",
        "a register of 64 bits instead of 32",
    );
    refuse(
        "mul.wide.s32 %r1, %r2, %r3;",
        "a register of 32 bits instead of 64",
    );
    refuse("add.s32 %r1, %r2;", "operand 3 is missing");
    refuse("add.s32 %r1, %r2, %r3, %r4;", "4 operands instead of 3");
    refuse("add.s32 %r1, %r2, %r99;", "not declared");
    refuse("add.s32 %r1, %r2, name;", "no variable `name`");
    refuse("mov.u32 %r1, %clock;", "not declared");
    refuse("add.rz.s32 %r1, %r2, %r3;", "`.rz` is not supported");
    refuse("add.sat.u32 %r1, %r2, %r3;", "only .s32 saturates");
    refuse(
        "ld.global.v2.u32 {%r1, %r2, %r3, %r4}, [%rd21];",
        "do not fit",
    );
    refuse("ld.global.u32 %r1, [%r2];", "an address of 32 bits");
    refuse("cvta.shared.u32 %r1, %r2;", "an address of 32 bits");
    refuse("setp.lt.s32 %r1, %r2, %r3;", "a predicate is expected");
    refuse("selp.b32 %r1, %r2, %r3, %r4;", "a predicate is expected");
    refuse("@%r1 bra x;", "a predicate is expected");
    refuse("bra nowhere;", "no label `nowhere`");
    refuse("brx.idx %r1, nothing;", "no list of labels");
    refuse("call nothing;", "no function `nothing`");
    refuse("shfl.up.b32 %r1, %r2, 1, 0;", "takes .sync");
    refuse(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r1, %r2}, {%r3}, {%r4}, {%r5, %r6};",
        "registers instead of",
    );
    refuse(
        "mma.sync.aligned.m16n8k8.row.col.s32.s8.s8.s32 {%r1, %r2}, {%r3}, {%r4}, {%r5, %r6};",
        "no such shape",
    );
    refuse(
        "cp.async.cg.shared.global [%r1], [%rd21], 8;",
        "does not copy 8 bytes this way",
    );
    refuse("cp.async.bulk.commit_group;", "is not supported");
    refuse("add.s32 %r1, %r2, %r3", "is expected");
    refuse(".reg .v4 .b32 %v<2>;", "vectors");
    refuse(".reg .b128 %q<2>;", "128 bits");
}

#[test]
fn modules_that_are_cut_or_strange_are_refused() {
    let whole = kernel("mov.u32 %r1, 1;");
    for end in 0..whole.len() - 1 {
        // Nothing may panic; what is cut inside the kernel is an error.
        let cut = Module::parse(&whole[..end]);
        assert!(
            cut.is_err() || cut.unwrap().kernels().is_empty(),
            "cut at {end}"
        );
    }
    refused(
        &whole.replace(".address_size 64", ".address_size 32"),
        "64 bits",
    );
    refused(
        &with_declarations(".func f(.param .b32 x);", ""),
        "the function `f` has no body",
    );
    refused(
        &with_declarations(".global .align 4 .u32 a[1] = {1, 2};", ""),
        "more initial values",
    );
    // 2^62 + 1 words, whose bytes are 4 more than 2^64.
    refused(
        &with_declarations(".global .align 4 .u32 a[4611686018427387905];", ""),
        "an array that is too long",
    );
    refused(
        &with_declarations(".global .align 8 .u64 a = b;", ""),
        "no variable `b`",
    );
    refused(
        &with_declarations(".texref t;", ""),
        "`.texref` is not supported",
    );
    refused(
        &whole.replace(")\n{", ")\n.reqnctapercluster 2\n{"),
        "not supported",
    );
}

#[test]
fn what_is_for_debuggers_and_schedulers_is_skipped() {
    let ptx = with_declarations(
        ".file 1 \"kernel.cu\"\n.section .debug_str { .b8 1, 2, 3; { } }",
        "
        .pragma \"nounroll\";
        .loc 1 2 3
        prefetch.global.L2 [%rd21];
        createpolicy.fractional.L2::evict_last.b64 %rd1;
        ld.global.L2::cache_hint.u64 %rd2, [%rd21], %rd1;
        nanosleep.u32 20;
        fence.acq_rel.gpu; membar.cta;",
    );
    Module::parse(&ptx).unwrap();
}
