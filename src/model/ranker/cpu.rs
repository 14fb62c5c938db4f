//! OnCpu: a trained ranker on the processor.

use super::{
    batch::{Items, RankBatch},
    hook::Ranker,
    model::RankModel,
    net::{Column, Input},
    table::Table,
};
use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::{borrow::Cow, sync::Arc};

/// A trained ranker, and what the vectors of all items were projected to.
pub(super) struct OnCpu {
    model: Arc<RankModel>,
    held: Mutex<Option<Arc<Held>>>,
}

/// A table, projected.
struct Held {
    table: u64,
    columns: Vec<Vec<f32>>,
}

impl OnCpu {
    pub(super) fn new(model: Arc<RankModel>) -> OnCpu {
        OnCpu { model, held: Mutex::new(None) }
    }

    fn projected(&self, slot: usize, (dim, numbers, present): (usize, &[f32], &[u8])) -> Vec<f32> {
        debug_assert_eq!(numbers.len(), dim * present.len());
        let column = Column::Raw(Cow::Borrowed(numbers), Cow::Borrowed(present));
        self.model.net.project_item(&column, slot)
    }
}

impl Ranker for OnCpu {
    fn name(&self) -> String {
        format!("{} on cpu", self.model.body().tag())
    }

    fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()> {
        let net = &self.model.net;
        if *batch.features() != self.model.features || *batch.dims != net.shape.dims {
            let why = "has other features than the ranker was trained on, or other dimensions";
            return Err(Error::invalid("batch", why));
        }
        let held = self.held.lock().clone();
        let input = match (&batch.items, held) {
            (Items::Rows(table, rows, fresh), Some(held)) if held.table == table.id() => {
                let p = net.shape.p();
                let gather = |slot: usize| {
                    let beyond = self.projected(slot, fresh[slot].parts());
                    let mut out = Vec::with_capacity(rows.len() * p);
                    for row in rows {
                        let row = *row as usize;
                        let from = match row.checked_sub(table.len()) {
                            Some(row) => &beyond[row * p..][..p],
                            None => &held.columns[slot][row * p..][..p],
                        };
                        out.extend_from_slice(from);
                    }
                    out
                };
                Input::all(batch, Some(&gather))
            }
            _ => Input::all(batch, None),
        };
        net.forward(&input, scores);
        Ok(())
    }

    /// Projects the vectors of all items once.
    fn hold(&self, table: &Arc<Table>) -> Result<bool> {
        if self.held.lock().as_ref().is_some_and(|held| held.table == table.id()) {
            return Ok(true);
        }
        let dims = &self.model.net.shape.dims.items;
        let fits = |at: usize| table.dim(at) == dims[at] as usize;
        if table.columns() != dims.len() || !(0..dims.len()).all(fits) {
            return Err(Error::invalid(
                "table",
                "has other vectors than the ranker was trained on",
            ));
        }
        let column = |at| self.projected(at, (table.dim(at), table.numbers(at), table.present(at)));
        let columns = (0..dims.len()).map(column).collect();
        *self.held.lock() = Some(Arc::new(Held { table: table.id(), columns }));
        Ok(true)
    }
}
