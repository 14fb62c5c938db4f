//! Items that the same users act on one after the other.
//!
//! Two items are co-visited by a user when they are within `reach` steps of each other in the user's
//! history; a pair at distance d counts 1/d, and less the older it is. The table of all pairs is a sum
//! of layers, one per part:
//! layer q holds what the events of part q have changed, P(u, parts up to q) - P(u, parts before q),
//! summed over the users u who have events in q. So the layers of all parts sum to the table of the
//! whole, whatever the order in which events arrived; a commit adds one small layer, and a layer is
//! kept with its part for as long as it is true. Decay only scales: each layer counts from a time of its
//! own, and one factor brings it to another.

use crate::{
    error::{Error, Result},
    key::{Addr, Key, Timestamp},
    recommend::{
        Allowed, Context, Found, Retrieve,
        counts::{Counting, disk_parts, find_in, known_later, prefix, resolve},
        layer::{Builder, Layer},
        summarize::check_half_life,
    },
    store::{Snapshot, Version},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
    time::Duration,
};

/// Finds what other users acted on just before or after what this user acted on lately, or the item
/// of the request.
///
/// Scores are sums over the seeds of co-visits, divided by the square root of how often both items
/// were acted on (cosine normalization; Linden et al., 2003), so that popular items do not win always.
///
/// ```
/// let also = bowerbird::recommend::CoVisited::new(["view"], 100).reach(3).recent(20);
/// ```
#[derive(Clone, Debug)]
pub struct CoVisited {
    kinds: Vec<String>,
    reach: usize,
    recent: usize,
    half_life: Option<Duration>,
    limit: usize,
}

/// Most steps between two events that count as together.
const REACH_MAX: usize = 100;
/// Rows of the table kept per version.
const ROWS_MAX: usize = 10_000;

impl CoVisited {
    /// By events of these kinds (none means all), at most `limit` items; within 5 steps, from the
    /// user's last 20 items.
    pub fn new<'k>(kinds: impl IntoIterator<Item = &'k str>, limit: usize) -> CoVisited {
        let kinds = kinds.into_iter().map(str::to_owned).collect();
        CoVisited { kinds, reach: 5, recent: 20, half_life: None, limit }
    }

    /// Counts items within so many steps of each other.
    pub fn reach(mut self, steps: usize) -> CoVisited {
        self.reach = steps;
        self
    }

    /// Starts from so many of the user's last items.
    pub fn recent(mut self, items: usize) -> CoVisited {
        self.recent = items;
        self
    }

    /// Counts a pair half when its later event is one half-life old, and so on; without one, pairs of all
    /// time count alike. After 30 half-lives a pair counts nothing.
    pub fn half_life(mut self, half_life: Duration) -> CoVisited {
        self.half_life = Some(half_life);
        self
    }

    /// The item of the request, or the last different items of the user, newest first.
    fn seeds(&self, cx: &Context<'_>, kinds: &[u8]) -> Vec<Key> {
        let mut seeds: Vec<Key> = cx.request.item.iter().cloned().collect();
        let counts = |kind: u8| kinds.is_empty() || kinds.contains(&kind);
        let mut seen: BTreeSet<&Key> = BTreeSet::new();
        for deed in cx.history.deeds.iter().rev().filter(|deed| counts(deed.kind)) {
            if seen.len() == self.recent {
                break;
            }
            if seen.insert(&deed.item) && cx.request.item.as_ref() != Some(&deed.item) {
                seeds.push(deed.item.clone());
            }
        }
        seeds
    }
}

impl Retrieve for CoVisited {
    fn name(&self) -> String {
        format!("CoVisited({})", self.kinds.join(", "))
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        if !(1..=REACH_MAX).contains(&self.reach) {
            let why = format!("is {}; it must be 1 to {REACH_MAX}", self.reach);
            return Err(Error::invalid("reach of CoVisited", why));
        }
        self.half_life.map_or(Ok(()), |half_life| check_half_life("CoVisited", half_life))?;
        let counting = Counting::new(cx.snapshot, &self.kinds, self.half_life)?;
        let table = Table::of(cx, &counting, self.reach)?;
        let mut sums: HashMap<Addr, f64> = HashMap::new();
        for seed in self.seeds(cx, &counting.kinds) {
            for (addr, weight) in table.row(cx, &counting, &seed)?.iter() {
                if allowed.contains(*addr) {
                    *sums.entry(*addr).or_default() += weight;
                }
            }
        }
        for (addr, sum) in best(cx.snapshot, sums, self.limit)? {
            found.push(addr, sum as f32);
        }
        Ok(())
    }
}

/// The best of some sums, equal ones by key.
pub(crate) fn best(
    snapshot: &Snapshot,
    sums: HashMap<Addr, f64>,
    limit: usize,
) -> Result<Vec<(Addr, f64)>> {
    let mut all: Vec<(Addr, f64)> = sums.into_iter().collect();
    if limit == 0 {
        return Ok(Vec::new());
    }
    if all.len() > limit {
        // Keys are fetched only for what can still be among the best.
        let (_, last, _) = all.select_nth_unstable_by(limit - 1, |a, b| b.1.total_cmp(&a.1));
        let floor = last.1;
        all.retain(|(_, sum)| *sum >= floor);
    }
    let mut keyed = Vec::with_capacity(all.len());
    for (addr, sum) in all {
        keyed.push((snapshot.key(addr)?, addr, sum));
    }
    keyed.sort_unstable_by(|a, b| b.2.total_cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    keyed.truncate(limit);
    Ok(keyed.into_iter().map(|(_, addr, sum)| (addr, sum)).collect())
}

/// The table of one version: that of the parts on disk, kept with the last of them, and the layers
/// that have come since; and the rows that were asked for.
struct Table {
    base: Option<Arc<Base>>,
    since: Vec<Arc<Layer>>,
    rows: Mutex<HashMap<Key, Arc<Row>>>,
}

/// The table of the parts on disk.
struct Base {
    layers: Vec<Arc<Layer>>,
    on_disk: usize,
    reference: Timestamp,
    rows: Mutex<HashMap<Key, Arc<RawRow>>>,
}

/// Neighbours that are live items, normalized.
type Row = Vec<(Addr, f64)>;
/// Neighbours, where they were, and the sums of their co-visits.
type RawRow = Vec<(Key, Option<Addr>, f64)>;

/// Keeps a row, and forgets all when there are too many.
fn keep<R>(rows: &Mutex<HashMap<Key, Arc<R>>>, seed: &Key, row: R) -> Arc<R> {
    let (row, mut rows) = (Arc::new(row), rows.lock());
    if rows.len() >= ROWS_MAX {
        rows.clear();
    }
    rows.insert(seed.clone(), row.clone());
    row
}

/// The latest time that a layer counts to.
fn latest(layers: &[Arc<Layer>]) -> Timestamp {
    layers.iter().map(|layer| layer.reference).max().unwrap_or(Timestamp(i64::MIN))
}

impl Base {
    /// What is co-visited with an item on disk, summed at `self.reference`.
    fn row(&self, version: &Version, counting: &Counting, seed: &Key) -> Result<Arc<RawRow>> {
        if let Some(row) = self.rows.lock().get(seed) {
            return Ok(row.clone());
        }
        let mut row = RawRow::new();
        for (key, sum) in sums(&self.layers, counting, self.reference, seed) {
            row.push((key.clone(), find_in(version, self.on_disk, key)?, sum));
        }
        Ok(keep(&self.rows, seed, row))
    }
}

/// The sums over some layers of what is co-visited with an item.
fn sums<'l>(
    layers: &'l [Arc<Layer>],
    counting: &Counting,
    reference: Timestamp,
    seed: &Key,
) -> HashMap<&'l Key, f64> {
    let mut sums: HashMap<&Key, f64> = HashMap::new();
    for layer in layers {
        let scale = counting.decay(layer.reference, reference);
        let add = |(key, weight): (&'l Key, f64)| *sums.entry(key).or_default() += weight * scale;
        layer.neighbours(seed).for_each(add);
    }
    sums
}

impl Table {
    fn of(cx: &Context<'_>, counting: &Counting, reach: usize) -> Result<Arc<Table>> {
        let (version, now) = (&cx.snapshot.version, cx.request.now);
        let bites = version.parts.iter().any(|part| known_later(part, now));
        let recipe = format!("covisits {counting:?} {reach} {:?}", bites.then_some(now));
        version.memo.get(&recipe, || {
            // As of an earlier time nothing is kept for later: it would be asked for once.
            let on_disk = if bites { 0 } else { disk_parts(version) };
            let base = match version.parts[..on_disk].last() {
                Some(last) => {
                    let recipe = format!("base {counting:?} {reach} {}", prefix(version, on_disk));
                    let build = || -> Result<Base> {
                        let layers = layers(version, 0..on_disk, (counting, reach), now)?;
                        let (reference, rows) = (latest(&layers), Mutex::default());
                        Ok(Base { layers, on_disk, reference, rows })
                    };
                    Some(last.memo.get(&recipe, build)?)
                }
                None => None,
            };
            let rest = on_disk..version.parts.len();
            let since = layers(version, rest, (counting, reach), now)?;
            Ok(Table { base, since, rows: Mutex::default() })
        })
    }

    /// What is co-visited with an item.
    fn row(&self, cx: &Context<'_>, counting: &Counting, seed: &Key) -> Result<Arc<Row>> {
        if let Some(row) = self.rows.lock().get(seed) {
            return Ok(row.clone());
        }
        let version = &cx.snapshot.version;
        let before = self.base.as_ref().map_or(Timestamp(i64::MIN), |base| base.reference);
        let reference = latest(&self.since).max(before);
        let counts = counting.counts(cx.snapshot, cx.request.now)?;
        // Co-visits and counts from the same time: then the quotient does not depend on it.
        let own = counts.get(seed, reference);
        let mut row = Row::new();
        let mut add = |key: &Key, was: Option<Addr>, sum: f64| -> Result<()> {
            let norm = (own * counts.get(key, reference)).sqrt();
            // What one layer adds and another takes back leaves a trace of rounding.
            if sum > 1e-9
                && norm > 0.0
                && let Some(addr) = resolve(version, key, was)?
            {
                row.push((addr, sum / norm));
            }
            Ok(())
        };
        let mut since = sums(&self.since, counting, reference, seed);
        if let Some(base) = &self.base {
            let scale = counting.decay(base.reference, reference);
            for (key, was, sum) in base.row(version, counting, seed)?.iter() {
                add(key, *was, sum * scale + since.remove(key).unwrap_or(0.0))?;
            }
        }
        for (key, sum) in since {
            add(key, None, sum)?;
        }
        row.sort_unstable_by_key(|(addr, _)| *addr);
        Ok(keep(&self.rows, seed, row))
    }
}

/// The layers of some parts as of a time, each kept with its part.
fn layers(
    version: &Version,
    parts: Range<usize>,
    (counting, reach): (&Counting, usize),
    now: Timestamp,
) -> Result<Vec<Arc<Layer>>> {
    let mut layers = Vec::with_capacity(parts.len());
    for at in parts {
        let bites = version.parts[..=at].iter().any(|part| known_later(part, now));
        let as_of = bites.then_some(now);
        let recipe = format!("covisits {counting:?} {reach} {} {as_of:?}", version.erasures);
        let parts = &version.parts[..=at];
        let build = || Builder::new(parts, counting, reach, as_of)?.layer();
        layers.push(version.parts[at].memo.get(&recipe, build)?);
    }
    Ok(layers)
}
