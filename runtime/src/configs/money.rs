//! Balances, and what a transaction costs.

use crate::{
    governance, weights, AccountId, Balance, Balances, Runtime, RuntimeEvent, RuntimeFreezeReason,
    RuntimeHoldReason, System, Validators, MILLI_ASY,
};
use frame_support::{
    parameter_types,
    traits::{
        fungible::Credit, tokens::imbalance::ResolveTo, ConstU128, ConstU32, ConstU8, Imbalance,
        OnUnbalanced, VariantCountOf,
    },
    weights::ConstantMultiplier,
    PalletId,
};
use pallet_transaction_payment::{FungibleAdapter, Multiplier, TargetedFeeAdjustment};
use sp_runtime::{
    traits::{AccountIdConversion, One},
    FixedPointNumber, FixedU128, Perquintill,
};

/// Least balance of an account that exists, in planck.
pub const EXISTENTIAL_DEPOSIT: Balance = MILLI_ASY;

/// Derives the treasury's account, to which nobody has a key.
pub const TREASURY_PALLET_ID: PalletId = PalletId(*b"asy/trsy");

/// The treasury's account. Genesis must give it the existential deposit, or what is smaller than that
/// is burned on its way.
pub fn treasury_account() -> AccountId {
    TREASURY_PALLET_ID.into_account_truncating()
}

parameter_types! {
    /// Derives the account that collects what validators earn.
    pub const RewardPotId: PalletId = PalletId(*b"asy/rwrd");
    pub TreasuryAccount: AccountId = treasury_account();
    pub RewardPotAccount: AccountId = Validators::pot_account();
    pub FeePerPicosecond: Balance = governance::Params::<Runtime>::get().fee_per_picosecond;
    pub FeePerByte: Balance = governance::Params::<Runtime>::get().fee_per_byte;
    /// Fees rise while blocks are fuller than this.
    pub const TargetBlockFullness: Perquintill = Perquintill::from_percent(25);
    /// How fast fees rise: by at most about 4 % in an hour of full six-second blocks.
    pub AdjustmentVariable: Multiplier = Multiplier::saturating_from_rational(75, 1_000_000);
    /// Fees never fall below what an empty chain charges.
    pub MinimumMultiplier: Multiplier = FixedU128::one();
    pub MaximumMultiplier: Multiplier = Multiplier::saturating_from_integer(1_000);
}

impl pallet_balances::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
    type RuntimeFreezeReason = RuntimeFreezeReason;
    type WeightInfo = weights::pallet_balances::WeightInfo<Runtime>;
    type Balance = Balance;
    type DustRemoval = ResolveTo<TreasuryAccount, Balances>;
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
    type AccountStore = System;
    type ReserveIdentifier = [u8; 8];
    type FreezeIdentifier = RuntimeFreezeReason;
    type MaxLocks = ConstU32<50>;
    type MaxReserves = ConstU32<50>;
    type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
    type DoneSlashHandler = ();
}

/// Divides what a transaction costs between validators and treasury.
pub struct FeeSplit;

impl OnUnbalanced<Credit<AccountId, Balances>> for FeeSplit {
    fn on_unbalanceds(mut fee_then_tip: impl Iterator<Item = Credit<AccountId, Balances>>) {
        let Some(fee) = fee_then_tip.next() else {
            return;
        };
        let rewards = pallet_validators::Params::<Runtime>::get().rewards;
        let to_validators = rewards.of_fee(fee.peek());
        let (mut pot, treasury) = fee.split(to_validators);
        // Not the author's own: it would be paid for filling its blocks.
        for tip in fee_then_tip {
            pot = pot.merge(tip);
        }
        ResolveTo::<RewardPotAccount, Balances>::on_unbalanced(pot);
        ResolveTo::<TreasuryAccount, Balances>::on_unbalanced(treasury);
    }

    fn on_nonzero_unbalanced(fee: Credit<AccountId, Balances>) {
        Self::on_unbalanceds(core::iter::once(fee));
    }
}

impl pallet_transaction_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type OnChargeTransaction = FungibleAdapter<Balances, FeeSplit>;
    type WeightToFee = ConstantMultiplier<Balance, FeePerPicosecond>;
    type LengthToFee = ConstantMultiplier<Balance, FeePerByte>;
    type FeeMultiplierUpdate = TargetedFeeAdjustment<
        Self,
        TargetBlockFullness,
        AdjustmentVariable,
        MinimumMultiplier,
        MaximumMultiplier,
    >;
    type OperationalFeeMultiplier = ConstU8<5>;
    type WeightInfo = weights::pallet_transaction_payment::WeightInfo<Runtime>;
}
