//! View functions of pallets: what the runtime answers at a block.
//!
//! The runtime takes a view function's arguments as one list of bytes behind the function's id, and gives
//! its result as such a list. subxt's own call leaves the lists' lengths out, which the runtime takes for bad
//! input.

use codec::{Decode, Encode};
use subxt::{ext::scale_decode::DecodeAsType, view_functions::Payload};

use super::Snapshot;
use crate::Error;

/// Bytes of a view function's id.
const ID: usize = 32;

/// Why the runtime has no result, as it says it.
#[derive(Debug, Decode)]
enum Refusal {
    NotImplemented,
    #[allow(dead_code)] // Shown with the rest.
    NotFound([u8; ID]),
    Codec,
}

impl Snapshot {
    /// The result of a view function.
    pub async fn view<P: Payload>(&self, payload: P) -> Result<P::ReturnType, Error> {
        let name = format!("{}.{}", payload.pallet_name(), payload.function_name());
        let failed = |why: String| Error::Node(format!("{name}: {why}"));
        let views = self.client().view_functions();
        views.validate(&payload).map_err(Error::node)?;
        let mut call = views.encode_args(&payload).map_err(Error::node)?;
        let arguments = call.split_off(ID.min(call.len()));
        arguments.encode_to(&mut call);
        let answer = views.call_raw(Some(&call)).await.map_err(Error::node)?;
        let result = Result::<Vec<u8>, Refusal>::decode(&mut &answer[..])
            .map_err(|error| failed(error.to_string()))?
            .map_err(|refusal| failed(format!("{refusal:?}")))?;
        let metadata = self.client().metadata_ref();
        let function = metadata
            .pallet_by_name(payload.pallet_name())
            .and_then(|pallet| pallet.view_function_by_name(payload.function_name()))
            .ok_or_else(|| failed("the runtime does not have it".into()))?;
        let result = &mut &result[..];
        P::ReturnType::decode_as_type(result, function.output_ty(), metadata.types())
            .map_err(|error| failed(error.to_string()))
    }
}
