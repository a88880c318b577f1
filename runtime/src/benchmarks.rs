//! The pallets whose weights are measured on this chain.

#![allow(clippy::expect_used)]

use crate::*;
use alloc::{string::String, vec::Vec};
use assay_primitives::{
    channel_id, Architecture, ListingId, ModelParts, ModelSpec, Price, Profile, SignedVoucher,
    Voucher, VoucherKey, VoucherSignature,
};
use frame_benchmarking::{baseline, BenchmarkBatch, BenchmarkConfig, BenchmarkList};
use frame_support::{
    traits::{fungible::Mutate, StorageInfo, StorageInfoTrait, WhitelistedStorageKeys},
    BoundedVec,
};
use frame_system_benchmarking::{
    extensions::Pallet as SystemExtensionsBench, Pallet as SystemBench,
};
use sp_runtime::Permill;
use sp_storage::TrackedStorageKey;

frame_benchmarking::define_benchmarks!(
    [frame_system, SystemBench::<Runtime>]
    [frame_system_extensions, SystemExtensionsBench::<Runtime>]
    [pallet_babe, Babe]
    [pallet_balances, Balances]
    [pallet_channels, Channels]
    [pallet_disputes, Disputes]
    [pallet_grandpa, Grandpa]
    [pallet_jobs, Jobs]
    [pallet_models, Models]
    [pallet_providers, Providers]
    [pallet_sudo, Sudo]
    [pallet_timestamp, Timestamp]
    [pallet_transaction_payment, TransactionPayment]
    [pallet_utility, Utility]
    [pallet_validators, Validators]
);

impl frame_system_benchmarking::Config for Runtime {}
impl baseline::Config for Runtime {}
impl pallet_transaction_payment::BenchmarkConfig for Runtime {}

/// Sets the market up for the benchmarks of its pallets.
pub struct MarketHelper;

const OPERATOR_KEY_TYPE: sp_core::crypto::KeyTypeId = sp_core::crypto::KeyTypeId(*b"oper");
const VOUCHER_KEY_TYPE: sp_core::crypto::KeyTypeId = sp_core::crypto::KeyTypeId(*b"vchr");

impl MarketHelper {
    fn rich(name: &'static str, index: u32) -> AccountId {
        let who = frame_benchmarking::account(name, index, 0);
        Balances::set_balance(&who, 1_000_000 * ASY);
        who
    }

    fn list(index: u32) -> ListingId {
        let publisher = Self::rich("publisher", index);
        Balances::set_balance(&Models::account_id(), EXISTENTIAL_DEPOSIT);
        Balances::set_balance(&treasury_account(), EXISTENTIAL_DEPOSIT);
        let spec = ModelSpec {
            architecture: Architecture::Llama,
            profile: Profile::Unverified,
            layers: 32,
            hidden: 4_096,
            intermediate: 14_336,
            heads: 32,
            kv_heads: 8,
            head_dim: 128,
            vocabulary: 128_256,
            context: 131_072,
            stop_tokens: BoundedVec::truncate_from(alloc::vec![128_001, 128_009]),
            tied_embeddings: false,
        };
        let (tokenizer, template, tables, weights_root) = Default::default();
        let parts = ModelParts {
            spec,
            tokenizer,
            template,
            tables,
            weights_root,
        };
        Self::list_model(publisher, parts)
    }

    fn list_model(publisher: AccountId, parts: ModelParts) -> ListingId {
        let royalty = Permill::from_percent(2);
        let id = parts.listing_id(&publisher, royalty);
        if pallet_models::Listings::<Runtime>::contains_key(id) {
            return id;
        }
        Models::register(
            RuntimeOrigin::signed(publisher),
            parts.spec,
            parts.tokenizer,
            parts.template,
            parts.tables,
            parts.weights_root,
            royalty,
            Default::default(),
        )
        .expect("the listing is sound");
        id
    }
}

impl pallet_providers::BenchmarkHelper for MarketHelper {
    fn listing(index: u32) -> ListingId {
        Self::list(index)
    }
}

impl pallet_jobs::BenchmarkHelper<Runtime> for MarketHelper {
    fn listing() -> ListingId {
        Self::list(0)
    }

    fn provider(index: u32, listing: ListingId, price: Price) -> (AccountId, AccountId) {
        let stash = Self::rich("stash", index);
        let seed = alloc::format!("//operator{index}").into_bytes();
        let key = sp_io::crypto::sr25519_generate(OPERATOR_KEY_TYPE, Some(seed));
        let operator = AccountId::from(key.0);
        let by = || RuntimeOrigin::signed(stash.clone());
        let info = pallet_providers::ProviderInfo {
            endpoint: BoundedVec::truncate_from(b"https://provider.example".to_vec()),
            tls_key_hash: Default::default(),
            x25519_key: [0; 32],
        };
        Providers::register(by(), operator.clone(), info, 10_000 * ASY).expect("it is rich");
        Providers::set_offer(by(), listing, price.input, price.output, 131_072, 1)
            .expect("the listing is active");
        (stash, operator)
    }

    fn owe_reward(stash: &AccountId) {
        Providers::owe_reward(stash);
    }

    fn sign(operator: &AccountId, payload: &[u8]) -> Signature {
        let key = sp_core::sr25519::Public::from_raw(*operator.as_ref());
        let signature = sp_io::crypto::sr25519_sign(OPERATOR_KEY_TYPE, &key, payload);
        Signature::Sr25519(signature.expect("the key was generated here"))
    }
}

impl pallet_channels::BenchmarkHelper<AccountId> for MarketHelper {
    fn provider(index: u32) -> (ListingId, AccountId, AccountId) {
        let (listing, price) = (Self::list(index), Price::default());
        let (stash, operator) =
            <Self as pallet_jobs::BenchmarkHelper<Runtime>>::provider(index, listing, price);
        (listing, stash, operator)
    }

    fn owe_reward(stash: &AccountId) {
        Providers::owe_reward(stash);
    }

    /// sr25519: ed25519 is verified in a little less time.
    fn voucher_key() -> VoucherKey {
        let seed = Some(b"//voucher".to_vec());
        VoucherKey::Sr25519(sp_io::crypto::sr25519_generate(VOUCHER_KEY_TYPE, seed))
    }

    fn sign(payload: &[u8]) -> VoucherSignature {
        let VoucherKey::Sr25519(key) = Self::voucher_key() else {
            unreachable!("it is an sr25519 key")
        };
        let signature = sp_io::crypto::sr25519_sign(VOUCHER_KEY_TYPE, &key, payload);
        VoucherSignature::Sr25519(signature.expect("the key was generated here"))
    }
}

impl pallet_disputes::BenchmarkHelper<Runtime> for MarketHelper {
    fn channel(parts: ModelParts) -> pallet_disputes::BenchmarkChannel<AccountId> {
        Balances::set_balance(&Models::account_id(), EXISTENTIAL_DEPOSIT);
        Balances::set_balance(&treasury_account(), EXISTENTIAL_DEPOSIT);
        let listing = Self::list_model(Self::rich("publisher", 0), parts);
        let (stash, operator) =
            <Self as pallet_jobs::BenchmarkHelper<Runtime>>::provider(0, listing, Price::default());
        let user = Self::rich("user", 0);
        let number = pallet_channels::NextChannel::<Runtime>::get();
        let key = <Self as pallet_channels::BenchmarkHelper<AccountId>>::voucher_key();
        let by = RuntimeOrigin::signed(user);
        Channels::open(by.clone(), stash.clone(), listing, key, 1_000 * ASY)
            .expect("the provider is online");
        let genesis = System::block_hash(0);
        let id = channel_id(&genesis, number);
        let cumulative = ASY;
        let voucher = Voucher {
            genesis,
            channel: id,
            cumulative,
        };
        let voucher = SignedVoucher {
            channel: id,
            cumulative,
            signature: Self::user_signature(&voucher.signing_payload()),
        };
        Channels::settle(by, voucher, cumulative).expect("the voucher is sound");
        pallet_disputes::BenchmarkChannel {
            id,
            listing,
            stash,
            operator,
        }
    }

    fn operator_signature(operator: &AccountId, payload: &[u8]) -> Signature {
        <Self as pallet_jobs::BenchmarkHelper<Runtime>>::sign(operator, payload)
    }

    fn user_signature(payload: &[u8]) -> VoucherSignature {
        <Self as pallet_channels::BenchmarkHelper<AccountId>>::sign(payload)
    }
}

pub fn metadata(extra: bool) -> (Vec<BenchmarkList>, Vec<StorageInfo>) {
    let mut list = Vec::<BenchmarkList>::new();
    list_benchmarks!(list, extra);
    (list, AllPalletsWithSystem::storage_info())
}

pub fn dispatch(config: BenchmarkConfig) -> Result<Vec<BenchmarkBatch>, String> {
    let whitelist: Vec<TrackedStorageKey> = AllPalletsWithSystem::whitelisted_storage_keys();
    let mut batches = Vec::<BenchmarkBatch>::new();
    let params = (&config, &whitelist);
    add_benchmarks!(params, batches);
    Ok(batches)
}
