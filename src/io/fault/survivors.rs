//! What may be left after a power failure.

use super::state::{Image, Inode, Piece, State, apply, mix};
use crate::io::AlignedBytes;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::{ops::Range, sync::Arc};

/// What devices write at once: a write tears between two of these.
const SECTOR: usize = 512;
/// Writes up to this long are torn at every byte.
const TORN_EVERYWHERE: usize = 256;
/// The plans that are tried whatever the seed: none, all, names only, bytes only.
const ALWAYS: usize = 4;
/// All subsets of this many pending operations are tried; of more, some.
const SUBSETS_OF: usize = 8;

impl State {
    /// Different directories that may be left, with their hashes, and at most `max` of them.
    pub(super) fn survivors(&self, seed: u64, max: usize) -> Vec<(Image, u64)> {
        let items = self.pending();
        let mut plans = Plan::all(self, &items, max);
        if plans.len() > max {
            shuffle(&mut plans[ALWAYS..], seed);
        }
        let shared = self.inodes.iter().map(|inode| &inode.live);
        let known = shared.map(|bytes| (Arc::as_ptr(bytes), hash_bytes(bytes))).collect();
        let (mut seen, mut left) = (HashSet::new(), Vec::new());
        for plan in plans {
            if left.len() == max {
                break;
            }
            let image = self.survivor(&items, plan, seed);
            let hash = hash_knowing(&image, &known);
            if seen.insert(hash) {
                left.push((image, hash));
            }
        }
        left
    }

    /// Everything that may be lost, oldest first.
    fn pending(&self) -> Vec<Item> {
        let names = self.renamings.iter().enumerate().map(|(at, one)| (one.turn, Item::Name(at)));
        let pieces = self.inodes.iter().enumerate().flat_map(|(inode, file)| {
            let item = move |(at, piece): (usize, &Piece)| (piece.turn, Item::Piece(inode, at));
            file.pending.iter().enumerate().map(item)
        });
        let mut items: Vec<_> = names.chain(pieces).collect();
        items.sort_by_key(|(turn, _)| *turn);
        items.into_iter().map(|(_, item)| item).collect()
    }

    /// The directory after a power failure that went by this plan.
    fn survivor(&self, items: &[Item], plan: Plan, seed: u64) -> Image {
        let (mut names, mut folders) = (self.durable.clone(), self.folders.clone());
        let mut pieces: BTreeMap<usize, Vec<(usize, Option<Tear>)>> = BTreeMap::new();
        for (at, item) in items.iter().enumerate() {
            match *item {
                _ if !plan.keeps(at, *item, seed) => {}
                Item::Name(at) => apply(&self.renamings[at], &mut names, &mut folders),
                Item::Piece(inode, piece) => {
                    pieces.entry(inode).or_default().push((piece, plan.tear(at)));
                }
            }
        }
        names.retain(|folder, _| folder.is_empty() || folders.contains(folder));
        let content = |inode: usize| {
            let kept = pieces.get(&inode).map_or(&[][..], Vec::as_slice);
            self.inodes[inode].after(kept, seed)
        };
        let files = |files: BTreeMap<String, usize>| {
            files.into_iter().map(|(name, inode)| (name, content(inode))).collect()
        };
        names.into_iter().map(|(folder, names)| (folder, files(names))).collect()
    }
}

impl Inode {
    /// What is left of it when of the pending pieces only these are kept.
    fn after(&self, kept: &[(usize, Option<Tear>)], seed: u64) -> Arc<AlignedBytes> {
        let whole = kept.len() == self.pending.len() && kept.iter().all(|(_, tear)| tear.is_none());
        let lost = !self.lost.is_empty() || kept.iter().any(|(at, _)| self.pending[*at].lost);
        if whole && !lost {
            return self.live.clone();
        }
        let mut bytes = AlignedBytes::default();
        bytes.extend(&self.live[..self.synced]);
        for range in &self.lost {
            bytes[range.clone()].fill(0);
        }
        for (at, tear) in kept {
            let Piece { range, lost, .. } = &self.pending[*at];
            let mut piece = self.live[range.clone()].to_vec();
            if *lost {
                piece.fill(0);
            }
            if let Some(tear) = tear {
                tear.apply(&mut piece, seed);
            }
            // What was lost between two that were kept reads as zeros.
            let gap = range.start - bytes.len();
            bytes.extend(&vec![0; gap]);
            bytes.extend(&piece);
        }
        Arc::new(bytes)
    }
}

/// Something pending: a change of names, or a piece of a file.
#[derive(Clone, Copy)]
enum Item {
    Name(usize),
    Piece(usize, usize),
}

/// Which pending items survive a power failure, and how one of them is torn.
#[derive(Clone, Copy)]
enum Plan {
    Nothing,
    All,
    NamesOnly,
    BytesOnly,
    First(usize),
    Only(usize),
    AllBut(usize),
    Subset(u64),
    Random(u64),
    /// Torn, with those before it; or with all others.
    Torn {
        item: usize,
        tear: Tear,
        others: bool,
    },
}

impl Plan {
    fn keeps(self, at: usize, item: Item, seed: u64) -> bool {
        match self {
            Plan::Nothing => false,
            Plan::All => true,
            Plan::NamesOnly => matches!(item, Item::Name(_)),
            Plan::BytesOnly => matches!(item, Item::Piece(..)),
            Plan::First(count) => at < count,
            Plan::Only(one) => at == one,
            Plan::AllBut(one) => at != one,
            Plan::Subset(bits) => bits >> at & 1 == 1,
            Plan::Random(draw) => mix(mix(seed ^ draw).wrapping_add(at as u64)) & 1 == 1,
            Plan::Torn { item, others, .. } => others || at <= item,
        }
    }

    fn tear(self, at: usize) -> Option<Tear> {
        match self {
            Plan::Torn { item, tear, .. } if item == at => Some(tear),
            _ => None,
        }
    }

    /// The ways in which the power may fail now; those that every test wants come first.
    fn all(state: &State, items: &[Item], max: usize) -> Vec<Plan> {
        let count = items.len();
        let mut plans = vec![Plan::Nothing, Plan::All, Plan::NamesOnly, Plan::BytesOnly];
        plans.extend((1..count).map(Plan::First));
        plans.extend((0..count).map(Plan::Only));
        plans.extend((0..count).map(Plan::AllBut));
        if count <= SUBSETS_OF {
            plans.extend((0..1 << count).map(Plan::Subset));
        } else {
            plans.extend((0..max.min(64) as u64).map(Plan::Random));
        }
        for (item, one) in items.iter().enumerate() {
            let Item::Piece(inode, piece) = *one else {
                continue;
            };
            let range = state.inodes[inode].pending[piece].range.clone();
            for tear in Tear::all(range) {
                let torn = [false, true].map(|others| Plan::Torn { item, tear, others });
                plans.extend(torn);
            }
        }
        plans
    }
}

/// How an append arrives in part: its first `keep` bytes, and then this.
#[derive(Clone, Copy)]
struct Tear {
    keep: usize,
    rest: Rest,
}

#[derive(Clone, Copy)]
enum Rest {
    Missing,
    Zeros,
    Garbage,
    /// Zeros for a sector, then what was written.
    Hole,
}

impl Tear {
    fn all(range: Range<usize>) -> Vec<Tear> {
        let (from, len) = (range.start, range.len());
        let cuts: Vec<usize> = if len <= TORN_EVERYWHERE {
            (0..len).collect()
        } else {
            let first = SECTOR - from % SECTOR;
            let ends = [0, 1, len - 1];
            ends.into_iter().chain((first..len).step_by(SECTOR)).collect()
        };
        let rests = [Rest::Missing, Rest::Zeros, Rest::Garbage, Rest::Hole];
        let tears = cuts.iter().flat_map(|keep| rests.map(|rest| Tear { keep: *keep, rest }));
        // A hole that reaches the end is zeros to the end.
        let hole = |tear: &Tear| !matches!(tear.rest, Rest::Hole) || tear.keep + SECTOR < len;
        tears.filter(hole).collect()
    }

    fn apply(self, piece: &mut Vec<u8>, seed: u64) {
        match self.rest {
            Rest::Missing => piece.truncate(self.keep),
            Rest::Zeros => piece[self.keep..].fill(0),
            Rest::Garbage => {
                for (at, byte) in piece[self.keep..].iter_mut().enumerate() {
                    *byte = mix(seed.wrapping_add(at as u64)) as u8;
                }
            }
            Rest::Hole => {
                let end = piece.len().min(self.keep + SECTOR);
                piece[self.keep..end].fill(0);
            }
        }
    }
}

fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// The hash of names and contents.
pub(super) fn hash_image(image: &Image) -> u64 {
    hash_knowing(image, &BTreeMap::new())
}

/// As `hash_image`; `known` has the hashes of contents that many images share.
fn hash_knowing(image: &Image, known: &BTreeMap<*const AlignedBytes, u64>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (folder, files) in image {
        (folder, files.len()).hash(&mut hasher);
        for (name, bytes) in files {
            let content = known.get(&Arc::as_ptr(bytes)).copied();
            (name, content.unwrap_or_else(|| hash_bytes(bytes))).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// Puts them in an order drawn by the seed.
fn shuffle(plans: &mut [Plan], seed: u64) {
    for last in (1..plans.len()).rev() {
        let draw = mix(seed ^ mix(last as u64)) % (last as u64 + 1);
        plans.swap(last, draw as usize);
    }
}
