//! Lines over years, as SVG.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const COLOURS: [&str; 6] = [
    "#1f5fa8", "#2e8b57", "#c0392b", "#8e44ad", "#d68910", "#555555",
];

/// One value at the beginning, and one at each year's end.
pub struct Line {
    pub name: &'static str,
    pub points: Vec<f64>,
}

pub fn lines(title: &str, lines: &[Line]) -> String {
    let values = || lines.iter().flat_map(|line| &line.points).copied();
    let step = step(values().fold(0.0, f64::max));
    let top = (values().fold(0.0, f64::max) / step).ceil() * step;
    let years = lines
        .iter()
        .map(|line| line.points.len())
        .max()
        .unwrap_or(1);
    let x = |year: usize| year as f64 / (years.max(2) - 1) as f64 * WIDTH;
    let y = |value: f64| (1.0 - value / top) * HEIGHT;

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-56 -32 {} {}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect x=\"-56\" y=\"-32\" width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{}\" y=\"-14\" text-anchor=\"middle\">{title}</text>\n",
        WIDTH + 208.0,
        HEIGHT + 64.0,
        WIDTH / 2.0,
    );
    let mut value = 0.0;
    while value <= top {
        let y = y(value);
        let _ = writeln!(
            svg,
            "<path d=\"M0 {y:.1}H{WIDTH}\" stroke=\"#ccc\"/><text x=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            y + 4.0,
        );
        value += step;
    }
    for year in 0..years {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{year}</text>",
            x(year),
            HEIGHT + 18.0,
        );
    }
    // Names at the lines' ends, moved apart where these lie close.
    let mut order: Vec<_> = (0..lines.len()).collect();
    let end = |index: usize| lines[index].points.last().map_or(0.0, |last| y(*last));
    order.sort_by(|a, b| end(*a).total_cmp(&end(*b)));
    let mut lowest = f64::NEG_INFINITY;
    for index in order {
        let Line { name, points } = &lines[index];
        let colour = COLOURS[index % COLOURS.len()];
        let points: Vec<_> = points
            .iter()
            .enumerate()
            .map(|(year, value)| format!("{:.1},{:.1}", x(year), y(*value)))
            .collect();
        let label = end(index).max(lowest + 14.0);
        lowest = label;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"/>\
             <text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
            points.join(" "),
            WIDTH + 8.0,
            label + 4.0,
        );
    }
    svg + "</svg>\n"
}

/// A round distance that makes four to eight lines.
fn step(top: f64) -> f64 {
    let rough = (top / 8.0).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(power)
}
