//! What jobs and channels weigh, beside a transfer: the committed weights, not a measurement. It fails when a bar is
//! missed.

use std::process::ExitCode;

use assay_runtime::{AccountId, Runtime, RuntimeCall};
use frame_support::{
    dispatch::{DispatchClass, GetDispatchInfo},
    weights::{constants::WEIGHT_REF_TIME_PER_MILLIS, Weight},
};

/// Prompt and answer, in tokens.
const SIZES: [(u32, u32); 2] = [(128, 128), (4096, 4096)];
/// What a job may weigh in all, in milliseconds.
const BAR: f64 = 2.5;
/// What a settlement may weigh, alone and each of many, in transfers beside a signature check.
const SETTLE_BAR: f64 = 7.0;
const SETTLE_MANY_BAR: f64 = 3.0;
/// One check of a voucher's signature, in milliseconds, as channel/examples/vouchers measures it.
const SIGNATURE_CHECK: f64 = 0.06;

fn millis(weight: Weight) -> f64 {
    weight.ref_time() as f64 / WEIGHT_REF_TIME_PER_MILLIS as f64
}

fn transfer() -> Weight {
    let nobody = AccountId::new([0; 32]);
    let call = pallet_balances::Call::transfer_keep_alive {
        dest: nobody.into(),
        value: 1,
    };
    RuntimeCall::Balances(call).get_dispatch_info().call_weight
}

fn line(name: &str, weight: Weight) {
    let times = millis(weight) / millis(transfer());
    println!("  {name:<44}{:>9.3} ms{times:>9.1} x", millis(weight));
}

/// Says whether so much is within a bar in milliseconds. If not, what missed which bar.
fn hold(what: &str, weight: Weight, bar: f64, told: &str) -> Option<String> {
    let millis = millis(weight);
    let is_within = millis <= bar;
    let verdict = if is_within { "within" } else { "above" };
    println!("  {verdict} the bar of {told}");
    (!is_within).then(|| format!("{what} takes {millis:.3} ms, above the bar of {told}"))
}

fn main() -> ExitCode {
    println!("committed weights as time, the database included; the last column counts transfers");
    line("balances.transfer_keep_alive", transfer());
    let missed = [jobs(), channels()].concat();
    for one in &missed {
        eprintln!("weights: error: {one}");
    }
    match missed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// The bars that are missed.
fn jobs() -> Vec<String> {
    use pallet_jobs::WeightInfo;
    type Weights = <Runtime as pallet_jobs::Config>::WeightInfo;

    let base = <Runtime as frame_system::Config>::BlockWeights::get()
        .get(DispatchClass::Normal)
        .base_extrinsic;
    let max_draws = pallet_jobs::ParametersOf::<Runtime>::default().max_draws;
    println!(
        "what submit is charged beside itself: {max_draws} draws with a miss each, settle, remove"
    );
    line("with 1 offer", Weights::future(1, max_draws.into()));
    line("with 64 offers", Weights::future(64, max_draws.into()));
    let mut missed = Vec::new();
    for (prompt, answer) in SIZES {
        let submit = Weights::submit(prompt);
        let deliver = Weights::deliver(answer);
        let settle = Weights::settle();
        let sum = submit.saturating_add(deliver).saturating_add(settle);
        let step = Weights::draw(64).saturating_add(Weights::remove());
        let job = format!("a job of {prompt} tokens in and {answer} out");
        println!("{job}");
        line("submit", submit);
        line("deliver", deliver);
        line("settle", settle);
        line("submit + deliver + settle", sum);
        missed.extend(hold(&job, sum, BAR, &format!("{BAR} ms")));
        line("beyond the bar: draw (64 offers) + remove", step);
        line(
            "beyond the bar: 2 transactions around it",
            base.saturating_mul(2),
        );
    }
    missed
}

/// The bars that are missed.
fn channels() -> Vec<String> {
    use pallet_channels::{WeightInfo, MAX_VOUCHERS};
    type Weights = <Runtime as pallet_channels::Config>::WeightInfo;

    let settle_bar = |name: &str, weight: Weight, transfers: f64| {
        line(name, weight);
        let bar = transfers * millis(transfer()) + SIGNATURE_CHECK;
        let told = format!("{transfers} transfers and a signature check, {bar:.3} ms");
        hold(name, weight, bar, &told)
    };
    let many = Weights::settle_many(MAX_VOUCHERS) / u64::from(MAX_VOUCHERS);
    println!("a channel, whatever it pays for");
    line("open", Weights::open());
    line("what open is charged beside itself", Weights::future());
    let settle = settle_bar("settle", Weights::settle(), SETTLE_BAR);
    let each = settle_bar("settle_many, each of 100", many, SETTLE_MANY_BAR);
    line("pay_dues", Weights::pay_dues());
    settle.into_iter().chain(each).collect()
}
