use super::*;
use assay_primitives::rewards::YEAR_MILLIS;

fn scenario(name: &str) -> &'static Scenario {
    SCENARIOS
        .iter()
        .find(|scenario| scenario.name == name)
        .unwrap()
}

#[test]
fn eras_make_up_a_year() {
    assert_eq!(YEAR_MILLIS % u64::from(ERAS_PER_YEAR), 0);
}

#[test]
fn without_demand_only_validators_earn_and_issuance_grows_by_their_rate() {
    let years = simulate_years(scenario("No demand"), 10);
    let first = &years[0];
    assert_eq!((first.burned, first.minted_for_providers), (0, 0));
    assert_eq!(first.validators, first.minted_for_validators);
    let grown = in_millions(years[9].issuance) / 1_000.0;
    // The era's cap binds before the tenth year.
    assert!(grown > 1.25 && grown < 0.25f64.exp(), "{grown}");
    // A tenth less than the rate divided by what is bonded.
    assert!((first.nominator_yield - 0.045).abs() < 0.001);
}

#[test]
fn great_demand_burns_more_than_is_minted() {
    let years = simulate_years(scenario("Great demand"), 3);
    assert!(years[2].issuance < Balance::from(GENESIS_ASY) * ASY);
}

#[test]
fn the_washer_loses_more_than_what_the_treasury_takes() {
    for year in simulate_years(scenario("Wash trading"), 2) {
        let treasury = year.washed as f64 * 0.025;
        assert!((year.washer as f64) < -treasury);
    }
}

#[test]
fn every_planck_is_accounted_for_in_every_era() {
    for scenario in &SCENARIOS {
        for year in simulate_years(scenario, 10) {
            assert_eq!((year.unaccounted, year.returned_too_much), (0, 0));
        }
    }
}

#[test]
fn a_picture_has_a_line_for_each_scenario() {
    let line = |name, points| plot::Line { name, points };
    let svg = plot::lines(
        "money",
        &[line("up", vec![1.0, 7.0]), line("down", vec![7.0, 0.0])],
    );
    assert_eq!(svg.matches("<polyline").count(), 2);
    assert!(svg.contains("points=\"0.0,274.3 640.0,0.0\""), "{svg}");
    assert!(svg.contains(">money<") && svg.contains(">down<"));
}
