//! Vocabulary: which items a model knows, and by which number it calls them.

use crate::{
    artifact::{Opened, Saved},
    error::{Error, Result},
    key::Key,
    model::shelf,
};

/// The items a model was trained on, ascending by key; a *code* is the place of one, from 0.
///
/// A model is of use only with the items it was trained on, so its [`hash`](Vocabulary::hash) is
/// compared wherever a model and a list of items come from different files.
///
/// ```
/// use bowerbird::{Key, model::Vocabulary};
/// let known = Vocabulary::new([Key::Id(20), Key::Id(10), Key::Id(20)])?;
/// assert_eq!((known.len(), known.code(&Key::Id(20))), (2, Some(1)));
/// assert_eq!(known.key(0), &Key::Id(10));
/// # Ok::<(), bowerbird::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    keys: Vec<Key>,
    hash: u64,
}

/// Most items of a model: codes are `u32`, and scores of all of them must fit in memory.
const ITEMS_MAX: usize = 1 << 27;

impl Vocabulary {
    /// Of these items; repeats count once.
    ///
    /// # Errors
    /// `Invalid` if numbers and names are mixed, or there are more than 134 million.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Result<Vocabulary> {
        let mut keys: Vec<Key> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.len() > ITEMS_MAX {
            let why = format!("has {} items; at most {ITEMS_MAX}", keys.len());
            return Err(Error::invalid("vocabulary", why));
        }
        let mixed = |pair: &[Key]| matches!(pair, [Key::Id(_), Key::Name(_)]);
        if keys.windows(2).any(mixed) {
            return Err(Error::invalid("vocabulary", "mixes numbers and names as keys"));
        }
        let hash = hash(&keys);
        Ok(Vocabulary { keys, hash })
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The code of an item, if it is known.
    pub fn code(&self, key: &Key) -> Option<u32> {
        self.keys.binary_search(key).ok().map(|at| at as u32)
    }

    /// The item with a code.
    ///
    /// # Panics
    /// If there is no such code.
    pub fn key(&self, code: u32) -> &Key {
        &self.keys[code as usize]
    }

    /// All items, ascending: the item with code `i` is at place `i`.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// FNV-1a, 64 bits, of the keys in order: of each the decimal digits or the name in UTF-8,
    /// followed by a line feed.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Codes of those that are known, in order.
    pub fn codes<'k>(&self, keys: impl IntoIterator<Item = &'k Key>) -> Vec<u32> {
        keys.into_iter().filter_map(|key| self.code(key)).collect()
    }

    pub(crate) fn save(&self, out: &mut Saved) -> Result<()> {
        match self.keys.first() {
            Some(Key::Name(_)) => {
                let name = |key: &Key| key.to_string();
                shelf::put(out, shelf::NAMES, &self.keys.iter().map(name).collect::<Vec<_>>())
            }
            _ => {
                let id = |key: &Key| if let Key::Id(id) = key { *id } else { 0 };
                shelf::put(out, shelf::IDS, &self.keys.iter().map(id).collect::<Vec<u64>>())
            }
        }
    }

    pub(crate) fn open(from: &Opened, names: bool) -> Result<Vocabulary> {
        let keys: Vec<Key> = match names {
            true => {
                let names: Vec<String> = shelf::take(from, shelf::NAMES)?;
                names.into_iter().map(Key::from).collect()
            }
            false => {
                let ids: Vec<u64> = shelf::take(from, shelf::IDS)?;
                ids.into_iter().map(Key::Id).collect()
            }
        };
        if keys.len() > ITEMS_MAX || !keys.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(from.damage("keys of the vocabulary"));
        }
        let hash = hash(&keys);
        Ok(Vocabulary { keys, hash })
    }
}

fn hash(keys: &[Key]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut byte = |b: u8| hash = (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
    for key in keys {
        key.to_string().bytes().for_each(&mut byte);
        byte(b'\n');
    }
    hash
}
