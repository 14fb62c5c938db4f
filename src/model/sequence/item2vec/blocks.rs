//! Blocks: vectors in disjoint parts, so that several threads learn at once, and always the same.
//!
//! Before each pass all symbols are dealt to blocks at random. A pair belongs to the in block of
//! one symbol and the out block of the other; in each round every in block meets one out block, so
//! that no two threads touch the same vector, and nothing depends on which is faster (Gemulla et
//! al., 2011). Negatives come from the out block at hand; since blocks are dealt anew, every symbol
//! gets to meet every other.

use super::{Item2Vec, learn::learn, side::Tokens, table::Table};
use crate::{
    error::Result,
    model::train::{dice::Dice, draw::Draw, share::share},
};

/// All vectors, and pairs waiting to be learned.
#[derive(Debug)]
pub(super) struct Blocks {
    dim: usize,
    negatives: usize,
    items: usize,
    /// By symbol: how often it is drawn as a negative, not normalized.
    weights: Vec<f64>,
    /// By symbol: its row.
    places: Vec<u32>,
    /// Where each block of rows begins, and the end.
    starts: Vec<usize>,
    /// Per block: what negatives are drawn from, items and tokens apart, as rows within the block.
    draws: Vec<Draws>,
    input: Vec<f32>,
    out: Vec<f32>,
    /// Per in block and out block: pairs of rows within them, and whether the second is a token.
    waiting: Vec<Vec<(u32, u32)>>,
}

/// Of items and of tokens in a block, unless there are none: a draw, and the row that each stands
/// for.
type Draws = [Option<(Draw, Vec<u32>)>; 2];

/// Symbols per block, at least: in a small one negatives would be the same few all the time.
const BLOCK_MIN: usize = 500;
/// Most blocks: threads beyond this do not help.
const BLOCKS_MAX: usize = 8;
/// Of so many pairs one is looked at for the loss.
const LOOK: usize = 16;
/// In a pair: the second is a token.
const TOKEN: u32 = 1 << 31;

impl Blocks {
    pub(super) fn new(options: &Item2Vec, counts: &[u32], tokens: &Tokens, seed: u64) -> Blocks {
        let (dim, items) = (options.dim, counts.len());
        let symbols = items + tokens.names.len();
        let mut all: Vec<u64> = counts.iter().map(|count| u64::from(*count)).collect();
        all.resize(symbols, 0);
        for (code, count) in (0u32..).zip(counts) {
            for token in tokens.of(code) {
                all[*token as usize] += u64::from(*count);
            }
        }
        let weight =
            |count: &u64| if *count == 0 { 0.0 } else { (*count as f64).powf(options.alpha) };
        let mut dice = Dice::new(seed, 0);
        let near = |_: usize| (dice.unit() - 0.5) / dim as f32;
        let input = (0..symbols * dim).map(near).collect();
        let number = (symbols / BLOCK_MIN).clamp(1, BLOCKS_MAX);
        Blocks {
            dim,
            negatives: options.negatives,
            items,
            weights: all.iter().map(weight).collect(),
            places: (0..symbols as u32).collect(),
            starts: (0..=number).map(|block| block * symbols / number).collect(),
            draws: Vec::new(),
            input,
            out: vec![0.0; symbols * dim],
            waiting: vec![Vec::new(); number * number],
        }
    }

    fn number(&self) -> usize {
        self.starts.len() - 1
    }

    /// Deals the symbols to blocks anew.
    pub(super) fn shuffle(&mut self, dice: &mut Dice) {
        let mut order: Vec<u32> = (0..self.places.len() as u32).collect();
        if self.number() > 1 {
            dice.shuffle(&mut order);
            self.input = moved(&self.input, self.dim, &self.places, &order);
            self.out = moved(&self.out, self.dim, &self.places, &order);
            (0u32..).zip(&order).for_each(|(row, symbol)| self.places[*symbol as usize] = row);
        } else if !self.draws.is_empty() {
            return;
        }
        let draws = self.starts.windows(2).map(|ends| {
            [false, true].map(|token| {
                let of = |symbol: u32| (symbol as usize >= self.items) == token;
                let drawn =
                    |row: &usize| of(order[*row]) && self.weights[order[*row] as usize] > 0.0;
                let rows: Vec<usize> = (ends[0]..ends[1]).filter(drawn).collect();
                let weights: Vec<f64> =
                    rows.iter().map(|row| self.weights[order[*row] as usize]).collect();
                let rows = rows.iter().map(|row| (row - ends[0]) as u32).collect();
                (!weights.is_empty()).then(|| (Draw::new(&weights), rows))
            })
        });
        self.draws = draws.collect();
    }

    /// Adds a pair of symbols.
    pub(super) fn push(&mut self, item: u32, near: u32) {
        let (a, item) = self.find(item);
        let token = if near as usize >= self.items { TOKEN } else { 0 };
        let (b, near) = self.find(near);
        let number = self.number();
        self.waiting[a * number + b].push((item, near | token));
    }

    /// The block of a symbol, and the row within it.
    fn find(&self, symbol: u32) -> (usize, u32) {
        let (row, rows, number) =
            (self.places[symbol as usize] as usize, self.places.len(), self.number());
        // The starts are rounded down, so this is the block or the one before it.
        let mut block = (row * number / rows).min(number - 1);
        while row >= self.starts[block + 1] {
            block += 1;
        }
        while row < self.starts[block] {
            block -= 1;
        }
        (block, (row - self.starts[block]) as u32)
    }

    /// Learns all pairs that wait, with a rate that falls from the first to the second. Returns the
    /// loss of some pairs, how many those were, and how many there were in all.
    pub(super) fn learn(
        &mut self,
        rates: (f32, f32),
        seed: u64,
        threads: usize,
    ) -> Result<(f64, u64, u64)> {
        let (number, dim) = (self.number(), self.dim);
        let (mut loss, mut looked, mut all) = (0.0, 0, 0);
        for round in 0..number {
            let inputs = parts(&mut self.input, &self.starts, dim);
            let mut outs = parts(&mut self.out, &self.starts, dim);
            outs.rotate_left(round);
            let pieces: Vec<_> = inputs.into_iter().zip(outs).collect();
            let waiting = &self.waiting;
            let work = |a: usize, (input, out): (&mut [f32], &mut [f32])| {
                let b = (a + round) % number;
                let pairs = &waiting[a * number + b];
                let dice = Dice::new(seed, (a * number + b) as u64);
                let meeting = Meeting { dim, negatives: self.negatives, draws: &self.draws[b] };
                meeting.learn(pairs, (input, out), rates, dice)
            };
            for (sum, count, pairs) in share(pieces, threads, work)? {
                (loss, looked, all) = (loss + sum, looked + count, all + pairs);
            }
        }
        self.waiting.iter_mut().for_each(Vec::clear);
        Ok((loss, looked, all))
    }

    /// The vectors in the order of symbols.
    pub(super) fn table(&self, options: &Item2Vec, tokens: &Tokens, items: usize) -> Table {
        let order = |matrix: &[f32]| {
            let row = |place: &u32| &matrix[*place as usize * self.dim..][..self.dim];
            self.places.iter().flat_map(row).copied().collect()
        };
        let look = (options.recent, options.decay);
        let names = tokens.names.clone();
        Table::new((self.dim, items), look, names, (order(&self.input), order(&self.out)))
    }
}

/// An in block and an out block.
struct Meeting<'a> {
    dim: usize,
    negatives: usize,
    draws: &'a Draws,
}

impl Meeting<'_> {
    fn learn(
        &self,
        pairs: &[(u32, u32)],
        (input, out): (&mut [f32], &mut [f32]),
        rates: (f32, f32),
        mut dice: Dice,
    ) -> (f64, u64, u64) {
        let (mut targets, mut change) = (Vec::new(), vec![0f32; self.dim]);
        let (mut loss, mut looked) = (0.0, 0);
        for (at, (item, near)) in pairs.iter().enumerate() {
            let (token, near) = (near & TOKEN != 0, near & !TOKEN);
            targets.clear();
            targets.push(near);
            if let Some((draw, rows)) = &self.draws[usize::from(token)] {
                for _ in 0..self.negatives {
                    let other = rows[draw.draw(&mut dice) as usize];
                    if other != near {
                        targets.push(other);
                    }
                }
            }
            let rate = rates.0 + (rates.1 - rates.0) * (at as f32 / pairs.len() as f32);
            let item = &mut input[*item as usize * self.dim..][..self.dim];
            let look = at % LOOK == 0;
            loss += learn(item, out, &targets, rate, &mut change, look);
            looked += u64::from(look);
        }
        (loss, looked, pairs.len() as u64)
    }
}

/// Rows in a new order.
fn moved(matrix: &[f32], dim: usize, places: &[u32], order: &[u32]) -> Vec<f32> {
    let row = |symbol: &u32| &matrix[places[*symbol as usize] as usize * dim..][..dim];
    order.iter().flat_map(row).copied().collect()
}

/// The blocks of a matrix, apart.
fn parts<'a>(mut matrix: &'a mut [f32], starts: &[usize], dim: usize) -> Vec<&'a mut [f32]> {
    let mut parts = Vec::new();
    for ends in starts.windows(2) {
        let (part, rest) = matrix.split_at_mut((ends[1] - ends[0]) * dim);
        parts.push(part);
        matrix = rest;
    }
    parts
}
