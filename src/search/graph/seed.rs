//! What a build grows from: links that are there already, from an older graph or from a build that was
//! cut short. A derived file. FORMAT.md chapter 9.
//!
//! Codes are not in it: they are made from the vectors again, which costs little beside finding links.

use super::links::LINKS_BYTES;
use crate::{
    error::{Error, Result},
    format::{
        Kind, codec,
        envelope::Sections,
        section::{Section, Slice},
        sink::Sink,
    },
    progress::Progress,
    schema::Space,
    vector::hop::{DEGREE, NOBODY},
};
use serde::{Deserialize, Serialize};

/// What an older graph knew of a node: nothing, its links, or fewer of them than will do.
pub(crate) mod role {
    pub(crate) const NEW: u8 = 0;
    pub(crate) const OLD: u8 = 1;
    pub(crate) const WORN: u8 = 2;
}

/// Nodes of an older graph with fewer links are linked anew: others of theirs are gone.
const LINKS_MIN: usize = DEGREE * 3 / 4;
/// Nodes whose links are written at a time.
const PIECE: u32 = 4096;

/// SEED_META: what one must know to read the other sections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Meta {
    nodes: u32,
    /// Nodes that have links.
    linked: u32,
    /// Steps of the build that are done; 0 where an older graph is all there is.
    steps: u32,
}

/// An open seed.
#[derive(Debug)]
pub(crate) struct Seed {
    sections: Sections,
    meta: Meta,
}

/// Fills in the links of a node, at most [`DEGREE`].
pub(crate) type Links<'a> = dyn FnMut(u32, &mut Vec<u32>) -> Result<()> + 'a;

impl Seed {
    /// Opens the sections of a derived file, whose origin has been checked, for a graph of so many nodes.
    pub(crate) fn open(sections: Sections, count: u32) -> Result<Seed> {
        let section = sections.need(Kind::SEED_META, 0)?;
        let meta: Meta = codec::decode(&section.all()?)
            .map_err(|why| section.corrupt(0, "fields").found(why))?;
        if meta.nodes != count || meta.linked > count {
            return Err(section.corrupt(0, "fields").found("some that do not fit").into());
        }
        for (kind, bytes) in [(Kind::SEED_LINKS, LINKS_BYTES as u64), (Kind::SEED_ROLES, 1)] {
            let (section, bytes) = (sections.need(kind, 0)?, u64::from(count) * bytes);
            if section.len != bytes {
                let damage = section.corrupt(0, "length").expected(bytes);
                return Err(damage.found(section.len).into());
            }
        }
        Ok(Seed { sections, meta })
    }

    /// How many nodes have links.
    pub(crate) fn linked(&self) -> u32 {
        self.meta.linked
    }

    /// How many steps of a build are done, of so many that there are.
    pub(super) fn steps(&self, all: usize) -> Result<usize> {
        match self.meta.steps as usize {
            steps if steps <= all => Ok(steps),
            steps => {
                let section = self.sections.need(Kind::SEED_META, 0)?;
                let damage = section.corrupt(8, "steps").expected(format!("at most {all}"));
                Err(damage.found(steps).into())
            }
        }
    }

    /// What an older graph knew of each node.
    pub(super) fn roles(&self) -> Result<Vec<u8>> {
        let section = self.sections.need(Kind::SEED_ROLES, 0)?;
        let roles = section.all()?.to_vec();
        match roles.iter().position(|role| *role > role::WORN) {
            None => Ok(roles),
            Some(at) => Err(section.corrupt(at as u64, "role").found(roles[at]).into()),
        }
    }

    /// The links of a node, in their order.
    pub(crate) fn links(&self, node: u32) -> Result<Vec<u32>> {
        let at = u64::from(node) * LINKS_BYTES as u64;
        let section: &Section = self.sections.need(Kind::SEED_LINKS, 0)?;
        let row: Slice<'_> = section.read(at..at + LINKS_BYTES as u64)?;
        let ids = row.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id));
        let mut links = Vec::with_capacity(DEGREE);
        for to in ids.take_while(|to| *to != NOBODY) {
            if to < self.meta.nodes && to != node && !links.contains(&to) {
                links.push(to);
            }
        }
        Ok(links)
    }
}

/// Writes the sections of a seed. `roles` are those that the build began with; without any it has yet
/// to begin, and they are said by the links.
pub(crate) fn save(
    (nodes, steps, roles): (u32, usize, Option<&[u8]>),
    links: &mut Links<'_>,
    sink: &mut Sink,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let (mut linked, mut known) = (0, Vec::new());
    let (mut some, mut bytes) = (Vec::with_capacity(DEGREE), Vec::new());
    sink.begin(Kind::SEED_LINKS, 0)?;
    for node in 0..nodes {
        some.clear();
        links(node, &mut some)?;
        linked += u32::from(!some.is_empty());
        if roles.is_none() {
            known.push(match some.len() {
                0 => role::NEW,
                1..LINKS_MIN => role::WORN,
                _ => role::OLD,
            });
        }
        some.resize(DEGREE, NOBODY);
        some.iter().for_each(|to| bytes.extend_from_slice(&to.to_le_bytes()));
        if (node + 1).is_multiple_of(PIECE) || node + 1 == nodes {
            progress.check()?;
            sink.write(&bytes)?;
            bytes.clear();
        }
    }
    sink.section(Kind::SEED_ROLES, 0, roles.unwrap_or(&known))?;
    let meta = Meta { nodes, linked, steps: steps as u32 };
    bytes.clear();
    codec::encode(&meta, &mut bytes).map_err(|why| Error::invalid("seed", why))?;
    sink.section(Kind::SEED_META, 0, &bytes)
}

/// Names what a seed of this space is made by. Steps are counted, so it changes when the course of a
/// build does.
pub(crate) fn recipe(space: &Space) -> String {
    format!("seed/2 {} {:?} {:?}", space.dim, space.metric, space.encoding)
}
