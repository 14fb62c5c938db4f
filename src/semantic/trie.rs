//! Trie: the semantic IDs of a snapshot that a request may return.

use crate::{
    key::{Addr, Row, Seq},
    semantic::{SemanticId, alive::Alive, bits, ids::Ids},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// All semantic IDs of the items that a filter allows in a snapshot, as a tree: every node has an
/// item below it that is there, alive and allowed.
///
/// A view over the sorted IDs of each part of the snapshot: making one costs a step for each item
/// that the filter takes away (or leaves, if these are fewer), and nothing is rebuilt. See
/// [`Snapshot::trie`](crate::Snapshot::trie).
///
/// ```
/// use bowerbird::{*, semantic::*};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().space("text", 1, Metric::L2).attr("stock", AttrType::Bool))?;
/// let input = Input { normalize: false, ..Input::new("text", 1) };
/// let levels = vec![Level::new(1, vec![0.0, 10.0]), Level::new(1, vec![0.0, 1.0, 2.0])];
/// let version = db.publish("sid", &Codebook::new(vec![input], levels)?, Provenance::default())?;
/// db.activate("sid", version)?;
/// for (key, x) in [(1u64, 0.1), (2, 11.0), (3, 12.0)] {
///     let item = Item::new(key).vector("text", [x]).attr("stock", key != 3);
///     db.batch().put(item).commit()?;
/// }
/// let trie = db.snapshot().trie("sid", &attr("stock").is(true))?;
/// let ten = trie.child(&trie.root(), 1).unwrap();
/// assert_eq!(trie.children(&ten).iter().map(|(code, _)| *code).collect::<Vec<_>>(), [1]);
/// assert_eq!(trie.len(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Trie {
    pub(crate) codebook: String,
    pub(crate) version: u32,
    pub(crate) seq: Seq,
    /// The segments of the parts: addresses are good in any snapshot that has the same.
    pub(crate) segments: Vec<u64>,
    pub(crate) widths: Vec<usize>,
    pub(crate) parts: Vec<Branch>,
    /// Which nodes are of it: see [`stamp`].
    pub(crate) stamp: u64,
}

/// Another one for each trie that is made; a clone has that of the original.
pub(crate) fn stamp() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The part of a trie that one part of the snapshot has.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) ids: Arc<Ids>,
    pub(crate) alive: Alive,
}

/// A prefix that something is below: see [`Trie`].
///
/// It is of the trie that said it, and of clones of that trie. Another trie has nothing below it, even one
/// of the same snapshot: there, [`Trie::find`] looks up the prefix.
///
/// ```
/// fn is_root(node: &bowerbird::semantic::Node) -> bool {
///     node.depth() == 0
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// That of its trie.
    stamp: u64,
    depth: u8,
    /// In which parts it is, and as which node of its level there.
    at: Vec<(u32, u32)>,
}

impl Node {
    /// How many codes lead to it.
    pub fn depth(&self) -> usize {
        self.depth.into()
    }
}

impl Trie {
    /// Which codebook the IDs are of, and which version of it.
    pub fn codebook(&self) -> (&str, u32) {
        (&self.codebook, self.version)
    }

    /// The commit of the snapshot that it was made of.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// How many codes each level has, coarse to fine.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// How many items there are.
    pub fn len(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.alive.len(&part.ids))).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a node is of this trie. In another, its places may be those of other prefixes, or of none.
    pub(crate) fn owns(&self, node: &Node) -> bool {
        self.stamp == node.stamp
    }

    /// Where a node is; nowhere if it is of another trie.
    fn places<'n>(&self, node: &'n Node) -> &'n [(u32, u32)] {
        if self.owns(node) { &node.at } else { &[] }
    }

    fn node(&self, depth: u8, at: Vec<(u32, u32)>) -> Node {
        Node { stamp: self.stamp, depth, at }
    }

    /// The node of the empty prefix. It is there even if nothing is below it.
    pub fn root(&self) -> Node {
        let has = |part: &Branch| part.alive.len(&part.ids) > 0;
        let with = (0u32..).zip(&self.parts).filter(|(_, part)| has(part));
        self.node(0, with.map(|(at, _)| (at, 0)).collect())
    }

    /// The node of a prefix; `None` if nothing is below it.
    pub fn find(&self, prefix: &SemanticId) -> Option<Node> {
        prefix.codes().iter().try_fold(self.root(), |node, code| self.child(&node, *code))
    }

    /// The child of a node by its code; `None` if nothing is below it.
    pub fn child(&self, node: &Node, code: u16) -> Option<Node> {
        let depth = node.depth();
        let mut at = Vec::with_capacity(node.at.len());
        for (place, index) in self.places(node) {
            let part = &self.parts[*place as usize];
            let child = part.ids.child(depth, *index, code);
            at.extend(child.filter(|c| part.has(depth + 1, *c)).map(|c| (*place, c)));
        }
        (!at.is_empty()).then(|| self.node(node.depth + 1, at))
    }

    /// The children of a node, ascending by code.
    pub fn children(&self, node: &Node) -> Vec<(u16, Node)> {
        let depth = node.depth();
        let mut found: Vec<(u16, u32, u32)> = Vec::new();
        for (place, index) in self.places(node) {
            let part = &self.parts[*place as usize];
            part.each_child(depth, *index, |code, child| found.push((code, *place, child)));
        }
        if node.at.len() > 1 {
            found.sort_unstable();
        }
        let same = |pair: &[(u16, u32, u32)]| {
            let at = pair.iter().map(|(_, place, child)| (*place, *child)).collect();
            (pair[0].0, self.node(node.depth + 1, at))
        };
        found.chunk_by(|a, b| a.0 == b.0).map(same).collect()
    }

    /// Sets the bit of every code that a child of the node has: bit `code % 64` of word `code / 64`,
    /// and clears the others. Words beyond the width of the level are cleared; codes beyond the words
    /// are left out.
    pub fn mask(&self, node: &Node, words: &mut [u64]) {
        words.fill(0);
        for (place, index) in self.places(node) {
            self.parts[*place as usize].mask(node.depth(), *index, words);
        }
    }

    /// Where the items below a node live: part by part, in each by ID and then by row.
    pub fn items(&self, node: &Node) -> impl Iterator<Item = Addr> + '_ {
        let depth = node.depth();
        self.places(node).to_vec().into_iter().flat_map(move |(place, index)| {
            let part = &self.parts[place as usize];
            let ranks = part.alive.iter(part.ids.ranks(depth, index));
            ranks.map(move |rank| Addr { part: place, row: Row(part.ids.row(rank)) })
        })
    }

    /// How many items are below a node.
    pub fn count(&self, node: &Node) -> u64 {
        let one = |(place, index): &(u32, u32)| {
            let part = &self.parts[*place as usize];
            u64::from(part.alive.count(part.ids.ranks(node.depth(), *index)))
        };
        self.places(node).iter().map(one).sum()
    }

    /// The semantic ID of an item; `None` if it has none, or is not of the snapshot.
    pub fn id(&self, addr: Addr) -> Option<SemanticId> {
        self.parts.get(addr.part as usize)?.ids.id(addr.row.0)
    }

    /// Every distinct ID with an item that is allowed, ascending.
    pub fn ids(&self) -> Vec<SemanticId> {
        let mut all = Vec::new();
        for part in &self.parts {
            let begin = all.len();
            let ranks = part.alive.iter(0..part.ids.len() as u32);
            for id in ranks.map(|rank| part.ids.at(rank)) {
                if all.len() == begin || all.last() != Some(&id) {
                    all.push(id);
                }
            }
        }
        if self.parts.len() > 1 {
            // A merge of few ascending runs, which this sort is good at.
            all.sort();
            all.dedup();
        }
        all
    }
}

/// So few children are set one by one: guessing how many of them each word has costs more.
const FEW: u32 = 16;

impl Branch {
    /// Whether something is below a node at a depth from 1 on.
    fn has(&self, depth: usize, node: u32) -> bool {
        self.alive.nodes(depth).is_none_or(|nodes| bits::has(nodes, node))
    }

    fn each_child(&self, depth: usize, node: u32, mut each: impl FnMut(u16, u32)) {
        let children = self.ids.children(depth, node);
        let codes = self.ids.codes(depth + 1, children.clone());
        match self.alive.nodes(depth + 1) {
            None => codes.iter().zip(children).for_each(|(code, child)| each(*code, child)),
            Some(nodes) => {
                let first = children.start;
                let alive = bits::each(nodes, children, true);
                alive.for_each(|child| each(codes[(child - first) as usize], child));
            }
        }
    }

    /// Adds the bits of a node's children.
    fn mask(&self, depth: usize, node: u32, words: &mut [u64]) {
        let set = |words: &mut [u64], code: u16| {
            if let Some(word) = words.get_mut(usize::from(code) / 64) {
                *word |= 1 << (code % 64);
            }
        };
        let Some(mask) = self.ids.mask(depth, node) else {
            return self.each_child(depth, node, |code, _| set(words, code));
        };
        let children = self.ids.children(depth, node);
        let Some(nodes) = self.alive.nodes(depth + 1) else { return add(words, mask) };
        if bits::count(nodes, children.clone()) <= FEW {
            return self.each_child(depth, node, |code, _| set(words, code));
        }
        let codes = self.ids.codes(depth + 1, children.clone());
        let mut first = 0;
        for (word, mask) in words.iter_mut().zip(mask) {
            let count = mask.count_ones();
            let alive = bits::take(nodes, children.start + first, count);
            *word |= spread(alive, *mask, &codes[first as usize..][..count as usize]);
            first += count;
        }
    }
}

/// Puts a bit for each child where its code is: `codes` are the places of the bits of `mask`, each of
/// which is alive or not. Costs a step for each that is, or for each that is not.
#[inline]
fn spread(alive: u64, mask: u64, codes: &[u16]) -> u64 {
    let every = u64::MAX.checked_shr(64 - codes.len() as u32).unwrap_or(0);
    if every == u64::MAX || alive == 0 {
        return alive;
    }
    let dead = alive ^ every;
    let sparse = alive.count_ones() <= dead.count_ones();
    let (mut left, mut spread) = if sparse { (alive, 0) } else { (dead, mask) };
    while left != 0 {
        spread ^= 1 << (codes[left.trailing_zeros() as usize] % 64);
        left &= left - 1;
    }
    spread
}

fn add(words: &mut [u64], mask: &[u64]) {
    words.iter_mut().zip(mask).for_each(|(word, own)| *word |= own);
}
