//! Asking every draft, before anybody sees it.

use super::{
    draft::Draft,
    drafts::Drafts,
    stored::{self, Found},
};
use crate::{
    error::{Error, Result},
    item::Item,
    key::{Addr, Key, Timestamp},
    limits::TAGS_MAX,
    progress::Progress,
    recommend::{Recommender, Request},
    store::{Snapshot, spread},
};
use std::collections::{HashMap, hash_map::Entry};

/// Asks drafts as their users would, and keeps those that find enough, and something of their own.
///
/// Dropped is what finds fewer items than asked for; and of drafts that are almost the same all but the one of
/// most weight, which gets the weight of the others. Almost the same are drafts with the same words in
/// another order, drafts of one kind that find the same first items in the same order, and drafts whose given vectors
/// have a cosine of 0.95 or more and that find the same first item.
///
/// A draft without a vector gets the mean vector of the items that it finds.
///
/// ```
/// use bowerbird::{model::suggest::*, recommend::*, *};
/// # fn main() -> Result<()> {
/// # let of_items = Schema::new().space("text", 1, Metric::Dot).attr("title", AttrType::Text);
/// # let queries = Db::in_memory(schema(of_items.find_space("text")?))?;
/// # let catalog = Db::in_memory(of_items)?;
/// # catalog.batch().put(Item::new(1u64).attr("title", "Star Wars").vector("text", [1.0])).commit()?;
/// let drafts = Drafts::new()
///     .titles(&catalog.snapshot(), "title")?
///     .read(r#"{"query": "films about nothing"}"#)?;
/// let search = Recommender::new().retrieve(Matches::new("title", 20).every_word());
/// let validated = Validate::by(search, "text")
///     .run(&drafts, &catalog.snapshot(), Timestamp(0), &mut Progress::silent())?;
/// assert_eq!((validated.items.len(), validated.dropped.len()), (1, 1));
/// let mut batch = queries.batch();
/// validated.items.into_iter().for_each(|item| { batch.put(item); });
/// batch.commit()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Validate {
    by: Recommender,
    space: String,
    first: usize,
    least: usize,
    threads: usize,
}

/// Why a draft was dropped.
///
/// ```
/// use bowerbird::model::suggest::Dropped;
/// let why = Dropped::Same("star wars".into());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// It found only so many items.
    Found(usize),
    /// It is almost the same as the query with this key, which is kept.
    Same(String),
}

/// Queries that are worth suggesting, and what became of the others.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Validated {
    /// The queries, as items of a database of [`schema`](super::schema), by key.
    pub items: Vec<Item>,
    /// The keys of the others and why, by key; those that are stored already should be deleted.
    pub dropped: Vec<(String, Dropped)>,
}

/// Cosine from which two given vectors say the same.
const SAME: f64 = 0.95;
/// Drafts that a thread asks before it says how far it is.
const PIECE: usize = 64;

impl Validate {
    /// Asks a recommender of the catalog, with the draft's text, and its vector in a space if it has
    /// one.
    pub fn by(recommender: Recommender, space: &str) -> Validate {
        Validate { by: recommender, space: space.into(), first: 20, least: 1, threads: 1 }
    }

    /// How many items a query is asked for, and is said to be about; 20 unless set, at most 1,000.
    pub fn first(mut self, first: usize) -> Validate {
        self.first = first;
        self
    }

    /// How many it must find; 1 unless set.
    pub fn at_least(mut self, least: usize) -> Validate {
        self.least = least;
        self
    }

    /// Asks with this many threads; the result is the same.
    pub fn threads(mut self, threads: usize) -> Validate {
        self.threads = threads.max(1);
        self
    }

    /// Asks all drafts of a snapshot of the catalog, as of a time.
    ///
    /// # Errors
    /// `Invalid` for numbers out of range and for vectors that do not fit the space, `Cancelled`, and those of the
    /// recommender.
    pub fn run(
        &self,
        drafts: &Drafts,
        catalog: &Snapshot,
        at: Timestamp,
        progress: &mut Progress<'_>,
    ) -> Result<Validated> {
        if !(1..=TAGS_MAX).contains(&self.first) || !(1..=self.first).contains(&self.least) {
            let why = format!(
                "are {} and {}; of 1 to {TAGS_MAX} first items, 1 to all must be found",
                self.first, self.least
            );
            return Err(Error::invalid("first and least items of a query", why));
        }
        catalog.schema().find_space(&self.space)?;
        let all: Vec<(&String, &Draft)> = drafts.keyed().collect();
        let mut found = Vec::with_capacity(all.len());
        progress.begin(all.len() as u64)?;
        for some in all.chunks(PIECE * self.threads) {
            let pieces: Vec<&[(&String, &Draft)]> = some.chunks(PIECE).collect();
            let ask = |at_piece: usize| {
                pieces[at_piece].iter().map(|(_, draft)| self.ask(draft, catalog, at)).collect()
            };
            let asked: Vec<Vec<Found>> = spread(pieces.len(), self.threads, ask)?;
            found.extend(asked.into_iter().flatten());
            progress.advance(some.len() as u64)?;
        }
        Ok(self.sort_out(&all, found))
    }

    fn ask(&self, draft: &Draft, catalog: &Snapshot, at: Timestamp) -> Result<Found> {
        let mut request = Request::new(self.first, at).text(draft.text.as_str());
        if let Some(vector) = &draft.vector {
            request = request.query(&self.space, vector.clone());
        }
        let slate = self.by.run(catalog, &request)?;
        let addrs: Vec<Addr> = slate.items.iter().map(|item| item.addr).collect();
        let vector = match &draft.vector {
            Some(vector) => Some(vector.clone()),
            None => mean(catalog, &self.space, &addrs)?,
        };
        let keys = slate.items.into_iter().map(|item| item.key).collect();
        Ok(Found { keys, vector, at })
    }

    fn sort_out(&self, all: &[(&String, &Draft)], found: Vec<Found>) -> Validated {
        let mut validated = Validated::default();
        // The heaviest first, so that what is kept is what is worth most.
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by(|a, b| all[*b].1.weight.total_cmp(&all[*a].1.weight).then(a.cmp(b)));
        let mut kept = Kept::default();
        let mut weights = vec![0.0; all.len()];
        for at in order {
            let (key, draft) = all[at];
            let keys = &found[at].keys;
            let why = match keys.len() >= self.least {
                false => Some(Dropped::Found(keys.len())),
                true => kept.same(at, (key, draft), (all, &found)).map(|same| {
                    weights[same] += draft.weight;
                    Dropped::Same(all[same].0.clone())
                }),
            };
            match why {
                Some(why) => validated.dropped.push((key.clone(), why)),
                None => weights[at] = draft.weight,
            }
        }
        validated.dropped.sort_by(|a, b| a.0.cmp(&b.0));
        for (((key, draft), found), weight) in all.iter().zip(found).zip(weights) {
            if validated.dropped.binary_search_by(|(other, _)| other.cmp(key)).is_err() {
                let draft = Draft { weight, ..(*draft).clone() };
                validated.items.push(stored::item(key, &draft, &self.space, found));
            }
        }
        validated
    }
}

/// Drafts that are kept, by what makes another the same.
#[derive(Default)]
struct Kept {
    words: HashMap<Vec<String>, usize>,
    items: HashMap<(super::Intent, Vec<Key>), usize>,
    /// Drafts with a given vector, by the first item that they find.
    near: HashMap<Key, Vec<usize>>,
}

impl Kept {
    /// Which kept draft is almost the same; if none is, this one is kept.
    fn same(
        &mut self,
        at: usize,
        (key, draft): (&str, &Draft),
        (all, found): (&[(&String, &Draft)], &[Found]),
    ) -> Option<usize> {
        let mut words: Vec<String> = key.split(' ').map(str::to_owned).collect();
        words.sort_unstable();
        let keys = &found[at].keys;
        if let Some(same) = self.words.get(&words) {
            return Some(*same);
        }
        let near = self.near.entry(keys.first()?.clone()).or_default();
        if let Some(vector) = &draft.vector {
            let same = |other: &&usize| {
                let other = all[**other].1.vector.as_ref();
                other.is_some_and(|other| cosine(vector, other) >= SAME)
            };
            if let Some(same) = near.iter().find(same) {
                return Some(*same);
            }
        }
        match self.items.entry((draft.intent, keys.clone())) {
            Entry::Occupied(same) => return Some(*same.get()),
            Entry::Vacant(free) => drop(free.insert(at)),
        }
        near.extend(draft.vector.as_ref().map(|_| at));
        self.words.insert(words, at);
        None
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let norms = dot(a, a) * dot(b, b);
    if norms > 0.0 { dot(a, b) / norms.sqrt() } else { 0.0 }
}

/// The mean of the vectors of some items; `None` if none has one, or they cancel out.
fn mean(catalog: &Snapshot, space: &str, addrs: &[Addr]) -> Result<Option<Vec<f32>>> {
    let (mut sum, mut vector, mut count) = (Vec::new(), Vec::new(), 0.0);
    for addr in addrs {
        vector.clear();
        if catalog.vector(*addr, space, &mut vector)? {
            sum.resize(vector.len(), 0f64);
            sum.iter_mut().zip(&vector).for_each(|(sum, x)| *sum += f64::from(*x));
            count += 1.0;
        }
    }
    let mean: Vec<f32> = sum.into_iter().map(|sum| (sum / count) as f32).collect();
    Ok(mean.iter().any(|x| *x != 0.0).then_some(mean))
}
