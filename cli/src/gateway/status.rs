//! Where the money is: of the running gateway, or from its store.

use std::{io::ErrorKind, net::SocketAddr};

use assay_client::Amount;
use assay_primitives::Balance;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{api_key, open, Opened, Place};
use crate::{
    context::Context,
    failure::{one_line, Failure},
};

pub async fn run(context: &Context, place: &Place) -> Result<(), Failure> {
    let asked = match assay_gateway::address(&place.data) {
        Some(address) => ask(place, address, "/status").await?,
        None => None,
    };
    let report = match asked {
        Some(report) => report,
        None => read(context, place).await?,
    };
    context.show(report.clone(), || text(&report));
    Ok(())
}

/// The report of a gateway that does not run.
async fn read(context: &Context, place: &Place) -> Result<Value, Failure> {
    match open(context, place).await? {
        Some(Opened {
            market,
            store,
            channels,
        }) => {
            let report = assay_gateway::status::report(&*market, &store, &channels).await;
            let report = report.map_err(|error| Failure::Request(one_line(&error.to_string())))?;
            Ok(serde_json::to_value(report).unwrap_or_default())
        }
        None => Err(Failure::Request(format!(
            "{} is in use, and the gateway that uses it does not serve yet; try again",
            place.data.display()
        ))),
    }
}

/// What the running gateway says; nothing if none listens at the address, since one that was killed
/// leaves it behind.
async fn ask(place: &Place, address: SocketAddr, path: &str) -> Result<Option<Value>, Failure> {
    let failed = |problem: &dyn std::fmt::Display| {
        Failure::Request(format!(
            "the gateway at {address} does not say: {problem}; if it wants a key, give --api-key-file"
        ))
    };
    let key = api_key(place)?;
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n"));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\n{}Connection: close\r\n\r\n",
        key.unwrap_or_default()
    );
    let said = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        Ok::<_, std::io::Error>(said)
    };
    let said = match said.await {
        Ok(said) => said,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_default();
    if !head.starts_with("HTTP/1.1 200") {
        return Err(failed(&head.lines().next().unwrap_or("nothing")));
    }
    let said = serde_json::from_str(body).map_err(|error| failed(&error))?;
    Ok(Some(said))
}

/// The report for people. It may come from a gateway of another version, so it is read as JSON.
fn text(report: &Value) -> String {
    let amount = |value: &Value| {
        let planck: Option<Balance> = value.as_str().and_then(|text| text.parse().ok());
        planck.map_or("unknown".into(), |planck| Amount(planck).to_string())
    };
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let mut lines = vec![
        format!("account {}", word(&report["account"])),
        format!("  wallet    {}", amount(&report["wallet"])),
        format!(
            "  committed {} of the budget: in channels, or paid from them",
            amount(&report["committed"])
        ),
    ];
    for channel in list("channels") {
        lines.push(format!(
            "channel {} for {} with {}",
            word(&channel["channel"]),
            word(&channel["model"]),
            word(&channel["provider"]),
        ));
        let until = match channel["finalize_at"].as_u64() {
            Some(block) => format!(" until block {block}"),
            None => String::new(),
        };
        let refunded = amount(&channel["refunded"]);
        let end = match &channel["settled_at_most"] {
            Value::Null => format!("{} settled, {refunded} back", amount(&channel["settled"])),
            most => format!("at most {} settled, at least {refunded} back", amount(most)),
        };
        lines.push(format!(
            "  {}{until}: {} in it, {} spent, {} signed, {end}",
            word(&channel["state"]),
            amount(&channel["deposit"]),
            amount(&channel["spent"]),
            amount(&channel["signed"]),
        ));
        if let Some(why) = channel["retired"].as_str() {
            lines.push(format!("  nothing more is bought through it: {why}"));
        }
    }
    for channel in list("unknown") {
        let next = match channel["close_with"].as_str() {
            Some(command) => format!("`{command}` has the rest back"),
            None => format!("its rest comes back in block {}", channel["finalize_at"]),
        };
        lines.push(format!(
            "channel {} with {} is the account's and not in this store: {} in it, {} settled; {next}",
            word(&channel["channel"]),
            word(&channel["provider"]),
            amount(&channel["deposit"]),
            amount(&channel["settled"]),
        ));
    }
    for coming in list("coming") {
        lines.push(format!("a channel with {} is on its way", amount(&coming)));
    }
    for model in list("spending") {
        lines.push(format!(
            "{}: {} for {} requests, {} tokens in, {} out",
            word(&model["model"]),
            amount(&model["fees"]),
            model["requests"],
            model["prompt_tokens"],
            model["output_tokens"],
        ));
    }
    for evidence in list("evidence") {
        lines.push(format!("EVIDENCE against a provider: {}", word(&evidence)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::{Args, FromArgMatches};
    use serde_json::json;

    use super::*;
    use crate::context::Globals;

    #[test]
    fn the_report_says_where_the_money_is() {
        let report = json!({
            "account": "5G", "wallet": null, "committed": "1500000000000",
            "channels": [{
                "channel": "0x01", "provider": "5P", "model": "demo", "state": "closing", "finalize_at": 9,
                "deposit": "1000000000000", "spent": "2000000000", "signed": "3000000000", "settled": "0",
                "refunded": "0", "retired": "its provider has left",
            }, {
                "channel": "0x04", "provider": "5P", "model": "demo", "state": "closed", "finalize_at": null,
                "deposit": "9000000000000", "spent": "2000000000000", "signed": "3000000000000",
                "settled": "1000000000000", "settled_at_most": "3000000000000", "refunded": "6000000000000",
                "retired": null,
            }],
            "unknown": [
                { "channel": "0x02", "provider": "5Q", "state": "open", "finalize_at": null, "deposit": "7000000000000",
                  "settled": "0", "close_with": "assay channel close 0x02" },
                { "channel": "0x03", "provider": "5Q", "state": "closing", "finalize_at": 12, "deposit": "1000000000000",
                  "settled": "0", "close_with": null },
            ],
            "coming": ["500000000000"],
            "spending": [{ "model": "demo", "requests": 2, "prompt_tokens": 7, "output_tokens": 9, "fees": "2000000000" }],
            "evidence": ["channel-0x01.json"],
        });
        let text = text(&report);
        for part in [
            "wallet    unknown",
            "committed 1.5 ASY of the budget",
            "closing until block 9: 1 ASY in it, 2 mASY spent, 3 mASY signed, 0 ASY settled, 0 ASY back",
            "closed: 9 ASY in it, 2 ASY spent, 3 ASY signed, at most 3 ASY settled, at least 6 ASY back",
            "its provider has left",
            "channel 0x02 with 5Q is the account's and not in this store: 7 ASY in it",
            "`assay channel close 0x02` has the rest back",
            "its rest comes back in block 12",
            "500 mASY is on its way",
            "demo: 2 mASY for 2 requests, 7 tokens in, 9 out",
            "EVIDENCE",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    fn folder_of(address: SocketAddr) -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("address"), address.to_string()).unwrap();
        let data = folder.path().to_owned();
        let place = Place {
            data,
            api_key_file: None,
        };
        (folder, place)
    }

    #[tokio::test]
    async fn a_running_gateway_is_asked_without_a_key() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_folder, place) = folder_of(listener.local_addr().unwrap());
        let none = clap::Command::new("assay").no_binary_name(true);
        let matches = Globals::augment_args(none).get_matches_from(["--chain", "ws://127.0.0.1:1"]);
        let context = Context::new(Globals::from_arg_matches(&matches).unwrap());
        let gateway = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            assert!(asked[..length].starts_with(b"GET /status HTTP/1.1"));
            stream
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n{}")
                .await
                .unwrap();
        };
        let asked = async { tokio::join!(run(&context, &place), gateway) };
        let both = tokio::time::timeout(std::time::Duration::from_secs(20), asked).await;
        let (shown, ()) = both.expect("nobody asked the gateway");
        shown.unwrap();
        // One that was killed leaves its address behind; then the store is read, and that takes a key.
        drop(listener);
        let failed = run(&context, &place).await.unwrap_err().to_string();
        assert!(!failed.contains("does not say"), "{failed}");
    }
}
