//! Rows: sparse weights from each item to others. How they are counted, capped and saved.

use super::{grow::Parts, steps::Steps};
use crate::{
    artifact::{Opened, Saved},
    error::Result,
    model::{Training, shelf},
    store::spread,
};
use parking_lot::Mutex;

/// From every item to others: codes ascending, with weights that are not 0.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rows {
    /// Where each row begins, and one more.
    starts: Vec<usize>,
    to: Vec<u32>,
    weights: Vec<f32>,
    /// What the sums of a row come to, those that were cut included; no weight is larger.
    totals: Vec<f32>,
}

/// A row while it is counted: a place for every item, and which of them are in use.
#[derive(Debug)]
pub(crate) struct Tally {
    sums: Vec<f64>,
    used: Vec<u32>,
}

impl Tally {
    /// Adds to an item; `weight` is more than 0.
    pub(crate) fn add(&mut self, item: u32, weight: f64) {
        let sum = &mut self.sums[item as usize];
        if *sum == 0.0 {
            self.used.push(item);
        }
        *sum += weight;
    }

    /// The row, codes ascending; all is 0 again.
    fn take(&mut self) -> Vec<(u32, f64)> {
        self.used.sort_unstable();
        let row = self.used.iter().map(|item| (*item, self.sums[*item as usize])).collect();
        self.used.drain(..).for_each(|item| self.sums[item as usize] = 0.0);
        row
    }
}

/// Codes ascending, with their weights.
type Row = Vec<(u32, f32)>;

/// The largest total, count or weight.
pub(crate) const MOST: f32 = 1e15;

/// Items counted between two reports, and by one worker at a time.
const GROUP: usize = 256;
const PIECE: usize = 16;

impl Rows {
    /// Counts the rows of all items: `visit` adds what one place of an item says, `weigh` turns the
    /// sum for a pair into its weight. The `keep` heaviest of a row stay.
    ///
    /// Sums run in the order of sequences, so any number of threads gives the same bytes.
    pub(crate) fn count(
        steps: &Steps,
        how: &mut Training<'_>,
        keep: usize,
        visit: impl Fn(u32, u32, &mut Tally) + Sync,
        weigh: impl Fn(u32, u32, f64) -> f64 + Sync,
    ) -> Result<Rows> {
        let items = steps.items();
        let pool: Mutex<Vec<Tally>> = Mutex::new(Vec::new());
        let piece = |from: usize| -> Result<Vec<(Row, f32)>> {
            let fresh = || Tally { sums: vec![0.0; items], used: Vec::new() };
            let mut tally = pool.lock().pop().unwrap_or_else(fresh);
            let mut rows = Vec::with_capacity(PIECE);
            for item in from..items.min(from + PIECE) {
                let item = item as u32;
                steps.places(item).iter().for_each(|place| visit(item, *place, &mut tally));
                let row = tally.take();
                let total: f64 = row.iter().map(|(_, sum)| sum).sum();
                let weighed = row.iter().map(|(to, sum)| (*to, weigh(item, *to, *sum) as f32));
                rows.push((heaviest(weighed.collect(), keep), total as f32));
            }
            pool.lock().push(tally);
            Ok(rows)
        };
        let mut all = Rows::empty();
        for group in (0..items).step_by(GROUP) {
            let pieces = (items - group).min(GROUP).div_ceil(PIECE);
            let counted = spread(pieces, how.threads, |at| piece(group + at * PIECE))?;
            counted.into_iter().flatten().for_each(|(row, total)| all.push(&row, total));
            how.progress.advance((items - group).min(GROUP) as u64)?;
        }
        Ok(all)
    }

    /// The sums of the rows of both; the `keep` heaviest of each stay.
    pub(crate) fn joined(
        parts: Parts<'_, Rows>,
        items: usize,
        keep: usize,
        how: &mut Training<'_>,
    ) -> Result<Rows> {
        let mut sums = vec![(Row::new(), 0f32); items];
        for (rows, codes) in parts {
            for (item, code) in (0u32..).zip(codes) {
                let (row, total) = &mut sums[*code as usize];
                let (to, weights) = rows.row(item);
                row.extend(to.iter().map(|to| codes[*to as usize]).zip(weights.iter().copied()));
                *total = (*total + rows.total(item)).min(MOST);
            }
            how.progress.check()?;
        }
        let mut all = Rows::empty();
        for (at, (mut row, total)) in sums.into_iter().enumerate() {
            row.sort_by_key(|(to, _)| *to);
            row.dedup_by(|again, first| {
                let same = again.0 == first.0;
                first.1 += if same { again.1 } else { 0.0 };
                same
            });
            // No larger than the total, which is cut too.
            row.iter_mut().for_each(|(_, weight)| *weight = weight.clamp(-MOST, MOST));
            all.push(&heaviest(row, keep), total);
            if at % GROUP == 0 {
                how.progress.check()?;
            }
        }
        Ok(all)
    }

    /// Of no items.
    pub(crate) fn empty() -> Rows {
        Rows { starts: vec![0], to: Vec::new(), weights: Vec::new(), totals: Vec::new() }
    }

    /// Appends the row of the next item.
    pub(crate) fn push(&mut self, row: &[(u32, f32)], total: f32) {
        self.to.extend(row.iter().map(|(to, _)| *to));
        self.weights.extend(row.iter().map(|(_, weight)| *weight));
        self.starts.push(self.to.len());
        self.totals.push(total);
    }

    /// What an item's row says: codes and weights.
    pub(crate) fn row(&self, item: u32) -> (&[u32], &[f32]) {
        let range = self.starts[item as usize]..self.starts[item as usize + 1];
        (&self.to[range.clone()], &self.weights[range])
    }

    /// What the weights of a row come to, those that were cut included.
    pub(crate) fn total(&self, item: u32) -> f32 {
        self.totals[item as usize]
    }

    /// Saves to four sections from `number` on.
    pub(crate) fn save(&self, out: &mut Saved, number: u16) -> Result<()> {
        let lengths: Vec<u32> = self.starts.windows(2).map(|p| (p[1] - p[0]) as u32).collect();
        shelf::put_u32(out, number, &lengths)?;
        shelf::put_u32(out, number + 1, &self.to)?;
        shelf::put_f32(out, number + 2, &self.weights)?;
        shelf::put_f32(out, number + 3, &self.totals)
    }

    /// Opens what [`Rows::save`] saved.
    pub(crate) fn open(from: &Opened, number: u16, items: usize) -> Result<Rows> {
        let lengths = shelf::take_u32(from, number, items, u32::MAX)?;
        let count = shelf::count(from, number + 1)?;
        let to = shelf::take_u32(from, number + 1, count, items as u32)?;
        let weights = shelf::take_f32(from, number + 2, count)?;
        let totals = shelf::take_f32(from, number + 3, items)?;
        let starts = starts(&lengths);
        // Weights within totals: sums of scores are then finite, whatever they are divided by.
        let row = |(p, total): (&[usize], &f32)| {
            to[p[0]..p[1]].windows(2).all(|pair| pair[0] < pair[1])
                && weights[p[0]..p[1]].iter().all(|weight| weight.abs() <= *total)
        };
        let sound = starts.last() == Some(&count)
            && totals.iter().all(|total| (0.0..=MOST).contains(total))
            && starts.windows(2).zip(&totals).all(row);
        match sound {
            true => Ok(Rows { starts, to, weights, totals }),
            false => Err(from.damage("rows of weights")),
        }
    }
}

/// Where rows of these lengths begin, and where the last ends.
pub(crate) fn starts(lengths: &[u32]) -> Vec<usize> {
    let mut at = 0usize;
    let ends = lengths.iter().map(|length| {
        at += *length as usize;
        at
    });
    std::iter::once(0).chain(ends).collect()
}

/// The heaviest entries, by size whatever the sign, equal ones by code; codes ascending.
pub(crate) fn heaviest(mut row: Row, keep: usize) -> Row {
    row.retain(|(_, weight)| *weight != 0.0);
    if row.len() > keep {
        let order =
            |a: &(u32, f32), b: &(u32, f32)| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0));
        if keep > 0 {
            row.select_nth_unstable_by(keep - 1, order);
        }
        row.truncate(keep);
        row.sort_unstable_by_key(|(to, _)| *to);
    }
    row
}
