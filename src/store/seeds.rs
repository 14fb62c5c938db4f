//! Which seeds the parts have: what their next graphs grow from. Derived files, found and not listed.
//!
//! A part gets one from the merge that made it (`sow`), and a better one now and then while its graph
//! is built, so that a build that is cut short goes on where it was. Nobody asks a seed for an answer:
//! readers do not open any, and it goes when the graph is there.

use crate::{
    error::Result,
    format::{
        envelope::OpenMode,
        names,
        sink::{Sink, remove_if_there},
    },
    io::Dir,
    options::Options,
    progress::Progress,
    schema::{Schema, Space},
    search::graph::{
        course::Stage,
        seed::{self, Seed},
    },
    segment::Segment,
    store::{
        Store,
        graphs::{self, Lack},
        origin,
        version::{Part, Version},
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A build is kept no more often than this: less work is not worth a file.
const PACE_MIN: Duration = Duration::from_secs(10);
/// And so that keeping takes at most one part in so many of the time.
const PACE_SHARE: u32 = 50;
/// What keeping is taken to cost before it was tried: bytes written in a second.
const BYTES_PER_SECOND: f64 = 200e6;
/// Bytes of a node in a seed, about.
const NODE_BYTES: f64 = 129.0;

/// When a build is worth keeping.
pub(crate) struct Pace {
    /// Whatever it costs.
    always: bool,
    cost: Duration,
    since: Instant,
}

impl Pace {
    pub(crate) fn of(nodes: u32, options: &Options) -> Pace {
        let cost = Duration::from_secs_f64(f64::from(nodes) * NODE_BYTES / BYTES_PER_SECOND);
        Pace { always: options.keep_every_step, cost, since: Instant::now() }
    }

    fn is_due(&self) -> bool {
        self.always || self.since.elapsed() >= (self.cost * PACE_SHARE).max(PACE_MIN)
    }

    fn kept(&mut self, begun: Instant) {
        (self.cost, self.since) = (begun.elapsed(), Instant::now());
    }
}

/// The recipe in the file's ORIGIN. Spaces may be alike in all but their number, so that is in it too.
fn recipe(space: &Space) -> String {
    format!("{} of {}", seed::recipe(space), space.id)
}

/// Opens the seed of a segment in a space, if it is there and fits.
pub(crate) fn adopt(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    (segment, space): (&Segment, &Space),
    rebuild: bool,
) -> Result<Option<Arc<Seed>>> {
    let path = names::seed(segment.uid, space.id);
    let count = segment.space(space)?.map_or(0, |stored| stored.count);
    let open = |mode: &OpenMode| {
        let sections = origin::open(dir, mode, db, segment, (&path, &[recipe(space)]))?;
        sections.map(|sections| Seed::open(sections, count)).transpose()
    };
    Ok(origin::adopt(mode, rebuild, open)?.map(Arc::new))
}

/// Opens the seed of every graph that a part lacks, for who will build it.
pub(crate) fn adopt_all(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    (part, schema): (&mut Part, &Schema),
    options: &Options,
) -> Result<()> {
    if !mode.write {
        return Ok(());
    }
    let mut found = Vec::new();
    for space in part.lacks(schema, options) {
        let what = (&*part.segment, space);
        let seed = adopt(dir, mode, db, what, options.rebuild_derived)?;
        found.extend(seed.map(|seed| (space.id, seed)));
    }
    if !found.is_empty() {
        Arc::make_mut(&mut part.seeds).extend(found);
    }
    Ok(())
}

impl Part {
    /// The files of its seeds.
    pub(crate) fn seed_files(&self) -> impl Iterator<Item = String> {
        self.seeds.keys().map(|space| names::seed(self.segment.uid, *space))
    }

    /// Forgets the seed of a space; says which file it was.
    pub(crate) fn drop_seed(&mut self, space: u16) -> Option<String> {
        let there = self.seeds.contains_key(&space);
        there.then(|| {
            Arc::make_mut(&mut self.seeds).remove(&space);
            names::seed(self.segment.uid, space)
        })
    }
}

impl Store {
    /// Writes a seed and opens it; nothing if there is no room, which costs no more than time.
    pub(crate) fn write_seed(
        &self,
        (segment, space): (&Segment, &Space),
        fill: impl FnOnce(&mut Sink) -> Result<()>,
    ) -> Result<Option<Arc<Seed>>> {
        let Some(file) = segment.file() else { return Ok(None) };
        let (path, recipe) = (names::seed(segment.uid, space.id), recipe(space));
        match origin::publish(&*self.dir, self.db, file, (&path, &recipe), fill) {
            Err(error) if error.is_full() => return Ok(None),
            written => written?,
        }
        let opened = adopt(&*self.dir, &self.mode, &self.db, (segment, space), false);
        if opened.is_err() {
            // No part knows of it, so nobody would remove it.
            let _ = remove_if_there(&*self.dir, &path);
        }
        opened
    }

    /// Keeps a build at a stage, if it is time to. Who builds holds `building`, so no other writes the
    /// file; `chores` is left to merges, which may take longer than a step.
    pub(crate) fn keep_build(
        &self,
        (segment, lack): (&Segment, &Lack),
        stage: &Stage<'_>,
        (pace, progress): (&mut Pace, &mut Progress<'_>),
    ) -> Result<()> {
        if !pace.is_due() {
            return Ok(());
        }
        let begun = Instant::now();
        let seed = self.write_seed((segment, &lack.space), |sink| stage.save(sink, progress))?;
        if let Some(seed) = seed {
            self.adopt_seed(lack, seed);
        }
        pace.kept(begun);
        Ok(())
    }

    /// Swaps in a version whose part has the seed; without such a part, the file is of no use.
    fn adopt_seed(&self, lack: &Lack, seed: Arc<Seed>) {
        let _writer = self.writer.lock();
        let now = self.current();
        let Some(at) = graphs::place(&now, lack) else {
            self.discard(names::seed(lack.segment, lack.space.id), None);
            return;
        };
        let mut parts = now.parts.clone();
        Arc::make_mut(&mut parts[at].seeds).insert(lack.space.id, seed);
        self.swap(Version { parts, ..(*now).clone() });
    }
}
