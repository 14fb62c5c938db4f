//! Trained: a transformer with its numbers, as an artifact and as a method.

use super::{
    architecture::{Architecture, Layout, Padding, Place},
    attention::Tokens,
    content::Content,
    layer::Drop,
    pass::{HeadTrace, Net, Trace},
};
use crate::{
    artifact::{Opened, Saved},
    error::{Error, Result},
    model::{
        method::{Method, Vectors, Weights, dots},
        shelf,
        train::{
            dice::Dice,
            gemm::{Matrix, gemm},
        },
    },
};

pub(crate) const SASREC: &str = "sasrec";
pub(crate) const BERT4REC: &str = "bert4rec";

/// Sections: the architecture, the parts of [`Layout`] end to end, the item table, biases of items.
const ARCHITECTURE: u16 = shelf::OWN;
const THETA: u16 = shelf::OWN + 1;
const ITEMS: u16 = shelf::OWN + 2;
const BIAS: u16 = shelf::OWN + 3;
const OUTPUTS: u16 = shelf::OWN + 4;
/// How rows are made of content, where they are.
const CONTENT: u16 = shelf::OWN + 5;

/// Histories that go through the network at a time.
const HISTORIES: usize = 16;

/// A transformer with its numbers.
///
/// An empty history is the state of `[MASK]` alone where there is one; else it is zeros, and all
/// items score alike, but for their biases.
#[derive(Clone, Debug)]
pub(crate) struct Transformer {
    pub(crate) architecture: Architecture,
    pub(crate) layout: Layout,
    pub(crate) theta: Vec<f32>,
    /// `[rows, dim]`, the `[MASK]` and the padding last.
    pub(crate) items: Vec<f32>,
    /// What items are scored by, with their biases behind: empty where `items` will do.
    scored: Vec<f32>,
    /// How an item that is not in the table gets a row.
    pub(crate) content: Option<Content>,
}

impl Transformer {
    /// From parts by name, as [`Layout`] names and shapes them, and `items`, and `bias` where there
    /// is one.
    ///
    /// # Errors
    /// `Invalid` if the architecture makes no sense, a part is missing, of another size, not finite
    /// or not known.
    #[allow(dead_code)] // Until weights from elsewhere are read.
    pub(crate) fn from_parts(
        architecture: Architecture,
        parts: impl IntoIterator<Item = (String, Vec<f32>)>,
    ) -> Result<Transformer> {
        architecture.check()?;
        let layout = Layout::new(&architecture);
        let dim = architecture.dim as usize;
        let mut wanted: Vec<(&str, usize, Option<usize>)> =
            vec![("items", architecture.rows() * dim, None)];
        if architecture.bias {
            wanted.push(("bias", architecture.items as usize, None));
        }
        if architecture.untied {
            wanted.push(("outputs", architecture.items as usize * dim, None));
        }
        for (name, shape, at) in &layout.parts {
            wanted.push((name, shape.iter().product(), Some(*at)));
        }
        let wrong = |name: &str, why: String| {
            Error::invalid(format!("part {name:?} of a transformer"), why)
        };
        let mut found = Vec::new();
        for (name, numbers) in parts {
            let Some(place) = wanted.iter().position(|wanted| wanted.0 == name) else {
                let why = "is there twice, or does not belong to this architecture";
                return Err(wrong(&name, why.into()));
            };
            let (name, count, at) = wanted.swap_remove(place);
            if numbers.len() != count {
                let why = format!("has {} numbers, but must have {count}", numbers.len());
                return Err(wrong(name, why));
            }
            if let Some(place) = numbers.iter().position(|number| !number.is_finite()) {
                let why = format!("number {place} is {}: it must be finite", numbers[place]);
                return Err(wrong(name, why));
            }
            found.push((name, numbers, at));
        }
        if let Some((name, ..)) = wanted.first() {
            return Err(wrong(name, "is missing".into()));
        }
        // Only now is it known that memory for all of it was there once.
        let mut theta = vec![0f32; layout.total];
        let (mut items, mut bias, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        for (name, numbers, at) in found {
            match at {
                Some(at) => theta[at..at + numbers.len()].copy_from_slice(&numbers),
                None if name == "items" => items = numbers,
                None if name == "bias" => bias = numbers,
                None => outputs = numbers,
            }
        }
        let scored = scored(&architecture, (&items, &outputs), &bias);
        Ok(Transformer { architecture, layout, theta, items, scored, content: None })
    }

    /// With a map by which items that are not in the table get rows.
    ///
    /// # Errors
    /// `Invalid` if the architecture has no place for it.
    pub(crate) fn reading(mut self, content: Content) -> Result<Transformer> {
        if !self.architecture.reads_content() {
            let why = "looks both ways, pads, or scores by a table or biases of its own";
            return Err(Error::invalid("transformer with content", why));
        }
        self.content = Some(content);
        Ok(self)
    }

    /// One that has learned nothing: weights and item vectors of small random numbers, norms of 1.
    pub(crate) fn fresh(architecture: Architecture, dice: &mut Dice) -> Result<Transformer> {
        architecture.check()?;
        let layout = Layout::new(&architecture);
        let mut theta = vec![0f32; layout.total];
        for (name, shape, at) in &layout.parts {
            let part = &mut theta[*at..at + shape.iter().product::<usize>()];
            if shape.len() == 2 {
                part.iter_mut().for_each(|number| *number = dice.normal() * START);
            } else if name.contains("norm") && name.ends_with("weight") {
                part.fill(1.0);
            }
        }
        let count = architecture.rows() * architecture.dim as usize;
        let items: Vec<f32> = (0..count).map(|_| dice.normal() * START).collect();
        let bias = vec![0f32; if architecture.bias { architecture.items as usize } else { 0 }];
        let scored = scored(&architecture, (&items, &[]), &bias);
        Ok(Transformer { architecture, layout, theta, items, scored, content: None })
    }

    pub(crate) fn net(&self) -> Net<'_> {
        Net {
            architecture: &self.architecture,
            layout: &self.layout,
            theta: &self.theta,
            items: &self.items,
        }
    }

    /// Appends a window: the end of a history, with `[MASK]` behind it where there is one.
    pub(crate) fn push(&self, tokens: &mut Tokens, history: &[u32]) {
        let (most, mask) = (self.architecture.positions as usize, !self.architecture.causal);
        let room = most - usize::from(mask);
        let history = &history[history.len() - history.len().min(room)..];
        if self.architecture.pads() && (mask || !history.is_empty()) {
            let pad = self.architecture.rows() as u32 - 1;
            tokens.items.extend(std::iter::repeat_n(pad, room - history.len()));
        }
        tokens.items.extend_from_slice(history);
        if mask {
            tokens.items.push(self.architecture.items);
        }
        self.place(tokens);
    }

    /// Ends a window whose items were appended, and gives them their places.
    pub(crate) fn place(&self, tokens: &mut Tokens) {
        let count = (tokens.items.len() - tokens.places.len()) as u32;
        let first = match self.architecture.place {
            Place::Left => 0,
            Place::Right => self.architecture.positions - count,
        };
        let pad = self.architecture.rows() as u32 - 1;
        let bare = self.architecture.padding == Padding::Unplaced;
        let items = &tokens.items[tokens.places.len()..];
        let place = |(place, item): (u32, &u32)| if bare && *item == pad { NOWHERE } else { place };
        let places: Vec<u32> = (first..).zip(items).map(place).collect();
        tokens.places.extend(places);
        tokens.starts.push(tokens.items.len());
    }

    /// Numbers of a user's vector.
    fn width(&self) -> usize {
        self.architecture.dim as usize + usize::from(self.architecture.bias)
    }

    /// What items are scored by.
    fn out(&self) -> &[f32] {
        let count = self.architecture.items as usize * self.width();
        let own = self.architecture.bias || self.architecture.untied;
        if own { &self.scored } else { &self.items[..count] }
    }

    /// The vectors of users with these histories, end to end.
    fn encode_all(&self, histories: &[&[u32]], out: &mut [f32]) {
        let (dim, width) = (self.architecture.dim as usize, self.width());
        let (mut tokens, mut trace, mut head) =
            (Tokens::default(), Trace::default(), HeadTrace::default());
        for (histories, out) in histories.chunks(HISTORIES).zip(out.chunks_mut(HISTORIES * width)) {
            tokens.clear();
            histories.iter().for_each(|history| self.push(&mut tokens, history));
            let net = self.net();
            net.forward(&tokens, Drop::default(), &mut trace);
            let mut last = vec![0f32; histories.len() * dim];
            for (last, ends) in last.chunks_exact_mut(dim).zip(tokens.starts.windows(2)) {
                if ends[1] > ends[0] {
                    last.copy_from_slice(&trace.states[(ends[1] - 1) * dim..ends[1] * dim]);
                }
            }
            net.head(&mut last, &mut head);
            for (out, last) in out.chunks_exact_mut(width).zip(last.chunks_exact(dim)) {
                out[..dim].copy_from_slice(last);
                out[dim..].fill(1.0);
            }
        }
    }

    /// The vector of a user whose past items have these rows, end to end, oldest first: as if they
    /// were in the table. Only where there may be content.
    pub(crate) fn encode_rows(&self, rows: &[f32], out: &mut [f32]) {
        let dim = self.architecture.dim as usize;
        let most = self.architecture.positions as usize;
        let rows = &rows[rows.len() - rows.len().min(most * dim)..];
        let (mut tokens, mut trace) = (Tokens::default(), Trace::default());
        tokens.clear();
        tokens.items.extend(0..(rows.len() / dim) as u32);
        self.place(&mut tokens);
        Net { items: rows, ..self.net() }.forward(&tokens, Drop::default(), &mut trace);
        let mut last = trace.states.split_off(trace.states.len().saturating_sub(dim));
        self.net().head(&mut last, &mut HeadTrace::default());
        if last.len() == out.len() {
            out.copy_from_slice(&last);
        }
    }

    /// Opens one that knows so many items.
    pub(crate) fn open(from: &Opened, items: usize) -> Result<Transformer> {
        let architecture: Architecture = shelf::take(from, ARCHITECTURE)?;
        let known = architecture.check().is_ok() && architecture.items as usize == items;
        // Compared in `u64`s before anything is asked of memory: the sizes may be forged.
        let layout = match known {
            true => Layout::new(&architecture),
            false => return Err(from.damage("architecture of the transformer")),
        };
        let theta = shelf::take_f32(from, THETA, layout.total)?;
        let dim = architecture.dim as usize;
        let table = shelf::take_f32(from, ITEMS, architecture.rows() * dim)?;
        let bias = match architecture.bias {
            true => shelf::take_f32(from, BIAS, items)?,
            false => Vec::new(),
        };
        let outputs = match architecture.untied {
            true => shelf::take_f32(from, OUTPUTS, items * dim)?,
            false => Vec::new(),
        };
        let scored = scored(&architecture, (&table, &outputs), &bias);
        let content = Content::open(from, CONTENT, dim)?;
        let plain =
            Transformer { architecture, layout, theta, items: table, scored, content: None };
        match content {
            Some(content) => {
                plain.reading(content).map_err(|_| from.damage("architecture for content"))
            }
            None => Ok(plain),
        }
    }
}

/// The place of an item that has no position.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// How large random numbers are at the start.
pub(crate) const START: f32 = 0.02;

/// What items are scored by, if that is not the item table as it is.
fn scored(a: &Architecture, (items, outputs): (&[f32], &[f32]), bias: &[f32]) -> Vec<f32> {
    let (dim, rows) = (a.dim as usize, if a.untied { outputs } else { items });
    if !a.bias {
        return outputs.to_vec();
    }
    let mut all = Vec::with_capacity(bias.len() * (dim + 1));
    for (row, bias) in rows.chunks_exact(dim).zip(bias) {
        all.extend_from_slice(row);
        all.push(*bias);
    }
    all
}

impl Method for Transformer {
    fn name(&self) -> &'static str {
        if self.architecture.causal { SASREC } else { BERT4REC }
    }

    fn scores(&self, history: &[u32], scores: &mut [f32]) -> Result<()> {
        let mut user = vec![0f32; self.width()];
        self.encode(history, &mut user)?;
        dots(&user, self.out(), scores);
        Ok(())
    }

    fn scores_all(&self, histories: &[&[u32]], scores: &mut [f32]) -> Result<()> {
        let width = self.width();
        let mut users = vec![0f32; width * histories.len()];
        self.encode_all(histories, &mut users);
        let users = Matrix::new(&users, histories.len(), width);
        let items = Matrix::new(self.out(), self.architecture.items as usize, width);
        gemm(1.0, users, items.t(), 0.0, scores);
        Ok(())
    }

    fn vectors(&self) -> Option<Vectors<'_>> {
        let out = self.out();
        Some(Vectors { dim: self.width(), out, input: out })
    }

    fn encode(&self, history: &[u32], out: &mut [f32]) -> Result<()> {
        self.encode_all(&[history], out);
        Ok(())
    }

    fn weights(&self) -> Option<Weights> {
        let (a, dim) = (&self.architecture, self.architecture.dim as usize);
        let part = |(name, shape, at): &(String, Vec<usize>, usize)| {
            let count: usize = shape.iter().product();
            (name.clone(), shape.clone(), self.theta[*at..at + count].to_vec())
        };
        let mut parts: Vec<_> = self.layout.parts.iter().map(part).collect();
        parts.push(("items".into(), vec![a.rows(), dim], self.items.clone()));
        let rows = || self.out().chunks_exact(self.width());
        if a.bias {
            parts.push(("bias".into(), vec![rows().len()], rows().map(|row| row[dim]).collect()));
        }
        if a.untied {
            let outputs = rows().flat_map(|row| &row[..dim]).copied().collect();
            parts.push(("outputs".into(), vec![rows().len(), dim], outputs));
        }
        let Ok(serde_json::Value::Object(mut config)) = serde_json::to_value(a) else {
            return None;
        };
        if let Some((said, more)) = self.content.as_ref().map(Content::weights) {
            config.insert("content".into(), said);
            parts.extend(more);
        }
        Some(Weights { architecture: "bowerbird", config, parts })
    }

    fn save(&self, out: &mut Saved) -> Result<()> {
        shelf::put(out, ARCHITECTURE, &self.architecture)?;
        shelf::put_f32(out, THETA, &self.theta)?;
        shelf::put_f32(out, ITEMS, &self.items)?;
        let (dim, rows) = (self.architecture.dim as usize, self.out().chunks_exact(self.width()));
        if self.architecture.bias {
            let bias: Vec<f32> = rows.clone().map(|row| row[dim]).collect();
            shelf::put_f32(out, BIAS, &bias)?;
        }
        if self.architecture.untied {
            let outputs: Vec<f32> = rows.flat_map(|row| &row[..dim]).copied().collect();
            shelf::put_f32(out, OUTPUTS, &outputs)?;
        }
        self.content.iter().try_for_each(|content| content.save(out, CONTENT))
    }
}
