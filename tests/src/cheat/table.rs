//! What became of cheats, as a table.

use super::case::Line;

/// Planck as ASY.
fn asy(planck: u128) -> String {
    format!("{:.3}", planck as f64 / 1e12)
}

/// In Markdown.
pub fn table(lines: &[Line]) -> String {
    let mut table = String::from(
        "| cheat | detected by | located at | moves | bytes | blocks | the challenger's fees | slashed | refunded | reward |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for line in lines {
        let (game, conviction) = (&line.game, &line.conviction);
        let row = [
            line.name.to_owned(),
            line.detected.clone(),
            line.located.clone(),
            match game.refused {
                0 => game.moves.to_string(),
                refused => format!("{} and {refused} refused", game.moves),
            },
            game.bytes.to_string(),
            (game.last - game.first + 1).to_string(),
            asy(line.fees),
            asy(conviction.slashed()),
            asy(conviction.returned + conviction.refund),
            asy(conviction.reward),
        ];
        table.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    table
}
