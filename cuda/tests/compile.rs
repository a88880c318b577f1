//! Every kernel compiles for every architecture, without errors and, where it counts, without registers
//! that do not fit. What the compiler says of each is printed.

mod common;

use assay_cuda::{
    ceilings, kernels,
    nvrtc::{Arch, NvrtcError},
    OPTIONS,
};

/// From Turing to the second Blackwell.
const ARCHITECTURES: [u32; 7] = [75, 80, 86, 89, 90, 100, 120];

/// What `ptxas` says of a kernel.
#[derive(Debug, PartialEq)]
struct Report {
    kernel: String,
    registers: u32,
    /// Bytes of local memory: arrays that are no registers, and what was spilled.
    stack: u32,
    spilled: u32,
}

/// The reports of a log: a line that names a function, one of its stack, one of its registers.
fn reports(log: &str) -> Vec<Report> {
    let mut reports: Vec<Report> = Vec::new();
    for line in log.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let before = |what: &str| {
            let place = words.windows(2).position(|pair| pair.join(" ") == what)?;
            words.get(place.checked_sub(2)?)?.parse::<u32>().ok()
        };
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            reports.push(Report {
                kernel: rest.split('\'').next().unwrap().into(),
                registers: 0,
                stack: 0,
                spilled: 0,
            });
        }
        let Some(report) = reports.last_mut() else {
            continue;
        };
        report.stack += before("stack frame,").unwrap_or_default();
        report.spilled += before("spill stores,").unwrap_or_default();
        if let Some(place) = words.iter().position(|word| word.starts_with("registers")) {
            report.registers = words[place - 1].parse().unwrap();
        }
    }
    reports
}

#[test]
fn every_kernel_compiles_for_every_architecture_without_spills() {
    let Some(nvrtc) = common::nvrtc() else { return };
    let options: Vec<&str> = OPTIONS.into_iter().chain(["--ptxas-options=-v"]).collect();
    let mut faults = Vec::new();
    for number in ARCHITECTURES {
        let arch = Arch::Machine(number);
        for kernels in [kernels::all(), ceilings::kernels()] {
            let compiled = nvrtc.compile(&kernels.source, arch, &options).unwrap();
            assert!(compiled.code.starts_with(b"\x7fELF"), "{arch}");
            let reports = reports(&compiled.log);
            for name in kernels.names {
                let report = reports.iter().find(|report| report.kernel == *name);
                let report = report.unwrap_or_else(|| panic!("{arch}: no report of {name}"));
                println!("{arch} {name}: {} registers", report.registers);
                assert!(report.registers > 0);
                if report.stack > 0 || report.spilled > 0 {
                    faults.push(format!("{arch}: {report:?}"));
                }
            }
            assert_eq!(
                reports.len(),
                kernels.names.len(),
                "{arch}: a kernel without a name"
            );
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn what_does_not_compile_is_told_with_the_compilers_own_words() {
    let Some(nvrtc) = common::nvrtc() else { return };
    let error = nvrtc.compile("__global__ void f() { g(); }", Arch::Machine(80), &OPTIONS);
    let Err(NvrtcError::Source { log, .. }) = &error else {
        panic!("{error:?}")
    };
    assert!(log.contains("\"g\" is undefined"), "{log}");
    let error = nvrtc.compile("", Arch::Machine(35), &OPTIONS).unwrap_err();
    let told = error.to_string();
    assert!(told.contains("does not compile for sm_35"), "{told}");
    assert!(!told.contains('\n'));
}

#[test]
fn reports_are_read_as_ptxas_writes_them() {
    let log = "ptxas info    : 0 bytes gmem\n\
               ptxas info    : Compiling entry function 'f' for 'sm_90a'\n\
               ptxas info    : Function properties for f\n    \
               8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads\n\
               ptxas info    : Used 40 registers, used 1 barriers, 8 bytes cumulative stack size\n";
    let expected = Report {
        kernel: "f".into(),
        registers: 40,
        stack: 8,
        spilled: 12,
    };
    assert_eq!(reports(log), [expected]);
}
