//! Bodies that only the two ends of a channel can read: HPKE (RFC 9180) in base mode with X25519, HKDF-SHA256 and
//! ChaCha20-Poly1305, to the provider's X25519 key on chain, bound to chain, provider and channel.
//!
//! A sealed body is a run of frames: length of the ciphertext, u32 little-endian, whose highest bit marks the last
//! frame; then the ciphertext. The AAD of each frame is its index, u64 little-endian, and the marker as a byte, so
//! frames cannot be dropped, reordered, or cut off at the end unnoticed. No frame holds more than [`MAX_FRAME`]
//! bytes.
//!
//! The response is sealed in the same way, to a key pair that both ends derive from the request's exported secret.
//! Its encapsulated key is fresh, so answering a request twice never uses a key twice.
//!
//! Sending a sealed request again gains nothing: the request's number in its channel is used once, and the same
//! header again gives the stored answer, which is sealed to whoever made the request. Lengths and timing of frames
//! are not hidden, and the provider itself reads the prompt.

use assay_primitives::ChannelId;
use codec::Encode;
use hpke::{
    aead::{AeadCtxR, AeadCtxS, ChaCha20Poly1305},
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
};
use sp_core::H256;

pub use hpke::rand_core::CryptoRng;

use crate::AccountId;

/// The most bytes of plaintext in a frame.
pub const MAX_FRAME: usize = 16 * 1024;

const INFO_DOMAIN: &[u8] = b"assay/seal/v1";
const RESPONSE: &[u8] = b"assay/seal/response/v1";
const LENGTH_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
const LAST: u32 = 1 << 31;

type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type EncappedKey = <X25519HkdfSha256 as Kem>::EncappedKey;

/// Why a body cannot be sealed or opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    #[error("the provider's X25519 key on chain is not one; choose another provider")]
    BadKey,
    #[error("the seal's encapsulated key is not one; seal the body anew")]
    BadEncapsulation,
    #[error("a sealed frame of {0} bytes is too long or too short; the most is {MAX_FRAME} bytes of plaintext")]
    FrameLength(usize),
    #[error("a sealed frame does not open: it was sealed to another key, for another channel, or was changed on the way; read the provider's key again and seal the body anew")]
    DoesNotOpen,
    #[error("the sealed body ends before its last frame; it was cut off")]
    Truncated,
    #[error("bytes follow the last sealed frame; send one sealed body")]
    Trailing,
}

/// What a seal is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode)]
pub struct Binding {
    /// Hash of the chain's first block.
    pub genesis: H256,
    /// The provider's stash.
    pub provider: AccountId,
    pub channel: ChannelId,
}

impl Binding {
    /// The `info` of HPKE: the domain and three times 32 bytes.
    fn info(&self) -> Vec<u8> {
        [
            INFO_DOMAIN,
            self.genesis.as_bytes(),
            &self.provider,
            self.channel.as_bytes(),
        ]
        .concat()
    }
}

/// A provider's X25519 key.
#[derive(Clone)]
pub struct SealKey(PrivateKey);

impl SealKey {
    /// From 32 random bytes.
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Self, SealError> {
        let key = PrivateKey::from_bytes(secret).map_err(|_| SealError::BadKey)?;
        Ok(Self(key))
    }

    /// What goes into the provider's record on chain.
    pub fn public(&self) -> [u8; 32] {
        X25519HkdfSha256::sk_to_pk(&self.0).to_bytes().into()
    }
}

/// Begins a request to the provider with this X25519 key: the encapsulated key for the seal's header, the body's
/// sealer, and what will open the response.
pub fn seal_request(
    recipient: &[u8; 32],
    binding: &Binding,
    rng: &mut impl CryptoRng,
) -> Result<([u8; 32], Sealer, ResponseOpener), SealError> {
    let recipient = PublicKey::from_bytes(recipient).map_err(|_| SealError::BadKey)?;
    let (encapsulated, sealer) = sealer(&recipient, binding, rng)?;
    let mut secret = [0; 32];
    let exported = sealer.context.export(RESPONSE, &mut secret);
    exported.map_err(|_| SealError::BadKey)?;
    let (key, _) = X25519HkdfSha256::derive_keypair(&secret);
    let opener = ResponseOpener {
        key,
        binding: *binding,
    };
    Ok((encapsulated, sealer, opener))
}

/// Begins to open a request: the body's opener, and what will seal the response.
pub fn open_request(
    key: &SealKey,
    binding: &Binding,
    encapsulated: &[u8; 32],
) -> Result<(Opener, ResponseSealer), SealError> {
    let opener = opener(&key.0, binding, encapsulated)?;
    let mut secret = [0; 32];
    let exported = opener.context.export(RESPONSE, &mut secret);
    exported.map_err(|_| SealError::BadEncapsulation)?;
    let (_, key) = X25519HkdfSha256::derive_keypair(&secret);
    let sealer = ResponseSealer {
        key,
        binding: *binding,
    };
    Ok((opener, sealer))
}

/// Seals the response to one request.
pub struct ResponseSealer {
    key: PublicKey,
    binding: Binding,
}

impl ResponseSealer {
    /// The encapsulated key for the response's seal header, and the body's sealer.
    pub fn begin(&self, rng: &mut impl CryptoRng) -> Result<([u8; 32], Sealer), SealError> {
        sealer(&self.key, &self.binding, rng)
    }
}

/// Opens the response to one request. A response without a seal header is not to be believed.
pub struct ResponseOpener {
    key: PrivateKey,
    binding: Binding,
}

impl ResponseOpener {
    /// The opener of the body with this encapsulated key.
    pub fn begin(&self, encapsulated: &[u8; 32]) -> Result<Opener, SealError> {
        opener(&self.key, &self.binding, encapsulated)
    }
}

fn sealer(
    recipient: &PublicKey,
    binding: &Binding,
    rng: &mut impl CryptoRng,
) -> Result<([u8; 32], Sealer), SealError> {
    let (encapsulated, context) = hpke::setup_sender::<ChaCha20Poly1305, HkdfSha256, _, _>(
        &OpModeS::Base,
        recipient,
        &binding.info(),
        rng,
    )
    .map_err(|_| SealError::BadKey)?;
    let sealer = Sealer { context, index: 0 };
    Ok((encapsulated.to_bytes().into(), sealer))
}

fn opener(
    key: &PrivateKey,
    binding: &Binding,
    encapsulated: &[u8; 32],
) -> Result<Opener, SealError> {
    let encapsulated =
        EncappedKey::from_bytes(encapsulated).map_err(|_| SealError::BadEncapsulation)?;
    let context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, _>(
        &OpModeR::Base,
        key,
        &encapsulated,
        &binding.info(),
    )
    .map_err(|_| SealError::BadEncapsulation)?;
    Ok(Opener {
        context,
        index: 0,
        buffer: Vec::new(),
        ended: false,
    })
}

fn aad(index: u64, last: bool) -> [u8; 9] {
    let mut aad = [u8::from(last); 9];
    if let Some(head) = aad.get_mut(..8) {
        head.copy_from_slice(&index.to_le_bytes());
    }
    aad
}

/// Turns bytes into frames.
pub struct Sealer {
    context: AeadCtxS<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>,
    index: u64,
}

impl Sealer {
    /// Frames for these bytes, of which more follow. No bytes give no frame.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut frames = Vec::with_capacity(bytes.len().saturating_add(64));
        for piece in bytes.chunks(MAX_FRAME) {
            self.frame(piece, false, &mut frames);
        }
        frames
    }

    /// Frames for the last bytes, if any, with the marker without which the body counts as cut off.
    pub fn finish(mut self, bytes: &[u8]) -> Vec<u8> {
        let mut frames = Vec::with_capacity(bytes.len().saturating_add(64));
        let mut pieces = bytes.chunks(MAX_FRAME).peekable();
        while let Some(piece) = pieces.next_if(|piece| piece.len() == MAX_FRAME) {
            self.frame(piece, false, &mut frames);
        }
        self.frame(pieces.next().unwrap_or(&[]), true, &mut frames);
        frames
    }

    fn frame(&mut self, piece: &[u8], last: bool, frames: &mut Vec<u8>) {
        let sealed = self.context.seal(piece, &aad(self.index, last));
        // Sealing fails for lengths and counts that no frame and no body reaches; without the frame nothing
        // after it opens.
        let Ok(sealed) = sealed else { return };
        self.index = self.index.saturating_add(1);
        let length = u32::try_from(sealed.len()).unwrap_or(LAST - 1);
        let marker = if last { LAST } else { 0 };
        frames.extend_from_slice(&(length | marker).to_le_bytes());
        frames.extend_from_slice(&sealed);
    }
}

/// Turns frames into bytes. Keeps at most one frame.
pub struct Opener {
    context: AeadCtxR<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>,
    index: u64,
    buffer: Vec<u8>,
    ended: bool,
}

impl Opener {
    /// The plaintext of all frames that are complete with these bytes. After an error nothing more is to be
    /// pushed.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            if self.ended {
                return Err(SealError::Trailing);
            }
            let wanted = match self.header() {
                Some((length, _)) => length.saturating_add(LENGTH_BYTES),
                None => LENGTH_BYTES,
            };
            let missing = wanted.saturating_sub(self.buffer.len()).min(bytes.len());
            let (now, later) = bytes.split_at(missing);
            self.buffer.extend_from_slice(now);
            bytes = later;
            if let Some((length, last)) = self.header() {
                let fits = (TAG_BYTES..=MAX_FRAME.saturating_add(TAG_BYTES)).contains(&length);
                if !fits {
                    return Err(SealError::FrameLength(length));
                }
                if self.buffer.len() >= length.saturating_add(LENGTH_BYTES) {
                    let sealed = self.buffer.get(LENGTH_BYTES..).unwrap_or_default();
                    let piece = self.context.open(sealed, &aad(self.index, last));
                    plain.extend(piece.map_err(|_| SealError::DoesNotOpen)?);
                    self.buffer.clear();
                    self.index = self.index.saturating_add(1);
                    self.ended = last;
                }
            }
        }
        Ok(plain)
    }

    /// Length of the buffered frame's ciphertext, and whether it is the last.
    fn header(&self) -> Option<(usize, bool)> {
        let head = self.buffer.first_chunk::<LENGTH_BYTES>()?;
        let word = u32::from_le_bytes(*head);
        let length = usize::try_from(word & !LAST).unwrap_or(usize::MAX);
        Some((length, word & LAST != 0))
    }

    /// Whether the last frame was opened.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// At the end of the body: it must have ended with its last frame.
    pub fn finish(self) -> Result<(), SealError> {
        match self.ended {
            true => Ok(()),
            false => Err(SealError::Truncated),
        }
    }
}

#[cfg(test)]
mod tests;
