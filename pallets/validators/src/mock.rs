use crate as pallet_validators;
use crate::{BondRecordOf, ExposureOf, HoldReason, Parameters};
use assay_primitives::{Balance, EraEnded, EraIndex};
use codec::Encode;
use frame_support::{
    derive_impl, parameter_types,
    traits::{
        fungible::{Inspect, InspectHold},
        tokens::imbalance::ResolveTo,
        ConstU128, ConstU32, ConstU64, FindAuthor, OnFinalize, OnInitialize,
    },
    weights::constants::RocksDbWeight,
    PalletId,
};
use frame_system::EnsureRoot;
use pallet_session::historical as pallet_session_historical;
use sp_core::H256;
use sp_runtime::{
    impl_opaque_keys, testing::UintAuthorityId, traits::ConvertInto, BuildStorage,
    ConsensusEngineId, DispatchResult, Perbill, Permill,
};
use sp_staking::{
    offence::{Kind, Offence, ReportOffence},
    SessionIndex,
};

pub const EXISTENTIAL_DEPOSIT: Balance = 100;
pub const KEY_DEPOSIT: Balance = 7;
pub const ENDOWMENT: Balance = 100_000_000;
/// The least of a validator.
pub const BOND: Balance = 1_000_000;
/// The least of a nominator.
pub const LITTLE: Balance = 10_000;
pub const SESSION_BLOCKS: u64 = 5;

/// Validators from genesis on.
pub const VERA: u64 = 1;
pub const VITO: u64 = 2;
pub const VIGO: u64 = 3;
pub const VANJA: u64 = 4;
/// With keys, without a bond.
pub const KARL: u64 = 5;
/// Nominators.
pub const NORA: u64 = 11;
pub const NED: u64 = 12;
pub const NINA: u64 = 13;
/// Somebody with no part in anything.
pub const SAM: u64 = 20;
/// Somebody without an account.
pub const NOBODY: u64 = 77;
pub const TREASURY: u64 = 99;

impl_opaque_keys! {
    pub struct Keys {
        pub dummy: UintAuthorityId,
    }
}

frame_support::construct_runtime!(
    pub enum Test {
        System: frame_system,
        Timestamp: pallet_timestamp,
        Balances: pallet_balances,
        Offences: pallet_offences,
        Historical: pallet_session_historical,
        Validators: pallet_validators,
        Session: pallet_session,
        Authorship: pallet_authorship,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = frame_system::mocking::MockBlock<Test>;
    type BaseCallFilter = crate::KeysStay<Test>;
    type AccountData = pallet_balances::AccountData<Balance>;
    type DbWeight = RocksDbWeight;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = Balance;
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
    type AccountStore = System;
}

impl pallet_timestamp::Config for Test {
    type Moment = u64;
    type OnTimestampSet = ();
    type MinimumPeriod = ConstU64<1>;
    type WeightInfo = ();
}

parameter_types! {
    pub const TreasuryAccount: u64 = TREASURY;
    pub const RewardPot: PalletId = PalletId(*b"asy/rwrd");
    /// Who makes blocks.
    pub static Author: Option<u64> = None;
    /// The eras whose end was told, in order.
    pub static EndedEras: Vec<EraIndex> = Vec::new();
}

pub struct NoteEra;

impl EraEnded for NoteEra {
    fn era_ended(era: EraIndex, _: u64) {
        EndedEras::mutate(|eras| eras.push(era));
    }
}

pub struct FromAuthor;

impl FindAuthor<u64> for FromAuthor {
    fn find_author<'a, I>(_: I) -> Option<u64>
    where
        I: 'a + IntoIterator<Item = (ConsensusEngineId, &'a [u8])>,
    {
        Author::get()
    }
}

impl pallet_authorship::Config for Test {
    type FindAuthor = FromAuthor;
    type EventHandler = Validators;
}

impl pallet_session::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = u64;
    type ValidatorIdOf = ConvertInto;
    type ShouldEndSession = pallet_session::PeriodicSessions<ConstU64<SESSION_BLOCKS>, ConstU64<0>>;
    type NextSessionRotation =
        pallet_session::PeriodicSessions<ConstU64<SESSION_BLOCKS>, ConstU64<0>>;
    type SessionManager = pallet_session_historical::NoteHistoricalRoot<Test, Validators>;
    type SessionHandler = pallet_session::TestSessionHandler;
    type Keys = Keys;
    type DisablingStrategy = pallet_session::disabling::UpToLimitWithReEnablingDisablingStrategy;
    type WeightInfo = ();
    type Currency = Balances;
    type KeyDeposit = ConstU128<KEY_DEPOSIT>;
}

impl pallet_session_historical::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type FullIdentification = ();
    type FullIdentificationOf = crate::IdentifiedByAccount;
}

impl pallet_offences::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type IdentificationTuple = pallet_session_historical::IdentificationTuple<Self>;
    type OnOffenceHandler = Validators;
}

impl crate::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type OnSlash = ResolveTo<TreasuryAccount, Balances>;
    type AdminOrigin = EnsureRoot<u64>;
    type MaxValidators = ConstU32<8>;
    type MaxCandidates = ConstU32<8>;
    type MaxNominators = ConstU32<3>;
    type MaxSlashes = ConstU32<2>;
    type MaxUnbondingChunks = ConstU32<30>;
    type WeightInfo = ();
    type Time = Timestamp;
    type RewardPot = RewardPot;
    type EraEnded = NoteEra;
}

pub fn parameters() -> Parameters {
    Parameters {
        min_validator_bond: BOND,
        min_nominator_bond: LITTLE,
        min_validators: 2,
        sessions_per_era: 3,
        bonding_sessions: 6,
        reporter_share: Permill::from_percent(10),
        ..Default::default()
    }
}

pub struct TestExt {
    bonded: Vec<(u64, Balance)>,
    with_keys: Vec<u64>,
    parameters: Parameters,
    validator_count: u32,
}

impl TestExt {
    /// Four validators with the least bond.
    pub fn new() -> Self {
        Self::of(&[VERA, VITO, VIGO, VANJA])
    }

    /// These validators, with the least bond each, and Karl.
    pub fn of(validators: &[u64]) -> Self {
        Self {
            bonded: validators.iter().map(|who| (*who, BOND)).collect(),
            with_keys: validators.iter().copied().chain([KARL]).collect(),
            parameters: parameters(),
            validator_count: 4,
        }
    }

    /// Only these have session keys.
    pub fn with_keys(mut self, with_keys: &[u64]) -> Self {
        self.with_keys = with_keys.to_vec();
        self
    }

    pub fn seats(mut self, validator_count: u32) -> Self {
        self.validator_count = validator_count;
        self
    }

    pub fn parameters(mut self, change: impl FnOnce(&mut Parameters)) -> Self {
        change(&mut self.parameters);
        self
    }

    pub fn build(self) -> sp_io::TestExternalities {
        let rich = (1..=SAM).map(|who| (who, ENDOWMENT));
        let chain = [TREASURY, Validators::pot_account()].map(|who| (who, EXISTENTIAL_DEPOSIT));
        let keys = self.with_keys.iter().map(|who| (*who, *who, keys(*who)));
        let config = RuntimeGenesisConfig {
            balances: pallet_balances::GenesisConfig {
                balances: rich.chain(chain).collect(),
                dev_accounts: None,
            },
            validators: pallet_validators::GenesisConfig {
                validators: self.bonded,
                validator_count: self.validator_count,
                parameters: self.parameters,
            },
            session: pallet_session::GenesisConfig {
                keys: keys.collect(),
                non_authority_keys: Vec::new(),
            },
            ..Default::default()
        };
        config.build_storage().unwrap().into()
    }

    /// Run a story from block 1 on, then check that the books are in order.
    pub fn execute_with<R>(self, story: impl FnOnce() -> R) -> R {
        let mut ext = self.build();
        Author::set(None);
        EndedEras::set(Vec::new());
        ext.execute_with(|| {
            run_to(1);
            let result = story();
            check_books();
            result
        })
    }
}

pub fn check_books() {
    Validators::do_try_state().unwrap();
    let sum: Balance = frame_system::Account::<Test>::iter_values()
        .map(|account| account.data.free + account.data.reserved)
        .sum();
    assert_eq!(
        sum,
        Balances::total_issuance(),
        "money came from nowhere or went there"
    );
}

/// Go on to this block, through the hooks of every block between.
pub fn run_to(block: u64) {
    while System::block_number() < block {
        let now = System::block_number();
        if now > 0 {
            AllPalletsWithSystem::on_finalize(now);
        }
        System::initialize(&(now + 1), &H256::from_low_u64_be(now), &Default::default());
        AllPalletsWithSystem::on_initialize(now + 1);
        Timestamp::set_timestamp((now + 1) * 6_000);
    }
}

/// Go on to the first block of this session.
pub fn run_to_session(session: SessionIndex) {
    run_to(u64::from(session) * SESSION_BLOCKS);
    assert_eq!(Session::current_index(), session);
}

/// The keys with this number.
pub fn keys(number: u64) -> Keys {
    Keys {
        dummy: UintAuthorityId(number),
    }
}

/// What shows that `who` has the private keys to those with this number.
pub fn keys_proof(who: u64, number: u64) -> Vec<u8> {
    let mut keys = keys(number);
    keys.create_ownership_proof(&who.encode()).unwrap().encode()
}

pub fn set_keys(who: u64, number: u64) -> DispatchResult {
    let by = RuntimeOrigin::signed(who);
    Session::set_keys(by, keys(number), keys_proof(who, number))
}

/// Bond, set keys with the account's own number and stand for election without commission.
pub fn validate(who: u64, bond: Balance) -> DispatchResult {
    Validators::bond(RuntimeOrigin::signed(who), bond)?;
    set_keys(who, who)?;
    Validators::validate(RuntimeOrigin::signed(who), Permill::zero())
}

/// Bond and back a validator.
pub fn nominate(who: u64, bond: Balance, validator: u64) -> DispatchResult {
    Validators::bond(RuntimeOrigin::signed(who), bond)?;
    Validators::nominate(RuntimeOrigin::signed(who), validator)
}

pub fn chill(who: u64) -> DispatchResult {
    Validators::chill(RuntimeOrigin::signed(who))
}

pub fn unbond(who: u64, amount: Balance) -> DispatchResult {
    Validators::unbond(RuntimeOrigin::signed(who), amount)
}

pub fn withdraw(who: u64) -> DispatchResult {
    Validators::withdraw_unbonded(RuntimeOrigin::signed(who))
}

/// Two blocks or votes for one place, with the price that BABE and GRANDPA ask for it.
pub struct Equivocation {
    pub session: SessionIndex,
    pub validators: u32,
    pub offender: u64,
    pub slot: u64,
}

impl Offence<(u64, ())> for Equivocation {
    const ID: Kind = *b"test:equivocatio";
    type Slot = u64;

    fn offenders(&self) -> Vec<(u64, ())> {
        vec![(self.offender, ())]
    }

    fn session_index(&self) -> SessionIndex {
        self.session
    }

    fn validator_set_count(&self) -> u32 {
        self.validators
    }

    fn slot(&self) -> u64 {
        self.slot
    }

    fn slash_fraction(&self, offenders: u32) -> Perbill {
        Perbill::from_rational(3 * offenders, self.validators).square()
    }
}

/// Sam reports that this member of a set of four offended in this session, and what it costs is taken.
pub fn report(offender: u64, session: SessionIndex, slot: u64) -> bool {
    report_by(vec![SAM], offender, session, slot)
}

pub fn report_by(reporters: Vec<u64>, offender: u64, session: SessionIndex, slot: u64) -> bool {
    let is_new = hear_of(reporters, offender, session, slot);
    carry_out_all();
    is_new
}

/// As many blocks as slashes need.
pub fn carry_out_all() {
    while Validators::slashes_are_due() {
        Validators::carry_out_slashes();
    }
}

/// These report an offence; nothing is taken yet.
pub fn hear_of(reporters: Vec<u64>, offender: u64, session: SessionIndex, slot: u64) -> bool {
    let offence = Equivocation {
        session,
        validators: 4,
        offender,
        slot,
    };
    Offences::report_offence(reporters, offence).is_ok()
}

pub fn bond(who: u64) -> Option<BondRecordOf<Test>> {
    crate::Bonds::<Test>::get(who)
}

pub fn exposure(era: u32, validator: u64) -> ExposureOf<Test> {
    crate::Exposures::<Test>::get(era, validator).unwrap()
}

/// The members of the present session's set that may not make blocks.
pub fn disabled() -> Vec<u64> {
    let set = Session::validators();
    let indices = Session::disabled_validators().into_iter();
    indices.map(|index| set[index as usize]).collect()
}

pub fn free(who: u64) -> Balance {
    Balances::balance(&who)
}

pub fn held(who: u64) -> Balance {
    Balances::balance_on_hold(&HoldReason::Bond.into(), &who)
}
