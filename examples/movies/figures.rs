//! The figures: checked, printed, and as JSON.

use crate::{import::Import, people::Change, replay::Row, search::Quality};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Everything that was measured.
pub(crate) struct Figures {
    pub(crate) import: Import,
    pub(crate) quality: Quality,
    pub(crate) change: Change,
    pub(crate) rows: Vec<Row>,
    pub(crate) replay: Duration,
    pub(crate) begin: Instant,
}

impl Figures {
    /// What must hold on any machine.
    pub(crate) fn check(&self) {
        let quality = &self.quality;
        assert!(
            quality.ndcg_judged > 0.9 && quality.ndcg_all > 0.84,
            "the search finds what was meant: vectors of another model would be near chance"
        );
        let ndcg = |name: &str| {
            let row = self.rows.iter().find(|row| row.method == name);
            row.map_or(f64::NAN, |row| row.ndcg)
        };
        // Ten movies at random would have an NDCG of about 0.002.
        assert!(ndcg("co-visit") > 0.02, "what others liked next says something");
        assert!(ndcg("popularity") > 0.05, "so does what everybody likes");
        assert!(ndcg("hybrid") > ndcg("co-visit"), "and together they say more than co-visits");
    }

    /// Names and figures, for people.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let Figures { import, quality, change, .. } = self;
        let writes = (import.items + import.events) as f64 / import.took.as_secs_f64();
        vec![
            ("movies", import.items.to_string()),
            ("ratings", import.events.to_string()),
            ("import", took(import.took)),
            ("writes a second, in durable batches", format!("{writes:.0}")),
            ("bytes on disk", import.stats.disk_bytes.to_string()),
            ("opening it again", took(import.open)),
            ("queries with judgments", quality.queries.to_string()),
            ("NDCG@10, all movies ranked", format!("{:.4}", quality.ndcg_all)),
            ("HR@10, all movies ranked", format!("{:.4}", quality.hit_rate_all)),
            ("NDCG@10, judged movies ranked", format!("{:.4}", quality.ndcg_judged)),
            ("AUC, judged movies ranked", format!("{:.4}", quality.auc_judged)),
            ("one search, median", took(quality.median)),
            ("one event committed and answered", took(change.took)),
            ("replay, with choosing", took(self.replay)),
        ]
    }

    pub(crate) fn print(&self) {
        print!("\n{:<19}{:<42}{:>8}", "method", "settings", "requests");
        println!("{:>8}{:>9}{:>10}{:>9}", "HR@10", "NDCG@10", "coverage", "ms each");
        for row in &self.rows {
            print!("{:<19}{:<42}{:>8}", row.method, row.settings, row.requests);
            println!("{:>8.4}{:>9.4}{:>10.4}{:>9.3}", row.hit_rate, row.ndcg, row.coverage, row.ms);
        }
        println!();
        self.facts().iter().for_each(|(name, figure)| println!("{name:<40}{figure:>12}"));
    }

    /// One object, for machines. Times are in milliseconds.
    pub(crate) fn json(&self) -> Value {
        let Figures { import, quality, change, rows, replay, begin } = self;
        let row = |row: &Row| {
            json!({
                "method": row.method, "settings": row.settings, "requests": row.requests,
                "hr10": row.hit_rate, "ndcg10": row.ndcg, "coverage": row.coverage,
                "ndcg10_chosen_on": row.chosen_ndcg, "ms": row.ms,
            })
        };
        json!({
            "example": "movies",
            "items": import.items,
            "events": import.events,
            "disk_bytes": import.stats.disk_bytes,
            "import_ms": ms(import.took),
            "open_ms": ms(import.open),
            "search": {
                "queries": quality.queries,
                "ndcg10_all": quality.ndcg_all,
                "hr10_all": quality.hit_rate_all,
                "ndcg10_judged": quality.ndcg_judged,
                "auc_judged": quality.auc_judged,
                "median_ms": ms(quality.median),
            },
            "change": { "new_items": change.new, "ms": ms(change.took) },
            "replay": rows.iter().map(row).collect::<Vec<_>>(),
            "replay_ms": ms(*replay),
            "total_ms": ms(begin.elapsed()),
        })
    }
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn took(took: Duration) -> String {
    match ms(took) {
        ms if ms < 1000.0 => format!("{ms:.3} ms"),
        ms => format!("{:.2} s", ms / 1e3),
    }
}
