//! Input: the columns of a batch as a net reads them.

use crate::model::ranker::batch::{Items, RankBatch};
use std::{borrow::Cow, ops::Range};

/// Some requests of a batch, with their candidates.
pub(crate) struct Input<'a> {
    /// The rows of the candidates of each request.
    pub(crate) ranges: Vec<Range<usize>>,
    pub(crate) tasks: Cow<'a, [u32]>,
    pub(crate) context: Vec<Column<'a>>,
    pub(crate) items: Vec<Column<'a>>,
    pub(crate) history: Option<Column<'a>>,
    pub(crate) lived: Cow<'a, [u32]>,
    pub(crate) scalars: Cow<'a, [f32]>,
    /// By vector of the candidates: which of them are there.
    pub(crate) flags: Vec<Vec<u8>>,
}

/// A column of vectors.
pub(crate) enum Column<'a> {
    /// Numbers, and which rows are there.
    Raw(Cow<'a, [f32]>, Cow<'a, [u8]>),
    /// Projected before.
    Projected(Vec<f32>),
}

impl<'a> Column<'a> {
    fn of((_, numbers, present): (usize, &'a [f32], &'a [u8])) -> Column<'a> {
        Column::Raw(Cow::Borrowed(numbers), Cow::Borrowed(present))
    }

    pub(crate) fn present(&self) -> &[u8] {
        match self {
            Column::Raw(_, present) => present,
            Column::Projected(_) => &[],
        }
    }
}

impl<'a> Input<'a> {
    /// All requests of a batch. Vectors of candidates that are rows of a table are copied from it, or
    /// come from `projected`, which says for a column what its rows were projected to, and which are there.
    pub(crate) fn all(
        batch: &'a RankBatch,
        projected: Option<&dyn Fn(usize) -> Vec<f32>>,
    ) -> Input<'a> {
        let items = match (&batch.items, projected) {
            (Items::Dense(columns), _) => {
                columns.iter().map(|cells| Column::of(cells.parts())).collect()
            }
            (_, Some(projected)) => {
                (0..batch.features.items.len()).map(|at| Column::Projected(projected(at))).collect()
            }
            (_, None) => (0..batch.features.items.len())
                .map(|slot| gathered(batch, slot, std::slice::from_ref(&(0..batch.len()))))
                .collect(),
        };
        Input {
            ranges: (0..batch.requests()).map(|request| batch.range(request)).collect(),
            tasks: Cow::Borrowed(&batch.tasks),
            context: batch.context.iter().map(|cells| Column::of(cells.parts())).collect(),
            items,
            history: batch.history.as_ref().map(|cells| Column::of(cells.parts())),
            lived: Cow::Borrowed(&batch.lived),
            scalars: Cow::Borrowed(batch.scalars.numbers()),
            flags: (0..batch.features.items.len()).map(|slot| batch.item_flags(slot)).collect(),
        }
    }

    /// Some requests of a batch, copied.
    pub(crate) fn some(batch: &RankBatch, requests: &[usize]) -> Input<'static> {
        let mut end = 0;
        let places: Vec<Range<usize>> = requests.iter().map(|r| batch.range(*r)).collect();
        let ranges = places.iter().map(|place| {
            end += place.len();
            end - place.len()..end
        });
        let ranges = ranges.collect();
        let each = |cells: &crate::model::ranker::cells::Cells, many: usize| {
            let (mut numbers, mut present) = (Vec::new(), Vec::new());
            for request in requests {
                let rows = request * many..(request + 1) * many;
                numbers.extend_from_slice(cells.rows(rows.clone()));
                present.extend_from_slice(&cells.present()[rows]);
            }
            Column::Raw(Cow::Owned(numbers), Cow::Owned(present))
        };
        let long = batch.features.history.as_ref().map_or(0, |history| history.1 as usize);
        let mut scalars = Vec::new();
        for place in &places {
            scalars.extend_from_slice(batch.scalars.rows(place.clone()));
        }
        let items: Vec<Column<'_>> =
            (0..batch.features.items.len()).map(|slot| gathered(batch, slot, &places)).collect();
        let of = |list: &[u32]| -> Vec<u32> {
            requests.iter().filter_map(|request| list.get(*request).copied()).collect()
        };
        Input {
            ranges,
            tasks: Cow::Owned(of(&batch.tasks)),
            context: batch.context.iter().map(|cells| each(cells, 1)).collect(),
            flags: items.iter().map(|column| column.present().to_vec()).collect(),
            items,
            history: batch.history.as_ref().map(|cells| each(cells, long)),
            lived: Cow::Owned(of(&batch.lived)),
            scalars: Cow::Owned(scalars),
        }
    }

    pub(crate) fn requests(&self) -> usize {
        self.ranges.len()
    }

    pub(crate) fn candidates(&self) -> usize {
        self.ranges.last().map_or(0, |last| last.end)
    }
}

/// The vectors of candidates, copied.
fn gathered(batch: &RankBatch, slot: usize, rows: &[Range<usize>]) -> Column<'static> {
    let dim = batch.dims.items[slot] as usize;
    let count: usize = rows.iter().map(ExactSizeIterator::len).sum();
    let (mut numbers, mut present) = (Vec::with_capacity(count * dim), Vec::with_capacity(count));
    for row in rows.iter().cloned().flatten() {
        let vector = batch.item(slot, row);
        match vector {
            Some(vector) => numbers.extend_from_slice(vector),
            None => numbers.resize(numbers.len() + dim, 0.0),
        }
        present.push(u8::from(vector.is_some()));
    }
    Column::Raw(Cow::Owned(numbers), Cow::Owned(present))
}
