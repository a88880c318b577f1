//! Bodies of requests and answers, sealed or not.

use assay_channel::{
    seal::{self, Binding, Opener, ResponseOpener},
    wire::{decode_seal, encode_seal, SEALED_TYPE, SEAL_HEADER},
};
use reqwest::{
    header::{HeaderMap, CONTENT_TYPE},
    RequestBuilder,
};
use serde_json::Value;

use super::Failed;

/// To whom a body is sealed, and for which channel.
#[derive(Clone, Copy)]
pub struct Seal {
    /// The provider's X25519 key.
    pub key: [u8; 32],
    pub binding: Binding,
}

/// How the answer has to come back.
pub enum Expected {
    Plain,
    Sealed(Box<ResponseOpener>),
}

/// Puts the body into the request.
pub fn write(
    request: RequestBuilder,
    body: &Value,
    seal: Option<&Seal>,
) -> Result<(RequestBuilder, Expected), Failed> {
    let Some(seal) = seal else {
        return Ok((request.json(body), Expected::Plain));
    };
    let sealed = seal::seal_request(&seal.key, &seal.binding, &mut rand::rng());
    let (encapsulated, sealer, opener) =
        sealed.map_err(|error| Failed::Nonsense(error.to_string()))?;
    let request = request
        .header(SEAL_HEADER, encode_seal(&encapsulated))
        .header(CONTENT_TYPE, SEALED_TYPE)
        .body(sealer.finish(body.to_string().as_bytes()));
    Ok((request, Expected::Sealed(Box::new(opener))))
}

/// The reading end of an answer.
pub enum Reply {
    Plain,
    Sealed(Box<Opener>),
}

impl Reply {
    /// Whoever asked under seal believes nothing that is not sealed.
    pub fn new(expected: Expected, headers: &HeaderMap) -> Result<Self, Failed> {
        let opener = match expected {
            Expected::Plain => return Ok(Self::Plain),
            Expected::Sealed(opener) => opener,
        };
        let seal = headers
            .get(SEAL_HEADER)
            .and_then(|value| value.to_str().ok());
        let nonsense = |error: &dyn std::fmt::Display| Failed::Nonsense(error.to_string());
        let seal =
            seal.ok_or_else(|| nonsense(&"the answer is not sealed, and the request was"))?;
        let encapsulated = decode_seal(seal).map_err(|error| nonsense(&error))?;
        let opener = opener
            .begin(&encapsulated)
            .map_err(|error| nonsense(&error))?;
        Ok(Self::Sealed(Box::new(opener)))
    }

    pub fn open(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Failed> {
        match self {
            Self::Plain => Ok(bytes.to_vec()),
            Self::Sealed(opener) => opener
                .push(bytes)
                .map_err(|error| Failed::Nonsense(error.to_string())),
        }
    }
}
