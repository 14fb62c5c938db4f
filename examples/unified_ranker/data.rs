//! Movies, what people saw in order, and what they typed: small from this repository, large from a folder.

use crate::{Outcome, files, movies};
use bowerbird::Key;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    process::Command,
};

/// A movie, by its place + 1 as a key.
pub(crate) struct Movie {
    pub(crate) title: String,
    /// Who made it and who is in it.
    pub(crate) people: String,
    pub(crate) plot: String,
    pub(crate) vector: Vec<f32>,
    pub(crate) year: Option<i64>,
    /// How many votes it has elsewhere.
    pub(crate) votes: Option<f64>,
}

pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) vector: Vec<f32>,
    /// Judged movies: which, and whether they were meant.
    pub(crate) judged: Vec<(u64, bool)>,
}

#[derive(Default)]
pub(crate) struct Data {
    pub(crate) movies: Vec<Movie>,
    /// Of each user the movies, in their order.
    pub(crate) users: Vec<Vec<u64>>,
    pub(crate) queries: Vec<Query>,
}

impl Data {
    pub(crate) fn title(&self, key: &Key) -> &str {
        match key {
            Key::Id(id) => self.movies.get(*id as usize - 1).map_or("?", |movie| &movie.title),
            Key::Name(_) => "?",
        }
    }
}

/// That of this repository.
pub(crate) fn small() -> Outcome<Data> {
    let from = movies::Data::load()?;
    let places: HashMap<u64, u64> = from.movies.iter().map(|m| m.id).zip(1..).collect();
    let movie = |m: movies::Movie| Movie {
        title: m.title,
        people: format!("{}, {}", m.director, m.actors.join(", ")),
        plot: m.overview,
        vector: m.vector,
        year: Some(m.year),
        votes: None,
    };
    let mut users: BTreeMap<u64, Vec<(i64, u64)>> = BTreeMap::new();
    for rating in &from.ratings {
        users.entry(rating.user).or_default().push((rating.at.0, places[&rating.movie]));
    }
    let of = |key: &Key| match key {
        Key::Id(id) => places.get(id).copied(),
        Key::Name(_) => None,
    };
    let query = |q: movies::Query| {
        let judged =
            |keys: &[Key], good| keys.iter().filter_map(of).map(move |id| (id, good)).collect();
        let (right, wrong): (Vec<_>, Vec<_>) =
            (judged(&q.relevant, true), judged(&q.irrelevant, false));
        Query { text: q.text, vector: q.vector, judged: [right, wrong].concat() }
    };
    let queries = from.queries.into_iter().map(query).collect();
    let users = users.into_values().map(|mut list| {
        list.sort();
        list.into_iter().map(|(_, movie)| movie).collect()
    });
    Ok(Data {
        users: users.collect(),
        queries,
        movies: from.movies.into_iter().map(movie).collect(),
    })
}

/// MovieLens 1M and the Movie Search Ranking Dataset, joined where they have the same movie.
pub(crate) fn large(folder: &Path) -> Outcome<Data> {
    let mut data = Data::default();
    let of_doc = docs(folder, &mut data)?;
    let of_item = items(folder, &mut data, &of_doc)?;
    let text = read(&folder.join("ml1m/interactions.tsv"))?;
    let mut users: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let mut fields = line.split('\t');
        let (Some(user), Some(item)) = (fields.next(), fields.next()) else { continue };
        users.entry(user.parse()?).or_default().push(of_item[item.parse::<usize>()?]);
    }
    data.users = users.into_values().collect();
    queries(folder, &mut data, &of_doc)?;
    Ok(data)
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// The documents of the search data set, by their id.
fn docs(folder: &Path, data: &mut Data) -> Outcome<HashMap<String, u64>> {
    let path = folder.join("movies_search/msrd_corpus.jsonl.gz");
    let out = Command::new("gzip").arg("-dc").arg(&path).output()?;
    if !out.status.success() {
        return Err(format!("{}: gzip could not read it", path.display()).into());
    }
    let vectors = files::vectors(&folder.join("embeddings/msrd_docs_minilm384.f16.npy"))?;
    let mut places = HashMap::new();
    for (line, vector) in String::from_utf8(out.stdout)?.lines().zip(vectors) {
        let doc: Value = serde_json::from_str(line)?;
        places.insert(doc["id"].as_str().unwrap_or("").to_owned(), data.movies.len() as u64 + 1);
        data.movies.push(Movie {
            title: doc["title"].as_str().unwrap_or("").into(),
            people: [texts(&doc["director"]), texts(&doc["actors"]), texts(&doc["characters"])]
                .join(", "),
            plot: [texts(&doc["genres"]), texts(&doc["tags"]), texts(&doc["overview"])].join(". "),
            vector,
            year: doc["year"].as_i64(),
            votes: doc["votes"].as_f64(),
        });
    }
    Ok(places)
}

/// The key of each movie of MovieLens 1M; those that are no document are added.
fn items(folder: &Path, data: &mut Data, of_doc: &HashMap<String, u64>) -> Outcome<Vec<u64>> {
    let vectors = files::vectors(&folder.join("embeddings/ml1m_full_minilm384.f16.npy"))?;
    let mut of_item = vec![0u64; vectors.len()];
    for line in read(&folder.join("movies_search/ml_join.tsv"))?.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [_, doc, item, ..] = fields[..]
            && let (Some(place), Ok(item)) = (of_doc.get(doc), item.parse::<usize>())
        {
            of_item[item] = *place;
        }
    }
    for line in read(&folder.join("ml1m/items.tsv"))?.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let item: usize = fields[0].parse()?;
        if of_item[item] == 0 {
            of_item[item] = data.movies.len() as u64 + 1;
            data.movies.push(Movie {
                title: fields[2].into(),
                people: format!("{}, {}", fields[7], fields[8]),
                plot: fields[9].into(),
                vector: vectors[item].clone(),
                year: fields[4].parse().ok(),
                votes: None,
            });
        }
    }
    Ok(of_item)
}

/// A text, or all texts of a list.
fn texts(value: &Value) -> String {
    let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn queries(folder: &Path, data: &mut Data, of_doc: &HashMap<String, u64>) -> Outcome<()> {
    let vectors = files::vectors(&folder.join("embeddings/msrd_queries_dev_minilm384.f16.npy"))?;
    let mut places = HashMap::new();
    for (line, vector) in
        read(&folder.join("embeddings/msrd_queries_dev.tsv"))?.lines().zip(vectors)
    {
        let (id, text) = line.split_once('\t').ok_or("a query without a tab")?;
        places.insert(id.to_owned(), data.queries.len());
        data.queries.push(Query { text: text.into(), vector, judged: Vec::new() });
    }
    for line in read(&folder.join("movies_search/msrd_judgments_dev.tsv"))?.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [query, _, doc, grade] = fields[..]
            && let (Some(query), Some(doc)) = (places.get(query), of_doc.get(doc))
        {
            data.queries[*query].judged.push((*doc, grade == "1"));
        }
    }
    data.queries.retain(|query| query.judged.iter().any(|judged| judged.1));
    Ok(())
}
