//! The table: an in and an out vector per item, and per word about items.

use crate::{
    artifact::{Opened, Saved},
    error::{Error, Result},
    model::{
        Model,
        method::{Method, Vectors, dots},
        shelf,
        train::gemm::{Matrix, gemm},
    },
};

pub(crate) const NAME: &str = "item2vec";

/// What was learned: vectors by symbol, items first.
#[derive(Debug)]
pub(crate) struct Table {
    dim: usize,
    items: usize,
    recent: usize,
    decay: f32,
    tokens: Vec<String>,
    input: Vec<f32>,
    out: Vec<f32>,
}

/// Sections: options and tokens; in vectors; out vectors.
const HEAD: u16 = shelf::OWN;
const INPUT: u16 = shelf::OWN + 1;
const OUT: u16 = shelf::OWN + 2;

/// The vectors of an item that was not trained on, from words about it.
///
/// ```
/// use bowerbird::{*, model::*};
/// # fn main() -> Result<()> {
/// let day = |user: u64| (user, vec![(Key::Id(user % 3), 0), (Key::Id(user % 3 + 3), 1)]);
/// let sequences = Sequences::new((0..30).map(day))?;
/// let brand = |item: u64| (Key::Id(item), vec![format!("brand:{}", item % 3)]);
/// let options = Item2Vec { side_info: (0..6).map(brand).collect(), ..Item2Vec::default() };
/// let model = options.train(&sequences, &mut Training::new(7))?;
/// let new = NewItem::of(&model, ["brand:1", "brand:not seen"])?;
/// assert_eq!((new.input.len(), new.known), (64, 1));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NewItem {
    /// The mean of the words' in vectors: to find similar items by, in `cosine`.
    pub input: Vec<f32>,
    /// The mean of the words' out vectors: to be found by, with the vector of a user.
    pub out: Vec<f32>,
    /// How many of the words are known; of none, both vectors are 0.
    pub known: usize,
}

impl NewItem {
    /// From words as in [`Item2Vec::side_info`](crate::model::Item2Vec::side_info).
    ///
    /// # Errors
    /// `Invalid` if the model is not of item2vec.
    pub fn of<'w>(model: &Model, words: impl IntoIterator<Item = &'w str>) -> Result<NewItem> {
        let table: &Table = model.of_method().ok_or_else(|| {
            let what = format!("model of method {:?}", model.card().method);
            Error::invalid(what, "has no vectors for words; that is item2vec")
        })?;
        let known: Vec<usize> = words.into_iter().filter_map(|word| table.symbol(word)).collect();
        let mean = |matrix: &[f32]| {
            let mut mean = vec![0f32; table.dim];
            for symbol in &known {
                add(&mut mean, 1.0 / known.len() as f32, &matrix[symbol * table.dim..]);
            }
            mean
        };
        Ok(NewItem { input: mean(&table.input), out: mean(&table.out), known: known.len() })
    }
}

fn add(sum: &mut [f32], weight: f32, row: &[f32]) {
    sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
}

impl Table {
    pub(super) fn new(
        (dim, items): (usize, usize),
        (recent, decay): (usize, f32),
        tokens: Vec<String>,
        (input, out): (Vec<f32>, Vec<f32>),
    ) -> Table {
        Table { dim, items, recent, decay, tokens, input, out }
    }

    pub(crate) fn open(from: &Opened, items: usize) -> Result<Table> {
        type Head = (u64, u64, f32, Vec<String>);
        let (dim, recent, decay, tokens): Head = shelf::take(from, HEAD)?;
        let dim = usize::try_from(dim).ok().filter(|dim| (1..=4096).contains(dim));
        let rising = tokens.windows(2).all(|pair| pair[0] < pair[1]);
        let (Some(dim), true, true) = (dim, rising, (0.0..=1.0).contains(&decay)) else {
            return Err(from.damage("options of item2vec"));
        };
        let count = (items + tokens.len()).checked_mul(dim);
        let count = count.ok_or_else(|| from.damage("number of vectors"))?;
        let input = shelf::take_f32(from, INPUT, count)?;
        let out = shelf::take_f32(from, OUT, count)?;
        Ok(Table { dim, items, recent: recent as usize, decay, tokens, input, out })
    }

    /// The symbol of a token.
    fn symbol(&self, token: &str) -> Option<usize> {
        let at = self.tokens.binary_search_by(|name| name.as_str().cmp(token)).ok();
        at.map(|at| self.items + at)
    }

    fn out_of_items(&self) -> &[f32] {
        &self.out[..self.items * self.dim]
    }

    fn input_of_items(&self) -> &[f32] {
        &self.input[..self.items * self.dim]
    }
}

impl Method for Table {
    fn name(&self) -> &'static str {
        NAME
    }

    fn scores(&self, history: &[u32], scores: &mut [f32]) -> Result<()> {
        let mut user = vec![0f32; self.dim];
        self.encode(history, &mut user)?;
        dots(&user, self.out_of_items(), scores);
        Ok(())
    }

    fn scores_all(&self, histories: &[&[u32]], scores: &mut [f32]) -> Result<()> {
        let mut users = vec![0f32; histories.len() * self.dim];
        for (history, user) in histories.iter().zip(users.chunks_mut(self.dim)) {
            self.encode(history, user)?;
        }
        let users = Matrix::new(&users, histories.len(), self.dim);
        let items = Matrix::new(self.out_of_items(), self.items, self.dim);
        gemm(1.0, users, items.t(), 0.0, scores);
        Ok(())
    }

    fn similar(&self, item: u32, scores: &mut [f32]) -> Option<Result<()>> {
        let input = self.input_of_items();
        dots(&input[item as usize * self.dim..][..self.dim], input, scores);
        let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
        let own = length(&input[item as usize * self.dim..][..self.dim]);
        for (score, row) in scores.iter_mut().zip(input.chunks(self.dim)) {
            *score /= own * length(row);
        }
        Some(Ok(()))
    }

    fn vectors(&self) -> Option<Vectors<'_>> {
        let (out, input) = (self.out_of_items(), self.input_of_items());
        Some(Vectors { dim: self.dim, out, input })
    }

    /// The mean of the in vectors of the last items, older ones counting less; 0 for an empty
    /// history, for which all items score the same.
    fn encode(&self, history: &[u32], out: &mut [f32]) -> Result<()> {
        let weights = (0..history.len().min(self.recent)).map(|age| self.decay.powi(age as i32));
        let total: f32 = weights.clone().sum();
        out.fill(0.0);
        for (item, weight) in history.iter().rev().zip(weights) {
            add(out, weight / total, &self.input[*item as usize * self.dim..]);
        }
        Ok(())
    }

    fn save(&self, out: &mut Saved) -> Result<()> {
        let head = (self.dim as u64, self.recent as u64, self.decay, self.tokens.clone());
        shelf::put(out, HEAD, &head)?;
        shelf::put_f32(out, INPUT, &self.input)?;
        shelf::put_f32(out, OUT, &self.out)
    }
}
