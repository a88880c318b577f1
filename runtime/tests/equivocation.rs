//! Real equivocations of BABE and GRANDPA, reported to the whole runtime of four validators.

mod genesis;

use assay_runtime::{
    treasury_account, AccountId, Babe, Balance, Balances, BlockNumber, Grandpa, Hash, Header,
    Historical, Runtime, RuntimeCall, RuntimeHoldReason, RuntimeOrigin, Session, SessionKeys,
    System, Validators, ASY,
};
use codec::{Decode, Encode};
use frame_support::{
    assert_err, assert_noop, assert_ok,
    dispatch::DispatchResultWithPostInfo,
    storage::with_storage_layer,
    traits::{fungible::InspectHold, Get, KeyOwnerProofSystem, OnFinalize, OnInitialize},
};
use pallet_validators::{BondingSessions, HoldReason, Role};
use sp_consensus_babe::{
    digests::{CompatibleDigestItem, PreDigest, SecondaryPlainPreDigest},
    Slot,
};
use sp_core::ed25519;
use sp_keyring::{
    Ed25519Keyring,
    Sr25519Keyring::{self, AliceStash, BobStash, CharlieStash, DaveStash, Eve},
};
use sp_runtime::{
    traits::Header as _,
    transaction_validity::{InvalidTransaction, TransactionSource},
    Digest, DigestItem, DispatchError, KeyTypeId,
};
use sp_session::MembershipProof;

const BOND: Balance = 10_000 * ASY;
/// One of four: (3 / 4)².
const SLASH: Balance = BOND * 9 / 16;
const EPOCH_SLOTS: u64 = 20;

fn four_validators(story: impl FnOnce()) {
    genesis::chain_of("local_testnet").execute_with(|| {
        System::set_block_number(1);
        let issuance = Balances::total_issuance();
        story();
        Validators::do_try_state().unwrap();
        assert_eq!(Balances::total_issuance(), issuance);
    });
}

/// The next epoch begins, and with it the next session.
fn next_session() {
    let session = u64::from(Session::current_index()) + 1;
    System::set_block_number(System::block_number() + EPOCH_SLOTS as BlockNumber);
    pallet_babe::CurrentSlot::<Runtime>::put(Slot::from(session * EPOCH_SLOTS));
    Session::rotate_session();
    // GRANDPA's next set is scheduled, and only one at a time.
    Grandpa::on_finalize(System::block_number());
}

/// What was decided is taken, as at the beginning of the next block.
fn carry_out() {
    Validators::on_initialize(System::block_number() + 1);
}

fn slot_in(session: u64) -> Slot {
    Slot::from(session * EPOCH_SLOTS + 3)
}

/// What a block says of its author.
fn claim(index: u32, slot: Slot) -> DigestItem {
    let claim = PreDigest::SecondaryPlain(SecondaryPlainPreDigest {
        authority_index: index,
        slot,
    });
    <DigestItem as CompatibleDigestItem>::babe_pre_digest(claim)
}

fn sealed(author: Sr25519Keyring, index: u32, slot: Slot, state: u8) -> Header {
    let logs = vec![claim(index, slot)];
    let mut header = Header::new(
        7,
        Hash::zero(),
        Hash::repeat_byte(state),
        Hash::zero(),
        Digest { logs },
    );
    let seal = author.sign(header.hash().as_ref()).into();
    header
        .digest_mut()
        .push(<DigestItem as CompatibleDigestItem>::babe_seal(seal));
    header
}

type Blocks = sp_consensus_babe::EquivocationProof<Header>;

/// Two blocks for one slot.
fn blocks(author: Sr25519Keyring, slot: Slot) -> Box<Blocks> {
    Box::new(Blocks {
        offender: author.public().into(),
        slot,
        first_header: sealed(author, 0, slot, 1),
        second_header: sealed(author, 0, slot, 2),
    })
}

type Votes = sp_consensus_grandpa::EquivocationProof<Hash, BlockNumber>;

type Vote = ((Hash, BlockNumber), ed25519::Signature);

fn vote(voter: Ed25519Keyring, set: u64, round: u64, target: u8) -> Vote {
    let prevote = (Hash::repeat_byte(target), 5);
    let payload = sp_consensus_grandpa::localized_payload(round, set, &(0u8, prevote));
    (prevote, voter.sign(&payload))
}

fn equivocation(of: Ed25519Keyring, set: u64, round: u64, one: Vote, other: Vote) -> Box<Votes> {
    let encoded = (set, 0u8, round, of.public(), one, other).encode();
    Box::new(Votes::decode(&mut &encoded[..]).unwrap())
}

/// Two prevotes in one round.
fn votes(voter: Ed25519Keyring, set: u64, round: u64) -> Box<Votes> {
    let [one, other] = [1, 2].map(|target| vote(voter, set, round, target));
    equivocation(voter, set, round, one, other)
}

fn prove(key_type: KeyTypeId, key: &[u8]) -> MembershipProof {
    Validators::prove((key_type, key)).unwrap()
}

fn prove_babe(author: Sr25519Keyring) -> MembershipProof {
    prove(sp_consensus_babe::KEY_TYPE, &author.public().0)
}

fn prove_grandpa(voter: Ed25519Keyring) -> MembershipProof {
    prove(sp_consensus_grandpa::KEY_TYPE, &voter.public().0)
}

fn report_blocks(proof: Box<Blocks>, ownership: MembershipProof) -> DispatchResultWithPostInfo {
    Babe::report_equivocation(RuntimeOrigin::signed(Eve.to_account_id()), proof, ownership)
}

fn report_votes(proof: Box<Votes>, ownership: MembershipProof) -> DispatchResultWithPostInfo {
    Grandpa::report_equivocation(RuntimeOrigin::signed(Eve.to_account_id()), proof, ownership)
}

/// Somebody's proof with one thing in it that is not so.
fn forgeries(honest: &MembershipProof) -> Vec<MembershipProof> {
    // With fewer validators one of them would cost more.
    let mut forged = vec![MembershipProof {
        validator_count: honest.validator_count - 1,
        ..honest.clone()
    }];
    for node in 0..honest.trie_nodes.len() {
        let mut missing = honest.clone();
        missing.trie_nodes.remove(node);
        let mut altered = honest.clone();
        *altered.trie_nodes[node].last_mut().unwrap() ^= 1;
        forged.extend([missing, altered]);
    }
    forged
}

fn held(who: Sr25519Keyring) -> Balance {
    let reason = RuntimeHoldReason::Validators(HoldReason::Bond);
    Balances::balance_on_hold(&reason, &who.to_account_id())
}

fn free(who: &AccountId) -> Balance {
    Balances::free_balance(who)
}

fn disabled() -> Vec<AccountId> {
    let set = Session::validators();
    let indices = Session::disabled_validators().into_iter();
    indices.map(|index| set[index as usize].clone()).collect()
}

fn stands_for_election(who: Sr25519Keyring) -> bool {
    Validators::bond_of(who.to_account_id())
        .is_some_and(|record| matches!(record.role, Role::Validator { .. }))
}

#[test]
fn two_blocks_for_one_slot_are_slashed_to_the_planck() {
    four_validators(|| {
        let (eve, treasury) = (Eve.to_account_id(), treasury_account());
        let before = (free(&eve), free(&treasury));
        assert_ok!(report_blocks(
            blocks(Sr25519Keyring::Alice, slot_in(0)),
            prove_babe(Sr25519Keyring::Alice)
        ));
        carry_out();
        assert_eq!(held(AliceStash), BOND - SLASH);
        assert_eq!(free(&eve), before.0 + SLASH / 10);
        assert_eq!(free(&treasury), before.1 + SLASH - SLASH / 10);
        assert_eq!(disabled(), vec![AliceStash.to_account_id()]);
        assert!(!stands_for_election(AliceStash));
        for honest in [BobStash, CharlieStash, DaveStash] {
            assert_eq!(held(honest), BOND);
            assert!(stands_for_election(honest));
        }
        // The chain goes on: with her, but without her blocks, until the era is over.
        next_session();
        assert_eq!(disabled(), vec![AliceStash.to_account_id()]);
        next_session();
        assert_eq!(Session::validators().len(), 3);
        assert!(disabled().is_empty());
    });
}

#[test]
fn two_votes_in_one_round_are_slashed_and_their_report_needs_no_signature() {
    four_validators(|| {
        next_session();
        let set = Grandpa::current_set_id();
        let treasury = free(&treasury_account());
        let report = |proof, ownership| {
            Grandpa::report_equivocation_unsigned(RuntimeOrigin::none(), proof, ownership)
        };
        assert_ok!(report(
            votes(Ed25519Keyring::Bob, set, 9),
            prove_grandpa(Ed25519Keyring::Bob)
        ));
        carry_out();
        assert_eq!(held(BobStash), BOND - SLASH);
        // There is no author in this story, so nobody is rewarded.
        assert_eq!(free(&treasury_account()), treasury + SLASH);
        assert_eq!(disabled(), vec![BobStash.to_account_id()]);
        // Two blocks in the same session cost no more; a second validator in the same round costs both
        // all.
        assert_ok!(report_blocks(
            blocks(Sr25519Keyring::Bob, slot_in(1)),
            prove_babe(Sr25519Keyring::Bob)
        ));
        carry_out();
        assert_eq!(held(BobStash), BOND - SLASH);
        assert_ok!(report(
            votes(Ed25519Keyring::Charlie, set, 9),
            prove_grandpa(Ed25519Keyring::Charlie)
        ));
        carry_out();
        assert_eq!([BobStash, CharlieStash, DaveStash].map(held), [0, 0, BOND]);
    });
}

#[test]
fn who_makes_the_block_with_an_unsigned_report_is_paid_for_it() {
    four_validators(|| {
        let (author, treasury) = (DaveStash.to_account_id(), treasury_account());
        let set = Session::validators();
        let index = set.iter().position(|who| *who == author).unwrap() as u32;
        System::deposit_log(claim(index, slot_in(0)));
        let before = (free(&author), free(&treasury));
        assert_ok!(Babe::report_equivocation_unsigned(
            RuntimeOrigin::none(),
            blocks(Sr25519Keyring::Alice, slot_in(0)),
            prove_babe(Sr25519Keyring::Alice)
        ));
        assert_ok!(Grandpa::report_equivocation_unsigned(
            RuntimeOrigin::none(),
            votes(Ed25519Keyring::Bob, Grandpa::current_set_id(), 9),
            prove_grandpa(Ed25519Keyring::Bob)
        ));
        carry_out();
        assert_eq!([AliceStash, BobStash].map(held), [BOND - SLASH; 2]);
        assert_eq!(free(&author), before.0 + 2 * (SLASH / 10));
        assert_eq!(free(&treasury), before.1 + 2 * (SLASH - SLASH / 10));
    });
}

#[test]
fn a_report_is_made_once() {
    four_validators(|| {
        let report = || {
            let proof = blocks(Sr25519Keyring::Alice, slot_in(0));
            report_blocks(proof, prove_babe(Sr25519Keyring::Alice))
        };
        assert_ok!(report());
        assert_noop!(
            report(),
            pallet_babe::Error::<Runtime>::DuplicateOffenceReport
        );
        let report = || {
            let proof = votes(Ed25519Keyring::Dave, 0, 9);
            report_votes(proof, prove_grandpa(Ed25519Keyring::Dave))
        };
        assert_ok!(report());
        let refused = pallet_grandpa::Error::<Runtime>::DuplicateOffenceReport;
        assert_noop!(report(), refused);
    });
}

#[test]
fn a_forged_report_is_refused() {
    four_validators(|| {
        let (alice, slot) = (Sr25519Keyring::Alice, slot_in(0));
        let unproven = pallet_babe::Error::<Runtime>::InvalidEquivocationProof;
        let mut same = blocks(alice, slot);
        same.second_header = same.first_header.clone();
        assert_noop!(report_blocks(same, prove_babe(alice)), unproven);
        // Signed by another, for another slot, and changed after it was signed.
        let mut foreign = blocks(alice, slot);
        foreign.second_header = sealed(Sr25519Keyring::Bob, 0, slot, 2);
        let unproven = pallet_babe::Error::<Runtime>::InvalidEquivocationProof;
        assert_noop!(report_blocks(foreign, prove_babe(alice)), unproven);
        let mut later = blocks(alice, slot);
        later.second_header = sealed(alice, 0, slot + 1, 2);
        let unproven = pallet_babe::Error::<Runtime>::InvalidEquivocationProof;
        assert_noop!(report_blocks(later, prove_babe(alice)), unproven);
        let mut changed = blocks(alice, slot);
        changed.second_header.state_root = Hash::repeat_byte(3);
        let unproven = pallet_babe::Error::<Runtime>::InvalidEquivocationProof;
        assert_noop!(report_blocks(changed, prove_babe(alice)), unproven);

        let refuse = |ownership: MembershipProof| {
            let not_owned = pallet_babe::Error::<Runtime>::InvalidKeyOwnershipProof;
            assert_noop!(report_blocks(blocks(alice, slot), ownership), not_owned);
        };
        // Whose key this is says nothing of Alice; nor does a proof of another session.
        refuse(prove_grandpa(Ed25519Keyring::Bob));
        let honest = prove_babe(alice);
        refuse(MembershipProof {
            session: 1,
            ..honest.clone()
        });
        forgeries(&honest).into_iter().for_each(refuse);
        // Somebody who is no validator cannot equivocate.
        let not_owned = pallet_babe::Error::<Runtime>::InvalidKeyOwnershipProof;
        assert_noop!(
            report_blocks(blocks(Sr25519Keyring::Eve, slot), honest),
            not_owned
        );
        carry_out();
        assert_eq!([AliceStash, BobStash].map(held), [BOND; 2]);
    });
}

#[test]
fn a_forged_report_of_votes_is_refused() {
    four_validators(|| {
        // Two sessions with sets of their own, the second with the keys of the first.
        next_session();
        next_session();
        let bob = Ed25519Keyring::Bob;
        let (set, earlier) = (Grandpa::current_set_id(), prove_grandpa(bob));
        next_session();
        assert_eq!(Grandpa::current_set_id(), set + 1);
        let (set, honest) = (set + 1, prove_grandpa(bob));

        let unproven = |proof: Box<Votes>, ownership: &MembershipProof| {
            let error = pallet_grandpa::Error::<Runtime>::InvalidEquivocationProof;
            assert_noop!(report_votes(proof, ownership.clone()), error);
        };
        // Of another round than the votes were signed for, of one vote twice, and with another's vote.
        let mut encoded = votes(bob, set, 9).encode();
        encoded[9] ^= 1;
        unproven(Box::new(Votes::decode(&mut &encoded[..]).unwrap()), &honest);
        let double = |first: (u8, Ed25519Keyring), second: (u8, Ed25519Keyring)| {
            let [first, second] = [first, second].map(|(target, by)| vote(by, set, 9, target));
            equivocation(bob, set, 9, first, second)
        };
        unproven(double((1, bob), (1, bob)), &honest);
        unproven(double((1, bob), (2, Ed25519Keyring::Alice)), &honest);
        // Her set was none of that session, though the key was hers in it too.
        unproven(votes(bob, set, 9), &earlier);
        unproven(votes(bob, set - 1, 9), &honest);
        unproven(votes(bob, set + 1, 9), &honest);

        let not_owned = |by: Ed25519Keyring, ownership: MembershipProof| {
            let error = pallet_grandpa::Error::<Runtime>::InvalidKeyOwnershipProof;
            assert_noop!(report_votes(votes(by, set, 9), ownership), error);
        };
        not_owned(bob, prove_grandpa(Ed25519Keyring::Charlie));
        not_owned(bob, prove_babe(Sr25519Keyring::Bob));
        not_owned(Ed25519Keyring::Eve, honest.clone());
        for forged in forgeries(&honest) {
            not_owned(bob, forged);
        }
        carry_out();
        assert_eq!([AliceStash, BobStash].map(held), [BOND; 2]);
        assert_ok!(report_votes(votes(bob, set, 9), honest));
    });
}

#[test]
fn a_report_of_an_old_session_is_refused() {
    four_validators(|| {
        let alice = Sr25519Keyring::Alice;
        let ownership = prove_babe(alice);
        for _ in 0..12 {
            next_session();
        }
        let report = || report_blocks(blocks(alice, slot_in(0)), ownership.clone());
        // Twelve sessions later it is still in time.
        let _ = with_storage_layer(|| {
            assert_ok!(report());
            carry_out();
            assert!(held(AliceStash) < BOND);
            Err::<(), _>(DispatchError::Other("only to see"))
        });
        next_session();
        let refused = pallet_babe::Error::<Runtime>::InvalidKeyOwnershipProof;
        assert_noop!(report(), refused);
        carry_out();
        assert_eq!(held(AliceStash), BOND);
    });
}

/// A report of a set asks when the set before it ended, so one more is kept than can be reported.
#[test]
fn votes_can_be_reported_for_as_many_sessions_as_blocks() {
    four_validators(|| {
        let bob = Ed25519Keyring::Bob;
        next_session();
        let mut proofs = vec![];
        for _ in 0..=BondingSessions::<Runtime>::get() {
            next_session();
            proofs.push((Grandpa::current_set_id(), prove_grandpa(bob)));
        }
        assert!(proofs.is_sorted_by(|(one, _), (next, _)| one < next));
        let report = |(set, ownership): &(u64, MembershipProof)| {
            report_votes(votes(bob, *set, 9), ownership.clone())
        };
        for proof in &proofs {
            let _ = with_storage_layer(|| {
                assert_ok!(report(proof));
                carry_out();
                assert_eq!(held(BobStash), BOND - SLASH, "of set {}", proof.0);
                Err::<(), _>(DispatchError::Other("only to see"))
            });
        }
        next_session();
        let refused = pallet_grandpa::Error::<Runtime>::InvalidKeyOwnershipProof;
        assert_noop!(report(&proofs[0]), refused);
        assert_ok!(report(&proofs[1]));
    });
}

/// The session pallet's own proof of the present session is made of the keys of the next.
#[test]
fn new_session_keys_do_not_hide_an_equivocation_with_the_old_ones() {
    four_validators(|| {
        let alice = Sr25519Keyring::Alice;
        let new = SessionKeys {
            babe: Sr25519Keyring::Ferdie.public().into(),
            grandpa: Ed25519Keyring::Ferdie.public().into(),
            authority_discovery: Sr25519Keyring::Ferdie.public().into(),
        };
        pallet_session::NextKeys::<Runtime>::insert(AliceStash.to_account_id(), new);
        let useless = Historical::prove((sp_consensus_babe::KEY_TYPE, &alice.public().0)).unwrap();
        assert_err!(
            report_blocks(blocks(alice, slot_in(0)), useless).map_err(|error| error.error),
            pallet_babe::Error::<Runtime>::InvalidKeyOwnershipProof
        );
        assert_ok!(report_blocks(blocks(alice, slot_in(0)), prove_babe(alice)));
        carry_out();
        assert_eq!(held(AliceStash), BOND - SLASH);
    });
}

#[test]
fn only_a_node_itself_puts_an_unsigned_report_into_its_pool() {
    four_validators(|| {
        let call = pallet_babe::Call::<Runtime>::report_equivocation_unsigned {
            equivocation_proof: blocks(Sr25519Keyring::Alice, slot_in(0)),
            key_owner_proof: prove_babe(Sr25519Keyring::Alice),
        };
        let validate = |source| Babe::validate_unsigned(source, &call);
        let valid = validate(TransactionSource::Local).unwrap();
        assert_eq!(valid.longevity, 12 * EPOCH_SLOTS);
        assert!(!valid.propagate);
        assert_eq!(
            validate(TransactionSource::External),
            Err(InvalidTransaction::Call.into())
        );
        // Once it was reported, it is stale.
        let call: RuntimeCall = call.clone().into();
        assert_ok!(sp_runtime::traits::Dispatchable::dispatch(
            call,
            RuntimeOrigin::none()
        ));
        assert_eq!(
            validate(TransactionSource::Local),
            Err(InvalidTransaction::Stale.into())
        );
    });
}
