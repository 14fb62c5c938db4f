//! Onnx: a ranker in an ONNX file, computed here by a runtime that is part of the program. The only file
//! that names the runtime; `nest` refuses what would overflow its stack.

mod nest;

use super::{
    batch::RankBatch,
    caught::caught,
    features::Features,
    feeds::{self, Declared, Feed, Numbers},
    hook::Ranker,
};
use crate::error::{Error, Result};
use rten::{DataType, Dimension, Model, NodeId, Value, ValueOrView, ValueType};
use rten_tensor::{Tensor, prelude::*};

/// A ranker in an ONNX file.
///
/// Its inputs are called by name, each may be left out: `tasks` `[N]`, `context_0` .. `[N, dim]`,
/// `context_present` `[N, vectors]`, `items_0` .. `[N, dim]`, `items_present` `[N, vectors]`, `history`
/// `[N, places, dim]`, `lived` `[N]`, `scalars` `[N, scalars]`, all f32 (`tasks` and `lived` may be
/// integers); its output is `scores`, `[N]` or `[N, 1]`. N is the number of candidates of all requests, so
/// the first axis must be of any length. What is of the request comes once for each of its candidates.
///
/// A model is a program. One that is damaged is an error, and so is a panic of the runtime; but how long it
/// runs and how much memory it takes is up to the model.
///
/// ```no_run
/// use bowerbird::model::ranker::{Features, Onnx};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let features = Features::new().query("text").item("text");
/// let ranker = Onnx::read(&std::fs::read("ranker.onnx")?, features)?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Onnx {
    model: Model,
    features: Features,
    feeds: Vec<(NodeId, Feed, Numbers)>,
    scores: NodeId,
}

impl Onnx {
    /// Reads the bytes of a file, for batches of these features.
    ///
    /// # Errors
    /// `Invalid` for bytes that are no such file, for an operator that the runtime lacks, and for inputs and
    /// outputs that are not those above.
    pub fn read(bytes: &[u8], features: Features) -> Result<Onnx> {
        features.check()?;
        let refuse = |why: String| Error::invalid("ONNX model", why);
        if let Some(why) = nest::wrong(bytes) {
            return Err(refuse(why.into()));
        }
        let model = caught("ONNX model", || Model::load(bytes.to_vec()))?
            .map_err(|why| refuse(format!("cannot be read: {why}")))?;
        let said = |ids: &[NodeId]| -> Vec<Declared> {
            ids.iter().map(|id| declared(&model, *id)).collect()
        };
        let (inputs, outputs) = (said(model.input_ids()), said(model.output_ids()));
        let mut feeds = Vec::with_capacity(inputs.len());
        for (id, input) in model.input_ids().iter().zip(&inputs) {
            let feed = Feed::of(input, &features)?;
            feeds.push((*id, feed, input.numbers.unwrap_or(Numbers::Float)));
        }
        let scores = model.output_ids()[feeds::scores_of(&outputs)?];
        Ok(Onnx { model, features, feeds, scores })
    }
}

impl Ranker for Onnx {
    fn name(&self) -> String {
        "onnx".into()
    }

    fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()> {
        feeds::check(batch, &self.features, scores)?;
        if batch.is_empty() {
            return Ok(());
        }
        let input = |(id, feed, numbers): &(NodeId, Feed, Numbers)| {
            let (shape, taken) = feed.take(batch);
            let value = match numbers {
                Numbers::Whole => {
                    let whole = taken.iter().map(|number| *number as i32).collect::<Vec<_>>();
                    ValueOrView::from(Tensor::from_data(&shape, whole))
                }
                _ => ValueOrView::from(Tensor::from_data(&shape, taken)),
            };
            (*id, value)
        };
        let run = || {
            let inputs = self.feeds.iter().map(input).collect();
            self.model.run(inputs, &[self.scores], None).map(|all| all.into_iter().next())
        };
        let refuse = |why: String| Error::invalid("ONNX model", why);
        let out = caught("ONNX model", run)?.map_err(|why| refuse(format!("fails: {why}")))?;
        let out = out.and_then(Value::into_tensor::<f32>);
        let out = out.ok_or_else(|| refuse("makes scores that are not f32".into()))?;
        feeds::put(out.shape(), &out.to_vec(), scores)
    }
}

/// What the model says of an input or an output.
fn declared(model: &Model, id: NodeId) -> Declared {
    let info = model.node_info(id);
    let name = info.as_ref().and_then(|info| info.name()).unwrap_or("").to_owned();
    let numbers = info.as_ref().and_then(|info| info.dtype()).map(|ty| match ty {
        ValueType::Tensor(DataType::Float) => Numbers::Float,
        ValueType::Tensor(DataType::Int32) => Numbers::Whole,
        _ => Numbers::Other,
    });
    let axis = |axis: Dimension| match axis {
        Dimension::Fixed(size) => Some(size),
        Dimension::Symbolic(_) => None,
    };
    let shape = info.and_then(|info| info.shape());
    Declared { name, numbers, shape: shape.map(|all| all.into_iter().map(axis).collect()) }
}
