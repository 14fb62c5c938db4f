//! Pairs: items that users consume near each other, as places among the items that have vectors.

use crate::{
    error::{Error, Result},
    key::Key,
    model::{
        Sequences,
        semantic::fit::points::{self, Given},
        train::dice::Dice,
    },
    progress::Progress,
    store::Snapshot,
};

/// Most pairs that are looked at: 400 MB of them. Of more, some are drawn.
const PAIRS_MAX: usize = 50_000_000;

/// The vectors of all items that have some, ascending by key; and the sequences, as places among them.
/// What has no vector, or is gone, is passed over.
pub(super) fn read(
    snapshot: &Snapshot,
    spaces: &[&str],
    sequences: &Sequences,
    progress: &mut Progress<'_>,
) -> Result<(Vec<Given>, Vec<Vec<u32>>)> {
    let vocabulary = sequences.vocabulary();
    let (keys, items): (Vec<Key>, Vec<Given>) =
        points::read(snapshot, spaces, progress)?.into_iter().unzip();
    let mut place = vec![None; vocabulary.len()];
    for (at, key) in (0u32..).zip(&keys) {
        if let Some(code) = vocabulary.code(key) {
            place[code as usize] = Some(at);
        }
    }
    let places = |codes: &[u32]| codes.iter().filter_map(|code| place[*code as usize]).collect();
    Ok((items, sequences.iter().map(places).collect()))
}

/// Different items at most `window` apart in a sequence, both ways.
pub(super) fn pairs(
    sequences: &[Vec<u32>],
    (items, window): (usize, usize),
    dice: &mut Dice,
) -> Result<Vec<(u32, u32)>> {
    if let Some(wrong) = sequences.iter().flatten().find(|place| **place as usize >= items) {
        let why = format!("name item {wrong} of {items}; places begin at 0");
        return Err(Error::invalid("sequences of Refine", why));
    }
    let near = || sequences.iter().flat_map(|list| near(list, window));
    let count = near().count();
    let share = PAIRS_MAX as f32 / (2 * count).max(1) as f32;
    let mut pairs = Vec::with_capacity((2 * count).min(PAIRS_MAX));
    for (from, to) in near() {
        if share >= 1.0 || dice.unit() < share {
            pairs.extend([(from, to), (to, from)]);
        }
    }
    match pairs.is_empty() {
        false => Ok(pairs),
        true => {
            let why = "have no two items with vectors beside each other: there is nothing to learn";
            Err(Error::invalid("sequences of Refine", why))
        }
    }
}

fn near(list: &[u32], window: usize) -> impl Iterator<Item = (u32, u32)> + '_ {
    list.iter().enumerate().flat_map(move |(at, from)| {
        let later = list[at + 1..].iter().take(window);
        later.filter(move |to| *to != from).map(move |to| (*from, *to))
    })
}
