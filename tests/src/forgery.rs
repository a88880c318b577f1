//! What a lying provider would sign.

use anyhow::{ensure, Context, Result};
use assay_client::{
    keys,
    primitives::{salted_token_root, token_root, Anchor, Finish, Receipt, Side, TokenId},
    H256,
};
use serde_json::{json, Value};

/// A receipt file's content with another token at `index`, and everything that its operator would sign anew for
/// that: only the model can tell that it is a lie. Also the token.
pub fn forged(receipt: &Value, index: usize, operator: &str) -> Result<(Value, TokenId)> {
    let mut forged = receipt.clone();
    let mut output: Vec<TokenId> = serde_json::from_value(receipt["output"].clone())?;
    let honest = *output.get(index).context("the answer is that long")?;
    let mut others = output.iter().copied().filter(|token| *token != honest);
    let lie = others
        .next()
        .context("the answer has two different tokens")?;
    if let Some(token) = output.get_mut(index) {
        *token = lie;
    }
    let root = match receipt["secret"].is_null() {
        true => token_root(&output),
        false => {
            let secret: H256 = serde_json::from_value(receipt["secret"].clone())?;
            salted_token_root(&secret.0, Side::Output, &output)
        }
    };
    forged["output"] = json!(output);
    forged["receipt"]["output_root"] = json!(root);

    let fields = &receipt["receipt"];
    let hash = |value: &Value| serde_json::from_value::<H256>(value.clone());
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let signed = Receipt {
        header: hash(&fields["header"])?,
        anchor: Anchor {
            number: number(&fields["anchor"]["number"]).context("a block's number")?,
            hash: hash(&fields["anchor"]["hash"])?,
        },
        output_len: number(&fields["output_len"]).context("a length")?,
        output_root: root,
        finish: serde_json::from_value::<Finish>(fields["finish"].clone())?,
        fee: fields["fee"].as_str().context("a fee")?.parse()?,
    };
    let key = keys::load(operator)?;
    ensure!(
        receipt["operator"] == keys::account(&key).to_string(),
        "{operator} is another operator's key"
    );
    let signature = key.sign(&signed.signing_payload()).0;
    let digits: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    forged["signature"] = json!(format!("0x01{digits}"));
    Ok((forged, lie))
}
