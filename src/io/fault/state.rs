//! What a disk has been told, what it has promised, and the difference.

use super::failure::{Call, Failure, Rule};
use crate::io::{AlignedBytes, memory::not_found};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::{io, ops::Range, sync::Arc};

/// A file, apart from its names. Bytes are only ever added at its end.
#[derive(Clone, Default)]
pub(super) struct Inode {
    /// What running code reads.
    pub(super) live: Arc<AlignedBytes>,
    /// How much of it was synced.
    pub(super) synced: usize,
    /// Parts that read as zeros after a power failure, though they count as synced.
    pub(super) lost: Vec<Range<usize>>,
    /// Parts appended since the last sync, in order.
    pub(super) pending: Vec<Piece>,
}

#[derive(Clone)]
pub(super) struct Piece {
    pub(super) turn: u64,
    pub(super) range: Range<usize>,
    pub(super) lost: bool,
}

/// A change of names that its folder was not synced since.
#[derive(Clone)]
pub(super) struct Renaming {
    pub(super) turn: u64,
    pub(super) folder: String,
    pub(super) change: Change,
}

#[derive(Clone)]
pub(super) enum Change {
    Add(String, usize),
    Remove(String),
    Move { from: (String, String), to: String, inode: usize },
    Folder(String),
}

/// By folder, then name.
pub(super) type Names<T> = BTreeMap<String, BTreeMap<String, T>>;

/// Folders and files, with nothing pending.
pub(super) type Image = Names<Arc<AlignedBytes>>;

#[derive(Default)]
pub(super) struct State {
    pub(super) inodes: Vec<Inode>,
    pub(super) live: Names<usize>,
    pub(super) durable: Names<usize>,
    /// The folders whose own names are durable.
    pub(super) folders: BTreeSet<String>,
    pub(super) renamings: Vec<Renaming>,
    pub(super) turn: u64,
    pub(super) calls: u64,
    pub(super) reads: u64,
    pub(super) rules: Vec<Rule>,
    pub(super) cut_at: Option<u64>,
    pub(super) off: bool,
    pub(super) locked: bool,
    pub(super) seed: u64,
    pub(super) nonces: u64,
    pub(super) forks: u64,
}

impl State {
    /// With this in it, all durable.
    pub(super) fn new(image: Image, seed: u64) -> State {
        let mut state = State { seed, ..State::default() };
        state.live.insert(String::new(), BTreeMap::new());
        for (folder, files) in image {
            let inodes = &mut state.inodes;
            let mut add = |bytes| {
                inodes.push(Inode::durable(bytes));
                inodes.len() - 1
            };
            let names = files.into_iter().map(|(name, bytes)| (name, add(bytes))).collect();
            state.folders.insert(folder.clone());
            state.live.insert(folder, names);
        }
        state.durable = state.live.clone();
        state
    }

    /// Counts a call, and says whether and how it fails.
    pub(super) fn arrive(&mut self, call: Call) -> io::Result<Option<Failure>> {
        let (all, changes) = (self.calls + self.reads, self.calls);
        match call {
            Call::Read => self.reads += 1,
            Call::Remove | Call::Change => {
                self.calls += 1;
                self.off |= self.cut_at.is_some_and(|at| changes >= at);
            }
        }
        self.powered()?;
        let hit = self.rules.iter().find(|rule| {
            let now = if rule.changes_only { changes } else { all };
            let counts = !(rule.changes_only && call == Call::Read);
            let due = now == rule.at || (rule.forever && now > rule.at);
            counts && due && rule.failure.fits(call)
        });
        Ok(hit.map(|rule| rule.failure))
    }

    pub(super) fn powered(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("power is off")) } else { Ok(()) }
    }

    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    pub(super) fn list(&self, folder: &str) -> Vec<String> {
        let files = self.live.get(folder).into_iter().flat_map(BTreeMap::keys);
        let folders = self.live.keys().filter(|name| folder.is_empty() && !name.is_empty());
        let mut names: Vec<_> = files.chain(folders).cloned().collect();
        names.sort();
        names
    }

    fn folder(&mut self, folder: &str) -> io::Result<&mut BTreeMap<String, usize>> {
        self.live.get_mut(folder).ok_or_else(not_found)
    }

    pub(super) fn find(&mut self, (folder, name): (&str, &str)) -> io::Result<usize> {
        self.folder(folder)?.get(name).copied().ok_or_else(not_found)
    }

    fn is_folder(&self, (folder, name): (&str, &str)) -> bool {
        folder.is_empty() && self.live.contains_key(name)
    }

    fn pend(&mut self, folder: &str, change: Change) {
        let (turn, folder) = (self.next_turn(), folder.to_owned());
        self.renamings.push(Renaming { turn, folder, change });
    }

    pub(super) fn create(&mut self, path: (&str, &str)) -> io::Result<usize> {
        let inode = self.inodes.len();
        let taken = self.is_folder(path);
        let files = self.folder(path.0)?;
        if taken || files.contains_key(path.1) {
            return Err(Errno::EXIST.into());
        }
        files.insert(path.1.to_owned(), inode);
        self.inodes.push(Inode::default());
        self.pend(path.0, Change::Add(path.1.to_owned(), inode));
        Ok(inode)
    }

    pub(super) fn rename(&mut self, from: (&str, &str), to: (&str, &str)) -> io::Result<()> {
        let inode = self.find(from)?;
        if self.is_folder(to) {
            return Err(Errno::ISDIR.into());
        }
        self.folder(to.0)?.insert(to.1.to_owned(), inode);
        if from != to {
            self.folder(from.0)?.remove(from.1);
            let source = (from.0.to_owned(), from.1.to_owned());
            let change = Change::Move { from: source, to: to.1.to_owned(), inode };
            self.pend(to.0, change);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, (folder, name): (&str, &str)) -> io::Result<()> {
        self.folder(folder)?.remove(name).ok_or_else(not_found)?;
        self.pend(folder, Change::Remove(name.to_owned()));
        Ok(())
    }

    pub(super) fn make_folder(&mut self, folder: &str) -> io::Result<()> {
        if self.live.contains_key(folder) {
            return Ok(());
        }
        if self.folder("")?.contains_key(folder) {
            return Err(Errno::EXIST.into());
        }
        self.live.insert(folder.to_owned(), BTreeMap::new());
        self.durable.insert(folder.to_owned(), BTreeMap::new());
        self.pend("", Change::Folder(folder.to_owned()));
        Ok(())
    }

    pub(super) fn append(&mut self, inode: usize, bytes: &[u8]) {
        let turn = self.next_turn();
        let inode = &mut self.inodes[inode];
        let from = inode.live.len();
        Arc::make_mut(&mut inode.live).extend(bytes);
        if !bytes.is_empty() {
            let range = from..inode.live.len();
            inode.pending.push(Piece { turn, range, lost: false });
        }
    }

    /// Makes the names in a folder durable. A file moved in from another folder leaves that too,
    /// but if its name there was pending, the name may yet survive.
    pub(super) fn sync_folder(&mut self, folder: &str) -> io::Result<()> {
        let now = self.folder(folder)?.clone();
        let (synced, rest) =
            self.renamings.drain(..).partition::<Vec<_>, _>(|renaming| renaming.folder == folder);
        for renaming in &synced {
            apply(renaming, &mut self.durable, &mut self.folders);
        }
        self.renamings = rest;
        self.durable.insert(folder.to_owned(), now);
        Ok(())
    }

    /// Puts bytes into a file that may be there, and makes them and the names around it durable.
    pub(super) fn write_file(&mut self, (folder, name): (&str, &str), bytes: Arc<AlignedBytes>) {
        self.folders.insert(folder.to_owned());
        self.durable.entry(folder.to_owned()).or_default();
        let next = self.inodes.len();
        let files = self.live.entry(folder.to_owned()).or_default();
        let inode = *files.entry(name.to_owned()).or_insert(next);
        if inode == next {
            self.inodes.push(Inode::default());
        }
        self.inodes[inode] = Inode::durable(bytes);
        self.sync_folder(folder).expect("the folder was just made");
    }

    pub(super) fn nonce(&mut self) -> u64 {
        loop {
            self.nonces += 1;
            match mix(self.seed.wrapping_add(self.nonces)) {
                0 => {}
                nonce => return nonce,
            }
        }
    }

    /// A seed for a directory that starts as `image`, unlike that of any other made from this one.
    pub(super) fn fork_seed(&mut self, image: u64) -> u64 {
        self.forks += 1;
        mix(mix(self.seed ^ image).wrapping_add(mix(self.forks) ^ self.nonces))
    }

    pub(super) fn image(&self) -> Image {
        let content = |inode: &usize| self.inodes[*inode].live.clone();
        let files = |files: &BTreeMap<String, usize>| {
            files.iter().map(|(name, inode)| (name.clone(), content(inode))).collect()
        };
        self.live.iter().map(|(folder, names)| (folder.clone(), files(names))).collect()
    }
}

impl Inode {
    pub(super) fn durable(bytes: Arc<AlignedBytes>) -> Inode {
        let synced = bytes.len();
        Inode { live: bytes, synced, ..Inode::default() }
    }

    pub(super) fn sync(&mut self) {
        let lost = self.pending.drain(..).filter(|piece| piece.lost);
        self.lost.extend(lost.map(|piece| piece.range));
        self.synced = self.live.len();
    }

    pub(super) fn drop_pages(&mut self) {
        for piece in &mut self.pending {
            piece.lost = true;
        }
    }
}

/// Lets a change of names survive. What it depended on may not have: a file whose creation was lost
/// is still moved to its new name, and a removal of what is not there does nothing.
pub(super) fn apply(renaming: &Renaming, names: &mut Names<usize>, folders: &mut BTreeSet<String>) {
    let files = names.entry(renaming.folder.clone()).or_default();
    match &renaming.change {
        Change::Add(name, inode) => drop(files.insert(name.clone(), *inode)),
        Change::Remove(name) => drop(files.remove(name)),
        Change::Folder(name) => drop(folders.insert(name.clone())),
        Change::Move { from, to, inode } => {
            files.insert(to.clone(), *inode);
            let source = names.entry(from.0.clone()).or_default();
            if source.get(&from.1) == Some(inode) {
                source.remove(&from.1);
            }
        }
    }
}

/// SplitMix64: spreads every bit of a number over all of them.
pub(super) fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
