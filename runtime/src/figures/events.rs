//! What a block brought, counted from its events.

use super::{add, count, referenda, validators, Figure, Kind};
use crate::{Balance, Runtime, RuntimeEvent, System};
use alloc::vec::Vec;
use assay_primitives::{Outcome, Settlement};
use pallet_channels::Event as ChannelEvent;
use pallet_disputes::{Event as DisputeEvent, Verdict};
use pallet_jobs::Event as JobEvent;
use pallet_providers::Event as ProviderEvent;
use pallet_transaction_payment::Event as PaymentEvent;

const TRANSACTIONS: Kind = Kind::new(
    "assay_transactions_total",
    "Signed transactions, those that failed included.",
);
const FEES: Kind = Kind::new(
    "assay_transaction_fees_asy_total",
    "Fees and tips of transactions.",
);
const JOBS: Kind = Kind::new("assay_jobs_total", "What happened to jobs.");
const CHANNELS: Kind = Kind::new(
    "assay_channels_total",
    "What happened to payment channels; settled: how often vouchers were.",
);
const SETTLED: Kind = Kind::new(
    "assay_settled_asy_total",
    "What users paid for answers, by who had it.",
);
const DISPUTES: Kind = Kind::new(
    "assay_disputes_total",
    "Disputes that began, and how they ended.",
);
const CONVICTIONS: Kind = Kind::new(
    "assay_convictions_total",
    "Wrong answers that were proven, with a dispute or without.",
);
const PROVIDERS_LOST: Kind = Kind::new(
    "assay_provider_slashed_asy_total",
    "What providers lost for broken promises: wrong answers, and deadlines that they missed.",
);
const PROVIDERS_REWARDED: Kind = Kind::new(
    "assay_provider_rewards_asy_total",
    "What providers got back of what their settlements burned.",
);

#[derive(Default)]
struct Tally {
    transactions: u64,
    fees: Balance,
    jobs: Jobs,
    channels: Channels,
    settled: Settlement,
    disputes: Disputes,
    convictions: u64,
    wrong_answers: Balance,
    missed_deadlines: Balance,
    rewards: Balance,
    referenda: referenda::Tally,
    validators: validators::Tally,
}

#[derive(Default)]
struct Jobs {
    submitted: u64,
    assigned: u64,
    nobody_eligible: u64,
    declined: u64,
    missed: u64,
    delivered: u64,
    settled: u64,
    refunded: u64,
    slashed: u64,
}

#[derive(Default)]
struct Channels {
    opened: u64,
    topped_up: u64,
    settled: u64,
    close_requested: u64,
    closed: u64,
}

#[derive(Default)]
struct Disputes {
    opened: u64,
    convicted: u64,
    acquitted: u64,
    superseded: u64,
    model_broken: u64,
}

pub fn brought() -> Vec<Figure> {
    let mut tally = Tally::default();
    for record in System::read_events_no_consensus() {
        match record.event {
            RuntimeEvent::TransactionPayment(event) => tally.payment(event),
            RuntimeEvent::Jobs(event) => tally.job(event),
            RuntimeEvent::Channels(event) => tally.channel(event),
            RuntimeEvent::Disputes(event) => tally.dispute(event),
            RuntimeEvent::Providers(event) => tally.provider(event),
            RuntimeEvent::Referenda(event) => tally.referenda.referendum(event),
            RuntimeEvent::Scheduler(event) => tally.referenda.enactment(event),
            other => tally.validators.event(other),
        }
    }
    tally.figures()
}

impl Tally {
    fn payment(&mut self, event: PaymentEvent<Runtime>) {
        let PaymentEvent::TransactionFeePaid { actual_fee, .. } = event;
        count(&mut self.transactions);
        add(&mut self.fees, actual_fee);
    }

    fn job(&mut self, event: JobEvent<Runtime>) {
        let jobs = &mut self.jobs;
        match event {
            JobEvent::Submitted { .. } => count(&mut jobs.submitted),
            JobEvent::Assigned { .. } => count(&mut jobs.assigned),
            JobEvent::NobodyEligible { .. } => count(&mut jobs.nobody_eligible),
            JobEvent::SentBack { outcome, .. } => match outcome {
                Outcome::Declined => count(&mut jobs.declined),
                Outcome::Missed | Outcome::Delivered => count(&mut jobs.missed),
            },
            JobEvent::Delivered { .. } => count(&mut jobs.delivered),
            JobEvent::Settled { settlement, .. } => {
                count(&mut jobs.settled);
                self.settled = self.settled.saturating_add(settlement);
            }
            JobEvent::Refunded { .. } => count(&mut jobs.refunded),
            JobEvent::Slashed { .. } => count(&mut jobs.slashed),
            _ => {}
        }
    }

    fn channel(&mut self, event: ChannelEvent<Runtime>) {
        let channels = &mut self.channels;
        match event {
            ChannelEvent::Opened { .. } => count(&mut channels.opened),
            ChannelEvent::ToppedUp { .. } => count(&mut channels.topped_up),
            ChannelEvent::Settled { settlement, .. } => {
                count(&mut channels.settled);
                self.settled = self.settled.saturating_add(settlement);
            }
            ChannelEvent::CloseRequested { .. } => count(&mut channels.close_requested),
            ChannelEvent::Closed { .. } => count(&mut channels.closed),
            _ => {}
        }
    }

    fn dispute(&mut self, event: DisputeEvent<Runtime>) {
        let disputes = &mut self.disputes;
        match event {
            DisputeEvent::Opened { .. } => count(&mut disputes.opened),
            DisputeEvent::Convicted { .. } => count(&mut self.convictions),
            DisputeEvent::Ended { verdict, .. } => count(match verdict {
                Verdict::Convicted => &mut disputes.convicted,
                Verdict::Acquitted => &mut disputes.acquitted,
                Verdict::Superseded => &mut disputes.superseded,
                Verdict::ModelBroken => &mut disputes.model_broken,
            }),
            _ => {}
        }
    }

    fn provider(&mut self, event: ProviderEvent<Runtime>) {
        match event {
            ProviderEvent::Slashed { bond, earnings, .. } => {
                add(&mut self.wrong_answers, bond);
                add(&mut self.wrong_answers, earnings);
            }
            ProviderEvent::Compensated { amount, burned, .. } => {
                add(&mut self.missed_deadlines, amount);
                add(&mut self.missed_deadlines, burned);
            }
            ProviderEvent::Rewarded { amount, .. } => add(&mut self.rewards, amount),
            _ => {}
        }
    }

    fn figures(self) -> Vec<Figure> {
        let Self {
            jobs,
            channels,
            settled,
            disputes,
            ..
        } = &self;
        let jobs = [
            ("submitted", jobs.submitted),
            ("assigned", jobs.assigned),
            ("nobody_eligible", jobs.nobody_eligible),
            ("declined", jobs.declined),
            ("missed", jobs.missed),
            ("delivered", jobs.delivered),
            ("settled", jobs.settled),
            ("refunded", jobs.refunded),
            ("slashed", jobs.slashed),
        ];
        let channels = [
            ("opened", channels.opened),
            ("topped_up", channels.topped_up),
            ("settled", channels.settled),
            ("close_requested", channels.close_requested),
            ("closed", channels.closed),
        ];
        let settled = [
            ("provider", settled.provider),
            ("publisher", settled.royalty),
            ("treasury", settled.treasury),
            ("burned", settled.burned),
        ];
        let disputes = [
            ("opened", disputes.opened),
            ("convicted", disputes.convicted),
            ("acquitted", disputes.acquitted),
            ("superseded", disputes.superseded),
            ("model_broken", disputes.model_broken),
        ];
        let lost = [
            ("wrong_answer", self.wrong_answers),
            ("missed_deadline", self.missed_deadlines),
        ];
        let mut figures = Vec::from([
            TRANSACTIONS.number(self.transactions),
            FEES.money(self.fees),
            CONVICTIONS.number(self.convictions),
            PROVIDERS_REWARDED.money(self.rewards),
        ]);
        figures.extend(JOBS.numbers("event", jobs));
        figures.extend(CHANNELS.numbers("event", channels));
        figures.extend(SETTLED.moneys("to", settled));
        figures.extend(DISPUTES.numbers("event", disputes));
        figures.extend(PROVIDERS_LOST.moneys("reason", lost));
        figures.extend(self.referenda.figures());
        figures.extend(self.validators.figures());
        figures
    }
}
