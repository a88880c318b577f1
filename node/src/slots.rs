//! The last slot in which this node may have signed a block.
//!
//! Two blocks of one slot cost a validator its stake, and a clock that was set back brings slots again. A node that runs takes
//! none twice; this is what it remembers when it is started again. It lies beside the keys and not in the database, which
//! may be deleted while they stay.

use futures::{FutureExt, TryFutureExt};
use sp_consensus::{Environment, Proposal, ProposeArgs, Proposer};
use sp_consensus_babe::digests::CompatibleDigestItem;
use sp_runtime::{traits::Block, Digest};
use std::{
    fs::{File, OpenOptions},
    future::Future,
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    pin::Pin,
};

/// The file in which it is remembered, as a number in digits.
#[derive(Clone)]
pub struct Slots(PathBuf);

impl Slots {
    /// Those of the chain in this folder.
    pub fn of(folder: &Path) -> Self {
        Self(folder.join("last-slot"))
    }

    /// Takes a slot that is later than all before. It is on disk before anything is signed in it.
    pub fn take(&self, slot: u64) -> Result<(), String> {
        let path = self.0.display();
        let problem = |error: io::Error| format!("{path} cannot be used: {error}");
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false);
        let mut file = opened.open(&self.0).map_err(problem)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(problem)?;
        // It is empty when the first slot was not written to its end: nothing was signed in that.
        if !text.is_empty() {
            let last: u64 = text.trim().parse().map_err(|_| {
                format!("{path} holds no slot: delete it when this node's clock is right and its keys are new")
            })?;
            if slot <= last {
                return Err(format!(
                    "slot {slot} is not after slot {last}, in which this node may have signed a block; if its clock was set \
                     back it goes on after that slot, or when other session keys are in force and {path} is deleted"
                ));
            }
        }
        // Always of the same length and in one piece, so that it is never half of a number.
        file.rewind()
            .and_then(|()| file.write_all(format!("{slot:020}\n").as_bytes()))
            .and_then(|()| file.sync_data())
            .and_then(|()| match text.is_empty() {
                true => self.keep_name(),
                false => Ok(()),
            })
            .map_err(problem)
    }

    /// A file that is new is on disk, and under its name only when its folder is too.
    fn keep_name(&self) -> io::Result<()> {
        match self.0.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// What makes blocks, and takes the slot of each before it makes it. A slot in which it is not this node's turn, as in most, is
/// not written down: nothing is signed in it, and nothing has to wait for the disk.
pub struct Careful<Inner> {
    slots: Slots,
    inner: Inner,
}

impl Slots {
    /// Guards this maker of blocks.
    pub fn before<Inner>(self, inner: Inner) -> Careful<Inner> {
        Careful { slots: self, inner }
    }
}

impl<B: Block, Inner: Environment<B>> Environment<B> for Careful<Inner>
where
    Inner::Proposer: Proposer<B, Error = Inner::Error>,
{
    type Proposer = Careful<Inner::Proposer>;
    type CreateProposer =
        Pin<Box<dyn Future<Output = Result<Self::Proposer, Inner::Error>> + Send>>;
    type Error = Inner::Error;

    fn init(&mut self, parent: &B::Header) -> Self::CreateProposer {
        let slots = self.slots.clone();
        let made = self.inner.init(parent);
        made.map_ok(|inner| slots.before(inner)).boxed()
    }
}

impl<B: Block, Inner: Proposer<B> + Send + 'static> Proposer<B> for Careful<Inner> {
    type Error = Inner::Error;
    type Proposal = Pin<Box<dyn Future<Output = Result<Proposal<B>, Inner::Error>> + Send>>;

    fn propose(self, arguments: ProposeArgs<B>) -> Self::Proposal {
        async move {
            let taken = slot_of(&arguments.inherent_digests).and_then(|slot| self.slots.take(slot));
            taken.map_err(|problem| sp_consensus::Error::Other(problem.into()))?;
            self.inner.propose(arguments).await
        }
        .boxed()
    }
}

/// The slot that a block with these digests is made for.
fn slot_of(digests: &Digest) -> Result<u64, String> {
    let mut logs = digests.logs().iter();
    let claim = logs.find_map(CompatibleDigestItem::as_babe_pre_digest);
    let claim = claim.ok_or("a block without a slot")?;
    Ok(*claim.slot())
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use sp_consensus_babe::digests::{PreDigest, SecondaryPlainPreDigest};
    use sp_runtime::{
        generic, traits::BlakeTwo256, traits::Header as _, DigestItem, OpaqueExtrinsic,
    };
    use std::{fs, future};

    use super::*;

    type Header = generic::Header<u32, BlakeTwo256>;
    type OpaqueBlock = generic::Block<Header, OpaqueExtrinsic>;

    #[test]
    fn a_slot_is_taken_once_and_none_before_it_whoever_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Slots::of(folder.path()).take(99), Ok(()));
        for _ in 0..2 {
            let again = Slots::of(folder.path());
            for slot in [0, 98, 99] {
                let refused = again.take(slot).unwrap_err();
                assert!(refused.contains("is not after slot"), "{refused}");
            }
        }
        for slot in [100, 102, u64::MAX] {
            assert_eq!(Slots::of(folder.path()).take(slot), Ok(()));
        }
        assert!(Slots::of(folder.path()).take(103).is_err());
    }

    #[test]
    fn a_first_slot_that_was_not_written_forbids_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("last-slot"), "").unwrap();
        assert_eq!(Slots::of(folder.path()).take(1), Ok(()));
        assert!(Slots::of(folder.path()).take(1).is_err());
    }

    #[test]
    fn nothing_is_signed_where_nothing_can_be_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("nowhere");
        let refused = Slots::of(&nowhere).take(1).unwrap_err();
        assert!(refused.contains("nowhere/last-slot cannot be used"));
        fs::write(folder.path().join("last-slot"), "soon").unwrap();
        let refused = Slots::of(folder.path()).take(1).unwrap_err();
        assert!(refused.contains("last-slot holds no slot"), "{refused}");
    }

    /// Makes nothing, and says so in its own way.
    struct Idle;

    impl Environment<OpaqueBlock> for Idle {
        type Proposer = Self;
        type CreateProposer = future::Ready<Result<Self, sp_consensus::Error>>;
        type Error = sp_consensus::Error;

        fn init(&mut self, _: &Header) -> Self::CreateProposer {
            future::ready(Ok(Self))
        }
    }

    impl Proposer<OpaqueBlock> for Idle {
        type Error = sp_consensus::Error;
        type Proposal = future::Ready<Result<Proposal<OpaqueBlock>, Self::Error>>;

        fn propose(self, _: ProposeArgs<OpaqueBlock>) -> Self::Proposal {
            future::ready(Err(sp_consensus::Error::InvalidJustification))
        }
    }

    #[test]
    fn a_block_is_made_only_in_a_slot_that_was_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let parent = Header::new(
            1,
            Default::default(),
            Default::default(),
            Default::default(),
            Digest::default(),
        );
        let made_in = |logs: Vec<DigestItem>| {
            let mut careful = Slots::of(folder.path()).before(Idle);
            let proposer = block_on(careful.init(&parent)).ok().unwrap();
            let inherent_digests = Digest { logs };
            let arguments = ProposeArgs {
                inherent_digests,
                ..Default::default()
            };
            block_on(proposer.propose(arguments)).err().unwrap()
        };
        let claim = |slot: u64| {
            let authority_index = 0;
            let digest = SecondaryPlainPreDigest {
                authority_index,
                slot: slot.into(),
            };
            DigestItem::babe_pre_digest(PreDigest::SecondaryPlain(digest))
        };
        let idle = sp_consensus::Error::InvalidJustification.to_string();
        assert_eq!(made_in(vec![claim(7)]).to_string(), idle);
        let again = made_in(vec![claim(7)]).to_string();
        assert!(again.contains("slot 7 is not after slot 7"), "{again}");
        assert_eq!(made_in(vec![claim(8)]).to_string(), idle);
        assert_eq!(made_in(vec![]).to_string(), "a block without a slot");
    }
}
