//! Constrained beam search: the most likely semantic IDs among those that lead to an allowed item.

use super::NextCode;
use crate::{
    error::{Error, Result},
    key::UserId,
    limits::LIMIT_MAX,
    semantic::{Node, SemanticId, Trie},
};
use std::cmp::Ordering;

/// A semantic ID that was decoded: it is in the trie, so there is an item with it.
///
/// ```
/// fn likelier(a: &bowerbird::model::semantic::Beam, b: &bowerbird::model::semantic::Beam) -> bool {
///     a.log_prob > b.log_prob
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Beam {
    /// The ID.
    pub id: SemanticId,
    /// Its node: [`Trie::items`] says which items have it.
    pub node: Node,
    /// The natural logarithm of its probability: the sum over its codes.
    pub log_prob: f32,
}

/// What a beam may become in a step.
#[derive(Clone, Copy)]
struct Choice {
    log_prob: f32,
    /// Which beam goes on; beams are in order of their IDs.
    parent: u32,
    code: u16,
}

impl Choice {
    /// Likelier first; equals in order of their IDs.
    fn compare(&self, other: &Choice) -> Ordering {
        let place = |c: &Choice| (c.parent, c.code);
        other.log_prob.total_cmp(&self.log_prob).then_with(|| place(self).cmp(&place(other)))
    }
}

/// The likeliest IDs after a history, at most `beams`, likeliest first, equals by ID.
///
/// At every level each beam is continued by every code that leads to an item of the trie, and the
/// best `beams` of all are kept: what comes out always exists, is alive and allowed. With at least as
/// many beams as there are prefixes of a length, the result is exact. Fewer than `beams` come out
/// only where there are fewer IDs: those that the decoder says are impossible, by minus infinity, come
/// last.
///
/// # Errors
/// `Invalid` for 0 or more than a million beams, if the decoder has other levels than the trie or
/// fewer codes on one, or if it says a probability that is not a number.
///
/// ```
/// use bowerbird::{Result, SemanticId, model::semantic::*, semantic::Trie};
/// fn best(trie: &Trie, decoder: &dyn NextCode, history: &[SemanticId]) -> Result<Option<Beam>> {
///     Ok(beam_search(trie, decoder, history, 50)?.into_iter().next())
/// }
/// ```
pub fn beam_search(
    trie: &Trie,
    decoder: &dyn NextCode,
    history: &[SemanticId],
    beams: usize,
) -> Result<Vec<Beam>> {
    beam_search_for(trie, decoder, (None, history), beams)
}

/// The same for a user.
pub(super) fn beam_search_for(
    trie: &Trie,
    decoder: &dyn NextCode,
    (user, history): (Option<UserId>, &[SemanticId]),
    beams: usize,
) -> Result<Vec<Beam>> {
    check(trie, decoder, beams)?;
    let mut alive = vec![Beam { id: SemanticId::default(), node: trie.root(), log_prob: 0.0 }];
    if trie.is_empty() {
        return Ok(Vec::new());
    }
    let mut decoding = decoder.begin_for(user, history)?;
    let (mut parents, mut codes): (Vec<u32>, Vec<u16>) = (Vec::new(), Vec::new());
    let (mut log_probs, mut mask) = (Vec::new(), Vec::new());
    for (level, width) in decoder.widths().iter().enumerate() {
        log_probs.resize(alive.len() * width, 0.0);
        decoding.step(&parents, &codes, &mut log_probs)?;
        let mut choices: Vec<Choice> = Vec::new();
        mask.resize(trie.widths()[level].div_ceil(64), 0);
        for ((parent, beam), said) in (0u32..).zip(&alive).zip(log_probs.chunks_exact(*width)) {
            trie.mask(&beam.node, &mut mask);
            for code in codes_of(&mask) {
                let log_prob = beam.log_prob + said[usize::from(code)];
                if log_prob.is_nan() {
                    let why = "says a probability that is not a number";
                    return Err(Error::invalid(format!("decoder, at level {level}"), why));
                }
                choices.push(Choice { log_prob, parent, code });
            }
        }
        if choices.len() > beams {
            choices.select_nth_unstable_by(beams - 1, Choice::compare);
            choices.truncate(beams);
        }
        // In order of IDs, so that equals stay in it.
        choices.sort_unstable_by_key(|choice| (choice.parent, choice.code));
        (parents, codes) = choices.iter().map(|choice| (choice.parent, choice.code)).unzip();
        alive = choices.iter().map(|choice| grow(trie, &alive, choice)).collect::<Result<_>>()?;
    }
    alive.sort_by(|a, b| b.log_prob.total_cmp(&a.log_prob).then_with(|| a.id.cmp(&b.id)));
    Ok(alive)
}

fn check(trie: &Trie, decoder: &dyn NextCode, beams: usize) -> Result<()> {
    if !(1..=LIMIT_MAX).contains(&beams) {
        return Err(Error::invalid("number of beams", format!("is {beams}; 1 to {LIMIT_MAX}")));
    }
    let (says, has) = (decoder.widths(), trie.widths());
    let fits = says.len() == has.len() && says.iter().zip(has).all(|(says, has)| says >= has);
    if !fits {
        let (name, version) = trie.codebook();
        let why = format!("says codes of widths {says:?}; {name}@{version} has {has:?}");
        return Err(Error::invalid("decoder", why));
    }
    Ok(())
}

fn codes_of(mask: &[u64]) -> impl Iterator<Item = u16> + '_ {
    mask.iter().enumerate().flat_map(|(at, word)| {
        let mut left = *word;
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some((at * 64) as u16 + bit as u16)
        })
    })
}

fn grow(trie: &Trie, alive: &[Beam], choice: &Choice) -> Result<Beam> {
    let parent = &alive[choice.parent as usize];
    let mut codes = parent.id.codes().to_vec();
    codes.push(choice.code);
    let node = trie.child(&parent.node, choice.code);
    let node = node.ok_or_else(|| Error::invalid("trie", "lost a code that its mask has"))?;
    Ok(Beam { id: SemanticId::new(&codes)?, node, log_prob: choice.log_prob })
}
