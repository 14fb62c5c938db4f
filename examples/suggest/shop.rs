//! The catalog with its next-item model, and the database of queries about it.

use crate::{Outcome, data::Data};
use bowerbird::{
    model::suggest::*,
    model::*,
    recommend::{self, *},
    *,
};
use std::time::Instant;

/// Everybody's last movie was seen at this time, the one before it a moment earlier, and so on.
pub(crate) const END: i64 = 1_000_000;

pub(crate) struct Shop {
    pub(crate) catalog: Db,
    pub(crate) queries: Db,
    /// How many drafts there were, and how many found nothing or the same.
    pub(crate) drafts: usize,
    pub(crate) empty: usize,
    pub(crate) same: usize,
    pub(crate) seconds: f64,
}

pub(crate) fn open(data: &Data) -> Outcome<Shop> {
    let catalog = catalog(data)?;
    let snapshot = catalog.snapshot();
    let start = Instant::now();
    let drafts = Drafts::new()
        .titles(&snapshot, "title")?
        .template(&snapshot, "{genre} {year:10}s", 5)?
        .template(&snapshot, "{genre} films of {year}", 5)?
        .template(&snapshot, "films by {director}", 2)?
        .template(&snapshot, "{actor} films", 3)?
        .template(&snapshot, "{genre} with {actor}", 2)?
        .template(&snapshot, "{genre} by {director}", 2)?;
    let queries = Db::in_memory(schema(snapshot.schema().find_space("text")?))?;
    let validated = Validate::by(search(), "text").threads(2).run(
        &drafts,
        &snapshot,
        Timestamp(END - 2),
        &mut Progress::silent(),
    )?;
    let same = |(_, why): &&(String, Dropped)| matches!(why, Dropped::Same(_));
    let same = validated.dropped.iter().filter(same).count();
    let empty = validated.dropped.len() - same;
    let counts = counts(data);
    for items in validated.items.chunks(1000) {
        let mut batch = queries.batch();
        for item in items {
            batch.put(weighed(item.clone(), &counts));
        }
        batch.commit()?;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Shop { catalog, queries, drafts: drafts.len(), empty, same, seconds })
}

/// What everybody types into: words of everything that is known of a movie, well-known ones first
/// where the words say the same.
fn search() -> Recommender {
    let words = Matches::new("title", 200).also("facts", 1.0).also("plot", 0.3).every_word();
    Recommender::new().retrieve(words).score(
        Weighted::new()
            .scaled(1.0, Hint::of("Matches(title, facts, plot)"))
            .scaled(0.5, recommend::Popularity::ever(["see"])),
    )
}

/// How often each movie was seen before what is judged.
fn counts(data: &Data) -> Vec<f64> {
    let mut counts = vec![0.0; data.movies.len() + 1];
    for user in &data.users {
        user[..user.len().saturating_sub(2)]
            .iter()
            .for_each(|movie| counts[*movie as usize] += 1.0);
    }
    counts
}

/// There is no log of searches: a query is worth what its movies are seen, as if each was asked for in
/// proportion. That is also what the judged list of popular queries is in the order of.
fn weighed(mut item: Item, counts: &[f64]) -> Item {
    let Some(Value::Tags(about)) = item.get("about").cloned() else { return item };
    let count = |key: &String| key.parse::<usize>().ok().and_then(|at| counts.get(at)).copied();
    let weight: f64 = about.iter().filter_map(count).sum();
    for (name, value) in &mut item.attrs {
        if name == "weight" {
            *value = Value::Float(weight.ln_1p());
        }
    }
    item
}

fn catalog(data: &Data) -> Outcome<Db> {
    let dim = data.movies.first().map_or(1, |movie| movie.vector.len());
    let schema = Schema::new()
        .space("text", dim as u32, Metric::Cosine)
        .attr("title", AttrType::Text)
        .attr("facts", AttrType::Text)
        .attr("plot", AttrType::Text)
        .attr("year", AttrType::Int)
        .attr("genre", AttrType::Tags)
        .attr("director", AttrType::Tag)
        .attr("actor", AttrType::Tags)
        .event("see");
    let db = Db::in_memory(schema)?;
    for (first, movies) in (0..).step_by(1000).zip(data.movies.chunks(1000)) {
        let mut batch = db.batch();
        for (id, movie) in (first + 1..).zip(movies) {
            let decade = movie.year - movie.year.rem_euclid(10);
            let facts = format!(
                "films with by of {} {}s {} {} {}",
                movie.year,
                decade,
                movie.genres.join(" "),
                movie.director,
                movie.actors.join(" ")
            );
            let mut item = Item::new(id as u64)
                .attr("title", movie.title.as_str())
                .attr("facts", facts)
                .attr("plot", movie.plot.as_str())
                .attr("year", movie.year)
                .attr("genre", movie.genres.clone())
                .attr("actor", movie.actors.clone());
            if !movie.director.is_empty() {
                item = item.attr("director", movie.director.as_str());
            }
            let known = movie.vector.iter().any(|x| *x != 0.0);
            batch.put(if known { item.vector("text", movie.vector.as_slice()) } else { item });
        }
        batch.commit()?;
    }
    for (users, ids) in data.users.chunks(500).zip((0u64..).step_by(500)) {
        let mut batch = db.batch();
        for (id, user) in (ids..).zip(users) {
            for (at, movie) in user.iter().enumerate() {
                let at = Timestamp(END - (user.len() - 1 - at) as i64);
                batch.event(Event::new(id, *movie, "see", at).recorded(at));
            }
        }
        batch.commit()?;
    }
    let snapshot = db.snapshot();
    let reading = Reading { kinds: vec!["see".into()], ..Reading::default() };
    let (rest, _) = Sequences::read(&snapshot, &reading)?.hold_out_last();
    let (train, _) = rest.hold_out_last();
    let model = Rules::default().train(&train, &mut Training::new(1))?;
    let version = db.publish("next", &model, model.provenance(snapshot.seq()))?;
    db.activate("next", version)?;
    Ok(db)
}

/// What would be recommended to a user: what the queries should lead to.
pub(crate) fn for_you() -> Recommender {
    Recommender::new()
        .summarize(Recent::new("text", 10))
        .filter(Seen::new(["see"]))
        .retrieve(NextItems::by("next", 100))
}
