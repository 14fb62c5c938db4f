//! Building graphs: long work that neither commits nor flushes nor merges wait for.
//!
//! A build holds `building` alone, so that no graph is built twice, and reads only the segment, which
//! does not change. `chores` is taken for the moment in which a version that has the graph is swapped
//! in. If the part is merged away meanwhile, the build is in vain and is given up.

use crate::{
    error::{Error, Result},
    format::{names, sink::remove_if_there},
    options::Graphs,
    progress::Progress,
    search::graph::{
        Graph,
        build::{self, Built, Plan},
        course::Stage,
    },
    segment::Segment,
    store::{
        Store,
        failure::Failure,
        graphs::{self, Lack},
        origin,
        seeds::Pace,
        version::Version,
    },
};
use parking_lot::MutexGuard;
use std::{cell::Cell, sync::Arc, time::Duration};

/// How long one waits for another's build before asking whether to go on waiting.
const PATIENCE: Duration = Duration::from_millis(50);
impl Store {
    /// Builds every graph that is lacking now.
    pub(crate) fn index(&self, progress: &mut Progress<'_>) -> Result<()> {
        self.may_write()?;
        loop {
            let _building = self.wait_to_build(progress)?;
            let Some(lack) = graphs::lacking(&self.current(), &self.options).into_iter().next()
            else {
                return Ok(());
            };
            self.try_graph(&lack, progress)?;
        }
    }

    /// Builds the graph that is most worth while, unless somebody else is building; says how many
    /// vectors are in it. One that failed has to wait, so that it does not keep others waiting.
    pub(crate) fn index_next(&self, progress: &mut Progress<'_>) -> Result<Option<u64>> {
        self.may_write()?;
        let Some(_building) = self.building.try_lock() else { return Ok(None) };
        loop {
            let version = self.current();
            let lacking = graphs::lacking(&version, &self.options);
            self.forget_failures(&lacking);
            let next = lacking.into_iter().find(|lack| self.is_worthwhile(&version, lack));
            drop(version);
            let Some(lack) = next else { return Ok(None) };
            if self.try_graph(&lack, progress)? {
                return Ok(Some(lack.rows.into()));
            }
        }
    }

    /// What the last build of a graph that is still lacking failed with, or bringing one into memory.
    pub(crate) fn index_error(&self) -> Option<String> {
        let (builds, cold) = (self.failures.lock(), self.cold.lock());
        builds.values().chain(cold.values()).max_by_key(|f| f.since).map(|f| f.error.clone())
    }

    fn wait_to_build(&self, progress: &mut Progress<'_>) -> Result<MutexGuard<'_, ()>> {
        loop {
            match self.building.try_lock_for(PATIENCE) {
                Some(guard) => return Ok(guard),
                None => progress.begin(0)?,
            }
        }
    }

    fn forget_failures(&self, lacking: &[Lack]) {
        let still = |id: &(u64, u16)| lacking.iter().any(|l| (l.segment, l.space.id) == *id);
        self.failures.lock().retain(|id, _| still(id));
    }

    /// Not failed a moment ago, and not about to be merged away.
    fn is_worthwhile(&self, version: &Version, lack: &Lack) -> bool {
        let on_disk = version.parts.iter().filter(|part| !part.on_heap());
        let merged = self.next_merge(version).unwrap_or(0..0);
        let fleeting = |part: &crate::store::Part| part.segment.uid == lack.segment;
        let failures = self.failures.lock();
        let rests = failures.get(&(lack.segment, lack.space.id)).is_some_and(Failure::rests);
        !rests && !on_disk.skip(merged.start).take(merged.len()).any(fleeting)
    }

    /// Builds one graph and remembers a failure; `false` if it was no longer wanted.
    fn try_graph(&self, lack: &Lack, progress: &mut Progress<'_>) -> Result<bool> {
        Store::refuse_if_poisoned(&self.writer.lock())?;
        let id = (lack.segment, lack.space.id);
        let built = match self.build_graph(lack, progress) {
            Err(error) => Err(self.judge(&mut self.writer.lock(), error)),
            built => built,
        };
        let mut failures = self.failures.lock();
        match &built {
            Ok(_) => drop(failures.remove(&id)),
            Err(Error::Cancelled) => {}
            Err(error) => {
                let failure = Failure::again(failures.get(&id), error);
                failures.insert(id, failure);
            }
        }
        built
    }

    fn build_graph(&self, lack: &Lack, progress: &mut Progress<'_>) -> Result<bool> {
        if self.options.graphs == Graphs::Off {
            return Ok(false);
        }
        // Of the version, only this: the rest of it may go away during a build of an hour.
        let (segment, seed) = {
            let version = self.current();
            let Some(at) = graphs::place(&version, lack) else { return Ok(false) };
            let part = &version.parts[at];
            (part.segment.clone(), part.seeds.get(&lack.space.id).cloned())
        };
        let plan = Plan {
            segment: &segment,
            space: &lack.space,
            threads: self.options.build_threads,
            memory_bytes: self.options.memory_limit_bytes / 2,
            seed,
        };
        let gone = Cell::new(false);
        let mut watched = progress.watched(|| {
            gone.set(graphs::place(&self.current(), lack).is_none());
            !gone.get()
        });
        let mut pace = Pace::of(lack.rows, &self.options);
        let mut keep = |stage: &Stage<'_>, progress: &mut Progress<'_>| {
            self.keep_build((&segment, lack), stage, (&mut pace, progress))
        };
        let built = build::build(&plan, &mut keep, &mut watched);
        drop(plan);
        let graph = built.and_then(|built| self.publish_graph(&segment, lack, built, &mut watched));
        match graph {
            Err(Error::Cancelled) if gone.get() => Ok(false),
            graph => {
                let adopted = self.adopt_graph(lack, graph?);
                self.sweep();
                Ok(adopted)
            }
        }
    }

    /// Writes the file, not holding `chores`: it may be gigabytes.
    fn publish_graph(
        &self,
        segment: &Segment,
        lack: &Lack,
        built: Built,
        progress: &mut Progress<'_>,
    ) -> Result<Arc<Graph>> {
        let path = names::graph(segment.uid, lack.space.id);
        let missing = || Error::missing("graph", &path);
        let file = segment.file().ok_or_else(missing)?;
        let recipe = graphs::recipe(&lack.space);
        let from = (path.as_str(), recipe.as_str());
        origin::publish(&*self.dir, self.db, file, from, |sink| built.save(sink, progress))?;
        let rows = built.into_rows();
        let what = (segment, &lack.space);
        match graphs::adopt(&*self.dir, &self.mode, &self.db, what, false) {
            Ok(Some(graph)) => {
                if self.options.graphs == Graphs::Fast
                    && let Some(share) = self.heat_share(graph.row_bytes())
                {
                    return Ok(Arc::new(graph.with_rows(rows, Some(share))));
                }
                Ok(graph)
            }
            failed => {
                // No part knows of it, so no merge would remove it, nor what is erased with it.
                let _ = remove_if_there(&*self.dir, &path);
                failed.and(Err(missing()))
            }
        }
    }

    /// Swaps in a version whose part has the graph; without such a part, the file is of no use.
    fn adopt_graph(&self, lack: &Lack, graph: Arc<Graph>) -> bool {
        let _no_merge_is_going_on = self.chores.lock();
        let _writer = self.writer.lock();
        let now = self.current();
        let Some(at) = graphs::place(&now, lack) else {
            self.discard(names::graph(lack.segment, lack.space.id), None);
            return false;
        };
        let mut parts = now.parts.clone();
        Arc::make_mut(&mut parts[at].graphs).insert(lack.space.id, graph);
        let grown_from = parts[at].drop_seed(lack.space.id);
        grown_from.into_iter().for_each(|path| self.discard(path, None));
        self.swap(Version { parts, ..(*now).clone() });
        true
    }
}
