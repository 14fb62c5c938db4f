//! The page: one HTML file without anything from elsewhere, with the plot drawn as SVG.

use crate::{people::Person, replay::Row, search::Answer};
use std::fmt::Write;

/// What the page shows.
pub(crate) struct Report<'a> {
    /// Names and figures.
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) answers: &'a [Answer],
    pub(crate) people: &'a [Person],
    pub(crate) change: &'a [Answer],
    pub(crate) rows: &'a [Row],
    /// How the replay was done.
    pub(crate) protocol: &'a str,
}

const STYLE: &str = "
:root { color-scheme: light dark; --bar: #2f6f8f; --soft: #8884; }
@media (prefers-color-scheme: dark) { :root { --bar: #63b3d6; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--soft); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.cards { display: grid; gap: 1rem 2rem; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr));
}
.cards h3 { font-size: 1rem; margin: 0; } ol { margin: .3rem 0; padding-left: 1.4rem; }
small { opacity: .75; } svg { width: 100%; height: auto; font: 13px system-ui, sans-serif; }
svg text { fill: currentColor; } svg rect { fill: var(--bar); } svg .axis { stroke: var(--soft); }
";

impl Report<'_> {
    /// The whole page.
    pub(crate) fn html(&self) -> String {
        let mut page =
            String::from("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n");
        page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
        page += "<title>Bowerbird: movies</title>\n";
        page += &format!("<style>{STYLE}</style>\n<h1>Bowerbird: movies</h1>\n");
        page += "<table>\n";
        for (name, figure) in &self.facts {
            page += &format!("<tr><td>{}<td class=\"n\">{}\n", escape(name), escape(figure));
        }
        page += "</table>\n<h2>Replaying the past</h2>\n";
        page += &format!("<p>{}</p>\n{}", escape(self.protocol), plot(self.rows));
        page += &table(self.rows);
        page += "<h2>Found</h2>\n";
        page += &cards(self.answers);
        page += "<h2>Recommended</h2>\n<div class=\"cards\">\n";
        self.people.iter().for_each(|person| page += &card(person));
        page += "</div>\n<h2>After one new event</h2>\n";
        page += &cards(self.change);
        page += "<p><small>Ratings: MovieLens ml-latest-small, GroupLens Research, University of \
                 Minnesota; not for commercial use. Texts and queries: adapted from the Movie \
                 Search Ranking Dataset, https://github.com/metarank/msrd/, Metarank Labs, CC BY. \
                 See examples/movies/data/README.md.</small></p>\n";
        page + "</html>\n"
    }
}

fn cards(answers: &[Answer]) -> String {
    let mut html = String::from("<div class=\"cards\">\n");
    for Answer { question, titles } in answers {
        html += &format!("<div><h3>{}</h3><ol>", escape(question));
        titles.iter().for_each(|title| html += &format!("<li>{}", escape(title)));
        html += "</ol></div>\n";
    }
    html + "</div>\n"
}

fn card(person: &Person) -> String {
    let mut html = format!("<div><h3>User {}</h3>", person.user);
    html += &format!("<small>liked last: {}</small><ol>", escape(&person.liked.join(", ")));
    for (title, reason) in &person.slate {
        html += &format!("<li>{}<br><small>{}</small>", escape(title), escape(reason));
    }
    html + "</ol></div>\n"
}

fn table(rows: &[Row]) -> String {
    let mut html = String::from("<div class=\"wide\"><table>\n<tr><th>method<th>settings");
    for name in ["requests", "HR@10", "NDCG@10", "coverage", "ms each"] {
        html += &format!("<th class=\"n\">{name}");
    }
    for row in rows {
        html += &format!("\n<tr><td>{}<td>{}", row.method, row.settings);
        html += &format!("<td class=\"n\">{}<td class=\"n\">{:.4}", row.requests, row.hit_rate);
        html += &format!("<td class=\"n\">{:.4}<td class=\"n\">{:.4}", row.ndcg, row.coverage);
        html += &format!("<td class=\"n\">{:.2}", row.ms);
    }
    html + "\n</table></div>\n"
}

/// What a panel of the plot shows of a row.
type Measure = (&'static str, fn(&Row) -> f64);
const PANELS: [Measure; 3] =
    [("HR@10", |row| row.hit_rate), ("NDCG@10", |row| row.ndcg), ("coverage", |row| row.coverage)];

/// A bar per row in each of three panels side by side, each with a scale of its own from zero.
fn plot(rows: &[Row]) -> String {
    let (left, panel, line, top) = (140, 220, 22, 34);
    let (width, height) = (left + 3 * (panel + 50), top + line * rows.len() + 12);
    let mut svg = format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" ");
    svg += "aria-label=\"Hit rate, NDCG and coverage of each method\">\n";
    for (at, row) in rows.iter().enumerate() {
        let (x, y) = (left - 10, top + line * at + 15);
        svg += &format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{}</text>\n", row.method);
    }
    for (at, (name, measure)) in PANELS.into_iter().enumerate() {
        let x = left + at * (panel + 50);
        let most = rows.iter().map(measure).fold(f64::MIN_POSITIVE, f64::max);
        svg += &format!("<text x=\"{x}\" y=\"20\" font-weight=\"bold\">{name}</text>\n");
        svg += &format!("<path class=\"axis\" d=\"M{x} {top}V{}\"/>\n", height - 12);
        for (at, row) in rows.iter().enumerate() {
            let (y, value) = (top + line * at, measure(row));
            let length = panel as f64 * value / most;
            let (bar, text) = (y + 3, y + 15);
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{bar}\" width=\"{length:.1}\" height=\"16\"/>\
                 <text x=\"{:.1}\" y=\"{text}\">{value:.3}</text>",
                x as f64 + length + 4.0
            );
        }
    }
    svg + "</svg>\n"
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}
