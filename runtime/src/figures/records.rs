//! What there is, counted from the records. Their number has no bound that a single call could
//! keep to, so that they come in pages.

use super::{
    add, count, referenda, validators,
    walk::{start, walk},
    Figure, Kind,
};
use crate::{treasury_account, Balance, Balances, Models, Runtime};
use alloc::{vec, vec::Vec};
use codec::{Decode, Encode};
use frame_support::{storage::StoragePrefixedMap, traits::fungible::Inspect};
use pallet_channels::ChannelState;
use pallet_jobs::JobState;
use pallet_models::ListingStatus;
use scale_info::TypeInfo;

/// Where a page begins.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, TypeInfo)]
pub struct Cursor {
    book: u8,
    /// The raw key of the last record that was looked at; empty at a book's beginning.
    after: Vec<u8>,
}

/// Everything that is a number of its own, or of which there are only a few.
const OVERVIEW: u8 = 0;
const JOBS: u8 = 1;
const CHANNELS: u8 = 2;
const PROVIDERS: u8 = 3;
const DISPUTES: u8 = 4;
const LISTINGS: u8 = 5;
const VALIDATORS: u8 = 6;
const REFERENDA: u8 = 7;

const ISSUANCE: Kind = Kind::new("assay_issuance_asy", "All ASY that exist.");
const TREASURY: Kind = Kind::new("assay_treasury_asy", "What the treasury has.");
const ROYALTIES: Kind = Kind::new(
    "assay_royalties_asy",
    "Royalties that no publisher has claimed yet.",
);
const PAUSED: Kind = Kind::new(
    "assay_disputes_paused",
    "1 while governance has stopped all clocks of disputes, else 0.",
);
const JOB_RECORDS: Kind = Kind::new(
    "assay_jobs",
    "Jobs by state, those that are over as long as their record is kept.",
);
const ESCROW: Kind = Kind::new(
    "assay_job_escrow_asy",
    "What users have on hold for their jobs.",
);
const CHANNEL_RECORDS: Kind = Kind::new(
    "assay_channels",
    "Payment channels by state, closed ones as long as their record is kept.",
);
const DEPOSITS: Kind = Kind::new(
    "assay_channel_deposits_asy",
    "What users have on hold for their channels.",
);
const PROVIDER_RECORDS: Kind = Kind::new("assay_providers", "Providers by state.");
const BONDS: Kind = Kind::new(
    "assay_provider_bonds_asy",
    "Bonds of providers, by whether they answer for new work or are on their way out.",
);
const EXPOSURE: Kind = Kind::new(
    "assay_provider_exposure_asy",
    "What providers answer for with their bonds, by kind of work.",
);
const MATURING: Kind = Kind::new(
    "assay_provider_maturing_asy",
    "Earnings of providers that can still be forfeited.",
);
const DISPUTE_RECORDS: Kind = Kind::new(
    "assay_disputes",
    "Disputes that are not over, by whether their clock runs.",
);
const CHALLENGES: Kind = Kind::new(
    "assay_dispute_bonds_asy",
    "What challengers have at stake in disputes.",
);
const LISTING_RECORDS: Kind = Kind::new("assay_listings", "Listed models by state.");

pub fn page(from: Option<Cursor>) -> (Vec<Figure>, Option<Cursor>) {
    let Cursor { book, after } = from.unwrap_or_default();
    let (figures, last) = match book {
        OVERVIEW => (overview(), None),
        JOBS => jobs(after),
        CHANNELS => channels(after),
        PROVIDERS => providers(after),
        DISPUTES => disputes(after),
        LISTINGS => listings(after),
        VALIDATORS => validators::records(after),
        REFERENDA => referenda::records(after),
        _ => return (Vec::new(), None),
    };
    let next = match last {
        Some(after) => Some(Cursor { book, after }),
        None if book < REFERENDA => Some(Cursor {
            book: book.saturating_add(1),
            after: Vec::new(),
        }),
        None => None,
    };
    (figures, next)
}

fn overview() -> Vec<Figure> {
    let paused =
        pallet_disputes::LastPause::<Runtime>::get().is_some_and(|pause| pause.until.is_none());
    let mut figures = vec![
        ISSUANCE.money(Balances::total_issuance()),
        TREASURY.money(Balances::balance(&treasury_account())),
        ROYALTIES.money(Balances::balance(&Models::account_id())),
        PAUSED.number(paused.into()),
        referenda::overview(),
    ];
    figures.extend(validators::overview());
    figures
}

fn jobs(after: Vec<u8>) -> (Vec<Figure>, Option<Vec<u8>>) {
    type Map = pallet_jobs::Jobs<Runtime>;
    let [mut waiting, mut assigned, mut delivered] = [0; 3];
    let [mut settled, mut refunded, mut slashed] = [0; 3];
    let mut escrow: Balance = 0;
    let last = walk(Map::iter_from(start(after, Map::final_prefix())), |job| {
        count(match job.state {
            JobState::Waiting { .. } => &mut waiting,
            JobState::Assigned(_) => &mut assigned,
            JobState::Delivered(..) => &mut delivered,
            JobState::Settled { .. } => &mut settled,
            JobState::Refunded { .. } => &mut refunded,
            JobState::Slashed { .. } => &mut slashed,
        });
        add(&mut escrow, job.escrow);
    });
    let states = [
        ("waiting", waiting),
        ("assigned", assigned),
        ("delivered", delivered),
        ("settled", settled),
        ("refunded", refunded),
        ("slashed", slashed),
    ];
    let mut figures: Vec<Figure> = JOB_RECORDS.numbers("state", states).collect();
    figures.push(ESCROW.money(escrow));
    (figures, last)
}

fn channels(after: Vec<u8>) -> (Vec<Figure>, Option<Vec<u8>>) {
    type Map = pallet_channels::Channels<Runtime>;
    let [mut open, mut closing, mut closed] = [0; 3];
    let mut deposits: Balance = 0;
    let last = walk(
        Map::iter_from(start(after, Map::final_prefix())),
        |channel| {
            count(match channel.state {
                ChannelState::Open => &mut open,
                ChannelState::Closing { .. } => &mut closing,
                ChannelState::Closed { .. } => &mut closed,
            });
            add(&mut deposits, channel.on_hold());
        },
    );
    let states = [("open", open), ("closing", closing), ("closed", closed)];
    let mut figures: Vec<Figure> = CHANNEL_RECORDS.numbers("state", states).collect();
    figures.push(DEPOSITS.money(deposits));
    (figures, last)
}

fn providers(after: Vec<u8>) -> (Vec<Figure>, Option<Vec<u8>>) {
    type Map = pallet_providers::Providers<Runtime>;
    let [mut online, mut offline] = [0; 2];
    let [mut active, mut unbonding, mut of_jobs, mut of_channels, mut maturing] = [0; 5];
    let records = Map::iter_from(start(after, Map::map_storage_final_prefix()));
    let last = walk(records, |provider| {
        count(match provider.online {
            true => &mut online,
            false => &mut offline,
        });
        add(&mut active, provider.bond);
        for chunk in &provider.unbonding {
            add(&mut unbonding, chunk.amount);
        }
        add(&mut of_jobs, provider.exposure);
        add(&mut of_channels, provider.channel_exposure);
        add(&mut maturing, provider.maturing);
    });
    let states = [("online", online), ("offline", offline)];
    let mut figures: Vec<Figure> = PROVIDER_RECORDS.numbers("state", states).collect();
    figures.extend(BONDS.moneys("state", [("active", active), ("unbonding", unbonding)]));
    figures.extend(EXPOSURE.moneys("work", [("jobs", of_jobs), ("channels", of_channels)]));
    figures.push(MATURING.money(maturing));
    (figures, last)
}

fn disputes(after: Vec<u8>) -> (Vec<Figure>, Option<Vec<u8>>) {
    type Map = pallet_disputes::Disputes<Runtime>;
    let [mut running, mut waiting] = [0; 2];
    let mut bonds: Balance = 0;
    let last = walk(
        Map::iter_from(start(after, Map::final_prefix())),
        |dispute| {
            count(match dispute.deadline {
                Some(_) => &mut running,
                None => &mut waiting,
            });
            add(&mut bonds, dispute.bond);
        },
    );
    let states = [("running", running), ("waiting", waiting)];
    let mut figures: Vec<Figure> = DISPUTE_RECORDS.numbers("state", states).collect();
    figures.push(CHALLENGES.money(bonds));
    (figures, last)
}

fn listings(after: Vec<u8>) -> (Vec<Figure>, Option<Vec<u8>>) {
    type Map = pallet_models::Listings<Runtime>;
    let [mut active, mut retired, mut frozen] = [0; 3];
    let last = walk(
        Map::iter_from(start(after, Map::final_prefix())),
        |listing| {
            count(match listing.status {
                ListingStatus::Active => &mut active,
                ListingStatus::Retired => &mut retired,
                ListingStatus::Frozen => &mut frozen,
            });
        },
    );
    let states = [("active", active), ("retired", retired), ("frozen", frozen)];
    (LISTING_RECORDS.numbers("state", states).collect(), last)
}
