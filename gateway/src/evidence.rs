//! What providers were caught at, as files: for people, and for whoever judges it.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use assay_channel::wire::encode_hex;
use assay_client::{answer::Answer, AccountId32};
use serde_json::{json, Value};

use crate::channels::Line;

const FOLDER: &str = "evidence";

/// Writes down what the channel was given up for. False if that was done before, or there is nothing.
pub fn of_channel(data: &Path, line: &Line) -> std::io::Result<bool> {
    let Some(evidence) = line.evidence() else {
        return Ok(false);
    };
    let channel = line.channel();
    let request = evidence.request.as_ref().map(|exhibit| {
        json!({
            "seq": exhibit.seq,
            "header": encode_hex(&exhibit.header),
            "secret": encode_hex(&exhibit.secret),
            "held_receipt": exhibit.held.as_ref().map(encode_hex),
            "offending_receipt": exhibit.offending.as_ref().map(encode_hex),
            "tokens": exhibit.tokens,
        })
    });
    let json = json!({
        "caught": evidence.caught.to_string(),
        "provider": AccountId32(channel.provider).to_string(),
        "listing": channel.listing,
        "channel": line.id(),
        "voucher_key": encode_hex(&line.voucher_key()),
        "deposit": channel.deposit.to_string(),
        "settled": channel.settled.to_string(),
        "request": request,
    });
    keep(data, &format!("channel-{:?}.json", line.id()), &json)
}

/// The file of this name.
pub fn path(data: &Path, name: &str) -> PathBuf {
    data.join(FOLDER).join(name)
}

/// The name of an answer's file.
pub fn answer_name(name: &str) -> String {
    format!("answer-{name}.json")
}

/// Writes down an answer that is not the model's, as the receipt that `assay verify` reads, what is wrong with it,
/// and the place of the first wrong token, from 0, if that is what is wrong. False if that was done before.
pub fn of_answer(
    data: &Path,
    name: &str,
    answer: &Answer,
    wrong: &str,
    position: Option<u32>,
) -> std::io::Result<bool> {
    let json = json!({
        "caught": wrong,
        "position": position,
        "provider": answer.header.provider.to_string(),
        "receipt": answer.to_json(),
    });
    keep(data, &answer_name(name), &json)
}

/// The place of the wrong token that a file was written for.
pub fn wrong_token(file: &Path) -> Option<u32> {
    let json: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    json["position"].as_u64()?.try_into().ok()
}

/// Writes down the score that contradicts the answer of the same name, as a receipt as well.
pub fn of_score(data: &Path, name: &str, score: &Answer, what: &str) -> std::io::Result<bool> {
    let json = json!({
        "caught": what,
        "provider": score.header.provider.to_string(),
        "receipt": score.to_json(),
    });
    keep(data, &format!("score-{name}.json"), &json)
}

fn keep(data: &Path, name: &str, json: &Value) -> std::io::Result<bool> {
    let folder = data.join(FOLDER);
    fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    if path.exists() {
        return Ok(false);
    }
    // What is there under its name is whole.
    let part = path.with_extension("part");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&part)?;
    file.write_all(format!("{json:#}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, &path)?;
    Ok(true)
}

/// The names of what was written down.
pub fn names(data: &Path) -> std::io::Result<Vec<String>> {
    let entries = match fs::read_dir(data.join(FOLDER)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
