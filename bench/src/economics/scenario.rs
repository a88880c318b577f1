//! What people are assumed to do.

/// Money at genesis, in ASY.
pub const GENESIS_ASY: u64 = 1_000_000_000;
/// Six hours each.
pub const ERAS_PER_YEAR: u32 = 1_461;
/// Share of all money that stands behind validators.
pub const BONDED: f64 = 0.5;

/// A story; times are years since genesis, and amounts ASY in a day.
pub struct Scenario {
    pub name: &'static str,
    pub says: &'static str,
    /// What users pay for answers.
    pub answers: fn(f64) -> f64,
    /// What is paid in transaction fees.
    pub fees: fn(f64) -> f64,
    /// What one provider pays itself for answers, as its own user and its own publisher.
    pub wash: fn(f64) -> f64,
}

/// Transaction fees of full blocks of six seconds at the lowest price, 12 ASY each, in a day.
const FULL_BLOCKS: f64 = 172_800.0;

fn none(_: f64) -> f64 {
    0.0
}

/// Doubles every year, to a thousand times.
fn growing(years: f64) -> f64 {
    10_000.0 * years.min(10.0).exp2()
}

/// A transaction fee of a hundredth of what answers cost, until blocks are full.
fn fees_of(answers: f64) -> f64 {
    (answers / 100.0).min(FULL_BLOCKS)
}

fn steady(_: f64) -> f64 {
    1_000_000.0
}

/// Grows for five years, then nine tenths go within one.
fn bust(years: f64) -> f64 {
    let peak = growing(5.0);
    match years {
        years if years < 5.0 => growing(years),
        years if years < 6.0 => peak * (1.0 - 0.9 * (years - 5.0)),
        _ => peak * 0.1,
    }
}

pub const SCENARIOS: [Scenario; 5] = [
    Scenario {
        name: "No demand",
        says: "Nobody asks for an answer, nobody sends a transaction.",
        answers: none,
        fees: none,
        wash: none,
    },
    Scenario {
        name: "Growing demand",
        says: "Answers for 10,000 ASY a day at first, twice as many each year; a hundredth of that again in transaction fees, \
               until blocks are full.",
        answers: growing,
        fees: |years| fees_of(growing(years)),
        wash: none,
    },
    Scenario {
        name: "Rise and fall",
        says: "As before for five years; then nine tenths of it go within one.",
        answers: bust,
        fees: |years| fees_of(bust(years)),
        wash: none,
    },
    Scenario {
        name: "Great demand",
        says: "Answers for ten million ASY a day from the first day on, and full blocks.",
        answers: |_| 10_000_000.0,
        fees: |_| FULL_BLOCKS,
        wash: none,
    },
    Scenario {
        name: "Wash trading",
        says: "Answers for a million ASY a day, and a provider that pays itself as much each day, for its own model.",
        answers: steady,
        fees: |years| fees_of(2.0 * steady(years)),
        wash: steady,
    },
];
