//! Assemble: from a request and its candidates to the columns of a batch. Training and serving both come
//! through here, so that a ranker is asked as it was taught.

use super::{
    batch::{Items, RankBatch},
    features::{Dims, Features, Role, Scalar, Slot},
    table::Table,
};
use crate::{
    error::{Error, Result},
    format::columns::raw,
    item::Value,
    model::{NextScore, semantic::SharedPrefix},
    recommend::{
        Bm25, Candidates, Context, Hint, ItemMean, Popularity, Recency, Recent, Rrf, Score,
        Summarize, TagAffinity, TagShare, UserMean, source_named,
    },
    schema::{AttrType, Metric, Schema, Space},
    store::Snapshot,
    vector::kernel::{Kernel, Numbers},
};
use std::{sync::Arc, time::Duration};

/// Declared features, ready to be computed on databases of one schema.
pub(crate) struct Assembler {
    pub(crate) features: Arc<Features>,
    pub(crate) dims: Arc<Dims>,
    spaces: Spaces,
    scalars: Vec<Column>,
}

struct Spaces {
    context: Vec<Space>,
    items: Vec<Space>,
    history: Option<Space>,
}

/// How a scalar is computed.
enum Column {
    /// By an operator.
    Score(Box<dyn Score>),
    /// Of a vector of the request and one of the candidate, by their places.
    Similarity(usize, usize),
    Attr(u16, AttrType, f32),
    Place(String),
    Previous,
    Experience,
}

impl Assembler {
    pub(crate) fn new(features: Arc<Features>, schema: &Schema) -> Result<Assembler> {
        let dims = Arc::new(features.dims(schema)?);
        let space = |name: &String| schema.find_space(name).cloned();
        let context = features.context.iter().map(|slot| space(&slot.space));
        let spaces = Spaces {
            context: context.collect::<Result<_>>()?,
            items: features.items.iter().map(space).collect::<Result<_>>()?,
            history: features.history.as_ref().map(|(name, _)| space(name)).transpose()?,
        };
        let column = |scalar: &Scalar| column(scalar, &features, schema);
        let scalars = features.scalars.iter().map(column).collect::<Result<_>>()?;
        Ok(Assembler { features, dims, spaces, scalars })
    }

    /// The table of the items' vectors as a snapshot has them on disk; made if it is not there yet and
    /// `make` says so.
    pub(crate) fn table(&self, snapshot: &Snapshot, make: bool) -> Result<Option<Arc<Table>>> {
        Table::kept(snapshot, &self.features.items, make)
    }

    /// Puts a request and its candidates behind what the batch has; `previous` are the scores that they
    /// come with.
    pub(crate) fn add(
        &self,
        batch: &mut RankBatch,
        (cx, candidates): (&Context<'_>, &Candidates),
        previous: &[f32],
    ) -> Result<()> {
        let end = batch.len().checked_add(candidates.len()).and_then(|n| u32::try_from(n).ok());
        let end = end.ok_or_else(|| Error::invalid("batch", "has over 4 billion candidates"))?;
        let task = self.task(cx)?;
        self.add_context(batch, cx)?;
        self.add_history(batch, cx)?;
        self.add_items(batch, cx.snapshot, candidates)?;
        let first = batch.len();
        batch.tasks.push(task);
        batch.starts.push(end);
        self.add_scalars(batch, (cx, candidates), (previous, first))
    }

    fn task(&self, cx: &Context<'_>) -> Result<u32> {
        let (tasks, asked) = (&self.features.tasks, cx.request.purpose());
        if tasks.is_empty() {
            return Ok(0);
        }
        let place = tasks.iter().position(|task| task == asked);
        place.map(|place| place as u32).ok_or_else(|| {
            let why = format!("is {asked:?}; the ranker knows {tasks:?}. Set it by Request::task.");
            Error::invalid("task of the request", why)
        })
    }

    fn add_context(&self, batch: &mut RankBatch, cx: &Context<'_>) -> Result<()> {
        let request = cx.request;
        let nobody = request.user.is_none() && request.query.is_none() && request.item.is_none();
        if nobody && !self.features.context.is_empty() {
            let why = "has no user, no query and no item: there is nothing to rank for";
            return Err(Error::invalid("request", why));
        }
        let slots = self.features.context.iter().zip(&self.spaces.context);
        for ((slot, space), cells) in slots.zip(&mut batch.context) {
            let vector = vector_of(cx, slot, space)?;
            if vector.is_none() && slot.required {
                let why = format!("has no vector of the {:?} in {:?}", slot.role, slot.space);
                return Err(Error::invalid("request", format!("{why}, which the ranker requires")));
            }
            cells.push(vector.as_deref());
        }
        Ok(())
    }

    fn add_history(&self, batch: &mut RankBatch, cx: &Context<'_>) -> Result<()> {
        let Some((space, (_, limit))) =
            self.spaces.history.as_ref().zip(self.features.history.as_ref())
        else {
            return Ok(());
        };
        let Some(cells) = &mut batch.history else { return Ok(()) };
        let (mut filled, mut vector) = (0, Vec::new());
        for deed in cx.history.deeds.iter().rev() {
            if filled == *limit {
                break;
            }
            let Some(addr) = cx.snapshot.find(&deed.item)? else { continue };
            vector.clear();
            if cx.snapshot.segment(addr)?.vector(addr.row.0, space, &mut vector)? {
                cells.push(Some(&vector));
                filled += 1;
            }
        }
        (filled..*limit).for_each(|_| cells.push(None));
        batch.lived.push(filled);
        Ok(())
    }

    fn add_items(
        &self,
        batch: &mut RankBatch,
        snapshot: &Snapshot,
        candidates: &Candidates,
    ) -> Result<()> {
        let mut vector = Vec::new();
        for addr in candidates.addrs() {
            let segment = snapshot.segment(*addr)?;
            let columns = match &mut batch.items {
                Items::Dense(columns) => columns,
                Items::Rows(table, rows, fresh) => {
                    if let Some(row) = table.row(*addr) {
                        rows.push(row);
                        continue;
                    }
                    rows.push(table.len() as u32 + fresh.first().map_or(0, |c| c.len()) as u32);
                    fresh
                }
            };
            for (space, cells) in self.spaces.items.iter().zip(columns) {
                vector.clear();
                let there = segment.vector(addr.row.0, space, &mut vector)?;
                cells.push(there.then_some(&vector[..]));
            }
        }
        Ok(())
    }

    fn add_scalars(
        &self,
        batch: &mut RankBatch,
        (cx, candidates): (&Context<'_>, &Candidates),
        (previous, first): (&[f32], usize),
    ) -> Result<()> {
        let (count, width) = (candidates.len(), self.scalars.len());
        let (mut rows, mut one) = (vec![0f32; count * width], vec![0f32; count]);
        for (at, column) in self.scalars.iter().enumerate() {
            one.fill(0.0);
            match column {
                Column::Score(op) => op.score(cx, candidates, &mut one)?,
                Column::Similarity(slot, item) => {
                    similarity(batch, (*slot, *item), first, &mut one)
                }
                Column::Attr(attr, ty, otherwise) => {
                    for (number, addr) in one.iter_mut().zip(candidates.addrs()) {
                        let value = cx.snapshot.segment(*addr)?.value(addr.row.0, *attr, *ty)?;
                        *number = value.map_or(*otherwise, |value| number_of(&value));
                    }
                }
                Column::Place(source) => {
                    let source = source_named(candidates, source)?;
                    for (i, number) in one.iter_mut().enumerate() {
                        let place = candidates.find(source, i);
                        *number = place.map_or(0.0, |(place, _)| 1.0 / (1.0 + place as f32));
                    }
                }
                Column::Previous => one.copy_from_slice(previous),
                Column::Experience => one.fill((cx.history.deeds.len() as f32).ln_1p()),
            }
            let bad = one.iter().filter(|number| !number.is_finite()).count();
            if bad > 0 {
                let scalar = &self.features.scalars[at];
                cx.degraded(format!("{bad} of {count} values of {scalar:?} were not finite"));
            }
            for (row, number) in rows.chunks_exact_mut(width).zip(&one) {
                row[at] = if number.is_finite() { *number } else { 0.0 };
            }
        }
        match width {
            0 => (0..count).for_each(|_| batch.scalars.push(Some(&[]))),
            _ => rows.chunks_exact(width).for_each(|row| batch.scalars.push(Some(row))),
        }
        Ok(())
    }
}

/// The scores that candidates come with: those of the scorers before, or reciprocal rank fusion where nobody
/// has said anything yet. Training and serving both ask here, as a ranker may look at them.
pub(super) fn came_with(
    cx: &Context<'_>,
    candidates: &Candidates,
    scores: &mut [f32],
) -> Result<()> {
    match scores.iter().all(|score| *score == 0.0) {
        true => Rrf::default().score(cx, candidates, scores),
        false => Ok(()),
    }
}

/// The inner products of a vector of the candidates from row `first` on with one of the last request.
fn similarity(batch: &RankBatch, (slot, item): (usize, usize), first: usize, out: &mut [f32]) {
    let Some(vector) = batch.context[slot].vector(batch.requests() - 1) else { return };
    let (query, kernel) = (Numbers::new(vector), Kernel::best());
    for (row, number) in (first..).zip(out) {
        if let Some(vector) = batch.item(item, row) {
            kernel.dot_f32(&query, raw(vector), std::slice::from_mut(number));
        }
    }
}

fn column(scalar: &Scalar, features: &Features, schema: &Schema) -> Result<Column> {
    let millis = |half_life: u64| Duration::from_millis(half_life);
    Ok(match scalar {
        Scalar::Similarity { role, space } => {
            let (slot, item) = features.similarity(*role, space)?;
            Column::Similarity(slot, item)
        }
        Scalar::Popularity { kinds, half_life } => {
            let kinds = names(kinds);
            Column::Score(match half_life {
                Some(half_life) => Box::new(Popularity::new(kinds, millis(*half_life))),
                None => Box::new(Popularity::ever(kinds)),
            })
        }
        Scalar::Recency { attr, half_life } => {
            Column::Score(Box::new(Recency::new(attr, millis(*half_life))))
        }
        Scalar::Attr { name, otherwise } => {
            let attr = schema.find_attr(name)?;
            match attr.ty {
                AttrType::Bool | AttrType::Int | AttrType::Float => {
                    Column::Attr(attr.id, attr.ty, *otherwise)
                }
                ty => {
                    let why = format!("is a {ty:?}; a scalar is made of Bool, Int or Float");
                    return Err(Error::invalid(format!("attribute {name:?}"), why));
                }
            }
        }
        Scalar::Place { source } => Column::Place(source.clone()),
        Scalar::Hint { source } => Column::Score(Box::new(Hint::of(source))),
        Scalar::Model { name } => Column::Score(Box::new(NextScore::by(name))),
        Scalar::Previous => Column::Previous,
        Scalar::Experience => Column::Experience,
        Scalar::ItemMean { kinds, prior } => {
            Column::Score(Box::new(ItemMean::new(names(kinds), *prior)))
        }
        Scalar::UserMean { kinds, prior } => {
            Column::Score(Box::new(UserMean::new(names(kinds), *prior)))
        }
        Scalar::TagAffinity { attr, kinds, prior } => {
            Column::Score(Box::new(TagAffinity::new(attr, names(kinds), *prior)))
        }
        Scalar::Bm25 { attr } => Column::Score(Box::new(Bm25::new(attr))),
        Scalar::TagShare { attr } => Column::Score(Box::new(TagShare::new(attr))),
        Scalar::SharedPrefix { codebook, last } => {
            Column::Score(Box::new(SharedPrefix::new(codebook, *last as usize)))
        }
    })
}

fn names(kinds: &[String]) -> impl Iterator<Item = &str> {
    kinds.iter().map(String::as_str)
}

fn number_of(value: &Value) -> f32 {
    match value {
        Value::Bool(yes) => f32::from(u8::from(*yes)),
        Value::Int(n) => *n as f32,
        Value::Float(x) => *x as f32,
        _ => 0.0,
    }
}

/// The vector of a request in a slot, of length 1 in a cosine space, as those of items are.
fn vector_of(cx: &Context<'_>, slot: &Slot, space: &Space) -> Result<Option<Vec<f32>>> {
    let source = || -> Result<Option<Vec<f32>>> {
        let Some(item) = &cx.request.item else { return Ok(None) };
        let addr = cx.snapshot.find(item)?.ok_or_else(|| Error::missing("item", item))?;
        let mut vector = Vec::new();
        let there = cx.snapshot.segment(addr)?.vector(addr.row.0, space, &mut vector)?;
        Ok(there.then_some(vector))
    };
    let vector = match slot.role {
        Role::User => {
            let said = Recent::new(&slot.space, slot.recent as usize).summarize(cx)?;
            said.into_iter().next().map(|interest| interest.vector)
        }
        Role::Source => source()?,
        Role::Query => match cx.request.query.as_ref().filter(|query| query.0 == slot.space) {
            Some((_, vector)) => Some(vector.clone()),
            None if slot.imputed => source()?,
            None => None,
        },
    };
    let Some(mut vector) = vector else { return Ok(None) };
    if vector.len() != space.dim as usize || !vector.iter().all(|x| x.is_finite()) {
        let (is, dim) = (vector.len(), space.dim);
        let why = format!("has {is} numbers; {dim} finite ones are needed in {:?}", space.name);
        return Err(Error::invalid(format!("vector of the {:?}", slot.role), why));
    }
    if space.metric == Metric::Cosine {
        let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if length == 0.0 {
            return Ok(None);
        }
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
    Ok(Some(vector))
}
