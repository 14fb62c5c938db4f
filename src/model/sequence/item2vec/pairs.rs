//! Pairs: which items count as near each other.

use super::{Item2Vec, blocks::Blocks, side::Tokens};
use crate::model::{Sequences, train::dice::Dice};

/// Draws pairs from sequences.
#[derive(Debug)]
pub(super) struct Pairs {
    window: usize,
    ordered: bool,
    directed: bool,
    /// By code, the chance not to be passed over; empty for never.
    keep: Vec<f32>,
}

/// Pairs in memory at a time: 8 bytes each.
const PAIRS_MAX: usize = 2_000_000;

impl Pairs {
    pub(super) fn new(options: &Item2Vec, sequences: &Sequences) -> Pairs {
        let (share, events) = (options.subsample, sequences.events() as f64);
        let chance = |count: &u32| {
            let over = share * events / f64::from((*count).max(1));
            (over.sqrt() + over).min(1.0) as f32
        };
        let keep = match share > 0.0 {
            true => sequences.counts().iter().map(chance).collect(),
            false => Vec::new(),
        };
        let (ordered, directed) = (options.order_aware, options.directed);
        Pairs { window: options.window, ordered, directed, keep }
    }

    /// Puts the pairs of sequences into the blocks, from `first` on and until there are many;
    /// returns the sequence to go on with. Stops within no sequence.
    pub(super) fn fill(
        &self,
        sequences: &Sequences,
        first: usize,
        tokens: &Tokens,
        blocks: &mut Blocks,
        dice: &mut Dice,
    ) -> usize {
        let (mut items, mut at, mut count) = (Vec::new(), first, 0);
        while at < sequences.len() && count < PAIRS_MAX {
            items.clear();
            for item in sequences.items(at) {
                if self.keep.is_empty() || dice.unit() < self.keep[*item as usize] {
                    items.push(*item);
                }
            }
            if !self.ordered {
                dice.shuffle(&mut items);
            }
            self.within(&items, dice, |item, near, dice| {
                blocks.push(item, near);
                count += 1;
                // A word about an item stands for it, on either side.
                if let Some(word) = pick(tokens.of(item), dice) {
                    blocks.push(word, near);
                }
                if let Some(word) = pick(tokens.of(near), dice) {
                    blocks.push(item, word);
                }
            });
            at += 1;
        }
        at
    }

    fn within(&self, items: &[u32], dice: &mut Dice, mut pair: impl FnMut(u32, u32, &mut Dice)) {
        for (at, item) in items.iter().enumerate() {
            let reach = 1 + dice.below(self.window);
            let first = if self.directed { at } else { at.saturating_sub(reach) };
            let last = (at + reach).min(items.len() - 1);
            for near in (first..=last).filter(|near| *near != at) {
                pair(*item, items[near], dice);
            }
        }
    }
}

fn pick(symbols: &[u32], dice: &mut Dice) -> Option<u32> {
    if symbols.is_empty() { None } else { Some(symbols[dice.below(symbols.len())]) }
}
