//! RankBatch: the features of some requests and their candidates, as dense columns.

use super::{
    cells::Cells,
    features::{Dims, Features},
    table::Table,
};
use parking_lot::Mutex;
use std::{
    ops::Range,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
};

/// What a ranker gets: requests, the candidates of each, and their features as dense columns whose first
/// number is 64-byte aligned. Rows of candidates are those of the first request, then those of the
/// second, and so on.
///
/// ```
/// use bowerbird::{Result, model::ranker::{RankBatch, Ranker}};
/// /// Ranks by the first scalar.
/// struct First;
/// impl Ranker for First {
///     fn name(&self) -> String {
///         "First".into()
///     }
///     fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()> {
///         let width = batch.features().scalars().len();
///         for (score, row) in scores.iter_mut().zip(batch.scalars().chunks_exact(width)) {
///             *score = row[0];
///         }
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RankBatch {
    pub(crate) features: Arc<Features>,
    pub(crate) dims: Arc<Dims>,
    /// Where the candidates of each request begin; one more than there are requests.
    pub(crate) starts: Vec<u32>,
    pub(crate) tasks: Vec<u32>,
    pub(crate) context: Vec<Cells>,
    pub(crate) history: Option<Cells>,
    /// How many items of the history each request has.
    pub(crate) lived: Vec<u32>,
    pub(crate) items: Items,
    pub(crate) scalars: Cells,
    pub(crate) cancelled: Arc<Cancelled>,
}

/// The vectors of candidates.
#[derive(Clone, Debug)]
pub(crate) enum Items {
    /// As they are, one column for each space.
    Dense(Vec<Cells>),
    /// As rows of a table; rows beyond its end are those of columns that come along, for items that
    /// were written after the table was made.
    Rows(Arc<Table>, Vec<u32>, Vec<Cells>),
}

/// Whether anybody still waits for the answer.
#[derive(Debug, Default)]
pub(crate) struct Cancelled {
    given_up: AtomicBool,
    /// Of the batches that were put together: all of them have to give up.
    of: Mutex<Vec<Arc<Cancelled>>>,
}

impl Cancelled {
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }

    fn is(&self) -> bool {
        if self.given_up.load(Ordering::Acquire) {
            return true;
        }
        let of = self.of.lock();
        !of.is_empty() && of.iter().all(|part| part.is())
    }
}

impl RankBatch {
    /// Without requests yet. Vectors of candidates go by `table`, if there is one.
    pub(crate) fn new(features: Arc<Features>, dims: Arc<Dims>, table: Option<Arc<Table>>) -> Self {
        let cells = |dims: &[u32]| dims.iter().map(|dim| Cells::new(*dim as usize)).collect();
        let columns = cells(&dims.items);
        let items = match table {
            Some(table) => Items::Rows(table, Vec::new(), columns),
            None => Items::Dense(columns),
        };
        RankBatch {
            starts: vec![0],
            tasks: Vec::new(),
            context: cells(&dims.context),
            history: dims.history.map(|dim| Cells::new(dim as usize)),
            lived: Vec::new(),
            items,
            scalars: Cells::new(features.scalars.len()),
            cancelled: Arc::default(),
            features,
            dims,
        }
    }

    /// What its columns are.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// How many requests there are.
    pub fn requests(&self) -> usize {
        self.tasks.len()
    }

    /// How many candidates there are in all; a ranker writes as many scores.
    pub fn len(&self) -> usize {
        self.starts[self.requests()] as usize
    }

    /// Whether there are no candidates.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of the candidates of a request.
    pub fn range(&self, request: usize) -> Range<usize> {
        self.starts[request] as usize..self.starts[request + 1] as usize
    }

    /// Where the candidates of each request begin, and where those of the last end.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// The task of each request, by its place among the declared ones; 0 where none are declared.
    pub fn tasks(&self) -> &[u32] {
        &self.tasks
    }

    /// A vector of the requests, by its place among the declared ones: its dimension, the numbers by
    /// request, and for each request 1 if it is there and 0 if zeros stand for one that is missing.
    pub fn context(&self, slot: usize) -> (usize, &[f32], &[u8]) {
        self.context[slot].parts()
    }

    /// The vectors of the histories, the latest first: the dimension, the numbers of as many places for
    /// each request as were declared, and how many of them are filled. `None` if none is declared.
    pub fn history(&self) -> Option<(usize, &[f32], &[u32])> {
        let cells = self.history.as_ref()?;
        Some((cells.dim, cells.numbers(), &self.lived))
    }

    /// A vector of the candidates, as [`RankBatch::context`] says it; `None` if they are rows of a table.
    pub fn items(&self, slot: usize) -> Option<(usize, &[f32], &[u8])> {
        match &self.items {
            Items::Dense(columns) => Some(columns[slot].parts()),
            Items::Rows(..) => None,
        }
    }

    /// The table that holds the candidates' vectors, and the row of each; `None` if they are here. Rows
    /// from the length of the table on are those of [`RankBatch::fresh`].
    pub fn rows(&self) -> Option<(&Arc<Table>, &[u32])> {
        match &self.items {
            Items::Rows(table, rows, _) => Some((table, rows)),
            Items::Dense(_) => None,
        }
    }

    /// The vectors of items that the table has not yet, as [`RankBatch::context`] says them; `None` where
    /// there is no table.
    pub fn fresh(&self, slot: usize) -> Option<(usize, &[f32], &[u8])> {
        match &self.items {
            Items::Rows(_, _, columns) => Some(columns[slot].parts()),
            Items::Dense(_) => None,
        }
    }

    /// The scalars, candidate by candidate, each in the order of the declaration.
    pub fn scalars(&self) -> &[f32] {
        self.scalars.numbers()
    }

    /// Whether nobody waits for the answer any more. A ranker that takes long may ask, and stop.
    pub fn cancelled(&self) -> bool {
        self.cancelled.is()
    }

    /// Whether another can be put behind it: the same columns, of the same table.
    pub(crate) fn fits(&self, other: &RankBatch) -> bool {
        let table = match (&self.items, &other.items) {
            (Items::Dense(_), Items::Dense(_)) => true,
            (Items::Rows(a, ..), Items::Rows(b, ..)) => a.id() == b.id(),
            _ => false,
        };
        let same = Arc::ptr_eq(&self.features, &other.features) || self.features == other.features;
        table && same && self.dims == other.dims
    }

    /// Puts another behind it.
    pub(crate) fn append(&mut self, other: &RankBatch) {
        let end = self.len() as u32;
        self.starts.extend(other.starts[1..].iter().map(|start| end + start));
        self.tasks.extend(&other.tasks);
        self.context.iter_mut().zip(&other.context).for_each(|(to, from)| to.append(from));
        if let (Some(to), Some(from)) = (&mut self.history, &other.history) {
            to.append(from);
        }
        self.lived.extend(&other.lived);
        match (&mut self.items, &other.items) {
            (Items::Dense(to), Items::Dense(from)) => {
                to.iter_mut().zip(from).for_each(|(to, from)| to.append(from));
            }
            (Items::Rows(table, to, fresh), Items::Rows(_, from, more)) => {
                let (end, by) = (table.len() as u32, fresh.first().map_or(0, Cells::len) as u32);
                let moved = |row: &u32| if *row < end { *row } else { *row + by };
                to.extend(from.iter().map(moved));
                fresh.iter_mut().zip(more).for_each(|(to, from)| to.append(from));
            }
            _ => {}
        }
        self.scalars.append(&other.scalars);
        self.cancelled.of.lock().push(other.cancelled.clone());
    }

    /// The same columns, without requests.
    pub(crate) fn of_none(&self) -> RankBatch {
        let table = match &self.items {
            Items::Rows(table, ..) => Some(table.clone()),
            Items::Dense(_) => None,
        };
        RankBatch::new(self.features.clone(), self.dims.clone(), table)
    }

    /// Some candidates of a batch of one request, with vectors.
    pub(crate) fn only(&self, rows: &[usize]) -> RankBatch {
        let pick = |cells: &Cells| {
            let mut some = Cells::new(cells.dim);
            rows.iter().for_each(|row| some.push(cells.vector(*row)));
            some
        };
        let mut some = self.dense();
        if let Items::Dense(columns) = &mut some.items {
            columns.iter_mut().for_each(|cells| *cells = pick(cells));
        }
        some.scalars = pick(&some.scalars);
        some.starts = vec![0, rows.len() as u32];
        some
    }

    /// One of its requests alone.
    pub(crate) fn request(&self, request: usize) -> RankBatch {
        let rows = self.range(request);
        let one = request..request + 1;
        let long = self.features.history.as_ref().map_or(0, |history| history.1 as usize);
        let columns = |all: &[Cells], rows: &Range<usize>| -> Vec<Cells> {
            all.iter().map(|cells| cells.part(rows.clone())).collect()
        };
        RankBatch {
            features: self.features.clone(),
            dims: self.dims.clone(),
            starts: vec![0, rows.len() as u32],
            tasks: self.tasks[one.clone()].to_vec(),
            context: columns(&self.context, &one),
            history: self.history.as_ref().map(|c| c.part(request * long..(request + 1) * long)),
            lived: self.lived.get(one).map(<[u32]>::to_vec).unwrap_or_default(),
            items: match &self.items {
                Items::Dense(all) => Items::Dense(columns(all, &rows)),
                Items::Rows(table, all, fresh) => {
                    Items::Rows(table.clone(), all[rows.clone()].to_vec(), fresh.clone())
                }
            },
            scalars: self.scalars.part(rows),
            cancelled: self.cancelled.clone(),
        }
    }

    /// For each candidate, 1 if a vector of it is there and 0 if it is missing.
    pub(crate) fn item_flags(&self, slot: usize) -> Vec<u8> {
        match &self.items {
            Items::Dense(columns) => columns[slot].present().to_vec(),
            Items::Rows(..) => {
                (0..self.len()).map(|row| u8::from(self.item(slot, row).is_some())).collect()
            }
        }
    }

    /// A vector of a candidate; `None` if it is missing.
    pub(crate) fn item(&self, slot: usize, row: usize) -> Option<&[f32]> {
        match &self.items {
            Items::Dense(columns) => columns[slot].vector(row),
            Items::Rows(table, rows, fresh) => {
                let row = rows[row] as usize;
                match row.checked_sub(table.len()) {
                    Some(beyond) => fresh[slot].vector(beyond),
                    None => table.vector(slot, row),
                }
            }
        }
    }
}
