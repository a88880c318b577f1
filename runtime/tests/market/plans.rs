//! What accounts may happen to do.

use assay_runtime::{Balance, ASY, MILLI_ASY};
use proptest::{collection::vec, prelude::*, sample::select};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve, Ferdie};

use crate::{
    acts::{Act, Claim},
    blocks::{BOND, ENDOWMENT},
    calls::Flaw,
    contests::{Contest, Play, Shown, Twist},
};

const ACTORS: [Sr25519Keyring; 6] = [Alice, Bob, Charlie, Dave, Eve, Ferdie];

fn actor() -> impl Strategy<Value = Sr25519Keyring> {
    select(ACTORS.to_vec())
}

/// Mostly an account whose model is listed from the start.
fn publisher() -> impl Strategy<Value = Sr25519Keyring> {
    prop_oneof![6 => Just(Charlie), 1 => Just(Dave), 1 => actor()]
}

fn amount() -> impl Strategy<Value = Balance> {
    prop_oneof![
        0..2 * MILLI_ASY,
        (0..200u128).prop_map(|tokens| tokens * ASY),
        Just(BOND),
        0..2 * ENDOWMENT,
    ]
}

fn deliver() -> impl Strategy<Value = Act> {
    let flaw = prop_oneof![
        10 => Just(Flaw::None),
        1 => Just(Flaw::Fee),
        1 => Just(Flaw::Root),
        1 => Just(Flaw::Anchor),
        1 => Just(Flaw::Signature),
        1 => Just(Flaw::Sender),
    ];
    (0..8usize, 1..20u32, flaw).prop_map(|(pick, length, flaw)| Act::Deliver { pick, length, flaw })
}

fn ask() -> impl Strategy<Value = Act> {
    let fee = prop_oneof![8 => Just(ASY), 1 => 0..100 * MILLI_ASY, 1 => amount()];
    let named = prop_oneof![4 => Just(None), 1 => actor().prop_map(Some)];
    let least = prop_oneof![4 => Just(1), 1 => 0..24u32];
    (publisher(), 1..24usize, 1..24u32, least, fee, named).prop_map(
        |(of, prompt, output, least, fee, named)| Act::Submit {
            of,
            prompt,
            output,
            least,
            fee,
            named,
        },
    )
}

fn claim() -> impl Strategy<Value = Claim> {
    let forged = prop::bool::weighted(0.05);
    (0..6u64, 0..1_000u16, 0..100u16, forged).prop_map(|(ago, amount, ahead, forged)| Claim {
        ago,
        amount,
        ahead,
        forged,
    })
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        6 => Just(Twist::None),
        2 => Just(Twist::Fee),
        1 => Just(Twist::Length),
        1 => Just(Twist::FutureAnchor),
        1 => Just(Twist::OldAnchor),
        2 => Just(Twist::Stop),
        3 => Just(Twist::Unasked),
        1 => Just(Twist::Signature),
        1 => Just(Twist::Header),
    ]
}

fn play() -> impl Strategy<Value = Play> {
    prop_oneof![
        6 => Just(Play::Header),
        1 => Just(Play::Forged),
        1 => (0..=64usize).prop_map(Play::Nodes),
        1 => (0..80u32).prop_map(Play::Node),
        1 => (0..10u32).prop_map(Play::Element),
        1 => (0..300u32).prop_map(Play::Part),
        1 => (0..=64usize).prop_map(Play::Reveal),
        1 => vec(any::<u8>(), 0..200).prop_map(Play::Proof),
    ]
}

fn contest() -> impl Strategy<Value = Contest> {
    let picked = || any::<prop::sample::Index>().prop_map(|pick| pick.index(1 << 16));
    let position = prop_oneof![1 => Just(None), 1 => (0..5u32).prop_map(Some)];
    let delegate = prop_oneof![3 => Just(None), 1 => actor().prop_map(Some)];
    let shown = prop_oneof![
        4 => Just(Shown::Face),
        2 => (0..5u32).prop_map(Shown::Token),
        1 => (0..5u32).prop_map(Shown::Twice),
    ];
    let by_caller = prop::bool::weighted(0.2);
    let recently = || 0..8u64;
    prop_oneof![
        8 => picked().prop_map(Contest::Commit),
        8 => (picked(), twist(), position, delegate).prop_map(
            |(pick, twist, position, delegate)| Contest::Open {
                pick,
                twist,
                position,
                delegate,
            },
        ),
        4 => (picked(), twist(), shown)
            .prop_map(|(pick, twist, shown)| Contest::Accuse { pick, twist, shown }),
        12 => (picked(), by_caller, play())
            .prop_map(|(pick, by_caller, play)| Contest::Play { pick, by_caller, play }),
        2 => recently().prop_map(Contest::Timeout),
        1 => prop::bool::weighted(0.3).prop_map(Contest::Pause),
    ]
}

fn single_act() -> impl Strategy<Value = Act> {
    let offer =
        (publisher(), 0..4u32, 0..8u32, 0..5u32).prop_map(|(of, input, output, capacity)| {
            Act::Offer {
                of,
                input,
                output,
                capacity,
            }
        });
    let money = prop_oneof![
        4 => (actor(), amount()).prop_map(|(to, amount)| Act::Transfer { to, amount }),
        1 => actor().prop_map(|to| Act::TransferAll { to }),
    ];
    let models = prop_oneof![
        2 => Just(Act::List),
        1 => actor().prop_map(Act::Retire),
        4 => publisher().prop_map(Act::Claim),
        2 => publisher().prop_map(Act::Drop),
        1 => actor().prop_map(Act::Freeze),
    ];
    let providers = prop_oneof![
        3 => (actor(), amount()).prop_map(|(operator, bond)| Act::Register { operator, bond }),
        1 => actor().prop_map(Act::Rotate),
        2 => amount().prop_map(Act::BondExtra),
        2 => amount().prop_map(Act::Unbond),
        2 => Just(Act::Withdraw),
        5 => offer,
        1 => publisher().prop_map(Act::RemoveOffer),
        1 => (publisher(), actor()).prop_map(|(of, provider)| Act::Evict { of, provider }),
        3 => prop::bool::weighted(0.8).prop_map(Act::Online),
        1 => Just(Act::Deregister),
        2 => actor().prop_map(|provider| Act::Release { provider }),
    ];
    let jobs = prop_oneof![
        12 => ask(),
        16 => deliver(),
        2 => (0..10u64).prop_map(Act::Cancel),
        2 => (0..10u64).prop_map(Act::Decline),
        3 => (0..10u64).prop_map(Act::Finalize),
    ];
    let deposit = || prop_oneof![3 => (1..20u128).prop_map(|tokens| tokens * ASY), 1 => amount()];
    let provider = prop_oneof![4 => select(vec![Alice, Bob]), 1 => actor()];
    let last = prop_oneof![1 => Just(None), 2 => claim().prop_map(Some)];
    let recently = || 0..6u64;
    let channels = prop_oneof![
        4 => (provider, deposit())
            .prop_map(|(provider, deposit)| Act::OpenChannel { provider, deposit }),
        2 => (recently(), deposit()).prop_map(|(ago, amount)| Act::TopUp { ago, amount }),
        8 => claim().prop_map(Act::Settle),
        2 => vec(claim(), 0..5).prop_map(Act::SettleMany),
        3 => (recently(), last).prop_map(|(ago, last)| Act::Close { ago, last }),
        4 => recently().prop_map(Act::RequestClose),
        1 => recently().prop_map(Act::PayDues),
        1 => recently().prop_map(Act::FinalizeChannel),
    ];
    let contests = contest().prop_map(Act::Contest);
    prop_oneof![1 => money, 2 => models, 4 => providers, 8 => jobs, 6 => channels, 6 => contests]
}

fn act() -> impl Strategy<Value = Act> {
    let batch =
        (any::<bool>(), vec(single_act(), 1..4)).prop_map(|(all_or_nothing, acts)| Act::Batch {
            all_or_nothing,
            acts,
        });
    prop_oneof![9 => single_act(), 1 => batch]
}

/// Whether the author gives randomness, and who does what.
pub type BlockPlan = (bool, Vec<(Sr25519Keyring, Act)>);

pub fn block_plan() -> impl Strategy<Value = BlockPlan> {
    (prop::bool::weighted(0.95), vec((actor(), act()), 0..8))
}
