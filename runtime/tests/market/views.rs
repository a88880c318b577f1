//! The pallets' view functions, as the runtime's API calls them.

use assay_primitives::Balance;
use assay_runtime::{AccountId, Channels, Disputes, Jobs, Models, Providers, Runtime, Validators};
use codec::{Decode, DecodeAll, Encode};
use frame_support::view_functions::{ViewFunction, ViewFunctionId};
use pallet_disputes::BondViewFunction;
use sp_keyring::Sr25519Keyring::Alice;

use crate::blocks::{development, open_market};

/// What a view function says, by its id and its arguments alone.
fn view<V: ViewFunction + Encode>(arguments: V) -> V::ReturnType
where
    V::ReturnType: Decode,
{
    let result = Runtime::execute_view_function(V::id(), arguments.encode());
    V::ReturnType::decode_all(&mut &result.unwrap()[..]).unwrap()
}

#[test]
fn the_bond_of_a_challenge_is_told() {
    development().execute_with(|| {
        open_market();
        let parameters = pallet_disputes::Params::<Runtime>::get();
        let bond = |who: AccountId, leaves| -> Balance {
            view(BondViewFunction::<Runtime>::new(who, leaves))
        };
        for leaves in [0, 1, 36_000_000, u64::MAX] {
            let expected = parameters.bond(leaves, 0);
            assert_eq!(bond(Alice.to_account_id(), leaves), expected);
            assert_eq!(bond(AccountId::new([9; 32]), leaves), expected);
        }
        assert!(parameters.bond(36_000_000, 0) > parameters.bond(0, 0));
    });
}

/// Those of all our pallets: of no arguments but zeros, and of as many ones as it takes.
#[test]
fn no_view_function_panics_and_each_has_an_answer() {
    development().execute_with(|| {
        open_market();
        let mut asked = 0;
        for (pallet, functions) in [
            ("Models", Models::pallet_view_functions_metadata()),
            ("Providers", Providers::pallet_view_functions_metadata()),
            ("Jobs", Jobs::pallet_view_functions_metadata()),
            ("Channels", Channels::pallet_view_functions_metadata()),
            ("Disputes", Disputes::pallet_view_functions_metadata()),
            ("Validators", Validators::pallet_view_functions_metadata()),
        ] {
            for function in functions {
                let id = || ViewFunctionId::decode(&mut &function.id[..]).unwrap();
                let answers = |byte: u8| {
                    let arguments = (0..=256).map(|length| vec![byte; length]);
                    let results = arguments.map(|of| Runtime::execute_view_function(id(), of));
                    results.filter(Result::is_ok).count()
                };
                let name = format!("{pallet}.{}", function.name);
                assert_eq!(answers(0), 1, "{name} of zeros");
                assert!(answers(u8::MAX) <= 1, "{name} of ones");
                asked += 1;
            }
        }
        assert!(asked >= 15, "{asked} view functions");
    });
}
