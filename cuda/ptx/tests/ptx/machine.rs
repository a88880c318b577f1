//! A machine with one kernel, and instructions that are tried on many values at once.

use assay_ptx::{launch, Cause, Counts, Fault, Launch, Memory, Module, Options};

const REGISTERS: &str = "
    .reg .pred %p<10>;
    .reg .b16 %rs<20>;
    .reg .b32 %r<40>;
    .reg .b64 %rd<30>;
";

/// A kernel `k` of one parameter `out`, with registers, around a body. `%rd20` is the address of
/// the thread's word of 64 bits, `%rd21` that of the first, and `%r20` the thread's number.
pub fn kernel(body: &str) -> String {
    with_declarations("", body)
}

pub fn with_declarations(declarations: &str, body: &str) -> String {
    format!(
        ".version 8.0
.target sm_80
.address_size 64
{declarations}
.visible .entry k(.param .u64 out)
{{
{REGISTERS}
    ld.param.u64 %rd21, [out];
    mov.u32 %r20, %tid.x;
    mad.wide.u32 %rd20, %r20, 8, %rd21;
{body}
    ret;
}}"
    )
}

/// One kernel, `threads` in one block, and a word of 64 bits for each, which begins as given.
pub struct Run {
    pub grid: u32,
    pub threads: u32,
    pub shared: u32,
    pub options: Options,
}

impl Run {
    pub fn of(threads: u32) -> Self {
        Self {
            grid: 1,
            threads,
            shared: 1024,
            options: Options::default(),
        }
    }

    pub fn seeded(self, seed: u64) -> Self {
        Self {
            options: Options {
                seed,
                ..self.options
            },
            ..self
        }
    }

    pub fn blocks(self, grid: u32) -> Self {
        Self { grid, ..self }
    }

    pub fn counted(&self, ptx: &str, words: &[u64]) -> Result<(Vec<u64>, Counts), Fault> {
        let module = Module::parse(ptx).unwrap_or_else(|error| panic!("{error}\n{ptx}"));
        let mut memory = Memory::new(1 << 20);
        let out = memory.alloc(8 * words.len() as u64).unwrap();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        memory.write(out, &bytes).unwrap();
        let what = Launch {
            kernel: "k",
            grid: [self.grid, 1, 1],
            block: [self.threads, 1, 1],
            dynamic_shared: self.shared,
            arguments: &[&out.to_le_bytes()],
        };
        let counts = launch(&module, &what, &mut memory, &self.options)?;
        let mut bytes = vec![0; 8 * words.len()];
        memory.read(out, &mut bytes).unwrap();
        let words = bytes
            .chunks(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect();
        Ok((words, counts))
    }

    /// The words that a body leaves, from zeros.
    pub fn body(&self, body: &str) -> Result<Vec<u64>, Fault> {
        let words = vec![0; (self.grid * self.threads) as usize];
        self.counted(&kernel(body), &words).map(|(words, _)| words)
    }

    pub fn cause(&self, body: &str) -> Cause {
        self.body(body).expect_err("the kernel is wrong").cause
    }
}

/// What a body leaves in `%rd0` of each thread of a block.
pub fn results(threads: u32, body: &str) -> Vec<u64> {
    Run::of(threads)
        .body(&format!("{body}\nst.global.u64 [%rd20], %rd0;"))
        .unwrap_or_else(|fault| panic!("{fault}"))
}

/// An instruction on each of these values: the operands are `%r1`, `%r2`, `%r3` (or `%rd…`,
/// `%rs…`), the result is register 0 with `bits` bits.
pub fn each(instruction: &str, bits: u32, values: &[[u64; 3]]) -> Vec<u64> {
    let out = match bits {
        16 => "cvt.u64.u16 %rd0, %rs0;",
        32 => "cvt.u64.u32 %rd0, %r0;",
        _ => "",
    };
    let body = format!(
        "
    mov.u32 %r21, %ctaid.x;
    mov.u32 %r22, %ntid.x;
    mad.lo.s32 %r23, %r21, %r22, %r20;
    mad.wide.u32 %rd20, %r23, 24, %rd21;
    ld.global.u64 %rd1, [%rd20];
    ld.global.u64 %rd2, [%rd20+8];
    ld.global.u64 %rd3, [%rd20+16];
    cvt.u32.u64 %r1, %rd1;
    cvt.u32.u64 %r2, %rd2;
    cvt.u32.u64 %r3, %rd3;
    cvt.u16.u64 %rs1, %rd1;
    cvt.u16.u64 %rs2, %rd2;
    cvt.u16.u64 %rs3, %rd3;
    {instruction}
    {out}
    st.global.u64 [%rd20], %rd0;"
    );
    let threads = 96;
    let blocks = values.len().div_ceil(threads);
    let mut words: Vec<u64> = values.iter().flatten().copied().collect();
    words.resize(3 * blocks * threads, 1);
    let run = Run::of(threads as u32).blocks(blocks as u32);
    let (words, _) = run
        .counted(&kernel(&body), &words)
        .unwrap_or_else(|fault| panic!("{instruction}: {fault}"));
    words
        .chunks(3)
        .take(values.len())
        .map(|words| words[0])
        .collect()
}

/// Values at which arithmetic is awkward.
pub const AWKWARD: [u64; 18] = [
    0,
    1,
    2,
    7,
    31,
    32,
    33,
    63,
    64,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x0123_4567_89ab_cdef,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// All pairs and some triples of awkward values.
pub fn awkward() -> Vec<[u64; 3]> {
    let mut all = Vec::new();
    for (i, &a) in AWKWARD.iter().enumerate() {
        for (j, &b) in AWKWARD.iter().enumerate() {
            all.push([a, b, AWKWARD[(7 * i + 5 * j + 3) % AWKWARD.len()]]);
        }
    }
    all
}

/// Numbers that look random.
pub fn random(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed ^ seed >> 29
    }
}

/// Compares an instruction with what it must do on all awkward values.
pub fn check(instruction: &str, bits: u32, must: impl Fn(u64, u64, u64) -> u64) {
    let values = awkward();
    for ([a, b, c], result) in values.iter().zip(each(instruction, bits, &values)) {
        let width = u64::MAX >> (64 - bits);
        assert_eq!(
            result,
            must(*a, *b, *c) & width,
            "{instruction} of {a:#x}, {b:#x}, {c:#x}"
        );
    }
}
