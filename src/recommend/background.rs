//! Background: what similarity means in a space, by pairs drawn at random.

use crate::{
    error::{Error, Result},
    key::Addr,
    recommend::{
        Relevance,
        counts::{disk_parts, prefix},
    },
    search::{blocks::Rows, scan},
    store::{
        Part, Snapshot, nearest,
        weight::{Weight, block},
    },
    vector::rotate::splitmix,
};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// The scores of pairs of items drawn at random in one space: what similarity means there.
///
/// The pairs are drawn from what is on disk, with a fixed seed: computed once, and again when the files
/// change. A database that has nothing on disk yet is sampled as it is, anew after each commit.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().space("text", 2, Metric::Cosine))?;
/// for id in 0..100u64 {
///     let angle = id as f32;
///     db.batch().put(Item::new(id).vector("text", [angle.cos(), angle.sin()])).commit()?;
/// }
/// let background = Background::of(&db.snapshot(), "text")?;
/// assert!(background.score(Relevance::High) > 0.95);
/// assert!((background.share_below(0.0) - 0.5).abs() < 0.1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Background {
    /// Ascending.
    scores: Vec<f32>,
}

impl Weight for Background {
    fn weight(&self) -> u64 {
        block(&self.scores)
    }
}

/// Items asked about, and items that each is compared with: 16,384 pairs.
const QUERIES: usize = 128;
const OTHERS: usize = 128;
/// Fewer pairs say nothing of one in a hundred.
const PAIRS_MIN: usize = 100;

impl Background {
    /// Of a space.
    ///
    /// # Errors
    /// `NotFound` for the space; `Invalid` if there are too few vectors in it.
    pub fn of(snapshot: &Snapshot, space: &str) -> Result<Arc<Background>> {
        let version = &snapshot.version;
        snapshot.space(space)?;
        let on_disk = disk_parts(version);
        match version.parts[..on_disk].last() {
            Some(last) => {
                let recipe = format!("background {space:?} {}", prefix(version, on_disk));
                last.memo.get(&recipe, || Background::draw(snapshot, space, on_disk))
            }
            None => version.memo.get(&format!("background {space:?}"), || {
                Background::draw(snapshot, space, version.parts.len())
            }),
        }
    }

    /// The score that so many pairs do not reach.
    pub fn score(&self, relevance: Relevance) -> f32 {
        let share = relevance.quantile().clamp(0.0, 1.0);
        let last = self.scores.len() - 1;
        self.scores[((share * last as f64).ceil() as usize).min(last)]
    }

    /// The share of pairs with a smaller score.
    pub fn share_below(&self, score: f32) -> f64 {
        self.scores.partition_point(|s| *s < score) as f64 / self.scores.len() as f64
    }

    /// Rows of the first parts, dead ones among them: what has died since changes nothing of what
    /// similarity means, and answers must not depend on when this was computed.
    fn draw(snapshot: &Snapshot, space: &str, parts: usize) -> Result<Background> {
        let field = snapshot.space(space)?;
        let parts = &snapshot.version.parts[..parts];
        let mut state = 0xbac6_0000u64;
        let mut scores = Vec::new();
        let mut vector = Vec::new();
        let (mut asked, mut tries) = (0, 0);
        while asked < QUERIES && tries < 10 * QUERIES {
            tries += 1;
            let Some(addr) = any(parts, &mut state) else { break };
            vector.clear();
            let segment = &parts[addr.part as usize].segment;
            if !segment.vector(addr.row.0, &field, &mut vector)? {
                continue;
            }
            asked += 1;
            let query = [nearest::prepare(&field, &vector, 1.0)?];
            for (part, rows) in (0u32..).zip(others(parts, &mut state)) {
                let mut rows = rows;
                if part == addr.part {
                    rows.remove(addr.row.0);
                }
                let (Some(first), Some(last)) = (rows.min(), rows.max()) else { continue };
                let segment = &parts[part as usize].segment;
                scan::scored(segment, &query, Rows::Only(&rows), first..last + 1, &mut |_, s| {
                    scores.extend(s.iter().filter(|score| score.is_finite()));
                })?;
            }
        }
        if scores.len() < PAIRS_MIN {
            let why = format!(
                "has {} pairs of vectors to compare; {PAIRS_MIN} are needed to say what is relevant",
                scores.len()
            );
            return Err(Error::invalid(format!("space {space:?}"), why));
        }
        scores.sort_unstable_by(f32::total_cmp);
        Ok(Background { scores })
    }
}

/// Any row of some parts, each as likely as the others.
fn any(parts: &[Part], state: &mut u64) -> Option<Addr> {
    let all: u64 = parts.iter().map(|part| u64::from(part.segment.rows())).sum();
    let mut at = splitmix(state).checked_rem(all)?;
    for (number, part) in (0u32..).zip(parts) {
        let rows = u64::from(part.segment.rows());
        if at < rows {
            return Some(Addr { part: number, row: crate::key::Row(at as u32) });
        }
        at -= rows;
    }
    None
}

fn others(parts: &[Part], state: &mut u64) -> Vec<RoaringBitmap> {
    let mut rows = vec![RoaringBitmap::new(); parts.len()];
    for addr in (0..OTHERS).filter_map(|_| any(parts, state)) {
        rows[addr.part as usize].insert(addr.row.0);
    }
    rows
}
