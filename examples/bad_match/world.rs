//! Items and ratings, and their split in time.

use bowerbird::*;
use std::{collections::BTreeMap, fs, path::Path};

pub(crate) type Outcome<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// An item that gets ratings.
pub(crate) struct Film {
    pub(crate) id: u64,
    pub(crate) year: i64,
    pub(crate) genres: Vec<String>,
}

/// Somebody gave a film so many stars.
#[derive(Clone, Copy)]
pub(crate) struct Rating {
    pub(crate) user: u64,
    pub(crate) film: u64,
    pub(crate) stars: f32,
    pub(crate) at: Timestamp,
}

/// What is known, in order of time.
pub(crate) struct World {
    pub(crate) films: Vec<Film>,
    pub(crate) ratings: Vec<Rating>,
}

/// Ratings of so many stars, or fewer, are bad matches.
pub(crate) const BAD: f32 = 2.0;

impl World {
    pub(crate) fn new(films: Vec<Film>, mut ratings: Vec<Rating>) -> World {
        ratings.sort_by_key(|rating| (rating.at, rating.user, rating.film));
        World { films, ratings }
    }

    /// ML-100K in RecBole's files: `ml-100k.inter` and `ml-100k.item`.
    pub(crate) fn ml100k(folder: &Path) -> Outcome<World> {
        let read = |name: &str| -> Outcome<Vec<Vec<String>>> {
            let path = folder.join(name);
            let text =
                fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
            let fields = |line: &str| line.split('\t').map(str::to_owned).collect();
            Ok(text.lines().skip(1).map(fields).collect())
        };
        let film = |line: &Vec<String>| -> Outcome<Film> {
            let genres = line[3].split(' ').filter(|genre| !genre.is_empty());
            let genres = genres.map(str::to_owned).collect();
            Ok(Film { id: line[0].parse()?, year: line[2].parse().unwrap_or(1995), genres })
        };
        let rating = |line: &Vec<String>| -> Outcome<Rating> {
            let (user, film, stars) = (line[0].parse()?, line[1].parse()?, line[2].parse()?);
            Ok(Rating { user, film, stars, at: Timestamp::from_secs(line[3].parse()?) })
        };
        let films = read("ml-100k.item")?.iter().map(film).collect::<Outcome<_>>()?;
        let ratings = read("ml-100k.inter")?.iter().map(rating).collect::<Outcome<_>>()?;
        Ok(World::new(films, ratings))
    }

    /// The first 60 % of the ratings, the next 20 %, the last 20 %.
    pub(crate) fn split(&self) -> (&[Rating], &[Rating], &[Rating]) {
        let count = self.ratings.len();
        let (early, rest) = self.ratings.split_at(count * 6 / 10);
        let (middle, late) = rest.split_at(count * 8 / 10 - count * 6 / 10);
        (early, middle, late)
    }

    /// The same world at the end of its middle part, when nothing of the last was known.
    pub(crate) fn earlier(&self) -> World {
        let known = self.ratings.len() * 8 / 10;
        let film = |film: &Film| Film { id: film.id, year: film.year, genres: film.genres.clone() };
        let films = self.films.iter().map(film).collect();
        World { films, ratings: self.ratings[..known].to_vec() }
    }

    /// The share of bad matches among all that is known before the last part.
    pub(crate) fn share(&self) -> f64 {
        let known = &self.ratings[..self.ratings.len() * 8 / 10];
        known.iter().filter(|rating| rating.stars <= BAD).count() as f64 / known.len() as f64
    }

    /// A database with all films and some ratings.
    pub(crate) fn database(&self, ratings: &[Rating]) -> Result<Db> {
        let schema =
            Schema::new().attr("genre", AttrType::Tags).attr("year", AttrType::Int).event("rate");
        let db = Db::in_memory(schema)?;
        let mut batch = db.batch();
        for film in &self.films {
            batch
                .put(Item::new(film.id).attr("genre", film.genres.clone()).attr("year", film.year));
        }
        batch.commit()?;
        add(&db, ratings)?;
        Ok(db)
    }
}

/// Writes ratings as events.
pub(crate) fn add(db: &Db, ratings: &[Rating]) -> Result<()> {
    let mut batch = db.batch();
    for rating in ratings {
        let event = Event::new(rating.user, rating.film, "rate", rating.at);
        batch.event(event.value(rating.stars));
    }
    batch.commit().map(drop)
}

/// The ratings of each user.
pub(crate) fn by_user(ratings: &[Rating]) -> BTreeMap<u64, Vec<Rating>> {
    let mut users: BTreeMap<u64, Vec<Rating>> = BTreeMap::new();
    for rating in ratings {
        users.entry(rating.user).or_default().push(*rating);
    }
    users
}
