//! Which semantic IDs the parts have: computed once for each part and codebook, and kept.
//!
//! An item that is written gets its ID under every active codebook before its commit is seen; a merge
//! takes IDs along with the rows. What is missing all the same (after a crash, under a codebook that
//! is not active) is computed when it is asked for, and kept in memory; of parts on disk and active
//! codebooks housekeeping writes it to `derived/`.
//!
//! IDs are kept by name and version of their codebook, and a snapshot knows one active version of
//! it. So an answer never mixes two, however parts come by their IDs.

use crate::{
    artifact::Artifact,
    error::{Error, Result},
    filter::Where,
    format::{
        envelope::{OpenMode, Sections},
        manifest::ArtifactEntry,
        names,
    },
    io::Dir,
    key::{Addr, Key},
    options::Options,
    progress::Progress,
    schema::{Schema, Space},
    segment::Segment,
    semantic::{Alive, Branch, Codebook, SemanticId, Trie, assign, ids::Ids, trie},
    store::{
        Store,
        artifacts::entry,
        origin,
        snapshot::Snapshot,
        spread,
        version::{Part, Version},
    },
};
use roaring::RoaringBitmap;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

/// Rows encoded as one piece of work.
const PIECE: u32 = 4096;

/// A codebook and what its IDs are called.
struct Book<'a> {
    codebook: Arc<Codebook>,
    spaces: Vec<&'a Space>,
    /// Their numbers: a space that was dropped and made again has another.
    numbers: Vec<u16>,
    entry: &'a ArtifactEntry,
    recipe: String,
}

fn is_codebook(entry: &ArtifactEntry) -> bool {
    entry.kind == Codebook::KIND
}

impl<'a> Book<'a> {
    fn open(snapshot: &Snapshot, schema: &'a Schema, entry: &'a ArtifactEntry) -> Result<Book<'a>> {
        let codebook = snapshot.kept_version::<Codebook>(entry)?;
        let spaces = assign::spaces(&codebook, schema)?;
        let numbers: Vec<u16> = spaces.iter().map(|space| space.id).collect();
        let recipe = format!("{}@{} of {numbers:?}", entry.name, entry.version);
        Ok(Book { codebook, spaces, numbers, entry, recipe })
    }

    /// The IDs of a part: kept, from their file, or computed now.
    fn ids(&self, part: &Part, threads: usize, progress: &mut Progress<'_>) -> Result<Arc<Ids>> {
        if let Some(kept) = part.ids.find(&self.recipe) {
            return Ok(kept);
        }
        #[cfg(test)]
        tests::MADE.set(tests::MADE.get() + 1);
        let widths = self.codebook.widths();
        let ids = match self.file(part)? {
            Some(sections) => Ids::load(sections, part.segment.rows(), &widths)?,
            None => Ids::new(widths.len(), &self.assign(&part.segment, threads, progress)?),
        };
        part.ids.get_weighed(&self.recipe, Ids::weight, || Ok(ids))
    }

    /// The file of a part's IDs, if there is one and it still fits.
    fn file<'p>(&self, part: &'p Part) -> Result<Option<&'p Sections>> {
        let Some(sections) = part.id_files.get(&self.entry.file.id) else { return Ok(None) };
        Ok(Ids::are_of(sections, &self.numbers)?.then_some(&**sections))
    }

    /// Whether the IDs of a part should be on disk and are not.
    fn lacks(&self, part: &Part) -> Result<bool> {
        Ok(!part.on_heap() && part.segment.rows() > 0 && self.file(part)?.is_none())
    }

    fn assign(
        &self,
        segment: &Segment,
        threads: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Option<SemanticId>>> {
        let (rows, mut all) = (segment.rows(), Vec::with_capacity(segment.rows() as usize));
        let pieces: Vec<Range<u32>> =
            (0..rows.div_ceil(PIECE)).map(|at| at * PIECE..((at + 1) * PIECE).min(rows)).collect();
        for some in pieces.chunks(threads.max(1)) {
            let one = |at: usize| {
                assign::assign(segment, (&self.codebook, &self.spaces), some[at].clone())
            };
            all.extend(spread(some.len(), threads, one)?.into_iter().flatten());
            progress.check()?;
        }
        Ok(all)
    }
}

/// Opens the files of a part's IDs that are there and fit; says whether one was.
pub(crate) fn adopt_all(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    (part, artifacts): (&mut Part, &[ArtifactEntry]),
    options: &Options,
) -> Result<bool> {
    let mut found = BTreeMap::new();
    for entry in artifacts.iter().filter(|entry| is_codebook(entry)) {
        let id = entry.file.id;
        if part.id_files.contains_key(&id) {
            continue;
        }
        let sections = adopt(dir, mode, db, (&part.segment, id), options.rebuild_derived)?;
        found.extend(sections.map(|sections| (id, Arc::new(sections))));
    }
    let any = !found.is_empty();
    if any {
        Arc::make_mut(&mut part.id_files).extend(found);
    }
    Ok(any)
}

/// Opens a file of IDs, if it is there and fits. Of which codebook it is, its name says; that the
/// codebook still reads the same spaces is seen where it is used.
pub(crate) fn adopt(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    (segment, artifact): (&Segment, u64),
    rebuild: bool,
) -> Result<Option<Sections>> {
    let path = names::ids(segment.uid, artifact);
    let recipe = [file_recipe(artifact)];
    origin::adopt(mode, rebuild, |mode| origin::open(dir, mode, db, segment, (&path, &recipe)))
}

/// What ORIGIN says: the number of an artifact's file is never used twice.
fn file_recipe(artifact: u64) -> String {
    format!("ids/1 of artifact {artifact}")
}

/// Gives a merged part the IDs that its inputs have. `rows` says for each row of it from which input
/// it came, and from which row there.
pub(crate) fn carry(merged: &Part, inputs: &[&Part], rows: &[(u32, u32)]) {
    let recipes = inputs.last().map(|part| part.ids.recipes()).unwrap_or_default();
    for recipe in recipes {
        let all = inputs.iter().map(|part| part.ids.find::<Ids>(&recipe));
        // What one input lacks is computed when it is asked for.
        let Some(old) = all.collect::<Option<Vec<Arc<Ids>>>>() else { continue };
        let Some(levels) = old.first().map(|ids| ids.levels()) else { continue };
        let of_rows: Vec<_> = rows.iter().map(|(from, row)| old[*from as usize].id(*row)).collect();
        let made = Ids::new(levels, &of_rows);
        let _ = merged.ids.get_weighed(&recipe, Ids::weight, || Ok::<_, Error>(made));
    }
}

impl Part {
    /// The files of its IDs.
    pub(crate) fn id_paths(&self) -> impl Iterator<Item = String> {
        self.id_files.keys().map(|artifact| names::ids(self.segment.uid, *artifact))
    }
}

impl Store {
    /// Gives what a commit has written its IDs. Derived: what fails here is computed again, and
    /// reported, where it is asked for.
    pub(crate) fn assign_fresh(&self, next: &Version) {
        let active = |entry: &&ArtifactEntry| entry.active && is_codebook(entry);
        if !next.artifacts.iter().any(|entry| active(&entry)) {
            return;
        }
        let snapshot = self.snapshot();
        // What was there before has its IDs, or no room for them: that is no work of this commit.
        let old: BTreeSet<u64> = snapshot.segments().into_iter().collect();
        for entry in next.artifacts.iter().filter(active) {
            let Ok(book) = Book::open(&snapshot, &next.schema, entry) else { continue };
            for part in next.heap_parts().filter(|part| !old.contains(&part.segment.uid)) {
                let _ = book.ids(part, 1, &mut Progress::silent());
            }
        }
    }

    /// Computes the IDs of every part by a version of a codebook, and keeps them.
    pub(crate) fn assign_all(
        &self,
        name: &str,
        version: u32,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let snapshot = self.snapshot();
        let all = &snapshot.version;
        let entry = entry(&all.artifacts, name, version)?;
        let book = Book::open(&snapshot, &all.schema, entry)?;
        progress.begin(all.parts.len() as u64)?;
        for part in &all.parts {
            book.ids(part, self.options.build_threads, progress)?;
            progress.advance(1)?;
        }
        Ok(())
    }

    /// Before versions become active: computes the IDs of those that are codebooks.
    pub(crate) fn assign_wanted(&self, wanted: &[(&str, u32)]) -> Result<()> {
        for (name, version) in wanted {
            let artifacts = self.current().artifacts.clone();
            if is_codebook(entry(&artifacts, name, *version)?) {
                self.assign_all(name, *version, &mut Progress::silent())?;
            }
        }
        Ok(())
    }

    /// Writes the IDs of the first part that has none on disk under an active codebook; says whether
    /// there was one.
    pub(crate) fn derive_ids(&self) -> Result<bool> {
        let snapshot = self.snapshot();
        let version = &snapshot.version;
        for entry in version.artifacts.iter().filter(|entry| entry.active && is_codebook(entry)) {
            let book = match Book::open(&snapshot, &version.schema, entry) {
                // It reads what is not there: whoever asks for its IDs is told.
                Err(Error::Invalid { .. }) => continue,
                book => book?,
            };
            let mut lacking = None;
            for part in &version.parts {
                if book.lacks(part)? {
                    lacking = Some(part);
                    break;
                }
            }
            let Some(part) = lacking else { continue };
            // The long work, while others flush and merge.
            let ids = book.ids(part, self.options.build_threads, &mut Progress::silent())?;
            return self.write_ids(part, &book, &ids);
        }
        Ok(false)
    }

    fn write_ids(&self, part: &Part, book: &Book<'_>, ids: &Ids) -> Result<bool> {
        let artifact = book.entry.file.id;
        self.chore(|| {
            let same = |other: &Part| other.segment.uid == part.segment.uid;
            if !self.current().parts.iter().any(same) {
                return Ok(true);
            }
            let Some(file) = part.segment.file() else { return Ok(true) };
            let path = names::ids(part.segment.uid, artifact);
            let recipe = file_recipe(artifact);
            origin::publish(&*self.dir, self.db, file, (&path, &recipe), |sink| {
                ids.save(&book.numbers, sink)
            })?;
            let what = (&*part.segment, artifact);
            let sections = adopt(&*self.dir, &self.mode, &self.db, what, false)?.map(Arc::new);
            let _writer = self.writer.lock();
            let now = self.current();
            let mut parts = now.parts.clone();
            for part in parts.iter_mut().filter(|other| same(other)) {
                Arc::make_mut(&mut part.id_files).extend(sections.clone().map(|s| (artifact, s)));
            }
            self.swap(Version { parts, ..(*now).clone() });
            Ok(true)
        })
    }
}

impl Snapshot {
    /// The semantic IDs of all items that a filter allows, under the active version of a codebook.
    ///
    /// # Errors
    /// `NotFound` if no such artifact is active, `Invalid` if it is not a codebook or reads spaces
    /// that are not there, and as for [`Snapshot::count`].
    pub fn trie(&self, codebook: &str, filter: &Where) -> Result<Trie> {
        self.trie_of(codebook, &self.allowed(filter)?)
    }

    /// The same under any version of a codebook, active or not. The first time, the IDs of all items
    /// are computed, unless [`Db::assign`](crate::Db::assign) has done it.
    pub fn trie_version(&self, codebook: &str, version: u32, filter: &Where) -> Result<Trie> {
        let entry = entry(&self.version.artifacts, codebook, version)?;
        self.trie_under(entry, &self.allowed(filter)?)
    }

    /// The semantic ID of an item, under the active version of a codebook; `None` if there is no such
    /// item, or the codebook has nothing to go by.
    pub fn semantic_id(&self, codebook: &str, key: &Key) -> Result<Option<SemanticId>> {
        let Some(addr) = self.find(key)? else { return Ok(None) };
        Ok(self.semantic_ids(codebook, &[addr])?[0])
    }

    /// The same for the items at some addresses.
    pub fn semantic_ids(&self, codebook: &str, addrs: &[Addr]) -> Result<Vec<Option<SemanticId>>> {
        let entry = self.active_codebook(codebook)?;
        let book = Book::open(self, &self.version.schema, entry)?;
        // Part by part: where memory is full, the IDs of a part are made for this call, and one part is
        // held at a time.
        let mut order: Vec<usize> = (0..addrs.len()).collect();
        order.sort_by_key(|at| addrs[*at].part);
        let mut found = vec![None; addrs.len()];
        for some in order.chunk_by(|a, b| addrs[*a].part == addrs[*b].part) {
            // Refuses an address that is not of this snapshot.
            some.iter().try_for_each(|at| self.segment(addrs[*at]).map(drop))?;
            let part = &self.version.parts[addrs[some[0]].part as usize];
            let ids = book.ids(part, 1, &mut Progress::silent())?;
            some.iter().for_each(|at| found[*at] = ids.id(addrs[*at].row.0));
        }
        Ok(found)
    }

    /// Whether the item at an address has a vector in a space. Reads none.
    pub(crate) fn has_vector(&self, addr: Addr, space: &str) -> Result<bool> {
        let space = self.version.schema.find_space(space)?;
        match self.segment(addr)?.space(space)? {
            Some(stored) => Ok(stored.position(addr.row.0)?.is_some()),
            None => Ok(false),
        }
    }

    /// Whether the item at an address of one of its parts is there and was not deleted.
    pub(crate) fn is_alive(&self, addr: Addr) -> bool {
        let part = self.version.parts.get(addr.part as usize);
        part.is_some_and(|part| !part.dead.rows.contains(addr.row.0))
    }

    /// The segments of its parts, in order.
    pub(crate) fn segments(&self) -> Vec<u64> {
        self.version.parts.iter().map(|part| part.segment.uid).collect()
    }

    /// The trie of rows that are allowed already, one bitmap for each part.
    pub(crate) fn trie_of(&self, codebook: &str, allowed: &[RoaringBitmap]) -> Result<Trie> {
        self.trie_under(self.active_codebook(codebook)?, allowed)
    }

    fn active_codebook(&self, name: &str) -> Result<&ArtifactEntry> {
        let active = self.version.artifacts.iter().find(|a| a.name == name && a.active);
        active.ok_or_else(|| Error::missing("active codebook", name))
    }

    fn trie_under(&self, entry: &ArtifactEntry, allowed: &[RoaringBitmap]) -> Result<Trie> {
        let book = Book::open(self, &self.version.schema, entry)?;
        let mut parts = Vec::with_capacity(allowed.len());
        for (part, allowed) in self.version.parts.iter().zip(allowed) {
            let ids = book.ids(part, 1, &mut Progress::silent())?;
            let alive = Alive::new(&ids, allowed);
            parts.push(Branch { ids, alive });
        }
        let (codebook, version) = (entry.name.clone(), entry.version);
        let (seq, widths, segments) = (self.seq(), book.codebook.widths(), self.segments());
        let stamp = trie::stamp();
        Ok(Trie { codebook, version, seq, segments, widths, parts, stamp })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        artifact::Provenance,
        io::Memory,
        item::Item,
        key::Row,
        options::Maintenance,
        schema::Metric,
        semantic::{Input, Level},
    };
    use std::cell::Cell;

    thread_local! {
        /// How often the IDs of a part were not kept.
        pub(super) static MADE: Cell<usize> = const { Cell::new(0) };
    }

    fn write(store: &Store, keys: Range<u64>) {
        let schema = store.current().schema.clone();
        let item = |key: u64| Item::new(key).vector("v", [key as f32]);
        let ops: Vec<_> = keys.map(|key| store.op_put(&schema, &item(key)).unwrap()).collect();
        store.commit(&Arc::new(ops)).unwrap();
    }

    fn made<T>(run: impl FnOnce() -> T) -> (T, usize) {
        let before = MADE.get();
        let answer = run();
        (answer, MADE.get() - before)
    }

    /// Goal: where there is no memory to keep IDs, a question makes those of a part once, however many
    /// items it asks for, and a commit makes those of what it has written and no others.
    #[test]
    fn what_is_not_kept_is_made_once_for_a_question() {
        let schema = Schema::new().space("v", 1, Metric::L2);
        let options = Options::default().maintenance(Maintenance::Manual);
        let store = Store::create(Arc::new(Memory::new()), schema, options).unwrap();
        let input = Input { normalize: false, ..Input::new("v", 1) };
        let levels = vec![Level::new(1, (0..8).map(|x| x as f32 * 10.0).collect())];
        let book = Codebook::new(vec![input], levels).unwrap();
        store.publish("sid", &book, Provenance::default()).unwrap();
        store.activate(&[("sid", 1)]).unwrap();
        write(&store, 0..40);
        store.flush(&mut Progress::silent()).unwrap();
        write(&store, 40..70);
        let snapshot = store.snapshot();
        let parts = snapshot.version.parts.len();
        let all: Vec<Addr> = snapshot.addrs(&Where::all()).unwrap();
        // From part to part and back.
        let mixed: Vec<Addr> = (0..70).map(|at| all[at * 31 % 70]).collect();
        let wanted = snapshot.semantic_ids("sid", &mixed).unwrap();
        store.held.must_hold(u64::MAX);
        let (again, times) = made(|| snapshot.semantic_ids("sid", &mixed).unwrap());
        assert_eq!((again, times), (wanted, parts));
        let nobody = Addr { part: 9, row: Row(0) };
        assert!(snapshot.semantic_ids("sid", &[mixed[0], nobody]).is_err());
        // All its parts are old.
        assert_eq!(made(|| store.assign_fresh(&store.current())).1, 0);
        assert_eq!(made(|| write(&store, 70..75)).1, 1);
    }
}
