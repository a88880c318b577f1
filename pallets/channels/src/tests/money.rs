//! Random stories, told to the pallets and to a model of their money.

use super::ledger::{Claim, Ledger, ACTORS, STASHES, USERS};
use crate::{mock::*, NextChannel, MAX_VOUCHERS};
use assay_primitives::{channel_id, Balance, ChannelId, Claims as _, SignedVoucher};
use frame_support::{assert_ok, storage::with_storage_layer, traits::ConstU32, BoundedVec};
use proptest::{prelude::*, sample::select};
use sp_core::H256;
use sp_runtime::{DispatchError, DispatchResult};
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Clone, Debug)]
enum Step {
    Open {
        user: u64,
        stash: u64,
        deposit: Balance,
    },
    TopUp {
        by: u64,
        channel: usize,
        amount: Balance,
    },
    Settle(Claim),
    SettleMany(Vec<Claim>),
    Close {
        by: u64,
        channel: usize,
        last: Option<Claim>,
    },
    RequestClose {
        by: u64,
        channel: usize,
    },
    Finalize {
        channel: usize,
    },
    SetOnline {
        stash: u64,
        online: bool,
    },
    PayDues {
        channel: usize,
    },
    Freeze {
        channel: usize,
    },
    /// The end of a dispute by which the user gets back up to this much.
    Thaw {
        channel: usize,
        refund: Balance,
    },
    ClaimRoyalties,
    Wait {
        blocks: u64,
    },
}

/// Which channel; see [`pick`].
fn channel() -> impl Strategy<Value = usize> {
    0..usize::MAX
}

fn claim() -> impl Strategy<Value = Claim> {
    let amount = || prop_oneof![0..2_000u128, 0..150_000u128];
    let ahead = prop_oneof![3 => Just(0), 3 => 0..5_000u128];
    let other = prop_oneof![12 => Just(None), 1 => channel().prop_map(Some)];
    let flaws = (prop::bool::weighted(0.05), prop::bool::weighted(0.05));
    (channel(), other, amount(), ahead, flaws).prop_map(
        |(channel, other, amount, ahead, (forged, greedy))| Claim {
            channel,
            signed_for: other.unwrap_or(channel),
            cumulative: amount + ahead,
            amount: if greedy { amount + ahead + 1 } else { amount },
            forged,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let user = || select(USERS.to_vec());
    let stash = || select(STASHES.to_vec());
    let actor = || select(ACTORS.to_vec());
    let by_user = || prop_oneof![4 => user(), 1 => actor()];
    let by_provider = prop_oneof![4 => stash(), 1 => actor()];
    let amount = || prop_oneof![Just(0), 0..5_000u128, 0..200_000u128];
    let last = prop_oneof![2 => Just(None), 3 => claim().prop_map(Some)];
    prop_oneof![
        6 => (user(), stash(), amount())
            .prop_map(|(user, stash, deposit)| Step::Open { user, stash, deposit }),
        4 => (by_user(), channel(), amount())
            .prop_map(|(by, channel, amount)| Step::TopUp { by, channel, amount }),
        10 => claim().prop_map(Step::Settle),
        4 => prop::collection::vec(claim(), 0..5).prop_map(Step::SettleMany),
        3 => (by_provider, channel(), last)
            .prop_map(|(by, channel, last)| Step::Close { by, channel, last }),
        5 => (by_user(), channel()).prop_map(|(by, channel)| Step::RequestClose { by, channel }),
        3 => channel().prop_map(|channel| Step::Finalize { channel }),
        1 => (stash(), prop::bool::weighted(0.8))
            .prop_map(|(stash, online)| Step::SetOnline { stash, online }),
        2 => channel().prop_map(|channel| Step::PayDues { channel }),
        2 => channel().prop_map(|channel| Step::Freeze { channel }),
        3 => (channel(), amount())
            .prop_map(|(channel, refund)| Step::Thaw { channel, refund }),
        1 => Just(Step::ClaimRoyalties),
        8 => (1..13u64).prop_map(|blocks| Step::Wait { blocks }),
    ]
}

/// A channel that there is or was; seldom one that there never was.
fn pick(ledger: &Ledger, at: usize) -> usize {
    let count = ledger.channels.len();
    match at % 20 {
        0 => count,
        _ => (at / 20).checked_rem(count).unwrap_or(count),
    }
}

fn id_of(ledger: &Ledger, at: usize) -> ChannelId {
    ledger
        .channels
        .get(at)
        .map(|channel| channel.id)
        .unwrap_or(H256::zero())
}

fn answer_of(ledger: &Ledger, at: usize) -> assay_primitives::Claim {
    assay_primitives::Claim::Channel {
        id: id_of(ledger, at),
        seq: 7,
    }
}

fn signed(ledger: &Ledger, claim: Claim) -> SignedVoucher {
    // What does not exist has no key, and is refused whoever signs.
    let key = ledger
        .channels
        .get(claim.channel)
        .map(|channel| channel.user)
        .unwrap_or(UMA);
    let key = if claim.forged { SAM } else { key };
    let mut voucher = voucher_of(
        key,
        hash_of(0),
        id_of(ledger, claim.signed_for),
        claim.cumulative,
    );
    voucher.channel = id_of(ledger, claim.channel);
    voucher
}

/// A call as a transaction makes it: what fails leaves no trace.
fn call(call: impl FnOnce() -> DispatchResult) -> bool {
    with_storage_layer::<(), DispatchError, _>(call).is_ok()
}

/// Do the step on the chain and in the ledger, and see that they agree on whether it may be done.
fn apply(ledger: &mut Ledger, step: &Step) {
    let by = RuntimeOrigin::signed;
    let in_story = |claim: Claim| Claim {
        channel: pick(ledger, claim.channel),
        signed_for: pick(ledger, claim.signed_for),
        ..claim
    };
    let (done, expected) = match step.clone() {
        Step::Open {
            user,
            stash,
            deposit,
        } => {
            let id = channel_id(&hash_of(0), NextChannel::<Test>::get());
            let open = || Channels::open(by(user), stash, listing(), key_of(user), deposit);
            (call(open), ledger.open(id, user, stash, deposit))
        }
        Step::TopUp {
            by: who,
            channel,
            amount,
        } => {
            let channel = pick(ledger, channel);
            let id = id_of(ledger, channel);
            let top_up = || Channels::top_up(by(who), id, amount);
            (call(top_up), ledger.top_up(who, channel, amount))
        }
        Step::Settle(claim) => {
            let claim = in_story(claim);
            let voucher = signed(ledger, claim);
            let settle = || Channels::settle(by(SAM), voucher, claim.amount);
            (call(settle), ledger.settle(claim))
        }
        Step::SettleMany(claims) => {
            let claims: Vec<_> = claims.into_iter().map(in_story).collect();
            let vouchers: Vec<_> = claims
                .iter()
                .map(|claim| (signed(ledger, *claim), claim.amount))
                .collect();
            let vouchers: BoundedVec<_, ConstU32<MAX_VOUCHERS>> = vouchers.try_into().unwrap();
            let settle = || Channels::settle_many(by(SAM), vouchers);
            (call(settle), ledger.settle_many(&claims))
        }
        Step::Close {
            by: who,
            channel,
            last,
        } => {
            let last = last.map(|last| in_story(Claim { channel, ..last }));
            let channel = pick(ledger, channel);
            let id = id_of(ledger, channel);
            let voucher = last.map(|last| (signed(ledger, last), last.amount));
            let close = || Channels::close(by(who), id, voucher);
            (call(close), ledger.close(who, channel, last))
        }
        Step::RequestClose { by: who, channel } => {
            let channel = pick(ledger, channel);
            let id = id_of(ledger, channel);
            let request = || Channels::request_close(by(who), id);
            (call(request), ledger.request_close(who, channel))
        }
        Step::Finalize { channel } => {
            let channel = pick(ledger, channel);
            let id = id_of(ledger, channel);
            let finalize = || {
                let done = Channels::finalize(by(SAM), id);
                done.map(|_| ()).map_err(|failed| failed.error)
            };
            (call(finalize), ledger.finalize(channel))
        }
        Step::SetOnline { stash, online } => {
            assert_ok!(Providers::set_online(by(stash), online));
            ledger.online.insert(stash, online);
            return;
        }
        Step::PayDues { channel } => {
            let channel = pick(ledger, channel);
            let id = id_of(ledger, channel);
            let pay = || Channels::pay_dues(by(SAM), id);
            (call(pay), ledger.pay_dues_of(channel))
        }
        Step::Freeze { channel } => {
            let channel = pick(ledger, channel);
            let answer = answer_of(ledger, channel);
            (call(|| Channels::freeze(&answer)), ledger.freeze(channel))
        }
        Step::Thaw { channel, refund } => {
            let channel = pick(ledger, channel);
            let (id, answer) = (id_of(ledger, channel), answer_of(ledger, channel));
            let refundable = crate::Channels::<Test>::get(id)
                .map(|record| record.refundable() + record.unsettled());
            if let Some((staked, returned)) = ledger.thaw(channel, refund) {
                let refund = refund.min(refundable.unwrap_or(0));
                assert_eq!(refund, staked + returned);
                Channels::note_refund(&answer, staked);
                assert_ok!(Channels::void(&answer, returned), returned);
                Channels::thaw(&answer);
            }
            return;
        }
        Step::ClaimRoyalties => {
            let claim = || Models::claim_royalties(by(SAM), listing());
            (call(claim), ledger.claim_royalties())
        }
        Step::Wait { blocks } => {
            for _ in 0..blocks {
                System::reset_events();
                run_to(ledger.now + 1);
                ledger.advance();
            }
            return;
        }
    };
    assert_eq!(done, expected, "{step:?} in block {}", ledger.now);
}

#[test]
fn the_money_of_any_story_is_accounted_for() {
    let config = ProptestConfig {
        cases: 160,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (settled, closed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    proptest!(config, |(
        steps in prop::collection::vec(step(), 100),
        treasury in select(vec![0, EXISTENTIAL_DEPOSIT]),
        maturing_blocks in select(vec![16, 40]),
        purse in select(vec![150_000, ENDOWMENT]),
    )| {
        let ext = TestExt::new()
            .endow(TREASURY, treasury)
            .endow(UMA, purse)
            .maturing_blocks(maturing_blocks);
        ext.execute_with(|| {
            let mut ledger = Ledger::new(maturing_blocks);
            for step in &steps {
                apply(&mut ledger, step);
                ledger.compare();
                check_books();
            }
            let count = |of: &dyn Fn(&super::ledger::Channel) -> bool| {
                ledger.channels.iter().filter(|channel| of(channel)).count()
            };
            settled.fetch_add(count(&|c| c.paid > 0), Ordering::Relaxed);
            closed.fetch_add(count(&|c| c.over()), Ordering::Relaxed);
        });
    });
    // Chance does settle and close channels, or this would be a test of opening them.
    let (settled, closed) = (settled.into_inner(), closed.into_inner());
    println!("{settled} channels paid and {closed} were closed");
    assert!(
        settled > 300 && closed > 300,
        "{settled} paid, {closed} closed"
    );
}
