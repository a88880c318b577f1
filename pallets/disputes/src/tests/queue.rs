use super::forged::Forged;
use crate::{
    mock::*, parameters::CROWD, Convictions, Docket, Dockets, Error, Event, Evidence, Verdict,
    MAX_WAITING,
};
use frame_support::{assert_noop, assert_ok};

/// Disputes over requests of one channel, by Carl: as many as are asked for.
fn crowd(count: u64) -> Vec<(Given, u64)> {
    let id = channel(10_000);
    let all: Vec<Given> = (0..count)
        .map(|seq| Given::in_channel(id, seq, vec![10; 4]))
        .collect();
    let numbers: Vec<u64> = all.iter().map(|given| commit(CARL, &given.claim)).collect();
    pass(1);
    for given in &all {
        given.open(CARL, 0).unwrap();
    }
    all.into_iter().zip(numbers).collect()
}

fn live(docket: &Docket) -> Vec<u64> {
    docket.live.iter().map(|live| live.dispute).collect()
}

#[test]
fn a_provider_has_to_answer_a_few_at_once_and_the_rest_wait() {
    TestExt::new().execute_with(|| {
        let all = crowd(4);
        let docket = Dockets::<Test>::get(PETRA);
        assert_eq!(live(&docket), [all[0].1, all[1].1]);
        assert_eq!(docket.waiting.to_vec(), [all[2].1, all[3].1]);
        assert_eq!(Disputes::disputes_of_provider(PETRA).len(), 4);
        // The traces are computed one after the other.
        let parameters = crate::Params::<Test>::get();
        let trace = parameters.blocks_for(dispute(all[0].1).question.leaves());
        let [one, two] = [0, 1].map(|index: usize| dispute(all[index].1).deadline.unwrap());
        assert!(trace > 0);
        assert_eq!(two - one, u64::from(trace));
        let (given, third) = &all[2];
        let forged = Forged::of(given, 0);
        let shown = forged.answer(given, 0);
        assert_noop!(
            answer(PETRA, *third, shown.clone()),
            Error::<Test>::DisputeWaits
        );
        assert_noop!(
            Disputes::timeout(RuntimeOrigin::signed(SAM), *third),
            Error::<Test>::DisputeWaits
        );
        // Another provider's are none of its business.
        assert!(Dockets::<Test>::get(PIUS).live.is_empty());

        // The first ends; the third begins, with all its time before it.
        let (given, first) = &all[0];
        let forged = Forged::of(given, 0);
        answer(PETRA, *first, forged.answer(given, 0)).unwrap();
        let (given, second) = &all[1];
        let forged = Forged::of(given, 0);
        answer(PETRA, *second, forged.answer(given, 0)).unwrap();
        while !is_over(*first) {
            pass(1);
        }
        let docket = Dockets::<Test>::get(PETRA);
        assert_eq!(live(&docket), [all[2].1, all[3].1]);
        let deadline = dispute(*third).deadline.unwrap();
        assert!(deadline >= crate::Clock::<Test>::get() + 5);
        System::assert_has_event(
            Event::Started {
                dispute: *third,
                deadline,
            }
            .into(),
        );
        assert_ok!(answer(PETRA, *third, shown));
    });
}

#[test]
fn a_queue_costs_whoever_fills_it_and_is_bounded() {
    TestExt::new().execute_with(|| {
        let base = Disputes::bond(PETRA, 0);
        let all = crowd(2 + u64::from(MAX_WAITING));
        for (place, (_, number)) in all.iter().enumerate() {
            let waiting = (place as u32).saturating_sub(2);
            let bond = dispute(*number).bond;
            let doubled = base << (waiting / CROWD);
            // And something for the leaves.
            assert!(bond > doubled && bond < doubled + doubled / 10, "{place}");
        }
        let given = Given::in_channel(channel(10_000), 0, vec![10; 4]);
        commit(CORA, &given.claim);
        pass(1);
        assert_noop!(given.open(CORA, 0), Error::<Test>::QueueFull);
    });
}

#[test]
fn a_dispute_over_a_convicted_claim_leaves_the_queue() {
    TestExt::new().execute_with(|| {
        let id = channel(10_000);
        let given = Given::in_channel(id, 0, vec![10; 4]);
        pass(1);
        let numbers: Vec<u64> = [CARL, CORA, SAM]
            .into_iter()
            .map(|who| given.dispute(who, 0))
            .collect();
        assert_eq!(Dockets::<Test>::get(PETRA).waiting.to_vec(), numbers[2..]);
        while !is_over(numbers[0]) {
            pass(1);
        }
        for number in &numbers[1..] {
            if !is_over(*number) {
                assert_ok!(Disputes::timeout(RuntimeOrigin::signed(SAM), *number));
            }
        }
        assert_eq!(bond_of(CORA) + bond_of(SAM) + bond_of(CARL), 0);
        assert_eq!(provider(PETRA).disputes, 0);
    });
}

/// A provider that fills its own queue over one claim cannot have the bonds back by giving that one up.
#[test]
fn a_conviction_does_not_pay_back_what_a_crowd_cost() {
    TestExt::new().execute_with(|| {
        crowd(2 + u64::from(CROWD));
        let given = Given::in_channel(channel(10_000), 0, vec![10; 4]);
        let given = given.with_receipt(|receipt| receipt.fee += 1);
        pass(1);
        let [coras, sams, _] = [CORA, SAM, UMA].map(|who| commit(who, &given.claim));
        pass(1);
        let before = [CORA, SAM].map(free);
        for who in [CORA, SAM] {
            assert_ok!(given.open(who, 0));
        }
        let record = dispute(sams);
        assert_eq!(record.surcharge * 2, record.bond);
        assert_ok!(given.accuse(UMA, Evidence::Face));
        assert_eq!(Convictions::<Test>::get(given.claim), Some(coras));
        let issuance = pallet_balances::Pallet::<Test>::total_issuance();
        for number in [coras, sams] {
            assert_ok!(Disputes::timeout(RuntimeOrigin::signed(SAM), number));
        }
        // Who was first has all of it, and the reward.
        let [cora, sam] = before;
        assert!(free(CORA) > cora);
        // Back is the commitment's deposit as well.
        assert_eq!(free(SAM), sam + 1_000 - record.surcharge);
        assert_eq!(bond_of(CORA) + bond_of(SAM), 0);
        assert_eq!(
            pallet_balances::Pallet::<Test>::total_issuance(),
            issuance - record.surcharge
        );
        for (dispute, burned) in [(coras, 0), (sams, record.surcharge)] {
            let verdict = Verdict::Superseded;
            let ended = Event::Ended {
                dispute,
                verdict,
                compensation: 0,
                burned,
            };
            System::assert_has_event(ended.into());
        }
    });
}

/// A provider could fill its own queue over many claims, and give up all of them while it has next to nothing at
/// stake, so that nobody else could dispute what it serves meanwhile.
#[test]
fn many_convictions_do_not_pay_back_what_a_crowd_cost() {
    TestExt::new().execute_with(|| {
        let all = crowd(2 + u64::from(MAX_WAITING));
        let surcharges: Vec<u128> = all
            .iter()
            .map(|(_, number)| dispute(*number).surcharge)
            .collect();
        let issuance = pallet_balances::Pallet::<Test>::total_issuance();
        System::reset_events();
        let mut verdicts = Vec::new();
        let (mut slashed_burned, mut crowd_burned) = (Vec::new(), Vec::new());
        while verdicts.len() < all.len() {
            pass(1);
            for record in System::events() {
                match record.event {
                    RuntimeEvent::Disputes(Event::Convicted { slashed, .. }) => {
                        slashed_burned.push(slashed.burned);
                    }
                    RuntimeEvent::Disputes(Event::Ended {
                        verdict, burned, ..
                    }) => {
                        verdicts.push(verdict);
                        crowd_burned.push(burned);
                    }
                    _ => {}
                }
            }
            System::reset_events();
        }
        assert!(verdicts
            .iter()
            .all(|verdict| *verdict == Verdict::Convicted));
        // Each pays what it added, less what its own conviction has burned.
        for ((added, slashed), paid) in surcharges.iter().zip(&slashed_burned).zip(&crowd_burned) {
            assert_eq!(*paid, added.saturating_sub(*slashed));
        }
        let burned = issuance - pallet_balances::Pallet::<Test>::total_issuance();
        assert!(burned >= surcharges.iter().sum());
        assert!(slashed_burned.iter().sum::<u128>() < burned / 10);
        assert_eq!(bond_of(CARL), 0);
    });
}

/// A short trace may be the last that is computed: it has the time of those before it.
#[test]
fn a_short_trace_has_the_time_of_the_longer_ones_before_it() {
    TestExt::new().execute_with(|| {
        let all_live = crate::Parameters {
            live_disputes: 4,
            ..parameters()
        };
        assert_ok!(Disputes::set_parameters(RuntimeOrigin::root(), all_live));
        let id = channel(10_000);
        let places = [39, 20, 0];
        let all: Vec<Given> = (0..3)
            .map(|seq| Given::in_channel(id, seq, vec![10; 40]))
            .collect();
        let numbers: Vec<u64> = all.iter().map(|given| commit(CARL, &given.claim)).collect();
        pass(1);
        for (given, place) in all.iter().zip(places) {
            given.open(CARL, place).unwrap();
        }
        let parameters = crate::Params::<Test>::get();
        let now = crate::Clock::<Test>::get();
        let traces: Vec<u64> = numbers
            .iter()
            .map(|number| {
                parameters
                    .blocks_for(dispute(*number).question.leaves())
                    .into()
            })
            .collect();
        assert!(traces[0] > traces[1] && traces[1] > traces[2] && traces[2] > 0);
        for place in 0..3 {
            let work: u64 = traces[..=place].iter().sum();
            let deadline = dispute(numbers[place]).deadline.unwrap();
            assert_eq!(deadline, now + parameters.reply_blocks + work);
        }
    });
}

#[test]
fn a_limit_that_is_raised_is_reached_while_disputes_end() {
    TestExt::new().execute_with(|| {
        let all = crowd(8);
        let raised = crate::Parameters {
            live_disputes: 4,
            ..parameters()
        };
        assert_ok!(Disputes::set_parameters(RuntimeOrigin::root(), raised));
        while !is_over(all[1].1) {
            pass(1);
        }
        let docket = Dockets::<Test>::get(PETRA);
        assert_eq!((docket.live.len(), docket.waiting.len()), (4, 2));
    });
}
