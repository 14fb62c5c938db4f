//! Forward: a trained ranker on a card, in the steps of `net::forward`.

use super::card::{Card, Place};
use crate::{
    error::{Error, Result},
    model::ranker::{batch::RankBatch, model::RankModel, net::Body, table::Table},
};
use std::{collections::BTreeMap, sync::Arc};

/// A trained ranker whose weights are on a card, and what the vectors of all items were projected to.
pub(super) struct Runner<C: Card> {
    card: C,
    model: Arc<RankModel>,
    weights: BTreeMap<String, C::Floats>,
    held: Option<Held<C>>,
}

/// A table, projected.
struct Held<C: Card> {
    table: u64,
    rows: usize,
    columns: Vec<C::Floats>,
}

/// The inputs of all candidates, column by column.
struct Whole<'c, C: Card> {
    card: &'c C,
    out: C::Floats,
    next: Place,
}

impl<C: Card> Whole<'_, C> {
    /// Puts rows, by number, into the next columns; returns the first of these.
    fn put(
        &mut self,
        held: Option<(&C::Floats, usize)>,
        (from, wide): (&C::Floats, usize),
        rows: &C::Words,
    ) -> Result<usize> {
        let to = self.skip(wide);
        if wide > 0 {
            self.card.pick(held, from, rows, to, &mut self.out)?;
        }
        Ok(to.at)
    }

    /// The next columns.
    fn skip(&mut self, wide: usize) -> Place {
        let to = Place { wide, ..self.next };
        self.next.at += wide;
        to
    }
}

impl<C: Card> Runner<C> {
    pub(super) fn new(card: C, model: Arc<RankModel>) -> Result<Runner<C>> {
        if !matches!(model.body(), Body::Mlp { .. } | Body::Dcn { .. }) {
            let why = format!(
                "is of the body {:?}, which does not run on a card; Mlp and Dcn do, and Cpu runs all",
                model.body().tag()
            );
            return Err(Error::invalid("ranker", why));
        }
        let part = |part: &crate::model::ranker::net::Part| {
            Ok((part.name.clone(), card.floats(model.net.part(&part.name))?))
        };
        let weights = model.net.parts.iter().map(part).collect::<Result<_>>()?;
        Ok(Runner { card, model, weights, held: None })
    }

    fn weight(&self, name: &str) -> Result<&C::Floats> {
        self.weights.get(name).ok_or_else(|| Error::missing("tensor", name))
    }

    /// Rows in the width of the net; missing ones are what was learned for them.
    fn project(
        &self,
        (space, null): (u32, &str),
        (dim, numbers, present): (usize, &[f32], &[u8]),
    ) -> Result<C::Floats> {
        let (rows, p) = (present.len(), self.model.net.shape.p());
        let mut out = self.card.zeros(rows * p)?;
        if rows > 0 {
            let from = self.card.floats(numbers)?;
            let weight = self.weight(&format!("space.{space}.weight"))?;
            self.card.times((rows, dim, p), &from, weight, 0.0, &mut out)?;
            let there: Vec<u32> = present.iter().map(|there| u32::from(*there)).collect();
            let (there, null) = (self.card.words(&there)?, self.weight(null)?);
            self.card.nulls(&mut out, &there, null, (rows, p))?;
        }
        Ok(out)
    }

    fn project_item(&self, at: usize, column: (usize, &[f32], &[u8])) -> Result<C::Floats> {
        let space = self.model.net.shape.spaces.items[at];
        self.project((space, &format!("item.{at}.null")), column)
    }

    /// Takes the vectors of all items, once.
    pub(super) fn hold(&mut self, table: &Table) -> Result<()> {
        if self.held.as_ref().is_some_and(|held| held.table == table.id()) {
            return Ok(());
        }
        let dims = &self.model.net.shape.dims.items;
        let fits = |at: usize| table.dim(at) == dims[at] as usize;
        if table.columns() != dims.len() || !(0..dims.len()).all(fits) {
            let why = "has other vectors than the ranker was trained on";
            return Err(Error::invalid("table", why));
        }
        // The one before goes first: both may not fit.
        self.held = None;
        let columns = (0..dims.len()).map(|at| {
            let column = (table.dim(at), table.numbers(at), table.present(at));
            self.project_item(at, column)
        });
        let columns = columns.collect::<Result<_>>()?;
        self.held = Some(Held { table: table.id(), rows: table.len(), columns });
        Ok(())
    }

    pub(super) fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()> {
        let net = &self.model.net;
        if *batch.features() != self.model.features || *batch.dims != net.shape.dims {
            let why = "has other features than the ranker was trained on, or other dimensions";
            return Err(Error::invalid("batch", why));
        }
        if scores.len() != batch.len() {
            let (are, needed) = (scores.len(), batch.len());
            return Err(Error::invalid("scores", format!("are {are}; candidates are {needed}")));
        }
        if batch.is_empty() {
            return Ok(());
        }
        let (whole, width) = self.inputs(batch)?;
        let (count, card) = (batch.len(), &self.card);
        let mut out = card.zeros(count)?;
        let (mut last, mut last_width) = (None, width);
        for (at, hidden) in net.shape.body.hidden().iter().enumerate() {
            let wide = *hidden as usize;
            let mut next = card.zeros(count * wide)?;
            let weight = self.weight(&format!("hidden.{at}.weight"))?;
            let from = last.as_ref().unwrap_or(&whole);
            card.times((count, last_width, wide), from, weight, 0.0, &mut next)?;
            card.relu(&mut next, self.weight(&format!("hidden.{at}.bias"))?, (count, wide))?;
            (last, last_width) = (Some(next), wide);
        }
        let from = last.as_ref().unwrap_or(&whole);
        card.times((count, last_width, 1), from, self.weight("out.weight")?, 0.0, &mut out)?;
        if let Body::Dcn { layers, rank, .. } = net.shape.body {
            self.cross(&whole, (count, width), (layers, rank as usize), &mut out)?;
        }
        let bias = net.part("out.bias").first().copied().unwrap_or(0.0);
        for (score, number) in scores.iter_mut().zip(card.read(&out, count)?) {
            *score = number + bias;
        }
        Ok(())
    }

    /// Adds what the cross layers say.
    fn cross(
        &self,
        whole: &C::Floats,
        (count, width): (usize, usize),
        (layers, rank): (u32, usize),
        out: &mut C::Floats,
    ) -> Result<()> {
        let card = &self.card;
        let mut now = None;
        for layer in 0..layers {
            let part = |name: &str| self.weight(&format!("cross.{layer}.{name}"));
            let from = now.as_ref().unwrap_or(whole);
            let (mut low, mut high) = (card.zeros(count * rank)?, card.zeros(count * width)?);
            card.times((count, width, rank), from, part("down")?, 0.0, &mut low)?;
            card.times((count, rank, width), &low, part("up")?, 0.0, &mut high)?;
            now = Some(card.cross((count, width), whole, (&high, part("bias")?), from)?);
        }
        let from = now.as_ref().unwrap_or(whole);
        card.times((count, width, 1), from, self.weight("cross.out")?, 1.0, out)
    }

    /// The inputs of all candidates, in the order of `net`, and how many each has.
    fn inputs(&self, batch: &RankBatch) -> Result<(C::Floats, usize)> {
        let (shape, card) = (&self.model.net.shape, &self.card);
        let held = self
            .held
            .as_ref()
            .filter(|held| batch.rows().is_some_and(|(table, _)| table.id() == held.table));
        let dense;
        let batch = match (held, batch.rows()) {
            (None, Some(_)) => {
                dense = batch.dense();
                &dense
            }
            _ => batch,
        };
        let (count, p) = (batch.len(), shape.p());
        let width = shape.request_width() + shape.item_width();
        let next = Place { rows: count, wide: 0, at: 0, stride: width };
        let mut whole = Whole { card, out: card.zeros(count * width)?, next };
        let of: Vec<u32> = (0..batch.requests())
            .flat_map(|request| batch.range(request).map(move |_| request as u32))
            .collect();
        let each = card.words(&(0..count as u32).collect::<Vec<_>>())?;
        if shape.has_task() {
            let tasks: Vec<u32> = of.iter().map(|at| batch.tasks()[*at as usize]).collect();
            whole.put(None, (self.weight("task")?, p), &card.words(&tasks)?)?;
        }
        let of = card.words(&of)?;
        let (mut contexts, mut flags) = (Vec::new(), Vec::new());
        for slot in 0..shape.dims.context.len() {
            let rows = self.project(
                (shape.spaces.context[slot], &format!("context.{slot}.null")),
                batch.context(slot),
            )?;
            contexts.push(whole.put(None, (&rows, p), &of)?);
            flags.push(batch.context(slot).2.to_vec());
        }
        whole.put(None, (&self.flags(&flags)?, flags.len()), &of)?;
        let rows = match batch.rows() {
            Some((_, rows)) => &card.words(rows)?,
            None => &each,
        };
        let (mut items, mut flags) = (Vec::new(), Vec::new());
        for slot in 0..shape.dims.items.len() {
            let column = batch.items(slot).or_else(|| batch.fresh(slot));
            let fresh = self.project_item(slot, column.unwrap_or((0, &[], &[])))?;
            let held = held.map(|held| (&held.columns[slot], held.rows));
            items.push(whole.put(held, (&fresh, p), rows)?);
            flags.push(batch.item_flags(slot));
        }
        if shape.pairs() > 0 {
            for context in &contexts {
                for item in &items {
                    let to = whole.skip(p);
                    card.product(&mut whole.out, *context, *item, to)?;
                }
            }
        }
        let mut scalars = Vec::with_capacity(batch.scalars().len());
        for request in 0..batch.requests() {
            let scales = self.model.net.scales(batch.tasks()[request]);
            for row in batch.range(request) {
                let row = &batch.scalars()[row * scales.len()..][..scales.len()];
                scalars.extend(row.iter().zip(scales).map(|(x, (mean, by))| (x - mean) * by));
            }
        }
        whole.put(None, (&card.floats(&scalars)?, shape.scalars as usize), &each)?;
        whole.put(None, (&self.flags(&flags)?, flags.len()), &each)?;
        Ok((whole.out, width))
    }

    /// Flags, row by row, which come column by column.
    fn flags(&self, columns: &[Vec<u8>]) -> Result<C::Floats> {
        let rows = columns.first().map_or(0, Vec::len);
        let by_row = (0..rows).flat_map(|row| columns.iter().map(move |c| f32::from(c[row])));
        self.card.floats(&by_row.collect::<Vec<_>>())
    }
}
