//! Which models can be asked: the folders of this machine, held against the chain's listings. A model is
//! known by its root, so that all who list the same model, at whatever royalty, sell the same answers.
//!
//! Anybody may list other weights with the same text. A folder that holds no weights does not say which of
//! them it is for, so its name goes on meaning what it meant first.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{bail, Context};
use assay_client::{folder::ModelFolder, Amount, Text};
use assay_openai::ModelText;
use assay_primitives::{blake2_256, ListingId, ModelParts, ModelRoot, Profile};
use codec::Encode;
use serde_json::json;

use crate::market::{Facts, Listed};

/// An exact model's folder has it, and with it claims a root.
const MANIFEST: &str = "manifest.json";
/// What the names of models end with that nobody can verify, here as at the providers' servers.
const UNVERIFIED: &str = "-unverified";
/// Hexadecimal digits of a root that tell models of one name apart: too many for another root that begins with them.
const DIGITS: usize = 16;

/// A model's name with the text that it is for.
pub type NameHash = [u8; 32];

/// A folder with at least the tokenizer and the chat template of a model.
pub struct Folder {
    /// Its name on disk, by which clients know the model.
    name: String,
    path: PathBuf,
    text: Arc<Text>,
    /// The root that the folder claims; none of one with text alone.
    root: Option<ModelRoot>,
}

impl Folder {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let text = Text::open(path)?;
        let root = match path.join(MANIFEST).exists() {
            true => match ModelFolder::open(path)?.weights() {
                assay_client::folder::ModelWeights::Exact(folder) => Some(folder.parts().root()),
                assay_client::folder::ModelWeights::Float(_) => None,
            },
            false => None,
        };
        // Links and dots have names too.
        let path = path
            .canonicalize()
            .with_context(|| format!("{} cannot be read; check its path", path.display()))?;
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            name: name.unwrap_or_else(|| "model".into()),
            path,
            text: Arc::new(text),
            root,
        })
    }

    fn fits(&self, parts: &ModelParts) -> bool {
        self.text.fits(parts) && self.root.is_none_or(|root| root == parts.root())
    }
}

/// Opens the folders, whose names have to differ.
pub fn open(paths: &[PathBuf]) -> anyhow::Result<Vec<Folder>> {
    let mut folders: Vec<Folder> = Vec::new();
    for path in paths {
        let folder = Folder::open(path)?;
        if let Some(other) = folders.iter().find(|other| other.name == folder.name) {
            bail!(
                "{} and {} have the same name, by which clients know the model; rename one of them",
                other.path.display(),
                folder.path.display()
            );
        }
        folders.push(folder);
    }
    Ok(folders)
}

/// A model that can be asked.
#[derive(Clone)]
pub struct Model {
    /// Its name where that means this model; else the name with the beginning of its root.
    pub id: String,
    /// Its folder's name, and whether it is unverified.
    name: String,
    pub root: ModelRoot,
    pub text: Arc<ModelText>,
    /// Where its text is, and perhaps its weights.
    pub folder: PathBuf,
    /// Whether its answers can be computed again from that folder.
    pub weights: bool,
    pub exact: bool,
    /// Who lists it, and as what.
    pub listings: Vec<Listed>,
}

impl Model {
    pub fn listing(&self, id: &ListingId) -> Option<&Listed> {
        self.listings.iter().find(|listed| listed.id == *id)
    }

    /// Whether a client that says `name` means this model: by its id, by its root, or by a listing's id.
    fn is_called(&self, name: &str) -> bool {
        self.id == name
            || with_root(&self.name, &self.root) == name
            || self
                .listings
                .iter()
                .any(|listed| format!("{:?}", listed.id) == name)
    }

    /// Whether its name means this model.
    fn is_meant(&self) -> bool {
        self.id == self.name
    }

    fn is_offered(&self, facts: &Facts) -> bool {
        let mut offers = facts.offers.iter();
        offers.any(|offer| self.listing(&offer.listing).is_some())
    }

    fn name_hash(&self) -> Option<NameHash> {
        let parts = &self.listings.first()?.parts;
        Some((&self.name, parts.tokenizer, parts.template).using_encoded(blake2_256))
    }

    /// How clients see it in the list of models.
    pub fn shown(&self, facts: &Facts) -> assay_openai::Model {
        let offers = facts.offers.iter();
        let offers: Vec<_> = offers
            .filter(|offer| self.listing(&offer.listing).is_some())
            .collect();
        let cheapest = offers
            .iter()
            .min_by_key(|offer| (offer.price.output, offer.price.input));
        assay_openai::Model {
            id: self.id.clone(),
            created: 0,
            owned_by: self
                .listings
                .first()
                .map(|listed| listed.publisher.to_string())
                .unwrap_or_default(),
            context_length: self.text.context,
            verifiable: self.exact,
            assay: Some(json!({
                "root": self.root,
                "listings": self.listings.iter().map(|listed| listed.id).collect::<Vec<_>>(),
                "offers": offers.len(),
                "input_price": cheapest.map(|offer| Amount(offer.price.input)),
                "output_price": cheapest.map(|offer| Amount(offer.price.output)),
            })),
        }
    }
}

/// The models that the folders are of, among those that the chain lists now. `meant` says what names meant first.
pub fn listed(
    folders: &[Folder],
    facts: &Facts,
    meant: &HashMap<NameHash, ModelRoot>,
) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::new();
    for folder in folders {
        let mut found: Vec<Model> = Vec::new();
        for listed in facts
            .listings
            .iter()
            .filter(|listed| folder.fits(&listed.parts))
        {
            let root = listed.parts.root();
            match found.iter_mut().find(|model| model.root == root) {
                Some(model) => model.listings.push(listed.clone()),
                None => found.push(model(folder, root, listed)),
            }
        }
        let names = found.iter().map(|one| {
            let first = one.name_hash().and_then(|hash| meant.get(&hash).copied());
            let root = folder.root.or(first).or_else(|| only(&found, one, facts));
            root == Some(one.root)
        });
        let names: Vec<bool> = names.collect();
        for (model, is_meant) in found.iter_mut().zip(names) {
            if is_meant {
                model.id.clone_from(&model.name);
            }
        }
        // Listings that nobody sells cost little: they are no news to anybody.
        let counts = |model: &Model| model.is_meant() || model.is_offered(facts);
        if found.iter().any(counts) {
            found.retain(counts);
        }
        models.append(&mut found);
    }
    models
}

/// The root that a name means which never meant any: of the only model of this name that is for sale, or of the only
/// one. Of several, which one is meant has to be said.
fn only(models: &[Model], named: &Model, facts: &Facts) -> Option<ModelRoot> {
    let same = models.iter().filter(|model| model.name == named.name);
    let same: Vec<&Model> = same.collect();
    let offered = same.iter().filter(|model| model.is_offered(facts));
    let offered: Vec<&&Model> = offered.collect();
    match (&offered[..], &same[..]) {
        ([one], _) => Some(one.root),
        ([], [one]) => Some(one.root),
        _ => None,
    }
}

/// What names mean from now on that meant nothing before: models that are for sale. One whose folder says its root needs
/// nobody to remember it.
pub fn learned(
    models: &[Model],
    facts: &Facts,
    meant: &HashMap<NameHash, ModelRoot>,
) -> Vec<(NameHash, ModelRoot)> {
    let new = models
        .iter()
        .filter(|model| !model.weights && model.is_meant() && model.is_offered(facts))
        .filter_map(|model| Some((model.name_hash()?, model.root)));
    new.filter(|(hash, _)| !meant.contains_key(hash)).collect()
}

fn with_root(name: &str, root: &ModelRoot) -> String {
    let digits = hex::encode(root);
    format!("{name}@{}", digits.get(..DIGITS).unwrap_or(&digits))
}

/// The model that a client names.
pub fn named<'a>(models: &'a [Model], name: &str) -> Option<&'a Model> {
    models.iter().find(|model| model.is_called(name))
}

fn model(folder: &Folder, root: ModelRoot, listed: &Listed) -> Model {
    let spec = &listed.parts.spec;
    let exact = spec.profile != Profile::Unverified;
    let name = match exact {
        true => folder.name.clone(),
        false => format!("{}{UNVERIFIED}", folder.name),
    };
    Model {
        id: with_root(&name, &root),
        name,
        root,
        text: Arc::new(ModelText {
            text: folder.text.clone(),
            stop_tokens: spec.stop_tokens.to_vec(),
            context: spec.context,
            vocabulary: spec.vocabulary,
        }),
        folder: folder.path.clone(),
        weights: folder.root.is_some(),
        exact,
        listings: vec![listed.clone()],
    }
}
