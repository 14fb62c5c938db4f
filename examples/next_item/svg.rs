//! The learning curve as a picture.

use bowerbird::model::Epoch;
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 48.0;

/// Loss and NDCG@10 by epoch, each scaled to its own range.
pub(crate) fn curve(title: &str, epochs: &[Epoch]) -> String {
    let loss: Vec<f64> = epochs.iter().map(|epoch| epoch.loss).collect();
    let ndcg: Vec<f64> = epochs.iter().filter_map(|epoch| epoch.ndcg_10).collect();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"20\" font-size=\"14\">{}</text>\n",
        escaped(title)
    );
    line(&mut svg, &loss, "#888", "loss per example, nats", 0);
    line(&mut svg, &ndcg, "#06c", "NDCG@10, validation", 1);
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\">{} epochs</text>\n</svg>",
        WIDTH / 2.0 - 20.0,
        HEIGHT - 10.0,
        epochs.len()
    );
    svg
}

fn line(svg: &mut String, values: &[f64], colour: &str, label: &str, side: usize) {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().fold(f64::MAX, f64::min), finite().fold(f64::MIN, f64::max));
    if values.is_empty() || low > high {
        return;
    }
    let span = if high > low { high - low } else { 1.0 };
    let steps = (values.len() - 1).max(1) as f64;
    let place = |(at, value): (usize, &f64)| {
        let x = MARGIN + (WIDTH - 2.0 * MARGIN) * at as f64 / steps;
        let y = HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * (value - low) / span;
        format!("{x:.1},{y:.1}")
    };
    let points: Vec<String> = values.iter().enumerate().map(place).collect();
    let x = if side == 0 { 4.0 } else { WIDTH - MARGIN + 4.0 };
    let _ = writeln!(
        svg,
        "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>\n\
         <g fill=\"{colour}\"><text x=\"{x}\" y=\"{MARGIN}\">{high:.3}</text>\
         <text x=\"{x}\" y=\"{}\">{low:.3}</text>\
         <text x=\"{}\" y=\"{}\">{label}</text></g>",
        points.join(" "),
        HEIGHT - MARGIN,
        MARGIN + side as f64 * 260.0,
        HEIGHT - 26.0
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
