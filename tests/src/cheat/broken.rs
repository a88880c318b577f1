//! A publisher whose model is outside the numeric format: the root that it listed binds a weight that no format has.
//! Whoever is disputed over it is not to blame, and nobody pays.

use std::{fs, path::Path, sync::Arc};

use anyhow::{ensure, Context, Result};
use assay_client::{
    chain::{
        runtime::{self, runtime_types::bounded_collections::bounded_vec::BoundedVec},
        ListingStatus,
    },
    dispute::Verdict,
    keys,
    subxt::utils::Static,
};
use assay_exact::{
    folder::{root, Folder},
    tensor::Tensor,
    trace::{Cell, Layout, Place, Row},
};

use super::{
    arena::{Arena, Listed, People},
    honest::{Aim, Unjust},
    ledger::{Game, Ledger},
    list::HONEST,
    sale,
};
use crate::{copy, damage};

const PUBLISHER: &str = "//Charlie";
/// Where the weight is: the first of this matrix, in layer 0.
const MATRIX: &str = "layers.0.gate.weights";
const ROW: Row = Row::Gate;

/// A challenger disputes the number that follows from that weight. How the game went, at whose end the model is frozen and
/// every planck where it was.
pub async fn broken_model() -> Result<Game> {
    let arena = Arena::new(1).await?;
    let (chain, scene) = (&arena.scene.chain, &arena.scene);
    let folder = scene.folder().join("broken");
    break_weight(&scene.model, &folder)?;
    let parts = Folder::open(&folder)?.parts();
    let verified = Folder::open(&folder)?.verify();
    ensure!(verified.is_err(), "the model is whole");
    let royalty = runtime::runtime_types::sp_arithmetic::per_things::Permill(20_000);
    let register = runtime::tx().models().register(
        Static(parts.spec),
        parts.tokenizer,
        parts.template,
        parts.tables,
        parts.weights_root,
        royalty,
        BoundedVec(Vec::new()),
    );
    super::arena::send(chain, &register, &keys::load(PUBLISHER)?).await?;

    let listed = Arc::new(Listed::find(chain.clone(), &folder).await?);
    let people = Arc::new(People::of(0)?);
    let provider = sale::in_channel(
        listed.clone(),
        people.clone(),
        HONEST,
        &arena.prompt,
        scene.folder(),
    );
    let provider = Arc::new(provider.await?);
    let before = stake(&arena, &people).await?;
    let defence = tokio::spawn(provider.clone().play());
    let answer = &provider.answer;
    let position = 3;
    let layout = Layout::of(&listed.shape, &answer.header, position);
    let layout = layout.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let place = Place {
        position: 2,
        layer: 0,
        row: ROW,
    };
    let challenger = Unjust {
        chain: chain.clone(),
        key: people.challenger.clone(),
        aim: Aim {
            cell: Cell { place, element: 0 },
            part: 0,
            stops: false,
        },
        layout: Arc::new(layout),
    };
    let (dispute, _) = challenger.play(answer, position).await?;
    defence.abort();

    let ledger = Ledger::read_all(chain).await?;
    let game = ledger.games.get(&dispute).context("a dispute")?;
    ensure!(
        matches!(game.verdict, Some(Verdict::ModelBroken))
            && game.compensation + game.burned == 0
            && ledger.convictions.is_empty(),
        "{game:?} {:?}",
        ledger.convictions
    );
    let best = chain.best().await?;
    let listing = best.listing(listed.listing).await?;
    let status = listing.context("the listing stays")?.status;
    ensure!(
        matches!(status, ListingStatus::Frozen),
        "{status:?} is not frozen"
    );
    let after = stake(&arena, &people).await?;
    let challenger = keys::account(&people.challenger);
    ensure!(
        after.0 == before.0 && after.1 + ledger.fees_of(&challenger, 0, u32::MAX) == before.1,
        "{before:?} became {after:?}"
    );
    scene.check_money().await?;
    Ok(game.clone())
}

/// What the provider and the challenger have, holds included.
async fn stake(arena: &Arena, people: &People) -> Result<(u128, u128)> {
    let best = arena.scene.chain.best().await?;
    let total = async |key| {
        let balances = best.balances(keys::account(key)).await?;
        anyhow::Ok(balances.free + balances.reserved)
    };
    Ok((
        total(&people.stash).await?,
        total(&people.challenger).await?,
    ))
}

/// A copy of a model with a weight of -128, and roots that fit it.
fn break_weight(model: &Path, target: &Path) -> Result<()> {
    copy(model, target)?;
    let folder = Folder::open(model)?;
    let mut manifest = folder.manifest().clone();
    let places = damage::places(&folder);
    let (start, length) = damage::place(&places, MATRIX)?;
    let mut weights = fs::read(damage::weights(model))?;
    weights[start] = 128;
    fs::write(damage::weights(target), &weights)?;

    let mut tensors = Tensor::weights(&manifest.shape);
    let tensor = tensors.find(|tensor| tensor.to_string() == MATRIX);
    let form = tensor.context("a matrix")?.form(&manifest.shape);
    drop(tensors);
    let mut listed = manifest.tensors.iter_mut();
    let listed = listed.find(|listed| listed.name == MATRIX);
    listed.context("it is listed")?.root = root::tensor(form, &weights[start..start + length]);
    let bound = manifest.tensors.iter().skip(Tensor::TABLES.len());
    manifest.weights_root = root::of_roots(bound.map(|listed| listed.root));
    manifest.root = manifest.parts().context("a shape with a root")?.root();
    let mut bytes = serde_json::to_vec_pretty(&manifest)?;
    bytes.push(b'\n');
    Ok(fs::write(target.join("manifest.json"), bytes)?)
}
