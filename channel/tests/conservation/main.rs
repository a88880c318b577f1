//! Money is conserved whatever crashes, gets lost, or lies.

mod books;
mod cheats;
mod disk;
mod liar;
mod provider;
mod user;
mod world;

use assay_channel::{ChannelState, Phase, Recovery};
use proptest::prelude::*;

use disk::Crash;
use world::{World, CLOSE_WINDOW, PARALLEL};

#[derive(Clone, Debug)]
enum Event {
    Order {
        choices: usize,
        prompt: u32,
        limit: u32,
    },
    ToPayee(u8),
    ToPayer(u8),
    Double(u8),
    Lose {
        which: u8,
        to_payee: bool,
    },
    Read(u8),
    HangUp(u8),
    Work {
        which: u8,
        tokens: u32,
        eos: bool,
    },
    EndStarved(u8),
    Die {
        payee: bool,
        crash: Option<Crash>,
    },
    AskForReceipt(u8),
    AskForStatus,
    Repeat(u8),
    Forget {
        payee: bool,
        before: u32,
    },
    TopUp(u128),
    RequestClose,
    Settle,
    Blocks(u32),
    See {
        payee: bool,
    },
    Cheat {
        kind: u8,
        which: u8,
    },
}

fn event() -> impl Strategy<Value = Event> {
    use Event::*;
    let crash = prop_oneof![
        Just(None),
        Just(Some(Crash::BeforeWriting)),
        Just(Some(Crash::AfterWriting)),
    ];
    prop_oneof![
        6 => (1..3usize, 1..40u32, 1..200u32)
            .prop_map(|(choices, prompt, limit)| Order { choices, prompt, limit }),
        12 => any::<u8>().prop_map(ToPayee),
        6 => any::<u8>().prop_map(ToPayer),
        2 => any::<u8>().prop_map(Double),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(which, to_payee)| Lose { which, to_payee }),
        14 => any::<u8>().prop_map(Read),
        2 => any::<u8>().prop_map(HangUp),
        16 => (any::<u8>(), 1..40u32, prop::bool::weighted(0.1))
            .prop_map(|(which, tokens, eos)| Work { which, tokens, eos }),
        1 => any::<u8>().prop_map(EndStarved),
        3 => (any::<bool>(), crash).prop_map(|(payee, crash)| Die { payee, crash }),
        2 => any::<u8>().prop_map(AskForReceipt),
        1 => Just(AskForStatus),
        2 => any::<u8>().prop_map(Repeat),
        4 => (any::<bool>(), 100..160u32).prop_map(|(payee, before)| Forget { payee, before }),
        2 => (1..3_000u128).prop_map(TopUp),
        1 => Just(RequestClose),
        2 => Just(Settle),
        4 => (1..15u32).prop_map(Blocks),
        3 => any::<bool>().prop_map(|payee| See { payee }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(kind, which)| Cheat { kind, which }),
    ]
}

fn happen(world: &mut World, event: Event) {
    match event {
        Event::Order {
            choices,
            prompt,
            limit,
        } => drop(world.order(choices, prompt, limit)),
        Event::ToPayee(which) => world.deliver_to_payee(which),
        Event::ToPayer(which) => world.deliver_to_payer(which),
        Event::Double(which) => world.double(which),
        Event::Lose { which, to_payee } => world.drop_message(which, to_payee),
        Event::Read(which) => world.read(which),
        Event::HangUp(which) => world.hang_up_some(which),
        Event::Work { which, tokens, eos } => world.work(which, tokens, eos),
        Event::EndStarved(which) => world.end_starved(which),
        Event::Die {
            payee,
            crash: Some(crash),
        } => world.plan_crash(payee, crash),
        Event::Die {
            payee: true,
            crash: None,
        } => world.restart_payee(),
        Event::Die {
            payee: false,
            crash: None,
        } => world.restart_payer(),
        Event::AskForReceipt(which) => world.ask_for_receipt(which),
        Event::AskForStatus => world.ask_for_status(),
        Event::Repeat(which) => world.repeat(which),
        Event::Forget { payee, before } => world.forget(payee, before),
        Event::TopUp(amount) => world.top_up(amount),
        Event::RequestClose => world.request_close(),
        Event::Settle => world.settle(),
        Event::Blocks(blocks) => world.pass_blocks(blocks),
        Event::See { payee: true } => world.see_payee(),
        Event::See { payee: false } => world.see_payer(),
        Event::Cheat { kind, which } => world.cheat(kind, which),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_paid_twice(
        deposit in 500..12_000u128,
        events in prop::collection::vec(event(), 1..250),
    ) {
        let mut world = World::new(deposit);
        for event in events {
            world.begin();
            happen(&mut world, event);
            world.check();
        }
        world.calm_down();
        world.begin();
        world.check();
        // Both sides have come to the same books, from receipts alone; but for what the user missed for so long that its
        // provider has forgotten it.
        let missed = world.missed();
        prop_assert_eq!(world.payer.spent() + missed.values().sum::<u128>(), world.payee.spent());
        for request in world.payer.requests() {
            let is_forgotten = world.payee.stored(request.seq).is_err();
            prop_assert!(request.phase == Phase::Ended || is_forgotten, "a request stays open");
        }
        let recovery = world.payer.recover(&world.payee.status());
        let in_step = matches!(recovery, Recovery::InStep | Recovery::Resend(_));
        prop_assert_eq!(in_step, missed.is_empty());
        if world.retired || !missed.is_empty() {
            // Its provider gets what it has earned, the user the rest, and nobody is blamed.
            world.request_close();
            world.pass_blocks(CLOSE_WINDOW);
            world.begin();
            world.see_payer();
            world.check();
        }
        match world.chain.state {
            ChannelState::Closed => prop_assert_eq!(world.chain.settled, world.earned()),
            // The channel is not stuck: it sells again, and its provider can claim all that it served.
            ChannelState::Open | ChannelState::Closing { .. } => {
                world.top_up(10_000);
                world.see_payee();
                world.see_payer();
                let seq = world.order(1, 7, 70).expect("an order that is paid");
                world.calm_down();
                let answer = world.payer.request(seq).unwrap().receipt.as_ref();
                prop_assert_eq!(answer.map(|signed| signed.receipt.fee), Some(21 + 700));
                prop_assert_eq!(world.payer.spent(), world.payee.spent());
                world.settle();
                prop_assert_eq!(world.chain.settled, world.earned());
            }
        }
    }
}

/// A user that died and ordered again has more requests under way than one process keeps.
#[test]
fn a_provider_claims_all_that_it_serves_before_a_channel_closes() {
    let mut world = World::new(12_000);
    // Its window pays for what the others are promised.
    world.order(1, 1, 64).expect("an order that is paid");
    for _ in 0..2 {
        world.restart_payer();
        for _ in 0..PARALLEL {
            world.order(1, 1, 1).expect("an order that is paid");
        }
    }
    while !world.to_payee.is_empty() {
        world.deliver_to_payee(0);
    }
    assert!(world.serving.len() > PARALLEL);
    world.request_close();
    world.pass_blocks(CLOSE_WINDOW);
    assert_eq!(world.chain.state, ChannelState::Closed);
    world.calm_down();
    assert_eq!(world.chain.settled, world.earned());
}
