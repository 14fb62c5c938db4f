//! Movies with their texts, and judged queries: small from this repository, large from a folder.

use crate::{Outcome, files, movies};
use bowerbird::Key;
use serde_json::Value;
use std::{collections::HashMap, fs, path::Path, process::Command};

/// A movie with everything that can be read of it.
pub(crate) struct Movie {
    pub(crate) id: u64,
    pub(crate) title: String,
    /// Director, actors and whom they play.
    pub(crate) people: String,
    /// Genres, key words and what it is about.
    pub(crate) plot: String,
    pub(crate) vector: Vec<f32>,
}

/// A query, its vector, and judged movies: which, and whether they were meant.
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) vector: Vec<f32>,
    pub(crate) judged: Vec<(Key, bool)>,
}

pub(crate) struct Data {
    pub(crate) movies: Vec<Movie>,
    pub(crate) queries: Vec<Query>,
}

/// That of this repository.
pub(crate) fn small() -> Outcome<Data> {
    let from = movies::Data::load()?;
    let movie = |m: movies::Movie| Movie {
        id: m.id,
        title: m.title,
        people: format!("{}, {}", m.director, m.actors.join(", ")),
        plot: format!("{}. {}", m.genres.join(", "), m.overview),
        vector: m.vector,
    };
    let query = |q: movies::Query| {
        let judged = |keys: Vec<Key>, good| keys.into_iter().map(move |key| (key, good));
        let judged = judged(q.relevant, true).chain(judged(q.irrelevant, false)).collect();
        Query { text: q.text, vector: q.vector, judged }
    };
    Ok(Data {
        movies: from.movies.into_iter().map(movie).collect(),
        queries: from.queries.into_iter().map(query).collect(),
    })
}

/// The Movie Search Ranking Dataset, all of it that is not held back.
pub(crate) fn large(folder: &Path) -> Outcome<Data> {
    let path = folder.join("movies_search/msrd_corpus.jsonl.gz");
    let out = Command::new("gzip").arg("-dc").arg(&path).output()?;
    if !out.status.success() {
        return Err(format!("{}: gzip could not read it", path.display()).into());
    }
    let vectors = files::vectors(&folder.join("embeddings/msrd_docs_minilm384.f16.npy"))?;
    let mut movies = Vec::new();
    for (line, vector) in String::from_utf8(out.stdout)?.lines().zip(vectors) {
        let doc: Value = serde_json::from_str(line)?;
        let text = |name: &str| doc[name].as_str().unwrap_or("").to_owned();
        let list = |name: &str| -> String {
            let all = doc[name].as_array().map_or(&[][..], Vec::as_slice);
            all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        };
        movies.push(Movie {
            id: text("id").parse()?,
            title: text("title"),
            people: [text("director"), list("actors"), list("characters")].join(", "),
            plot: [list("genres"), list("tags"), text("overview")].join(". "),
            vector,
        });
    }
    Ok(Data { movies, queries: queries(folder)? })
}

fn queries(folder: &Path) -> Outcome<Vec<Query>> {
    let vectors = files::vectors(&folder.join("embeddings/msrd_queries_dev_minilm384.f16.npy"))?;
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (mut all, mut places) = (Vec::new(), HashMap::new());
    for (line, vector) in read("embeddings/msrd_queries_dev.tsv")?.lines().zip(vectors) {
        let (id, text) = line.split_once('\t').ok_or("a query without a tab")?;
        places.insert(id.to_owned(), all.len());
        all.push(Query { text: text.into(), vector, judged: Vec::new() });
    }
    for line in read("movies_search/msrd_judgments_dev.tsv")?.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [query, _, doc, grade] = fields[..]
            && let Some(query) = places.get(query)
        {
            all[*query].judged.push((Key::Id(doc.parse()?), grade == "1"));
        }
    }
    Ok(all)
}
