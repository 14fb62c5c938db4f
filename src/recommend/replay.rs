//! Replay: how good would a recommender have been, judged by what users did next.
//!
//! The database stays whole; time is in the questions. Each user is asked for as of a moment, with
//! nothing that happened or became known later, and the answer is compared with what the user did
//! after it. The whole catalogue is ranked, never a sample of it (Krichene and Rendle, 2020).

use crate::{
    error::{Error, Result},
    eval::{self, Ranking},
    key::{Key, Timestamp, UserId},
    limits::LIMIT_MAX,
    progress::Progress,
    recommend::{Recommender, Request},
    store::{Deed, HistoryQuery, Snapshot},
};
use std::{collections::BTreeSet, fmt};

/// Where a user's events are cut into what is known and what is to be foretold.
///
/// ```
/// use bowerbird::{Timestamp, recommend::replay::Split};
/// let split = Split::At(Timestamp::from_secs(1_500_000_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Split {
    /// At one time for all users: what came after is the test. The honest one.
    At(Timestamp),
    /// Between two times: known up to the first, tested on what came until the second. For choosing
    /// settings without looking at the test.
    Between(Timestamp, Timestamp),
    /// Each user's last event is the test, asked just before it. Other users' later events are still
    /// unknown then, so every user is another point in time, and counts are made anew for each.
    LastOut,
}

/// How to replay.
///
/// ```
/// # use bowerbird::{*, recommend::{*, replay::*}};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().event("view"))?;
/// let mut batch = db.batch();
/// for user in 0..4 {
///     for item in 0..3u64 {
///         batch.put(Item::new(item));
///         batch.event(Event::new(user, item, "view", Timestamp(item as i64)));
///     }
/// }
/// batch.commit()?;
/// let replay = Replay::new(Split::At(Timestamp(1)), ["view"], 10);
/// let popular = Recommender::new().filter(Seen::new([])).retrieve(Popular::ever(["view"], 10));
/// let report = replay.run(&db.snapshot(), &popular, &mut Progress::silent())?;
/// assert_eq!(report.users, 4);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Replay {
    /// Where to cut.
    pub split: Split,
    /// The kinds of events to foretell; none means all.
    pub kinds: Vec<String>,
    /// Only events with a value of at least this, where set: ratings that mean "liked".
    pub value_min: Option<f32>,
    /// The kinds of events by which a user knew an item, and has a history; none means all.
    pub known: Vec<String>,
    /// Whether an item that the user knew counts as foretold.
    pub repeats: bool,
    /// Whether users without a history before the cut are asked for too.
    pub strangers: bool,
    /// How many items are recommended.
    pub k: usize,
}

impl Replay {
    /// Foretells events of these kinds in slates of `k`; new items only, known users only.
    pub fn new<'a>(split: Split, kinds: impl IntoIterator<Item = &'a str>, k: usize) -> Replay {
        let kinds = kinds.into_iter().map(str::to_owned).collect();
        let known = Vec::new();
        Replay { split, kinds, value_min: None, known, repeats: false, strangers: false, k }
    }

    /// Only events with a value of at least this.
    pub fn value_min(mut self, value: f32) -> Replay {
        self.value_min = Some(value);
        self
    }

    /// Items with events of these kinds before the cut are what a user knew; of all kinds unless set. Where
    /// impressions are logged, name what users do: else nothing that was ever shown is there to foretell.
    pub fn known<'a>(mut self, kinds: impl IntoIterator<Item = &'a str>) -> Replay {
        self.known = kinds.into_iter().map(str::to_owned).collect();
        self
    }

    /// Counts items that the user knew, too.
    pub fn repeats(mut self, yes: bool) -> Replay {
        self.repeats = yes;
        self
    }

    /// Asks for users without a history, too.
    pub fn strangers(mut self, yes: bool) -> Replay {
        self.strangers = yes;
        self
    }

    /// Replays a recommender over all users that have something to foretell. Progress is in users.
    ///
    /// # Errors
    /// `Cancelled`, `NotFound` for an unknown kind, and whatever the recommender returns.
    pub fn run(
        &self,
        snapshot: &Snapshot,
        recommender: &Recommender,
        progress: &mut Progress<'_>,
    ) -> Result<Report> {
        let users = snapshot.users()?;
        progress.begin(users.len() as u64)?;
        let mut sums = Sums::default();
        for user in users {
            if let Some(test) = self.test(snapshot, user)? {
                let request = Request::new(self.k, test.now).user(user.0);
                let slate = recommender.run(snapshot, &request)?;
                sums.add(slate.items.into_iter().map(|item| item.key).collect(), &test, self.k)?;
            }
            progress.advance(1)?;
        }
        sums.report(snapshot, self.k)
    }

    /// What a user did after the cut; `None` if that is nothing.
    fn test(&self, snapshot: &Snapshot, user: UserId) -> Result<Option<Test>> {
        let kinds = self.kinds.iter().map(String::as_str);
        let everything = HistoryQuery::default().limit(LIMIT_MAX);
        let all = snapshot.history(user, &everything.clone().kinds(kinds))?.deeds;
        let good = |deed: &&Deed| self.value_min.is_none_or(|least| deed.value >= Some(least));
        let (now, until) = match self.split {
            Split::At(at) => (at, Timestamp::MAX),
            Split::Between(at, until) => (at, until),
            Split::LastOut => match all.iter().rfind(good) {
                Some(last) => (Timestamp(last.at.0.saturating_sub(1)), last.at),
                None => return Ok(None),
            },
        };
        let by = self.known.iter().map(String::as_str);
        let known = snapshot.history(user, &everything.as_of(now).kinds(by))?.deeds;
        if known.is_empty() && !self.strangers {
            return Ok(None);
        }
        let known: BTreeSet<&Key> = known.iter().map(|deed| &deed.item).collect();
        let after = all.iter().filter(|deed| deed.at > now && deed.at <= until).filter(good);
        let new = after.filter(|deed| self.repeats || !known.contains(&deed.item));
        let relevant: BTreeSet<Key> = new.map(|deed| deed.item.clone()).collect();
        let relevant: Vec<Key> = relevant.into_iter().collect();
        Ok((!relevant.is_empty()).then_some(Test { now, relevant }))
    }
}

/// One user's question and what would have been right.
struct Test {
    now: Timestamp,
    relevant: Vec<Key>,
}

/// What a replay has measured: means over users, at `k`.
///
/// ```
/// assert_eq!(bowerbird::recommend::replay::Report::default().users, 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Users that had something to foretell.
    pub users: usize,
    /// The length of the slates.
    pub k: usize,
    /// The share of users with a relevant item in the slate.
    pub hit_rate: f64,
    /// The share of relevant items that were in the slate.
    pub recall: f64,
    /// Normalized discounted cumulative gain.
    pub ndcg: f64,
    /// The mean of one over the place of the first relevant item.
    pub mrr: f64,
    /// Mean average precision.
    pub map: f64,
    /// The share of the catalogue that was recommended to anyone.
    pub coverage: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { users, k, hit_rate, recall, ndcg, mrr, map, coverage } = self;
        write!(
            f,
            "HR@{k} {hit_rate:.4}  NDCG@{k} {ndcg:.4}  recall@{k} {recall:.4}  MRR@{k} {mrr:.4}  \
             MAP@{k} {map:.4}  coverage {coverage:.4}  ({users} users)"
        )
    }
}

#[derive(Default)]
struct Sums {
    slates: Vec<Vec<Key>>,
    report: Report,
}

impl Sums {
    fn add(&mut self, slate: Vec<Key>, test: &Test, k: usize) -> Result<()> {
        let ranking = Ranking::from_list(&slate, &test.relevant)?;
        let report = &mut self.report;
        report.users += 1;
        report.hit_rate += ranking.hit_rate(k).unwrap_or(0.0);
        report.recall += ranking.recall(k).unwrap_or(0.0);
        report.ndcg += ranking.ndcg(k).unwrap_or(0.0);
        report.mrr += ranking.reciprocal_rank(k).unwrap_or(0.0);
        report.map += ranking.average_precision(k).unwrap_or(0.0);
        self.slates.push(slate);
        Ok(())
    }

    fn report(self, snapshot: &Snapshot, k: usize) -> Result<Report> {
        let Sums { slates, mut report } = self;
        if report.users == 0 {
            let why =
                "there is no user with something to foretell; is the split inside the events?";
            return Err(Error::invalid("replay", why));
        }
        let users = report.users as f64;
        for sum in [
            &mut report.hit_rate,
            &mut report.recall,
            &mut report.ndcg,
            &mut report.mrr,
            &mut report.map,
        ] {
            *sum /= users;
        }
        report.coverage = eval::coverage(&slates, snapshot.len() as usize).unwrap_or(0.0);
        report.k = k;
        Ok(report)
    }
}
