//! From the files into a database on disk, with a progress bar, and open again.

use crate::{
    Outcome,
    data::{DIM, Data, Movie, Rating},
};
use bowerbird::{AttrType, Db, Encoding, Event, Item, Metric, Schema, Stats};
use std::{
    fs,
    io::{IsTerminal, Write, stderr},
    path::Path,
    time::{Duration, Instant},
};

/// Operations per commit. Each commit is durable before the next begins.
const BATCH: usize = 1000;
/// Stars from which a rating says that somebody liked a movie.
const LIKED: f32 = 4.0;

/// How it went.
pub(crate) struct Import {
    pub(crate) items: usize,
    pub(crate) events: usize,
    pub(crate) took: Duration,
    pub(crate) open: Duration,
    pub(crate) stats: Stats,
}

/// Makes a database at `path`, replacing what was there, fills it, closes it and opens it again.
pub(crate) fn import(path: &Path, data: &Data) -> Outcome<(Db, Import)> {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    let begin = Instant::now();
    let db = Db::create(path, schema())?;
    let mut bar = Bar::new("movies", data.movies.len());
    for movies in data.movies.chunks(BATCH) {
        let mut batch = db.batch();
        for movie in movies {
            batch.put(item(movie));
        }
        batch.commit()?;
        bar.advance(movies.len());
    }
    let mut bar = Bar::new("ratings", data.ratings.len());
    for ratings in data.ratings.chunks(BATCH) {
        let mut batch = db.batch();
        for rating in ratings {
            batch.event(event(rating));
        }
        batch.commit()?;
        bar.advance(ratings.len());
    }
    db.close()?;
    let took = begin.elapsed();

    let begin = Instant::now();
    let db = Db::open(path)?;
    let open = begin.elapsed();
    let (items, events, stats) = (data.movies.len(), data.ratings.len(), db.stats());
    assert_eq!((stats.items, stats.events), (items as u64, events as u64), "nothing got lost");
    Ok((db, Import { items, events, took, open, stats }))
}

fn schema() -> Schema {
    Schema::new()
        .space_as("text", DIM as u32, Metric::Cosine, Encoding::F16)
        .attr("title", AttrType::Text)
        .attr("year", AttrType::Int)
        .attr("genre", AttrType::Tags)
        .attr("director", AttrType::Tag)
        .attr("actor", AttrType::Tags)
        .attr("overview", AttrType::Text)
        .event("liked")
        .event("watched")
}

/// What is not known is left out: missing is not the same as empty.
fn item(movie: &Movie) -> Item {
    let mut item = Item::new(movie.id)
        .vector("text", movie.vector.clone())
        .attr("title", movie.title.as_str())
        .attr("year", movie.year);
    for (name, text) in [("director", &movie.director), ("overview", &movie.overview)] {
        if !text.is_empty() {
            item = item.attr(name, text.as_str());
        }
    }
    for (name, tags) in [("genre", &movie.genres), ("actor", &movie.actors)] {
        if !tags.is_empty() {
            item = item.attr(name, tags.clone());
        }
    }
    item
}

/// Every rating is an event; those of four stars or more say that the movie was liked.
fn event(rating: &Rating) -> Event {
    let kind = if rating.stars >= LIKED { "liked" } else { "watched" };
    Event::new(rating.user, rating.movie, kind, rating.at).value(rating.stars)
}

/// A bar on a terminal; elsewhere one line when it is full.
struct Bar {
    name: &'static str,
    done: usize,
    total: usize,
}

impl Bar {
    fn new(name: &'static str, total: usize) -> Bar {
        Bar { name, done: 0, total }
    }

    fn advance(&mut self, by: usize) {
        self.done += by;
        let full = self.done >= self.total;
        let (start, end) = match (stderr().is_terminal(), full) {
            (true, false) => ("\r", ""),
            (true, true) => ("\r", "\n"),
            (false, true) => ("", "\n"),
            (false, false) => return,
        };
        let cells = 40 * self.done / self.total;
        let (name, done, total) = (self.name, self.done, self.total);
        let bar = format!("{}{}", "#".repeat(cells), ".".repeat(40 - cells));
        eprint!("{start}importing {name:<8}[{bar}] {done}/{total}{end}");
        // A bar that cannot be drawn is no reason to stop.
        let _ = stderr().flush();
    }
}
