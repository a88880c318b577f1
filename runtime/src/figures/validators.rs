//! Validators: what they have at stake, and how the one of a node is doing.

use super::{
    add, count,
    walk::{start, walk},
    Figure, Kind, Value,
};
use crate::{Balance, Runtime, RuntimeEvent, Session, Validators};
use alloc::vec::Vec;
use pallet_validators::{
    Bonds, Candidates, Elected, EraProgress, EraRewards, Event, Params, Points, Role, Unpaid,
};
use sp_core::crypto::key_types::BABE;
use sp_runtime::Permill;

const ERA: Kind = Kind::new("assay_era", "The era, counted from 0 at genesis.");
const SESSION: Kind = Kind::new("assay_session", "The session, counted from 0 at genesis.");
const ERA_POINTS: Kind = Kind::new(
    "assay_era_points",
    "Blocks of this era, which its pot is divided by.",
);
const POT: Kind = Kind::new(
    "assay_reward_pot_asy",
    "What validators are to get for this era so far.",
);
const UNPAID: Kind = Kind::new(
    "assay_rewards_unpaid_asy",
    "What validators can have paid out of eras that are over.",
);
const MEMBERS: Kind = Kind::new(
    "assay_validators",
    "Validators of this session, of the last election, disabled ones, and who stands for election.",
);
const MIN_BOND: Kind = Kind::new(
    "assay_validator_min_bond_asy",
    "The least bond with which a validator is elected.",
);
const STAKERS: Kind = Kind::new(
    "assay_stakers",
    "Accounts with a bond, by what they do with it.",
);
const STAKE: Kind = Kind::new(
    "assay_stake_asy",
    "What is bonded for validators, by what it does; unbonding: what is on its way out.",
);

const OFFENCES: Kind = Kind::new(
    "assay_offences_total",
    "Equivocations that were reported, by where: making blocks (babe) or finalising them (grandpa).",
);
const SLASHED: Kind = Kind::new(
    "assay_validator_slashed_asy_total",
    "What validators and nominators lost for offences.",
);
const REWARDS: Kind = Kind::new(
    "assay_validator_rewards_asy_total",
    "What validators and nominators were paid.",
);
const MINTED: Kind = Kind::new(
    "assay_validator_emission_asy_total",
    "What was minted for validators.",
);

const OWN_BOND: Kind = Kind::new(
    "assay_own_bond_asy",
    "The bond of this node's validator, without what is unbonding.",
);
const OWN_BACKING: Kind = Kind::new(
    "assay_own_backing_asy",
    "What nominators have behind this node's validator in this era.",
);
const OWN_COMMISSION: Kind = Kind::new(
    "assay_own_commission_ratio",
    "The share of its nominators' reward that this node's validator keeps.",
);
const OWN_CANDIDATE: Kind = Kind::new(
    "assay_own_candidate",
    "1 while this node's validator stands for election.",
);
const OWN_ELECTED: Kind = Kind::new(
    "assay_own_elected",
    "1 if the last election has elected this node's validator.",
);
const OWN_ACTIVE: Kind = Kind::new(
    "assay_own_active",
    "1 while this node's validator is in the session's set.",
);
const OWN_DISABLED: Kind = Kind::new(
    "assay_own_disabled",
    "1 while this node's validator is disabled for an offence.",
);
const OWN_POINTS: Kind = Kind::new(
    "assay_own_era_points",
    "Blocks of this node's validator in this era.",
);
const OWN_UNPAID: Kind = Kind::new(
    "assay_own_unpaid_eras",
    "Eras that are over for which this node's validator can still be paid.",
);

pub fn overview() -> impl Iterator<Item = Figure> {
    let len = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
    let members = [
        ("active", len(Session::validators().len())),
        ("elected", len(Elected::<Runtime>::get().len())),
        ("disabled", len(Session::disabled_validators().len())),
        ("candidates", len(Candidates::<Runtime>::get().len())),
    ];
    [
        ERA.number(Validators::active_era().into()),
        SESSION.number(Session::current_index().into()),
        ERA_POINTS.number(EraProgress::<Runtime>::get().points.into()),
        POT.money(Validators::pot_so_far()),
        UNPAID.money(Unpaid::<Runtime>::get()),
        MIN_BOND.money(Params::<Runtime>::get().min_validator_bond),
    ]
    .into_iter()
    .chain(MEMBERS.numbers("set", members))
}

pub fn records(after: Vec<u8>) -> (Vec<Figure>, Option<Vec<u8>>) {
    type Map = Bonds<Runtime>;
    let [mut validators, mut nominators, mut idle] = [(0, 0); 3];
    let mut unbonding: Balance = 0;
    let records = Map::iter_from(start(after, Map::map_storage_final_prefix()));
    let last = walk(records, |bond| {
        let (number, stake) = match bond.role {
            Role::Validator { .. } => &mut validators,
            Role::Nominator { .. } => &mut nominators,
            Role::Idle => &mut idle,
        };
        count(number);
        add(stake, bond.amount);
        for chunk in &bond.unbonding {
            add(&mut unbonding, chunk.amount);
        }
    });
    let accounts = [
        ("validator", validators.0),
        ("nominator", nominators.0),
        ("idle", idle.0),
    ];
    let stakes = [
        ("validator", validators.1),
        ("nominator", nominators.1),
        ("idle", idle.1),
        ("unbonding", unbonding),
    ];
    let figures = STAKERS
        .numbers("role", accounts)
        .chain(STAKE.moneys("role", stakes));
    (figures.collect(), last)
}

/// What events say of validators.
#[derive(Default)]
pub struct Tally {
    babe: u64,
    grandpa: u64,
    slashed: Balance,
    rewards: Balance,
    minted: Balance,
}

impl Tally {
    pub fn event(&mut self, event: RuntimeEvent) {
        match event {
            RuntimeEvent::Offences(pallet_offences::Event::Offence { kind, .. }) => {
                match kind.starts_with(b"babe") {
                    true => count(&mut self.babe),
                    false => count(&mut self.grandpa),
                }
            }
            RuntimeEvent::Validators(Event::Slashed { amount, .. }) => {
                add(&mut self.slashed, amount);
            }
            RuntimeEvent::Validators(Event::RewardPaid {
                own, nominators, ..
            }) => {
                add(&mut self.rewards, own);
                add(&mut self.rewards, nominators);
            }
            RuntimeEvent::Validators(Event::EraRewarded { minted, .. }) => {
                add(&mut self.minted, minted);
            }
            _ => {}
        }
    }

    pub fn figures(&self) -> impl Iterator<Item = Figure> {
        let kinds = [("babe", self.babe), ("grandpa", self.grandpa)];
        let moneys = [
            SLASHED.money(self.slashed),
            REWARDS.money(self.rewards),
            MINTED.money(self.minted),
        ];
        OFFENCES.numbers("kind", kinds).chain(moneys)
    }
}

pub fn of_key(babe: &[u8]) -> Vec<Figure> {
    let Some(who) = Session::key_owner(BABE, babe) else {
        return Vec::new();
    };
    let (bond, commission) = match Bonds::<Runtime>::get(&who) {
        Some(bond) => match bond.role {
            Role::Validator { commission } => (bond.amount, commission),
            _ => (bond.amount, Permill::zero()),
        },
        None => (0, Permill::zero()),
    };
    let era = Validators::active_era();
    let backing = Validators::exposure(era, who.clone())
        .map_or(0, |exposure| exposure.total().saturating_sub(exposure.own));
    let place = Session::validators()
        .iter()
        .position(|member| *member == who);
    let is_disabled = place
        .and_then(|place| u32::try_from(place).ok())
        .is_some_and(|place| Session::disabled_validators().contains(&place));
    // No more eras than offences can be reported in.
    let unpaid = EraRewards::<Runtime>::iter_keys()
        .filter(|era| Points::<Runtime>::get(era, &who) > 0)
        .fold(0u64, |sum, _| sum.saturating_add(1));
    [
        OWN_BOND.money(bond),
        OWN_BACKING.money(backing),
        OWN_COMMISSION.one(Value::Share(commission.deconstruct())),
        OWN_CANDIDATE.number(Candidates::<Runtime>::get().contains(&who).into()),
        OWN_ELECTED.number(Elected::<Runtime>::get().contains(&who).into()),
        OWN_ACTIVE.number(place.is_some().into()),
        OWN_DISABLED.number(is_disabled.into()),
        OWN_POINTS.number(Points::<Runtime>::get(era, &who).into()),
        OWN_UNPAID.number(unpaid),
    ]
    .into()
}
