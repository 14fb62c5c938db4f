//! Decode: one level for all beams at once, with what earlier levels said kept.

use super::{
    layer::{Space, softmax},
    layout::Attention,
    network::{Looked, Network},
    positions::biases,
};
use crate::{
    error::{Error, Result},
    limits::LEVELS_MAX,
    model::{
        semantic::Decoding,
        train::exp::{add, dot, exp_sub_sum, row_max},
    },
};

/// A request being decoded.
#[derive(Debug)]
pub(super) struct Decode<'a> {
    network: &'a Network,
    /// What each block sees of the history.
    history: Vec<Looked>,
    /// Per level and block, the keys and values of the beams that were alive at that level.
    seen: Vec<Vec<Looked>>,
    /// Per beam, which row of each level it came by. Keys stay where they are; only these move.
    paths: Vec<[u32; LEVELS_MAX]>,
    /// Per head, what looking so many levels back adds.
    biases: Vec<Vec<f32>>,
    space: Space,
    x: Vec<f32>,
    logits: Vec<f32>,
}

/// Scores of the vocabulary at a time: it bounds memory where the vocabulary is large.
const LOGITS: usize = 1 << 20;

impl<'a> Decode<'a> {
    pub(super) fn new(network: &'a Network, tokens: &[usize]) -> Decode<'a> {
        let (shape, table) = (&network.shape, network.layout.decoder.positions);
        let back = shape.widths.len() as isize - 1;
        let mut biases = biases(shape, &network.parts[table], (-back, 0), false);
        biases.iter_mut().for_each(|head| head.reverse());
        Decode {
            network,
            history: network.encode(tokens),
            seen: Vec::new(),
            paths: vec![[0; LEVELS_MAX]],
            biases,
            space: Space::default(),
            x: Vec::new(),
            logits: Vec::new(),
        }
    }

    /// Beams after the step: how many, or why not.
    fn check(&self, parents: &[u32], codes: &[u16], room: usize) -> Result<usize> {
        let refuse = |what: &str, why: String| Err(Error::invalid(what, why));
        let (level, widths) = (self.seen.len(), &self.network.shape.widths);
        let Some(width) = widths.get(level) else {
            return refuse("step of a decoder", format!("goes below its {level} levels"));
        };
        if parents.len() != codes.len() {
            let why = format!("are {}, but there are {} codes", parents.len(), codes.len());
            return refuse("parents of beams", why);
        }
        let beams = match level {
            0 if !parents.is_empty() => {
                return refuse("parents of beams", "must be empty in the first step".into());
            }
            0 => 1,
            _ => parents.len(),
        };
        if let Some(parent) = parents.iter().find(|parent| **parent as usize >= self.paths.len()) {
            let why = format!("is {parent}; there were {} beams", self.paths.len());
            return refuse("parent of a beam", why);
        }
        let above = level.checked_sub(1).map_or(0, |above| widths[above]);
        if let Some(code) = codes.iter().find(|code| usize::from(**code) >= above) {
            return refuse("code of a beam", format!("is {code}; its level has {above}"));
        }
        if Some(room) != beams.checked_mul(*width) {
            let why = format!("has room for {room}; {beams} beams of {width} codes are written");
            return refuse("list of log-probabilities", why);
        }
        Ok(beams)
    }

    /// Moves paths to the beams that go on, and reads their codes.
    fn go_on(&mut self, parents: &[u32], codes: &[u16]) {
        let (level, network) = (self.seen.len(), self.network);
        let shape = &network.shape;
        let Some(above) = level.checked_sub(1) else {
            return network.embed(std::iter::once(shape.start), &mut self.x);
        };
        self.paths = parents.iter().map(|parent| self.paths[*parent as usize]).collect();
        for (row, path) in (0u32..).zip(&mut self.paths) {
            path[level] = row;
        }
        let tokens = codes.iter().map(|code| shape.first[above] + usize::from(*code));
        network.embed(tokens, &mut self.x);
    }

    /// Every beam looks at itself and at what it came by.
    fn attend(&mut self, block: usize, attention: &Attention) {
        let (network, space, level) = (self.network, &mut self.space, self.seen.len() - 1);
        let (each, inner) = (network.shape.d_kv, network.shape.inner());
        network.norm(attention.norm, &self.x, &mut space.normed);
        self.seen[level].push(network.look(attention, &space.normed));
        space.query.resize(self.paths.len() * inner, 0.0);
        network.product(attention.query, &space.normed, 0.0, &mut space.query);
        space.mixed.clear();
        space.mixed.resize(self.paths.len() * inner, 0.0);
        let heads = space.query.chunks_exact(each).zip(space.mixed.chunks_exact_mut(each));
        for (at, (query, mixed)) in heads.enumerate() {
            let (path, head) = (&self.paths[at / network.shape.heads], at % network.shape.heads);
            let row = |of: usize| path[of] as usize * inner + head * each;
            let mut shares = [0f32; LEVELS_MAX];
            let shares = &mut shares[..=level];
            for (of, share) in shares.iter_mut().enumerate() {
                let key = &self.seen[of][block].keys[row(of)..][..each];
                *share = dot(query, key) + self.biases[head][level - of];
            }
            softmax(shares);
            for (of, share) in shares.iter().enumerate() {
                add(mixed, &self.seen[of][block].values[row(of)..][..each], *share);
            }
        }
        network.product(attention.output, &space.mixed, 1.0, &mut self.x);
    }

    /// From the last block to the logarithms of probabilities, over the whole vocabulary, of which
    /// those of the level are kept.
    fn say(&mut self, log_probs: &mut [f32]) -> Result<()> {
        let (network, level) = (self.network, self.seen.len() - 1);
        let (shape, layout) = (&network.shape, &network.layout);
        network.norm(layout.decoder.norm, &self.x, &mut self.space.normed);
        if shape.scale_outputs {
            let by = 1.0 / (shape.d_model as f32).sqrt();
            self.space.normed.iter_mut().for_each(|number| *number *= by);
        }
        let (first, width) = (shape.first[level], shape.widths[level]);
        let rows = (LOGITS / shape.vocab).max(1);
        let said = self.space.normed.chunks(rows * shape.d_model);
        for (said, out) in said.zip(log_probs.chunks_mut(rows * width)) {
            self.logits.resize(said.len() / shape.d_model * shape.vocab, 0.0);
            network.product(layout.head, said, 0.0, &mut self.logits);
            for (row, out) in
                self.logits.chunks_exact_mut(shape.vocab).zip(out.chunks_exact_mut(width))
            {
                out.copy_from_slice(&row[first..][..width]);
                let max = row_max(row);
                let all = max + exp_sub_sum(row, max).ln();
                out.iter_mut().for_each(|logit| *logit -= all);
            }
        }
        match log_probs.iter().any(|number| number.is_nan()) {
            true => {
                let why = "overflowed: a probability is no number. Are the weights those of a \
                           trained model?";
                Err(Error::invalid("decoder", why))
            }
            false => Ok(()),
        }
    }
}

impl Decoding for Decode<'_> {
    fn step(&mut self, parents: &[u32], codes: &[u16], log_probs: &mut [f32]) -> Result<()> {
        self.check(parents, codes, log_probs.len())?;
        self.go_on(parents, codes);
        let network = self.network;
        self.seen.push(Vec::with_capacity(network.shape.decoder_layers));
        for (at, block) in network.layout.decoder.blocks.iter().enumerate() {
            self.attend(at, &block.attention);
            if let Some(cross) = &block.cross {
                network.norm(cross.norm, &self.x, &mut self.space.normed);
                network.mix(cross, &self.history[at], |_, _| &[], &mut self.space);
                network.product(cross.output, &self.space.mixed, 1.0, &mut self.x);
            }
            network.feed(&block.feed, &mut self.x, &mut self.space);
        }
        self.say(log_probs)
    }
}
