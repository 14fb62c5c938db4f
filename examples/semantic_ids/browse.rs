//! Looking at prefixes: as lines, and as a treemap in one page of HTML.

use super::Outcome;
use bowerbird::{Key, SemanticId, Snapshot, Value, model::semantic::Shelf, semantic::Trie};
use std::fmt::Write;

/// The title of an item, or its key.
pub(crate) fn title(snapshot: &Snapshot, key: &Key) -> Outcome<String> {
    let found = snapshot.get(key)?.and_then(|item| match item.get("title") {
        Some(Value::Text(title)) => Some(title.chars().take(70).collect()),
        _ => None,
    });
    Ok(found.unwrap_or_else(|| format!("item {key}")))
}

fn titles(snapshot: &Snapshot, shelf: &Shelf) -> Outcome<Vec<String>> {
    shelf.keys.iter().map(|key| title(snapshot, key)).collect()
}

/// The largest prefixes of one code and of two, with some of their items.
pub(crate) fn print(snapshot: &Snapshot, trie: &Trie) -> Outcome<()> {
    for first in trie.browse(snapshot, &SemanticId::default(), 0)?.iter().take(4) {
        println!("{}: {} items", first.prefix, first.count);
        for second in trie.browse(snapshot, &first.prefix, 3)?.iter().take(3) {
            println!("  {}: {} items", second.prefix, second.count);
            for title in titles(snapshot, second)? {
                println!("    {title}");
            }
        }
    }
    Ok(())
}

/// A page that shows every first code as a tile as large as it has items, and in it the second ones.
pub(crate) fn page(snapshot: &Snapshot, trie: &Trie) -> Outcome<String> {
    let mut html = String::from(PAGE);
    let sizes = |shelves: &[Shelf]| shelves.iter().map(|shelf| shelf.count).collect::<Vec<_>>();
    let firsts = trie.browse(snapshot, &SemanticId::default(), 0)?;
    for (first, place) in firsts.iter().zip(tiles(&sizes(&firsts), (0.0, 0.0, 1200.0, 800.0))) {
        let hue = f64::from(first.prefix.codes()[0]) * 137.5 % 360.0;
        rectangle(&mut html, place, hue, first, &[]);
        let seconds = trie.browse(snapshot, &first.prefix, 5)?;
        for (second, place) in seconds.iter().zip(tiles(&sizes(&seconds), place)) {
            rectangle(&mut html, place, hue, second, &titles(snapshot, second)?);
        }
    }
    html.push_str("</svg></body></html>\n");
    Ok(html)
}

const PAGE: &str = "<!doctype html><html><head><meta charset=\"utf-8\"><title>Semantic IDs</title>\
    <style>body{font:14px sans-serif;margin:1em}rect{stroke:#fff;stroke-width:.4}\
    rect:hover{stroke:#000;stroke-width:1}</style></head><body>\
    <p>Every tile is a prefix of two codes, as large as it has items; tiles of one color share the \
    first. Point at one for the titles of its items.</p>\
    <svg viewBox=\"0 0 1200 800\" width=\"100%\">\n";

type Place = (f64, f64, f64, f64);

fn rectangle(html: &mut String, (x, y, w, h): Place, hue: f64, shelf: &Shelf, titles: &[String]) {
    let name = escaped(&format!("{} {} items", shelf.prefix, shelf.count));
    let lines: Vec<String> = titles.iter().map(|title| escaped(title)).collect();
    let light = if titles.is_empty() { 45 } else { 55 + (x + y) as u32 % 20 };
    let _ = writeln!(
        html,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" \
         fill=\"hsl({hue:.0} 50% {light}%)\"><title>{name}\n{}</title></rect>",
        lines.join("\n")
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Splits a place into tiles as large as the sizes say: halves of about equal weight, again and again.
fn tiles(sizes: &[u64], place: Place) -> Vec<Place> {
    if sizes.len() < 2 {
        return sizes.iter().map(|_| place).collect();
    }
    let all: u64 = sizes.iter().sum();
    let (mut at, mut before) = (0, 0);
    while at + 1 < sizes.len() && (at == 0 || (before + sizes[at]) * 2 <= all) {
        before += sizes[at];
        at += 1;
    }
    let share = before as f64 / all.max(1) as f64;
    let (x, y, w, h) = place;
    let (one, other) = match w > h {
        true => ((x, y, w * share, h), (x + w * share, y, w * (1.0 - share), h)),
        false => ((x, y, w, h * share), (x, y + h * share, w, h * (1.0 - share))),
    };
    let mut placed = tiles(&sizes[..at], one);
    placed.extend(tiles(&sizes[at..], other));
    placed
}
