//! Movies and what people saw, in order: small from this repository, large from a folder.

use crate::{Outcome, files, movies};
use std::{collections::BTreeMap, fs, path::Path};

/// A movie, by its place + 1 as a key.
pub(crate) struct Movie {
    pub(crate) title: String,
    pub(crate) year: i64,
    pub(crate) genres: Vec<String>,
    pub(crate) director: String,
    pub(crate) actors: Vec<String>,
    pub(crate) plot: String,
    pub(crate) vector: Vec<f32>,
}

pub(crate) struct Data {
    pub(crate) movies: Vec<Movie>,
    /// Of each user the movies, in their order.
    pub(crate) users: Vec<Vec<u64>>,
}

/// That of this repository.
pub(crate) fn small() -> Outcome<Data> {
    let from = movies::Data::load()?;
    let places: BTreeMap<u64, u64> = from.movies.iter().map(|movie| movie.id).zip(1..).collect();
    let mut users: BTreeMap<u64, Vec<(i64, u64)>> = BTreeMap::new();
    for rating in &from.ratings {
        users.entry(rating.user).or_default().push((rating.at.0, places[&rating.movie]));
    }
    let in_order = |mut list: Vec<(i64, u64)>| {
        list.sort();
        list.into_iter().map(|(_, movie)| movie).collect()
    };
    let movie = |m: movies::Movie| Movie {
        title: m.title,
        year: m.year,
        genres: m.genres,
        director: m.director,
        actors: m.actors,
        plot: m.overview,
        vector: m.vector,
    };
    Ok(Data {
        movies: from.movies.into_iter().map(movie).collect(),
        users: users.into_values().map(in_order).collect(),
    })
}

/// MovieLens 1M with the texts that were joined to it.
pub(crate) fn large(folder: &Path) -> Outcome<Data> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let vectors = files::vectors(&folder.join("embeddings/ml1m_full_minilm384.f16.npy"))?;
    let list = |text: &str, by: &str| -> Vec<String> {
        text.split(by).map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    };
    let mut movies = Vec::new();
    for (line, vector) in read("ml1m/items.tsv")?.lines().skip(1).zip(vectors.into_iter().skip(1)) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [_, _, title, _, year, genres, _, director, actors, plot, ..] = fields[..] else {
            return Err(format!("items.tsv: {line:?} has too few fields").into());
        };
        movies.push(Movie {
            title: title.into(),
            year: year.parse().unwrap_or(0),
            genres: list(&genres.to_lowercase(), "|"),
            director: director.into(),
            actors: list(actors, ","),
            plot: plot.into(),
            vector,
        });
    }
    let mut users: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in read("ml1m/interactions.tsv")?.lines().skip(1) {
        let mut fields = line.split('\t');
        let (Some(user), Some(item)) = (fields.next(), fields.next()) else { continue };
        users.entry(user.parse()?).or_default().push(item.parse()?);
    }
    Ok(Data { movies, users: users.into_values().collect() })
}
