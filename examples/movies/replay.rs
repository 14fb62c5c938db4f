//! How good would each method have been? The past is cut into hundredths of the ratings; at each
//! cut every user known by then is asked for, and the answer is compared with what they liked
//! before the next cut. Settings are chosen on the cuts of `CHOOSE`, figures are of the cuts of
//! `TEST`, which are later: nothing is chosen by looking at the test, and no answer has seen the
//! future.

use crate::{Outcome, data::Data};
use bowerbird::{
    Progress, Result, Snapshot, Timestamp, days,
    eval::coverage,
    recommend::{
        CoVisited, Decayed, Fused, NearInterests, Popular, Recommender, Request, Seen,
        replay::{Replay, Split},
    },
};
use std::{ops::Range, thread, time::Instant};

/// Hundredths of the ratings that settings are chosen on.
const CHOOSE: Range<usize> = 50..80;
/// Hundredths that the table is about.
const TEST: Range<usize> = 80..100;
/// Items of a slate.
const K: usize = 10;
/// Candidates that each source of the hybrid proposes.
const PROPOSED: usize = 200;

/// How the replay was done, for people.
pub(crate) const PROTOCOL: &str = "\
The past is cut at every hundredth of the ratings. At each cut from 80 % on, every user known by
then who liked something new before the next cut is asked for, as of the cut, over all movies; what
they had seen is left out. Half-lives, reach and weights were chosen by NDCG@10 in the same way on
the cuts from 50 % to 80 %. HR and NDCG are means over requests; coverage is the share of all movies
in a slate of ten when every user is asked at the end. With so few requests, a difference of less
than about 0.07 in HR may be chance.";

/// A method with its settings.
#[derive(Clone, Copy)]
enum Method {
    /// What most people liked lately, by half-life in days.
    Popularity(u64),
    /// What those who liked the same liked just before or after: reach in steps, and how many last
    /// movies to start from.
    CoVisit(usize, usize),
    /// What is about the same as what the user saw lately, by half-life in days.
    Decayed(u64),
    /// All three: the settings of each, and what popularity weighs beside co-visits, which weigh 1.
    Hybrid { popular: u64, covisit: (usize, usize), decayed: u64, weight: f32 },
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Popularity(_) => "popularity",
            Method::CoVisit(..) => "co-visit",
            Method::Decayed(_) => "decayed interests",
            Method::Hybrid { .. } => "hybrid",
        }
    }

    fn settings(self) -> String {
        match self {
            Method::Popularity(half_life) => format!("half-life {half_life} days"),
            Method::CoVisit(reach, recent) => format!("reach {reach}, last {recent} movies"),
            Method::Decayed(half_life) => format!("half-life {half_life} days"),
            Method::Hybrid { weight, .. } => {
                format!("co-visits 1, interests 0.2, popularity {weight}")
            }
        }
    }

    fn recommender(self) -> Recommender {
        let unseen = Recommender::new().filter(Seen::new([]));
        let covisited =
            |(reach, recent), n| CoVisited::new(["liked"], n).reach(reach).recent(recent);
        match self {
            Method::Popularity(half_life) => {
                unseen.retrieve(Popular::new(["liked"], days(half_life), K))
            }
            Method::CoVisit(reach, recent) => unseen.retrieve(covisited((reach, recent), K)),
            Method::Decayed(half_life) => unseen
                .summarize(Decayed::new("text", days(half_life)))
                .retrieve(NearInterests::new("text", K)),
            Method::Hybrid { popular, covisit, decayed, weight } => unseen
                .summarize(Decayed::new("text", days(decayed)))
                .retrieve(covisited(covisit, PROPOSED))
                .retrieve(NearInterests::new("text", PROPOSED))
                .retrieve(Popular::new(["liked"], days(popular), PROPOSED))
                .score(Fused::new([
                    ("CoVisited(liked)", 1.0),
                    ("NearInterests(text)", 0.2),
                    ("Popular(liked)", weight),
                ])),
        }
    }
}

/// A line of the table.
pub(crate) struct Row {
    pub(crate) method: &'static str,
    pub(crate) settings: String,
    /// NDCG@10 where the settings were chosen.
    pub(crate) chosen_ndcg: f64,
    pub(crate) requests: usize,
    pub(crate) hit_rate: f64,
    pub(crate) ndcg: f64,
    pub(crate) coverage: f64,
    /// Milliseconds per request at the end of the data.
    pub(crate) ms: f64,
}

/// The table.
pub(crate) fn replay(snapshot: &Snapshot, data: &Data) -> Outcome<Vec<Row>> {
    let past = Past { snapshot, data };
    let popularity = Method::Popularity;
    let (popular, popular_ndcg) = past.choose([30, 90, 365], popularity)?;
    let covisits = |(reach, recent)| Method::CoVisit(reach, recent);
    let (covisit, covisit_ndcg) = past.choose([(5, 20), (20, 20), (20, 50)], covisits)?;
    let (decayed, decayed_ndcg) = past.choose([1, 14, 90], Method::Decayed)?;
    let hybrid = |weight| Method::Hybrid { popular, covisit, decayed, weight };
    let (weight, hybrid_ndcg) = past.choose([1.0, 2.0, 4.0], hybrid)?;
    Ok(vec![
        past.row(popularity(popular), popular_ndcg)?,
        past.row(covisits(covisit), covisit_ndcg)?,
        past.row(Method::Decayed(decayed), decayed_ndcg)?,
        past.row(hybrid(weight), hybrid_ndcg)?,
    ])
}

/// When the last rating was given.
pub(crate) fn end(data: &Data) -> Timestamp {
    data.ratings.last().map_or(Timestamp::MAX, |rating| rating.at)
}

struct Past<'a> {
    snapshot: &'a Snapshot,
    data: &'a Data,
}

impl Past<'_> {
    /// The time by which so many hundredths of the ratings had been given.
    fn cut(&self, hundredths: usize) -> Timestamp {
        let all = &self.data.ratings;
        all.get(all.len() * hundredths / 100).map_or_else(|| end(self.data), |rating| rating.at)
    }

    /// Requests, hit rate and NDCG over the cuts of a range.
    fn measure(&self, method: Method, cuts: Range<usize>) -> Result<(usize, f64, f64)> {
        let recommender = method.recommender();
        let (mut requests, mut hits, mut gain) = (0, 0.0, 0.0);
        for at in cuts {
            let split = Split::Between(self.cut(at), self.cut(at + 1));
            let replay = Replay::new(split, ["liked"], K);
            let report = replay.run(self.snapshot, &recommender, &mut Progress::silent())?;
            requests += report.users;
            hits += report.users as f64 * report.hit_rate;
            gain += report.users as f64 * report.ndcg;
        }
        Ok((requests, hits / requests as f64, gain / requests as f64))
    }

    /// The best of some settings by NDCG, and that. Each is measured by a thread of its own.
    fn choose<S: Copy + Send, const N: usize>(
        &self,
        settings: [S; N],
        method: impl Fn(S) -> Method + Sync,
    ) -> Outcome<(S, f64)> {
        let measure = &|setting| self.measure(method(setting), CHOOSE);
        let measured = thread::scope(|scope| {
            let threads = settings.map(|setting| scope.spawn(move || measure(setting)));
            threads.map(|thread| thread.join().expect("measuring does not panic"))
        });
        let mut best = None;
        for (setting, measured) in settings.into_iter().zip(measured) {
            let (_, _, ndcg) = measured?;
            if best.is_none_or(|(_, most)| ndcg > most) {
                best = Some((setting, ndcg));
            }
        }
        best.ok_or_else(|| "there is nothing to choose from".into())
    }

    fn row(&self, method: Method, chosen_ndcg: f64) -> Outcome<Row> {
        let (requests, hit_rate, ndcg) = self.measure(method, TEST)?;
        let (recommender, end) = (method.recommender(), end(self.data));
        let mut users: Vec<u64> = self.data.ratings.iter().map(|rating| rating.user).collect();
        users.sort_unstable();
        users.dedup();
        let (begin, mut slates) = (Instant::now(), Vec::with_capacity(users.len()));
        for user in &users {
            let slate = recommender.run(self.snapshot, &Request::new(K, end).user(*user))?;
            slates.push(slate.items.into_iter().map(|item| item.key).collect());
        }
        let ms = begin.elapsed().as_secs_f64() * 1e3 / users.len() as f64;
        let coverage = coverage(&slates, self.data.movies.len()).ok_or("there are no movies")?;
        let (method, settings) = (method.name(), method.settings());
        Ok(Row { method, settings, chosen_ndcg, requests, hit_rate, ndcg, coverage, ms })
    }
}
