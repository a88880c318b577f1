//! A development chain, block by block, whose books are looked at after each.

use assay_runtime::{
    AccountId, Babe, Balance, Balances, Channels, Disputes, Hash, Jobs, Models, Providers, Runtime,
    RuntimeCall, RuntimeEvent, RuntimeHoldReason, RuntimeOrigin, System, ASY,
};
use frame_support::{
    storage::with_storage_layer,
    traits::{fungible::InspectHold, Hooks},
    weights::Weight,
};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Eve};
use sp_runtime::{
    traits::{BlakeTwo256, Dispatchable, Hash as _},
    DispatchResult,
};

use crate::{
    calls::{list_model, listing_of, register, set_offer},
    genesis,
};

pub const ENDOWMENT: Balance = 1_000_000 * ASY;
pub const BOND: Balance = 1_000 * ASY;

pub fn development() -> sp_io::TestExternalities {
    genesis::chain_of("development")
}

fn hash_of(block: u32) -> Hash {
    BlakeTwo256::hash_of(&("block", block))
}

/// The hooks of the market at the start of a block. Those of consensus need a real author; what
/// the market takes from it, the parent's randomness, is given here.
fn begin_block(author_gives_randomness: bool) {
    let block = System::block_number() + 1;
    System::initialize(&block, &hash_of(block - 1), &Default::default());
    System::reset_events();
    let randomness = author_gives_randomness.then(|| hash_of(block).0);
    pallet_babe::AuthorVrfRandomness::<Runtime>::put(randomness);
    assert_eq!(Babe::author_vrf_randomness(), randomness);
    Models::on_initialize(block);
    Providers::on_initialize(block);
    let used = Jobs::on_initialize(block);
    let most = <Runtime as pallet_jobs::Config>::MaxAgendaWeight::get();
    assert!(
        used.all_lte(most),
        "the agenda of block {block} took {used}, more than {most}"
    );
}

fn end_block() {
    let block = System::block_number();
    Models::on_idle(block, Weight::MAX);
    Providers::on_idle(block, Weight::MAX);
    Jobs::on_idle(block, Weight::MAX);
    let used = Channels::on_idle(block, Weight::MAX);
    let most = <Runtime as pallet_channels::Config>::MaxAgendaWeight::get();
    assert!(
        used.all_lte(most),
        "channels took {used} at the end of block {block}"
    );
    let used = Disputes::on_idle(block, Weight::MAX);
    let most = <Runtime as pallet_disputes::Config>::MaxAgendaWeight::get();
    assert!(
        used.all_lte(most),
        "disputes took {used} at the end of block {block}"
    );
    Models::on_finalize(block);
    Providers::on_finalize(block);
    Jobs::on_finalize(block);
    Channels::on_finalize(block);
    Disputes::on_finalize(block);
}

/// What a block did to the money as a whole.
#[derive(Default)]
pub struct Effect {
    /// Jobs.
    pub settled: u64,
    /// Vouchers.
    pub vouchers: u64,
    /// Of a claim.
    pub convictions: u64,
    /// Disputes that their challengers lost.
    pub acquittals: u64,
    pub burned: Balance,
}

fn effect_of_block() -> Effect {
    let mut effect = Effect::default();
    for record in System::events() {
        match record.event {
            RuntimeEvent::Jobs(pallet_jobs::Event::Settled { settlement, .. }) => {
                effect.settled += 1;
                effect.burned += settlement.burned;
            }
            RuntimeEvent::Channels(pallet_channels::Event::Settled { .. }) => {
                effect.vouchers += 1;
            }
            RuntimeEvent::Channels(pallet_channels::Event::DuesPaid { dues, .. }) => {
                effect.burned += dues.burned;
            }
            RuntimeEvent::Providers(pallet_providers::Event::Compensated { burned, .. }) => {
                effect.burned += burned;
            }
            RuntimeEvent::Disputes(pallet_disputes::Event::Convicted { slashed, .. }) => {
                effect.convictions += 1;
                effect.burned += slashed.burned;
            }
            RuntimeEvent::Disputes(pallet_disputes::Event::Ended {
                burned, verdict, ..
            }) => {
                effect.acquittals += u64::from(verdict == pallet_disputes::Verdict::Acquitted);
                effect.burned += burned;
            }
            _ => {}
        }
    }
    effect
}

fn check_books(issuance_before: Balance, effect: &Effect) {
    let issuance = Balances::total_issuance();
    let mut owned = 0;
    for (who, account) in frame_system::Account::<Runtime>::iter() {
        owned += account.data.free + account.data.reserved;
        let held: Balance = pallet_balances::Holds::<Runtime>::get(&who)
            .iter()
            .map(|hold| hold.amount)
            .sum();
        assert!(
            account.data.reserved >= held,
            "{who} has {held} on hold and less reserved"
        );
    }
    assert_eq!(
        owned, issuance,
        "what the accounts own is not what was issued"
    );
    assert_eq!(
        issuance_before - issuance,
        effect.burned,
        "only settlements, compensations and disputes destroy money"
    );
    Models::do_try_state().unwrap();
    Providers::do_try_state().unwrap();
    Jobs::do_try_state().unwrap();
    Channels::do_try_state().unwrap();
    Disputes::do_try_state().unwrap();
}

/// One block with these transactions, and its checks.
pub fn block(author_gives_randomness: bool, transactions: impl FnOnce()) -> Effect {
    let issuance = Balances::total_issuance();
    begin_block(author_gives_randomness);
    transactions();
    end_block();
    let effect = effect_of_block();
    check_books(issuance, &effect);
    effect
}

pub fn run_to(number: u32) {
    while System::block_number() < number {
        block(true, || {});
    }
}

pub fn dispatch(who: &AccountId, call: RuntimeCall) -> DispatchResult {
    with_storage_layer(|| {
        call.dispatch(RuntimeOrigin::signed(who.clone()))
            .map(|_| ())
            .map_err(|failed| failed.error)
    })
}

/// A market that works: two providers of one model.
pub fn open_market() {
    block(true, || {
        let at_once = |key: Sr25519Keyring, call| dispatch(&key.to_account_id(), call).unwrap();
        at_once(Charlie, list_model());
        for (stash, operator, output) in [(Alice, Sr25519Keyring::Two, 3), (Bob, Eve, 4)] {
            at_once(stash, register(operator, BOND));
            at_once(stash, set_offer(listing_of(Charlie), 1, output, 4));
        }
    });
}

pub fn owned(who: &AccountId) -> Balance {
    let account = frame_system::Account::<Runtime>::get(who).data;
    account.free + account.reserved
}

pub fn held(reason: impl Into<RuntimeHoldReason>, who: &AccountId) -> Balance {
    Balances::balance_on_hold(&reason.into(), who)
}
