//! Model: what was learned, with the items it knows, as an artifact.

use crate::{
    artifact::{Artifact, Opened, Provenance, Saved},
    error::{Error, Result},
    filter::Where,
    key::{Key, Seq},
    model::{
        Card, Sequences, Training, Vocabulary, counting, method::Method, nearest::Nearest,
        sequence, shelf,
    },
    progress::Progress,
    store::Snapshot,
};
use std::{any::Any, sync::Arc};

/// A trained model of what comes next. It scores items for a history of items.
///
/// ```
/// use bowerbird::{*, model::*};
/// # fn main() -> Result<()> {
/// # let db = Db::in_memory(Schema::new().event("view"))?;
/// # for user in 0..9 {
/// #     for step in 0..3 {
/// #         db.batch().event(Event::new(user, step + 1, "view", Timestamp(step as i64))).commit()?;
/// #     }
/// # }
/// let sequences = Sequences::read(&db.snapshot(), &Reading::default())?;
/// let model = Rules::default().train(&sequences, &mut Training::new(7))?;
/// let best = model.best(&[Key::Id(1)], 1)?;
/// assert_eq!(best[0].0, Key::Id(2));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    card: Card,
    vocabulary: Arc<Vocabulary>,
    method: Arc<dyn Method>,
    nearest: Option<Arc<Nearest>>,
    seconds: f64,
}

/// A method of training: options in, a model out.
///
/// ```
/// use bowerbird::{Result, model::*};
/// fn floor(sequences: &Sequences) -> Result<Model> {
///     Popularity::default().train(sequences, &mut Training::new(0))
/// }
/// ```
pub trait Train {
    /// Learns from sequences.
    ///
    /// # Errors
    /// `Invalid` for options out of range, or sequences that there is nothing to learn from;
    /// `Cancelled` when the progress function says so.
    fn train(&self, sequences: &Sequences, how: &mut Training<'_>) -> Result<Model>;
}

/// A method of training that can learn what came since, without what there was before.
///
/// These are the ones that add up, and keep what they add up to. Others are trained anew:
/// [`ItemKnn`](crate::model::ItemKnn) keeps the nearest by cosine, and a sequence more changes every
/// cosine of its items, those that were not kept included; [`Ease`](crate::model::Ease) is the inverse
/// of a matrix of all items, and [`Als`](crate::model::Als) solves for all users again in each epoch:
/// neither matrix nor users are kept.
///
/// ```
/// use bowerbird::{Key, model::*};
/// let day = |user, items: &[u64]| (user, items.iter().map(|id| (Key::Id(*id), 0)).collect());
/// let how = &mut Training::new(0);
/// let monday = Markov::default().train(&Sequences::new([day(1, &[10, 20])])?, how)?;
/// let tuesday = Markov::default().grow(&monday, &Sequences::new([day(2, &[20, 15])])?, how)?;
/// assert_eq!(tuesday.best(&[Key::Id(20)], 1)?[0].0, Key::Id(15));
/// assert_eq!((tuesday.card().sequences, tuesday.card().items), (2, 3));
/// # Ok::<(), bowerbird::Error>(())
/// ```
pub trait Grow: Train {
    /// The model that training on both would have made: on what `model` was trained on, and then on
    /// `more`, sequences that are whole, such as the sessions of another day. Items may be new; codes
    /// change with them. Weights are kept as `f32`, so sums are equal to seven digits; whole numbers
    /// below 16 million exactly.
    ///
    /// # Errors
    /// `Invalid` if the model is of another method, of other options or of other kinds of events (if
    /// `more` names any), or if the keys of one are numbers and those of the other names; and as for
    /// [`Train::train`].
    fn grow(&self, model: &Model, more: &Sequences, how: &mut Training<'_>) -> Result<Model>;
}

impl Model {
    /// What training made.
    pub(crate) fn trained(
        method: impl Method + 'static,
        options: Vec<(String, String)>,
        sequences: &Sequences,
        how: &Training<'_>,
    ) -> Model {
        let vocabulary = sequences.vocabulary().clone();
        let curve = how.curve().iter().map(|epoch| (epoch.loss, epoch.ndcg_10)).collect();
        let card = Card {
            options,
            seed: how.seed,
            sequences: sequences.len() as u64,
            events: sequences.events() as u64,
            curve,
            kinds: sequences.kinds().to_vec(),
            ..Card::of(method.name(), &vocabulary)
        };
        Model { card, vocabulary, method: Arc::new(method), nearest: None, seconds: how.seconds() }
    }

    /// This one, of what came since, and one of what was before, as one.
    pub(crate) fn joined(
        self,
        before: &Model,
        vocabulary: Arc<Vocabulary>,
        method: Arc<dyn Method>,
    ) -> Model {
        let card = Card {
            options: self.card.options,
            seed: self.card.seed,
            sequences: before.card.sequences.saturating_add(self.card.sequences),
            events: before.card.events.saturating_add(self.card.events),
            kinds: before.card.kinds.clone(),
            ..Card::of(&self.card.method, &vocabulary)
        };
        Model { card, vocabulary, method, nearest: None, seconds: self.seconds }
    }

    /// One that was trained elsewhere.
    pub(crate) fn with(card: Card, vocabulary: Arc<Vocabulary>, method: Arc<dyn Method>) -> Model {
        Model { card, vocabulary, method, nearest: None, seconds: 0.0 }
    }

    /// What it is.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The items it knows.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// Builds a graph over the vectors of items, so that [`NextItems`](crate::model::NextItems)
    /// need not score all of them. It pays from some ten thousand items on, and is saved with the model.
    ///
    /// # Errors
    /// `Invalid` if the method has no vectors; `Cancelled` when `progress` says so.
    pub fn indexed(mut self, threads: usize, progress: &mut Progress<'_>) -> Result<Model> {
        let Some(vectors) = self.method.vectors() else {
            let why = "has no vectors, so there is nothing to build a graph over";
            return Err(Error::invalid(format!("method {}", self.card.method), why));
        };
        self.nearest = Some(Arc::new(Nearest::build(vectors, threads, progress)?));
        Ok(self)
    }

    pub(crate) fn nearest(&self) -> Option<&Nearest> {
        self.nearest.as_deref()
    }

    /// What was learned, if it was by this method.
    pub(crate) fn of_method<M: Method>(&self) -> Option<&M> {
        let method: &dyn Any = &*self.method;
        method.downcast_ref()
    }

    pub(crate) fn method(&self) -> &dyn Method {
        &*self.method
    }

    /// Where it came from, to publish it with: trained on the snapshot of a commit.
    pub fn provenance(&self, trained_at: Seq) -> Provenance {
        let mut notes = vec![("method".to_owned(), self.card.method.clone())];
        notes.extend(self.card.options.iter().cloned());
        notes.push(("train_seconds".to_owned(), format!("{:.1}", self.seconds)));
        if let Some(best) = self.card.curve.iter().filter_map(|epoch| epoch.1).reduce(f64::max) {
            notes.push(("validation_ndcg_10".to_owned(), format!("{best:.4}")));
        }
        Provenance { trained_at, seed: self.card.seed, parents: Vec::new(), notes }
    }

    /// The vector of an item that users' vectors are compared with, by inner product; `None` if the
    /// item is not known or the method has no vectors.
    ///
    /// Put into a space of a database under [`Metric::Dot`](crate::Metric), they can be searched
    /// with a graph; see [`UserVector::into_space`](crate::model::UserVector::into_space).
    pub fn vector(&self, item: &Key) -> Option<&[f32]> {
        let (vectors, code) = (self.method.vectors()?, self.vocabulary.code(item)?);
        vectors.out.get(code as usize * vectors.dim..(code as usize + 1) * vectors.dim)
    }

    /// The vector of an item that items are compared with each other by, by cosine.
    pub fn item_vector(&self, item: &Key) -> Option<&[f32]> {
        let (vectors, code) = (self.method.vectors()?, self.vocabulary.code(item)?);
        vectors.input.get(code as usize * vectors.dim..(code as usize + 1) * vectors.dim)
    }

    /// The vector of an item that users' vectors are compared with, of one that is known or of one
    /// that is new: by the item's vectors in a snapshot, if the model reads content
    /// ([`ContentSasrec`](crate::model::ContentSasrec)). `None` if the item is not there, has no
    /// vector in a space that is read, or is new to a model that reads none.
    ///
    /// # Errors
    /// `NotFound` if the snapshot lacks a space that the model reads; `Invalid` if it has other vectors.
    pub fn content_vector(&self, snapshot: &Snapshot, item: &Key) -> Result<Option<Vec<f32>>> {
        if let Some(row) = self.vector(item) {
            return Ok(Some(row.to_vec()));
        }
        match (self.content(), snapshot.find(item)?) {
            (Some(content), Some(addr)) => content.at(snapshot, addr),
            _ => Ok(None),
        }
    }

    /// How rows are made of content, if they are.
    pub(crate) fn content(&self) -> Option<&sequence::Content> {
        self.transformer()?.content.as_ref()
    }

    /// Most items of a history that a model with content looks at.
    pub(crate) fn window(&self) -> usize {
        self.transformer().map_or(0, |t| t.architecture.positions as usize)
    }

    /// The vector of a user whose past items have these rows, end to end, oldest first.
    pub(crate) fn encode_rows(&self, rows: &[f32], out: &mut [f32]) {
        if let Some(transformer) = self.transformer() {
            transformer.encode_rows(rows, out);
        }
    }

    fn transformer(&self) -> Option<&sequence::transformer::Transformer> {
        self.of_method()
    }

    /// How many numbers those vectors have; `None` if the method has none.
    pub fn dim(&self) -> Option<usize> {
        self.method.vectors().map(|vectors| vectors.dim)
    }

    /// The vector of a user with a history, oldest first; `None` if the method has no vectors. Items
    /// it does not know are passed over.
    pub fn encode(&self, history: &[Key]) -> Result<Option<Vec<f32>>> {
        let Some(vectors) = self.method.vectors() else { return Ok(None) };
        let mut user = vec![0f32; vectors.dim];
        self.method.encode(&self.vocabulary.codes(history), &mut user)?;
        Ok(Some(user))
    }

    /// The items of a snapshot that it does not know, ascending, at most `limit`.
    pub fn unknown(&self, snapshot: &Snapshot, limit: usize) -> Result<Vec<Key>> {
        let mut keys = snapshot.keys(&Where::all(), usize::MAX)?;
        keys.retain(|key| self.vocabulary.code(key).is_none());
        keys.truncate(limit);
        Ok(keys)
    }

    /// The items with the best scores after a history, oldest first; items it does not know are
    /// passed over.
    pub fn best(&self, history: &[Key], limit: usize) -> Result<Vec<(Key, f32)>> {
        let codes = self.vocabulary.codes(history);
        let mut scores = vec![0f32; self.vocabulary.len()];
        self.method.scores(&codes, &mut scores)?;
        let best =
            super::method::best(&scores, self.method.silence(), |_| true, limit.min(scores.len()));
        Ok(best.into_iter().map(|(s, code)| (self.vocabulary.key(code).clone(), s)).collect())
    }
}

impl Artifact for Model {
    const KIND: &'static str = "sequence-model";
    const FORMAT: u16 = 1;

    fn save(&self, out: &mut Saved) -> Result<()> {
        shelf::put(out, shelf::CARD, &self.card)?;
        self.vocabulary.save(out)?;
        self.nearest.iter().try_for_each(|nearest| nearest.save(out))?;
        self.method.save(out)
    }

    fn open(from: &Opened) -> Result<Model> {
        let card: Card = shelf::take(from, shelf::CARD)?;
        let vocabulary = Vocabulary::open(from, card.names)?;
        if vocabulary.hash() != card.vocabulary || vocabulary.len() as u64 != card.items {
            return Err(from.damage("vocabulary of the model"));
        }
        let items = vocabulary.len();
        let method = counting::open(&card.method, from, items)?;
        let method = match method {
            Some(method) => method,
            None => sequence::open(&card.method, from, items)?.ok_or_else(|| {
                Error::invalid(format!("model of method {:?}", card.method), "is not known here")
            })?,
        };
        let nearest = match method.vectors() {
            Some(vectors) => Nearest::open(from, (items, vectors.dim))?.map(Arc::new),
            None => None,
        };
        let vocabulary = Arc::new(vocabulary);
        Ok(Model { card, vocabulary, method, nearest, seconds: 0.0 })
    }
}
