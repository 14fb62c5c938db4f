//! The database: movies, histories, and what the users that nobody is judged on tell of movies: a counting
//! model, and vectors of what goes together (item2vec) beside those of texts.

use crate::{Outcome, data::Data};
use bowerbird::{
    model::{Item2Vec, NextItems, Rules, Sequences, SimilarItems, Train, Training},
    recommend::*,
    *,
};
use std::{collections::HashMap, sync::Arc};

/// The last events of a user are what is to be foretold.
pub(crate) const HELD: usize = 5;
/// Users with fewer events than this are left out.
const LEAST: usize = HELD + 5;
/// Candidates of each source.
const EACH: usize = 30;

/// What users and queries are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The counting model is made of them.
    Count,
    Train,
    Choose,
    Judge,
}

pub(crate) struct Shop {
    pub(crate) db: Db,
    /// The users that are not counted, with what they are for.
    pub(crate) users: Vec<(u64, Part)>,
    judged: Arc<HashMap<u64, Vec<Key>>>,
}

impl Part {
    /// How many moments of a user, by what the user is for. More to judge make differences clearer.
    pub(crate) fn moments(self) -> usize {
        match self {
            Part::Count => 0,
            Part::Train => 3,
            Part::Choose | Part::Judge => 5,
        }
    }
}

/// Dealt by number: nothing of it depends on a seed.
fn part_of_user(user: usize) -> Part {
    match user * 7919 % 20 {
        0..8 => Part::Count,
        8..15 => Part::Train,
        15 => Part::Choose,
        _ => Part::Judge,
    }
}

pub(crate) fn part_of_query(query: usize) -> Part {
    match query * 7919 % 20 {
        0..13 => Part::Train,
        13 => Part::Choose,
        _ => Part::Judge,
    }
}

pub(crate) fn open(data: &Data) -> Outcome<Shop> {
    let schema = Schema::new()
        .space("text", 384, Metric::Cosine)
        .space("taste", 64, Metric::Cosine)
        .attr("title", AttrType::Text)
        .attr("people", AttrType::Text)
        .attr("plot", AttrType::Text)
        .attr("seen", AttrType::Float)
        .attr("votes", AttrType::Float)
        .attr("year", AttrType::Int)
        .event("view");
    let db = Db::in_memory(schema)?;
    let counted = |user: &usize| part_of_user(*user) == Part::Count;
    let mut seen = vec![0f64; data.movies.len() + 1];
    let mut sequences = Vec::new();
    for user in (0..data.users.len()).filter(counted) {
        data.users[user].iter().for_each(|movie| seen[*movie as usize] += 1.0);
        let events = data.users[user].iter().zip(0i64..).map(|(movie, at)| (Key::Id(*movie), at));
        sequences.push((user as u64, events.collect::<Vec<_>>()));
    }
    let sequences = Sequences::new(sequences)?;
    let together = Item2Vec::default().train(&sequences, &mut Training::new(1).threads(2))?;
    let mut batch = db.batch();
    for (id, movie) in (1u64..).zip(&data.movies) {
        let item = Item::new(id).vector("text", movie.vector.clone());
        let mut item = item
            .attr("seen", seen[id as usize].ln_1p())
            .attr("title", movie.title.as_str())
            .attr("people", movie.people.as_str())
            .attr("plot", movie.plot.as_str());
        if let Some(votes) = movie.votes {
            item = item.attr("votes", votes.ln_1p());
        }
        if let Some(year) = movie.year {
            item = item.attr("year", year);
        }
        if let Some(vector) = together.item_vector(&Key::Id(id)) {
            item = item.vector("taste", vector.to_vec());
        }
        batch.put(item);
    }
    batch.commit()?;
    let mut users = Vec::new();
    for (user, list) in data.users.iter().enumerate() {
        if counted(&user) || list.len() < LEAST {
            continue;
        }
        let mut batch = db.batch();
        for (at, movie) in list[..list.len() - HELD].iter().enumerate() {
            batch.event(Event::new(user as u64, *movie, "view", Timestamp(at as i64)));
        }
        batch.commit()?;
        users.push((user as u64, part_of_user(user)));
    }
    db.flush()?;
    let rules = Rules::default().train(&sequences, &mut Training::new(1))?;
    let version = db.publish("rules", &rules, rules.provenance(db.snapshot().seq()))?;
    db.activate("rules", version)?;
    let judged = data.queries.iter().enumerate().map(|(at, query)| {
        (at as u64, query.judged.iter().map(|(movie, _)| Key::Id(*movie)).collect())
    });
    Ok(Shop { db, users, judged: Arc::new(judged.collect()) })
}

impl Shop {
    /// The sources of all surfaces. What a request lacks is filled in by rules, as in UniCoRn: a movie that
    /// is asked about stands for a history and for a query, and the last of a history for a movie that is
    /// asked about. So both surfaces that recommend ask the same sources.
    pub(crate) fn recommender(&self) -> Recommender {
        let rules = Complete::new()
            .item_of_history(["view"])
            .history_of_item("view")
            .query_of_item("text")
            .text_of_item("title");
        let both = ["similar", "for-you"];
        Recommender::new()
            .complete(rules)
            .summarize(Recent::new("text", 10))
            .filter(Seen::new(["view"]))
            .retrieve(ForTask::new(["search"], Judged(self.judged.clone())))
            .retrieve(ForTask::new(both, SimilarTo::new("text", EACH)))
            .retrieve(ForTask::new(both, SimilarItems::by("rules", EACH)))
            .retrieve(ForTask::new(both, NextItems::by("rules", EACH)))
            .retrieve(ForTask::new(both, NearInterests::new("text", EACH)))
    }
}

/// The movies that people have judged for a query, the nearest to it first; or for a query that nobody has
/// judged, the nearest of all.
struct Judged(Arc<HashMap<u64, Vec<Key>>>);

impl Retrieve for Judged {
    fn name(&self) -> String {
        "Search".into()
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        let Some((space, query)) = &cx.request.query else { return Ok(()) };
        let Some(keys) = cx.request.id.and_then(|id| self.0.get(&id)) else {
            for hit in cx.snapshot.near(space, query).limit(EACH).run()? {
                found.push(hit.addr, hit.score);
            }
            return Ok(());
        };
        let mut near = Vec::new();
        for key in keys {
            let Some(addr) = cx.snapshot.find(key)?.filter(|addr| allowed.contains(*addr)) else {
                continue;
            };
            let mut vector = Vec::new();
            cx.snapshot.vector(addr, space, &mut vector)?;
            near.push((vector.iter().zip(query).map(|(a, b)| a * b).sum::<f32>(), addr));
        }
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        near.into_iter().for_each(|(score, addr)| found.push(addr, score));
        Ok(())
    }
}
