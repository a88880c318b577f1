//! The game over long answers, for shapes of every size.

use anyhow::{anyhow, Result};
use assay_exact::{
    sampling::Settings,
    shape::{Rotary, Scaling, PPM},
    trace::{Cost, Layout},
    Shape,
};

use crate::report::{Bar, Page};

/// Tokens of the prompts.
const PROMPT: u32 = 24;
/// Tokens of the answers whose last one is disputed.
const ANSWERS: [u32; 2] = [1_000, 32_000];

/// Everything that a request can ask of the choice, so that every row is there.
const SETTINGS: Settings = Settings {
    temperature: 1_000_000,
    top_k: 50,
    top_p: 900_000,
    min_p: 10_000,
    penalty: 1_100_000,
};

/// What a dispute over 1,000 tokens of the third shape may cost.
const BARRED: usize = 2;
const MOVES: u32 = 16;
const BYTES: u64 = 24 << 10;
const LARGEST: u64 = 12 << 10;
const HASHED: u64 = 11_000_000;

/// As their makers publish them.
fn shapes() -> [(&'static str, Shape); 4] {
    let llama = |layers, hidden, intermediate, heads, head_dim, factor| Shape {
        layers,
        hidden,
        intermediate,
        heads,
        kv_heads: 8,
        head_dim,
        vocabulary: 128_256,
        context: 131_072,
        tied: false,
        biases: false,
        head_norms: false,
        fraction_bits: 16,
        eps40: 10_995_116,
        rotary: Rotary {
            base: 500_000 * PPM,
            scaling: Some(Scaling {
                factor: factor * PPM,
                low: PPM,
                high: 4 * PPM,
                original_context: 8192,
            }),
        },
    };
    [
        (
            "Qwen2.5-0.5B",
            Shape {
                layers: 24,
                hidden: 896,
                intermediate: 4864,
                heads: 14,
                kv_heads: 2,
                head_dim: 64,
                vocabulary: 151_936,
                context: 32_768,
                tied: true,
                biases: true,
                head_norms: false,
                fraction_bits: 16,
                eps40: 1_099_512,
                rotary: Rotary {
                    base: 1_000_000 * PPM,
                    scaling: None,
                },
            },
        ),
        (
            "Llama-3.2-1B",
            Shape {
                tied: true,
                ..llama(16, 2048, 8192, 32, 64, 32)
            },
        ),
        ("Llama-3.1-8B", llama(32, 4096, 14_336, 32, 128, 8)),
        ("Llama-3.1-70B", llama(80, 8192, 28_672, 64, 128, 8)),
    ]
}

pub fn compute(page: &mut Page) -> Result<()> {
    page.add(format!(
        "## The game\n\nThe longest and dearest dispute over the last token of an answer, prompt {PROMPT} tokens, every \
         setting of the choice in use; all shapes are within the bounds of the format. Moves and bytes are those of \
         both sides, signatures and all. Hashed: bytes of leaves of a position, on average.\n"
    ));
    let shapes = shapes();
    let mut rows = Vec::new();
    let mut proofs = Vec::new();
    for answer in ANSWERS {
        for (index, (name, shape)) in shapes.iter().enumerate() {
            let layout = Layout::new(shape, &SETTINGS, PROMPT, answer - 1)
                .map_err(|error| anyhow!("{name} has no trace: {error:?}"))?;
            let cost = Cost::new(&layout);
            rows.push(row(name, answer, &cost));
            if index == BARRED && answer == ANSWERS[0] {
                bars(page, name, &cost);
                proofs = cost.proofs;
            }
        }
    }
    let header = [
        "shape",
        "tokens",
        "leaves",
        "levels",
        "moves",
        "bytes in all",
        "largest extrinsic",
        "it proves",
        "hashed",
    ];
    page.table(&header, &rows);
    page.add(format!(
        "Bytes of the largest extrinsic with a proof of each row, of an element or of a part; {}, {} tokens.\n",
        shapes[BARRED].0, ANSWERS[0]
    ));
    proofs.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let cells: Vec<_> = proofs
        .iter()
        .map(|(row, bytes)| vec![format!("{row:?}"), bytes.to_string()])
        .collect();
    page.table(&["row", "bytes"], &cells);
    Ok(())
}

fn row(name: &str, answer: u32, cost: &Cost) -> Vec<String> {
    let (largest, proves) = cost.largest;
    vec![
        name.into(),
        answer.to_string(),
        format!("{:.1} million", cost.leaves as f64 / 1e6),
        cost.height.to_string(),
        cost.moves.to_string(),
        cost.bytes.to_string(),
        largest.to_string(),
        proves.map_or("nothing".into(), |row| format!("{row:?}")),
        format!("{:.2} MB", cost.hashed as f64 / 1e6),
    ]
}

fn bars(page: &mut Page, name: &str, cost: &Cost) {
    let mut bar = |what: &str, measured: u64, most: u64| {
        page.bar(Bar {
            demand: format!("{name}, {} tokens: {what} at most {most}", ANSWERS[0]),
            measured: measured.to_string(),
            met: measured <= most,
        });
    };
    bar("moves", cost.moves.into(), MOVES.into());
    bar("bytes on chain", cost.bytes, BYTES);
    bar("bytes of an extrinsic", cost.largest.0, LARGEST);
    bar("bytes hashed for a token", cost.hashed, HASHED);
}
