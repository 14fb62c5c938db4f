//! Listed: the IDs of items that somebody else has made, by key.

use crate::{
    artifact::{Opened, Saved, shelf},
    error::{Error, Result},
    key::Key,
    semantic::SemanticId,
};

/// Items and their IDs, ascending by key, all of one length.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    keys: Vec<Key>,
    ids: Vec<SemanticId>,
    pub(crate) widths: Vec<usize>,
}

/// Sections of its artifact.
const KEY_IDS: u16 = 20;
const KEY_NAMES: u16 = 21;
const CODES: u16 = 22;

impl Listed {
    pub(crate) fn new(items: impl IntoIterator<Item = (Key, SemanticId)>) -> Result<Listed> {
        let mut items: Vec<(Key, SemanticId)> = items.into_iter().collect();
        items.sort();
        let refuse = |why: String| Err(Error::invalid("list of semantic IDs", why));
        let Some((_, first)) = items.first() else { return refuse("is empty".into()) };
        let levels = first.codes().len();
        let mut widths = vec![0; levels];
        for (key, id) in &items {
            if id.codes().len() != levels || levels == 0 {
                let has = id.codes().len();
                return refuse(format!("has {has} codes for item {key} and {levels} for another"));
            }
            let wider = |(width, code): (&mut usize, &u16)| {
                *width = (*width).max(usize::from(*code) + 1);
            };
            widths.iter_mut().zip(id.codes()).for_each(wider);
        }
        if let Some(pair) = items.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return refuse(format!("names item {} twice", pair[0].0));
        }
        let (keys, ids): (Vec<Key>, Vec<SemanticId>) = items.into_iter().unzip();
        match (&keys[0], keys.last()) {
            (Key::Id(_), Some(Key::Name(_))) => refuse("mixes numbers and names as keys".into()),
            _ => Ok(Listed { keys, ids, widths }),
        }
    }

    pub(crate) fn find(&self, key: &Key) -> Option<SemanticId> {
        self.keys.binary_search(key).ok().map(|at| self.ids[at])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &SemanticId)> {
        self.keys.iter().zip(&self.ids)
    }

    pub(crate) fn save(&self, out: &mut Saved) -> Result<()> {
        match self.keys.first() {
            Some(Key::Name(_)) => {
                let names: Vec<String> = self.keys.iter().map(Key::to_string).collect();
                shelf::put(out, KEY_NAMES, &names)?;
            }
            _ => {
                let id = |key: &Key| if let Key::Id(id) = key { *id } else { 0 };
                shelf::put(out, KEY_IDS, &self.keys.iter().map(id).collect::<Vec<u64>>())?;
            }
        }
        let codes: Vec<u16> = self.ids.iter().flat_map(|id| id.codes().to_vec()).collect();
        out.section(CODES, crate::format::columns::raw(&codes))
    }

    pub(crate) fn open(from: &Opened, names: bool, levels: usize) -> Result<Listed> {
        let keys: Vec<Key> = match names {
            true => {
                shelf::take::<Vec<String>>(from, KEY_NAMES)?.into_iter().map(Key::from).collect()
            }
            false => shelf::take::<Vec<u64>>(from, KEY_IDS)?.into_iter().map(Key::Id).collect(),
        };
        let bytes = from.section(CODES)?;
        if levels == 0 || Some(bytes.len()) != keys.len().checked_mul(levels * 2) {
            return Err(from.damage("codes of a list of semantic IDs"));
        }
        let pairs: Vec<u16> =
            bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        let ids = pairs.chunks_exact(levels).map(SemanticId::new).collect::<Result<Vec<_>>>()?;
        Listed::new(keys.into_iter().zip(ids)).map_err(|e| from.damage(&e.to_string()))
    }

    pub(crate) fn has_names(&self) -> bool {
        matches!(self.keys.first(), Some(Key::Name(_)))
    }
}
