//! The models that are served: folders on this machine, held against their listings on the chain.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use anyhow::{bail, Context};
use assay_client::{AccountId32, Error, Snapshot};
use assay_primitives::{ListingId, ModelParts, ModelSpec, TokenId};

use crate::{
    engine::{CandleEngine, Engine, EngineSpec, ModelFolder},
    generate::SharedEngine,
};

/// A folder that was checked but whose weights are not in memory yet.
pub struct Opened {
    folder: ModelFolder,
    parts: ModelParts,
}

impl Opened {
    /// Opens a folder and hashes what a listing binds. Reads the weights once.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let folder = ModelFolder::open(path)?;
        let parts = folder.parts()?;
        Ok(Self { folder, parts })
    }
}

/// A loaded model.
struct Model {
    path: PathBuf,
    parts: ModelParts,
    spec: EngineSpec,
    engine: SharedEngine,
}

/// What is needed to answer a job of one listing.
#[derive(Clone)]
pub struct Served {
    pub engine: SharedEngine,
    pub spec: EngineSpec,
    /// The listing's: these end an answer, whatever the files say.
    pub stop_tokens: Vec<TokenId>,
}

/// The served models, by listing.
pub struct Models {
    models: Vec<Model>,
    served: BTreeMap<ListingId, Served>,
}

impl Models {
    /// Holds every folder against the listings that `provider` offers, and loads it. A folder that
    /// no offered listing is about is an error: it would never get a job, or fail each one.
    pub async fn load(
        folders: Vec<Opened>,
        best: &Snapshot,
        provider: AccountId32,
    ) -> anyhow::Result<Self> {
        let mut offered = Vec::new();
        for (id, listing) in best.listings().await? {
            if best.offer(id, provider).await?.is_some() {
                offered.push((id, listing.parts.0));
            }
        }
        let mut models = Self {
            models: Vec::new(),
            served: BTreeMap::new(),
        };
        for Opened { folder, parts } in folders {
            let fitting: Vec<_> = offered
                .iter()
                .filter(|(_, listed)| mismatch(&parts, listed).is_none())
                .collect();
            if fitting.is_empty() {
                bail!("{}", no_listing(folder.path(), &parts, &offered, &provider));
            }
            let model = tokio::task::spawn_blocking(move || -> anyhow::Result<Model> {
                let engine = CandleEngine::load(&folder)?;
                Ok(Model {
                    path: folder.path().into(),
                    parts,
                    spec: engine.spec().clone(),
                    engine: Arc::new(Mutex::new(Box::new(engine))),
                })
            });
            let model = model.await.context("loading a model failed")??;
            for (id, listed) in fitting {
                tracing::info!(
                    target: "assay_worker", model = %model.path.display(), listing = ?id,
                    "model loaded"
                );
                models.served.insert(*id, model.serve(&listed.spec));
            }
            models.models.push(model);
        }
        Ok(models)
    }

    /// The ids of the listings that are served.
    pub fn listings(&self) -> Vec<String> {
        self.served.keys().map(|id| format!("{id:?}")).collect()
    }

    /// What answers jobs of `listing`. One that came after the start is looked up on the chain.
    pub async fn find(
        &mut self,
        best: &Snapshot,
        listing: ListingId,
    ) -> Result<Option<Served>, Error> {
        if let Some(served) = self.served.get(&listing) {
            return Ok(Some(served.clone()));
        }
        let Some(listed) = best.listing(listing).await? else {
            return Ok(None);
        };
        let listed = listed.parts.0;
        let model = self
            .models
            .iter()
            .find(|model| mismatch(&model.parts, &listed).is_none());
        let Some(served) = model.map(|model| model.serve(&listed.spec)) else {
            return Ok(None);
        };
        self.served.insert(listing, served.clone());
        Ok(Some(served))
    }
}

impl Model {
    fn serve(&self, listed: &ModelSpec) -> Served {
        Served {
            engine: self.engine.clone(),
            spec: self.spec.clone(),
            stop_tokens: listed.stop_tokens.to_vec(),
        }
    }
}

/// The first thing in which a folder differs from a listing, with what each of them has.
fn mismatch(ours: &ModelParts, listed: &ModelParts) -> Option<String> {
    let hashes = [
        ("weights", ours.weights_root, listed.weights_root),
        ("tokenizer.json", ours.tokenizer, listed.tokenizer),
        ("chat template", ours.template, listed.template),
    ];
    if let Some((what, here, there)) = hashes.iter().find(|(_, here, there)| here != there) {
        return Some(format!(
            "the hash of the {what} is {here:?}, the listing says {there:?}"
        ));
    }
    // A publisher may list a shorter context, and other stop tokens, than the files have.
    let spec = ModelSpec {
        context: ours.spec.context.min(listed.spec.context),
        stop_tokens: listed.spec.stop_tokens.clone(),
        ..ours.spec.clone()
    };
    (spec != listed.spec)
        .then(|| "config.json has another shape than the listing, or a shorter context".into())
}

/// How much of a listing a folder has: weights count most, since they are what a listing is about.
fn likeness(ours: &ModelParts, listed: &ModelParts) -> u8 {
    u8::from(ours.weights_root == listed.weights_root) * 4
        + u8::from(ours.tokenizer == listed.tokenizer) * 2
        + u8::from(ours.template == listed.template)
}

fn no_listing(
    path: &Path,
    parts: &ModelParts,
    offered: &[(ListingId, ModelParts)],
    provider: &AccountId32,
) -> String {
    let path = path.display();
    let closest = offered
        .iter()
        .max_by_key(|(_, listed)| likeness(parts, listed));
    match closest.and_then(|(id, listed)| Some((id, mismatch(parts, listed)?))) {
        Some((id, difference)) => format!(
            "model {path}: it is none that provider {provider} offers; closest is listing {id:?}, but \
             {difference}; take the files that were listed, or list these with `assay model \
             register` and offer them with `assay provider offer`"
        ),
        None => format!(
            "model {path} (weights {:?}): provider {provider} offers no model; list it with `assay \
             model register` and offer it with `assay provider offer`",
            parts.weights_root
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_client::H256;
    use assay_primitives::{Architecture, Profile};

    fn parts() -> ModelParts {
        ModelParts {
            spec: ModelSpec {
                architecture: Architecture::Llama,
                profile: Profile::Unverified,
                layers: 4,
                hidden: 256,
                intermediate: 768,
                heads: 8,
                kv_heads: 2,
                head_dim: 32,
                vocabulary: 1024,
                context: 512,
                stop_tokens: vec![1, 3].try_into().unwrap(),
                tied_embeddings: true,
            },
            tokenizer: H256::repeat_byte(1),
            template: H256::repeat_byte(2),
            tables: H256::zero(),
            weights_root: H256::repeat_byte(3),
        }
    }

    fn with_spec(change: fn(&mut ModelSpec)) -> ModelParts {
        let mut parts = parts();
        change(&mut parts.spec);
        parts
    }

    #[test]
    fn a_folder_serves_listings_of_its_files_alone() {
        assert_eq!(mismatch(&parts(), &parts()), None);
        let others = [
            ModelParts {
                tokenizer: H256::zero(),
                ..parts()
            },
            ModelParts {
                template: H256::zero(),
                ..parts()
            },
            ModelParts {
                weights_root: H256::zero(),
                ..parts()
            },
            with_spec(|spec| spec.layers = 5),
            with_spec(|spec| spec.context = 513),
        ];
        for other in others {
            assert!(mismatch(&parts(), &other).is_some(), "{other:?}");
        }
    }

    #[test]
    fn a_listing_may_promise_less_context_and_other_stop_tokens() {
        assert_eq!(
            mismatch(&parts(), &with_spec(|spec| spec.context = 100)),
            None
        );
        let stop = with_spec(|spec| spec.stop_tokens = vec![7].try_into().unwrap());
        assert_eq!(mismatch(&parts(), &stop), None);
    }

    #[test]
    fn a_wrong_file_is_named_with_both_hashes() {
        let listed = ModelParts {
            tokenizer: H256::repeat_byte(0xab),
            ..parts()
        };
        let unrelated = ModelParts {
            tokenizer: H256::zero(),
            weights_root: H256::zero(),
            ..parts()
        };
        let offered = [
            (H256::repeat_byte(8), unrelated),
            (H256::repeat_byte(9), listed),
        ];
        let provider = AccountId32([0; 32]);
        let message = no_listing(Path::new("/m"), &parts(), &offered, &provider);
        for part in ["/m", "tokenizer.json", "0x0101", "0xabab", "0x0909"] {
            assert!(message.contains(part), "{part} in {message}");
        }
        assert!(!message.contains('\n'));
        assert!(no_listing(Path::new("/m"), &parts(), &[], &provider).contains("offers no model"));
    }
}
