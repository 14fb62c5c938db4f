//! Logged: impressions and what came of them, joined by request number and item.

use super::{Weighed, Worth};
use crate::{
    error::{Error, Result},
    key::{Key, Timestamp, UserId},
    limits::LIMIT_MAX,
    progress::Progress,
    recommend::{Recommender, Request, Slate},
    store::{Deed, HistoryQuery, Snapshot},
};
use std::collections::HashSet;

/// An item that was shown, and what came of it.
///
/// ```
/// use bowerbird::recommend::policy::Shown;
/// fn surprising(shown: &Shown) -> bool {
///     shown.propensity < 0.1
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Shown {
    /// In the answer to which request.
    pub request: u64,
    /// To whom.
    pub user: UserId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub item: Key,
    /// At which position, from 0.
    pub position: u16,
    /// How likely it was to be shown there: above 0, at most 1.
    pub propensity: f64,
    /// 1 if an event of a rewarding kind names the request and the item; 0 if none does. May be set to
    /// another finite number.
    pub reward: f64,
}

/// Impressions with their propensities, and what came of them.
///
/// ```
/// use bowerbird::{recommend::{policy::*, *}, *};
/// fn compare(db: &Db, other: &Recommender) -> Result<()> {
///     let (snapshot, quiet) = (db.snapshot(), &mut Progress::silent());
///     let logged = Logged::read(&snapshot, "impression", ["click"], &HistoryQuery::default(), quiet)?;
///     let worth = logged.replay(&snapshot, other, quiet)?;
///     println!("{} (as logged: {})", worth.snips(), logged.as_it_was()?.ips());
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Logged {
    /// By request, and by position within it.
    shown: Vec<Shown>,
    /// Events of the kind that named no request.
    nameless: usize,
}

impl Logged {
    /// Impressions that are there already, in any order.
    ///
    /// # Errors
    /// `Invalid` for a propensity of 0, below it, above 1 or not a number, and for a reward that is not
    /// finite: an estimate would divide by it.
    pub fn new(shown: impl IntoIterator<Item = Shown>) -> Result<Logged> {
        let mut shown: Vec<Shown> = shown.into_iter().collect();
        for one in &shown {
            let shown = one.propensity > 0.0 && one.propensity <= 1.0;
            if !shown || !one.reward.is_finite() {
                let what = format!("impression of item {} in request {}", one.item, one.request);
                let (p, reward) = (one.propensity, one.reward);
                let why = format!(
                    "has the propensity {p} and the reward {reward}. A propensity is above 0 and at \
                     most 1: what could not be shown cannot have been"
                );
                return Err(Error::invalid(what, why));
            }
        }
        shown.sort_by(|a, b| {
            let key = |s: &Shown| (s.user, s.request, s.position);
            key(a).cmp(&key(b)).then_with(|| a.item.cmp(&b.item))
        });
        Ok(Logged { shown, nameless: 0 })
    }

    /// Reads the events of a kind, as [`Slate::impressions`] makes them, and the events of other kinds
    /// that are rewards; of both, what `query` says: by when it was known, and how far back. An item that was logged twice for a request counts once; events without a
    /// request number are passed over, and counted. Progress is in users.
    ///
    /// # Errors
    /// `NotFound` for unknown kinds; `Invalid` for an impression without a position or without a
    /// propensity above 0; `Cancelled`.
    pub fn read<'k>(
        snapshot: &Snapshot,
        kind: &str,
        rewards: impl IntoIterator<Item = &'k str>,
        query: &HistoryQuery,
        progress: &mut Progress<'_>,
    ) -> Result<Logged> {
        let schema = snapshot.schema();
        let kind = schema.find_event(kind)?;
        let rewards: Vec<u8> =
            rewards.into_iter().map(|kind| schema.find_event(kind)).collect::<Result<_>>()?;
        let query = HistoryQuery { limit: LIMIT_MAX, kinds: Vec::new(), ..query.clone() };
        let users = snapshot.users()?;
        progress.begin(users.len() as u64)?;
        let (mut shown, mut nameless) = (Vec::new(), 0);
        for user in users {
            let all = snapshot.history(user, &query)?.deeds;
            let won: HashSet<(u64, &Key)> = all
                .iter()
                .filter(|deed| rewards.contains(&deed.kind))
                .filter_map(|deed| Some((deed.request?, &deed.item)))
                .collect();
            let mut once = HashSet::new();
            for deed in all.iter().filter(|deed| deed.kind == kind) {
                let Some(request) = deed.request else {
                    nameless += 1;
                    continue;
                };
                if once.insert((request, &deed.item)) {
                    let reward = f64::from(u8::from(won.contains(&(request, &deed.item))));
                    shown.push(one(user, request, deed, reward)?);
                }
            }
            progress.advance(1)?;
        }
        Ok(Logged { nameless, ..Logged::new(shown)? })
    }

    /// What was shown, by user and request, and by position within them.
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// How many events were passed over because they named no request.
    pub fn nameless(&self) -> usize {
        self.nameless
    }

    /// Only some impressions: those that were explored, say, with a propensity below 1. What was sure to
    /// be shown says nothing of a recommender that would have shown something else there.
    pub fn only(mut self, keep: impl FnMut(&Shown) -> bool) -> Logged {
        self.shown.retain(keep);
        self
    }

    /// Asks another policy how likely it would have been to show each item of a request at its position.
    ///
    /// # Errors
    /// `Invalid` if it does not say one number of 0 to 1 for each, or there are no impressions; and
    /// whatever it returns.
    pub fn evaluate(&self, mut policy: impl FnMut(&[Shown]) -> Result<Vec<f64>>) -> Result<Worth> {
        let mut weighed = Vec::with_capacity(self.shown.len());
        let same = |a: &Shown, b: &Shown| (a.user, a.request) == (b.user, b.request);
        for (group, request) in self.shown.chunk_by(same).enumerate() {
            let chances = policy(request)?;
            if chances.len() != request.len() {
                let why = format!("said {} numbers for {} items", chances.len(), request.len());
                return Err(Error::invalid("policy", why));
            }
            for (one, chance) in request.iter().zip(chances) {
                let Shown { propensity, reward, .. } = *one;
                weighed.push(Weighed { group: group as u64, propensity, chance, reward });
            }
        }
        Worth::new(weighed)
    }

    /// The policy that was logged: what there was, with its interval.
    pub fn as_it_was(&self) -> Result<Worth> {
        self.evaluate(|shown| Ok(shown.iter().map(|one| one.propensity).collect()))
    }

    /// Asks another recommender: for each request a slate of as many items, for the same user and as of
    /// just before it, so that nothing that came of it is known. An item counts where the other slate has
    /// it at the same position. Progress is in requests.
    ///
    /// Requests are made anew from user and time; with queries or items use
    /// [`replay_as`](Logged::replay_as).
    pub fn replay(
        &self,
        snapshot: &Snapshot,
        other: &Recommender,
        progress: &mut Progress<'_>,
    ) -> Result<Worth> {
        self.replay_as(snapshot, other, |_, request| request, progress)
    }

    /// The same, where `fill` puts into a request what events do not keep: its task, its query.
    pub fn replay_as(
        &self,
        snapshot: &Snapshot,
        other: &Recommender,
        mut fill: impl FnMut(&Shown, Request) -> Request,
        progress: &mut Progress<'_>,
    ) -> Result<Worth> {
        let same = |a: &Shown, b: &Shown| (a.user, a.request) == (b.user, b.request);
        progress.begin(self.shown.chunk_by(same).count() as u64)?;
        self.evaluate(|shown| {
            let limit = shown.iter().map(|one| usize::from(one.position) + 1).max().unwrap_or(1);
            let before = Timestamp(shown[0].at.0.saturating_sub(1));
            let asked = Request::new(limit, before).user(shown[0].user.0).id(shown[0].request);
            let slate: Slate = other.run(snapshot, &fill(&shown[0], asked))?;
            progress.advance(1)?;
            let there = |one: &Shown| {
                let item = slate.items.get(usize::from(one.position));
                f64::from(u8::from(item.is_some_and(|item| item.key == one.item)))
            };
            Ok(shown.iter().map(there).collect())
        })
    }
}

fn one(user: UserId, request: u64, deed: &Deed, reward: f64) -> Result<Shown> {
    let wrong = |why: &str| {
        let what = format!("impression of item {} in request {request}", deed.item);
        Error::invalid(what, format!("{why}; `Slate::impressions` makes them whole"))
    };
    let position = deed.position.ok_or_else(|| wrong("has no position"))?;
    let propensity = f64::from(deed.value.ok_or_else(|| wrong("has no propensity"))?);
    Ok(Shown { request, user, at: deed.at, item: deed.item.clone(), position, propensity, reward })
}
