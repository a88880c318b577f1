//! The models that are served: folders on this machine, held against their listings on the chain.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{bail, Context};
use assay_client::{
    folder::{ModelFolder, ModelWeights},
    AccountId32, Error, Snapshot,
};
use assay_exact::cpu::Cpu;
use assay_primitives::{ListingId, ModelParts, ModelSpec, Profile, TokenId};

use crate::{
    engine::{CandleEngine, Engine, ExactEngine, Gpu, Places, Upstream, UpstreamEngine},
    generate::Generator,
};

/// A folder that was checked but whose weights are not in memory yet.
pub struct Opened {
    folder: ModelFolder,
    parts: ModelParts,
}

impl Opened {
    /// Opens a folder and hashes what a listing binds. Reads every byte once: of an exact folder that
    /// shows that it has the root it claims. One that `upstream` cannot answer for is refused before.
    pub fn open(path: &Path, upstream: Option<&Upstream>) -> anyhow::Result<Self> {
        let folder = ModelFolder::open(path)?;
        if let (Some(upstream), true) = (upstream, folder.is_exact()) {
            bail!(
                "model {}: answers of an exact model can be proven wrong, and nothing shows what {} \
                 computes; give --upstream a folder of floats, which is listed as unverified",
                path.display(),
                upstream.url
            );
        }
        tracing::info!(
            target: "assay_worker", model = %path.display(),
            "reading every byte of the model, to hold it against its listing"
        );
        let parts = folder.parts()?;
        Ok(Self { folder, parts })
    }

    /// Starts the engine that serves the folder's kind of model.
    fn load(self, setup: &Setup) -> anyhow::Result<Model> {
        let path = self.folder.path().to_owned();
        let spec = self.folder.spec().clone();
        let engine: Box<dyn Engine> = match (self.folder.into_weights(), &setup.upstream) {
            (ModelWeights::Float(_), Some(upstream)) => {
                Box::new(UpstreamEngine::load(&path, &spec, upstream)?)
            }
            (ModelWeights::Exact(folder), _) => {
                let engine =
                    ExactEngine::load(folder, setup.cpu.clone(), setup.gpu.as_ref(), setup.places);
                Box::new(engine.with_context(|| format!("model {}", path.display()))?)
            }
            (ModelWeights::Float(folder), None) => Box::new(CandleEngine::load(&path, &folder)?),
        };
        let description = engine.describe();
        let generator = Generator::new(engine, setup.queue);
        Ok(Model {
            path,
            parts: self.parts,
            description,
            generator: generator.context("cannot start a thread for the engine")?,
        })
    }
}

/// What engines run on, and how much they take on.
#[derive(Clone)]
pub struct Setup {
    pub cpu: Arc<Cpu>,
    /// Where exact models are computed instead, if anywhere.
    pub gpu: Option<Gpu>,
    pub places: Places,
    /// Requests of each class that wait for a model.
    pub queue: usize,
    /// The server that answers instead of this machine.
    pub upstream: Option<Upstream>,
}

/// A loaded model.
struct Model {
    path: PathBuf,
    parts: ModelParts,
    /// The engine, in the words of the log.
    description: String,
    generator: Generator,
}

/// What is needed to answer requests of one listing.
#[derive(Clone)]
pub struct Served {
    /// The model's folder.
    pub folder: PathBuf,
    pub generator: Generator,
    /// The engine, for people: what it is and what it runs on, or whose server it is.
    pub engine: String,
    pub spec: ModelSpec,
    /// The listing's: these end an answer, whatever the files say.
    pub stop_tokens: Vec<TokenId>,
}

/// The served models, by listing.
pub struct Models {
    models: Vec<Model>,
    served: BTreeMap<ListingId, Served>,
    /// Whether nobody is let in who waits for one of them.
    held: bool,
}

impl Models {
    /// Holds every folder against the listings that `provider` offers or has channels for, and loads it. A folder that
    /// none of them is about is an error: it would never get a job, or fail each one.
    pub async fn load(
        folders: Vec<Opened>,
        setup: &Setup,
        best: &Snapshot,
        provider: AccountId32,
    ) -> anyhow::Result<Self> {
        // What was sold before an offer went away has still to be claimed, and defended.
        let channels = best.channels_of_provider(provider).await?;
        let sold: BTreeSet<ListingId> = channels.iter().map(|(_, one)| one.listing).collect();
        let mut offered = Vec::new();
        for (id, listing) in best.listings().await? {
            if sold.contains(&id) || best.offer(id, provider).await?.is_some() {
                offered.push((id, listing.parts.0));
            }
        }
        let mut models = Self {
            models: Vec::new(),
            served: BTreeMap::new(),
            held: false,
        };
        for opened in folders {
            let (path, parts) = (opened.folder.path(), &opened.parts);
            let fitting: Vec<_> = offered
                .iter()
                .filter(|(_, listed)| mismatch(parts, listed).is_none())
                .collect();
            if fitting.is_empty() {
                bail!("{}", no_listing(path, parts, &offered, &provider));
            }
            let setup = setup.clone();
            let model = tokio::task::spawn_blocking(move || opened.load(&setup));
            let model = model.await.context("loading a model failed")??;
            for (id, listed) in fitting {
                tracing::info!(
                    target: "assay_worker", model = %model.path.display(), listing = ?id,
                    engine = %model.description, "model loaded"
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

    /// The listings that are served.
    pub fn served(&self) -> impl Iterator<Item = (&ListingId, &Served)> {
        self.served.iter()
    }

    /// Lets nobody in any more who waits for one of them, or again.
    pub fn hold(&mut self, on: bool) {
        if self.held != on {
            self.held = on;
            for model in &self.models {
                model.generator.hold(on);
            }
        }
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
            folder: self.path.clone(),
            generator: self.generator.clone(),
            engine: self.description.clone(),
            spec: self.parts.spec.clone(),
            stop_tokens: listed.stop_tokens.to_vec(),
        }
    }
}

/// The first thing in which a folder differs from a listing, with what each of them has.
fn mismatch(ours: &ModelParts, listed: &ModelParts) -> Option<String> {
    let is_exact = |parts: &ModelParts| parts.spec.profile != Profile::Unverified;
    match (is_exact(ours), is_exact(listed)) {
        (false, true) => {
            return Some(
                "that model is exact and this folder holds floats; `assay model import` makes the \
                 one from the other"
                    .into(),
            )
        }
        (true, false) => return Some("that model is of floats and this folder is exact".into()),
        _ => {}
    }
    let hashes = [
        ("weights", ours.weights_root, listed.weights_root),
        ("numeric tables", ours.tables, listed.tables),
        ("tokenizer.json", ours.tokenizer, listed.tokenizer),
        ("chat template", ours.template, listed.template),
    ];
    if let Some((what, here, there)) = hashes.iter().find(|(_, here, there)| here != there) {
        return Some(format!(
            "the hash of the {what} is {here:?}, the listing says {there:?}"
        ));
    }
    if is_exact(ours) {
        // An answer is judged by the listing's spec, to the last stop token.
        return (ours.spec != listed.spec).then(|| {
            "manifest.json has another shape, context or stop tokens than the listing".into()
        });
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
    use assay_primitives::{Architecture, Rotary};

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

    fn exact() -> ModelParts {
        let mut parts = parts();
        parts.tables = H256::repeat_byte(4);
        parts.spec.profile = Profile::Exact {
            fraction_bits: 16,
            eps40: 1 << 20,
            rotary: Rotary {
                base: 10_000_000_000,
                scaling: None,
            },
        };
        parts
    }

    #[test]
    fn a_listing_of_an_exact_model_is_the_folders_to_the_last_number() {
        assert_eq!(mismatch(&exact(), &exact()), None);
        let changes: [fn(&mut ModelParts); 4] = [
            |parts| parts.spec.context = 100,
            |parts| parts.spec.stop_tokens = vec![7].try_into().unwrap(),
            |parts| parts.tables = H256::zero(),
            |parts| parts.weights_root = H256::zero(),
        ];
        for change in changes {
            let mut listed = exact();
            change(&mut listed);
            assert!(mismatch(&exact(), &listed).is_some(), "{listed:?}");
        }
    }

    #[test]
    fn floats_are_not_taken_for_the_exact_model_that_was_made_of_them() {
        let problem = mismatch(&parts(), &exact()).unwrap();
        assert!(problem.contains("assay model import"), "{problem}");
        assert!(mismatch(&exact(), &parts()).is_some());
    }

    #[test]
    fn no_other_server_answers_for_an_exact_model() {
        let floats = Path::new("../models/demo/assay-demo");
        let folder = tempfile::tempdir().unwrap();
        let exact = folder.path().join("exact");
        assay_exact::import::huggingface(floats, &exact, |_| {}).unwrap();
        let upstream = Upstream {
            url: "http://127.0.0.1:8000/v1".into(),
            key_file: None,
            model: "m".into(),
            requests: 1,
        };
        let refused = Opened::open(&exact, Some(&upstream)).err();
        let message = refused.expect("it is refused").to_string();
        for part in ["exact", "127.0.0.1:8000", "--upstream", "unverified"] {
            assert!(message.contains(part), "{part} in {message}");
        }
        assert!(!message.contains('\n'));
        assert!(Opened::open(&exact, None).is_ok());
        assert!(Opened::open(floats, Some(&upstream)).is_ok());
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
