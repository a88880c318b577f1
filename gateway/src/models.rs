//! Which models can be asked: the folders of this machine, held against the chain's listings. A model is
//! known by its root, so that all who list the same model, at whatever royalty, sell the same answers.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{bail, Context};
use assay_client::{folder::ModelFolder, Amount, Text};
use assay_openai::ModelText;
use assay_primitives::{ListingId, ModelParts, ModelRoot, Profile};
use serde_json::json;

use crate::market::{Facts, Listed};

/// An exact model's folder has it, and with it claims a root.
const MANIFEST: &str = "manifest.json";

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
    pub id: String,
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

    /// Whether a client that says `name` means this model: by its id, or by a listing's.
    fn is_called(&self, name: &str) -> bool {
        self.id == name
            || self
                .listings
                .iter()
                .any(|listed| format!("{:?}", listed.id) == name)
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

/// The models that the folders are of, among those that the chain lists now.
pub fn listed(folders: &[Folder], facts: &Facts) -> Vec<Model> {
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
        // Models with the same text and other weights: which one is meant has to be said.
        if found.len() > 1 {
            for model in &mut found {
                model.id = format!("{}@{}", folder.name, &hex::encode(model.root)[..8]);
            }
        }
        models.append(&mut found);
    }
    models
}

/// The model that a client names.
pub fn named<'a>(models: &'a [Model], name: &str) -> Option<&'a Model> {
    models.iter().find(|model| model.is_called(name))
}

fn model(folder: &Folder, root: ModelRoot, listed: &Listed) -> Model {
    let spec = &listed.parts.spec;
    Model {
        id: folder.name.clone(),
        root,
        text: Arc::new(ModelText {
            text: folder.text.clone(),
            stop_tokens: spec.stop_tokens.to_vec(),
            context: spec.context,
            vocabulary: spec.vocabulary,
        }),
        folder: folder.path.clone(),
        weights: folder.root.is_some(),
        exact: spec.profile != Profile::Unverified,
        listings: vec![listed.clone()],
    }
}
