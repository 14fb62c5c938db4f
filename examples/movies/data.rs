//! The files under `data/`, as values. What they are and whose: `data/README.md`.

use crate::Outcome;
use bowerbird::{Key, Timestamp};
use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

/// How many numbers a text vector has.
pub(crate) const DIM: usize = 384;

/// A movie with the vector of its text. What is not known is empty.
pub(crate) struct Movie {
    pub(crate) id: u64,
    pub(crate) year: i64,
    pub(crate) title: String,
    pub(crate) genres: Vec<String>,
    pub(crate) director: String,
    pub(crate) actors: Vec<String>,
    pub(crate) overview: String,
    pub(crate) vector: Vec<f32>,
}

/// Somebody gave a movie so many stars, half a star to five.
pub(crate) struct Rating {
    pub(crate) user: u64,
    pub(crate) movie: u64,
    pub(crate) stars: f32,
    pub(crate) at: Timestamp,
}

/// What somebody typed, its vector, and which movies people said were meant and were not.
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) vector: Vec<f32>,
    pub(crate) relevant: Vec<Key>,
    pub(crate) irrelevant: Vec<Key>,
}

/// Everything.
pub(crate) struct Data {
    pub(crate) movies: Vec<Movie>,
    pub(crate) ratings: Vec<Rating>,
    pub(crate) queries: Vec<Query>,
}

impl Data {
    /// Reads the files of this repository.
    pub(crate) fn load() -> Outcome<Data> {
        let folder = Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/movies/data"));
        Ok(Data {
            movies: movies(&folder)?,
            ratings: ratings(&folder)?,
            queries: queries(&folder)?,
        })
    }
}

struct Folder(PathBuf);

impl Folder {
    fn read(&self, name: &str) -> Outcome<Vec<u8>> {
        let path = self.0.join(name);
        fs::read(&path).map_err(|error| {
            let path = path.display();
            format!("{path}: {error}. The data is in the repository, not in the crate.").into()
        })
    }

    /// The fields of every line.
    fn tsv<const N: usize, T>(
        &self,
        name: &str,
        row: impl Fn([&str; N]) -> Outcome<T>,
    ) -> Outcome<Vec<T>> {
        let text = String::from_utf8(self.read(name)?)?;
        let parse = |(at, line): (usize, &str)| {
            let fields: Vec<&str> = line.split('\t').collect();
            let fields = <[&str; N]>::try_from(fields.as_slice())
                .map_err(|_| format!("{name}:{}: expected {N} fields", at + 1))?;
            row(fields).map_err(|error| format!("{name}:{}: {error}", at + 1).into())
        };
        text.lines().enumerate().map(parse).collect()
    }

    /// Vectors of little-endian f16.
    fn vectors(&self, name: &str, count: usize) -> Outcome<Vec<Vec<f32>>> {
        let bytes = self.read(name)?;
        if bytes.len() != count * DIM * 2 {
            return Err(format!("{name} has {} bytes, not {count} vectors", bytes.len()).into());
        }
        let (numbers, _) = bytes.as_chunks::<2>();
        let vector = |row: &[[u8; 2]]| row.iter().map(|b| f16(u16::from_le_bytes(*b))).collect();
        Ok(numbers.chunks(DIM).map(vector).collect())
    }
}

/// A half-precision number; ours are finite.
fn f16(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * (-24f32).exp2(),
        _ => (1.0 + fraction / 1024.0) * ((exponent - 15) as f32).exp2(),
    };
    if bits >> 15 == 0 { size } else { -size }
}

fn number<T: FromStr>(field: &str) -> Outcome<T> {
    field.parse().map_err(|_| format!("{field:?} is not a number").into())
}

fn list(field: &str) -> Vec<String> {
    field.split('|').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn movies(folder: &Folder) -> Outcome<Vec<Movie>> {
    let row = |[id, _tmdb, year, title, genres, director, actors, overview]: [&str; 8]| {
        Ok(Movie {
            id: number(id)?,
            year: number(year)?,
            title: title.into(),
            genres: list(genres),
            director: director.into(),
            actors: list(actors),
            overview: overview.into(),
            vector: Vec::new(),
        })
    };
    let mut movies = folder.tsv("movies.tsv", row)?;
    let vectors = folder.vectors("movies.f16", movies.len())?;
    movies.iter_mut().zip(vectors).for_each(|(movie, vector)| movie.vector = vector);
    Ok(movies)
}

fn ratings(folder: &Folder) -> Outcome<Vec<Rating>> {
    folder.tsv("ratings.tsv", |[user, movie, stars, seconds]: [&str; 4]| {
        let at = Timestamp::from_secs(number(seconds)?);
        Ok(Rating { user: number(user)?, movie: number(movie)?, stars: number(stars)?, at })
    })
}

fn queries(folder: &Folder) -> Outcome<Vec<Query>> {
    let texts = folder.tsv("queries.tsv", |[text]: [&str; 1]| Ok(text.to_owned()))?;
    let vectors = folder.vectors("queries.f16", texts.len())?;
    let query = |(text, vector)| {
        let (relevant, irrelevant) = (Vec::new(), Vec::new());
        Query { text, vector, relevant, irrelevant }
    };
    let mut queries: Vec<Query> = texts.into_iter().zip(vectors).map(query).collect();
    let judgments = folder.tsv("judgments.tsv", |[query, movie, grade]: [&str; 3]| {
        Ok((number::<usize>(query)?, Key::Id(number(movie)?), number::<u8>(grade)?))
    })?;
    for (query, movie, grade) in judgments {
        let query = queries.get_mut(query).ok_or("a judgment names a query that is not there")?;
        match grade {
            0 => query.irrelevant.push(movie),
            _ => query.relevant.push(movie),
        }
    }
    Ok(queries)
}
