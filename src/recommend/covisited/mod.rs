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
//!
//! | file | it owns |
//! |---|---|
//! | `layer` | what the events of one part have changed |
//! | `pairs` | co-visits as they are gathered for it |
//! | `table` | the sum of the layers, and its rows that were asked for |
//! | `rows` | how many of those are kept |

mod layer;
mod pairs;
mod rows;
mod table;

use crate::{
    error::{Error, Result},
    key::{Addr, Key},
    recommend::{Allowed, Context, Found, Retrieve, counts::Counting, summarize::check_half_life},
    store::Snapshot,
};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use table::Table;

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
    fn seeds(&self, cx: &Context<'_>, kinds: &[u8]) -> Result<Vec<Key>> {
        let mut seeds: Vec<Key> = cx.request.item.iter().cloned().collect();
        let past = cx.past_of(kinds)?;
        let mut seen: BTreeSet<&Key> = BTreeSet::new();
        for deed in past.iter().rev() {
            if seen.len() == self.recent {
                break;
            }
            if seen.insert(&deed.item) && cx.request.item.as_ref() != Some(&deed.item) {
                seeds.push(deed.item.clone());
            }
        }
        Ok(seeds)
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
        for seed in self.seeds(cx, &counting.kinds)? {
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
