//! What of the graphs is in memory: never more than the limit allows, whoever brings it there.

use crate::{
    error::{Error, Result},
    io::{hot::Share, room},
    options::Graphs,
    progress::Progress,
    search::graph::Graph,
    store::{Part, Store, failure::Failure, version::Version},
};
use parking_lot::MutexGuard;
use std::{sync::Arc, time::Duration};

/// How long one waits for another who heats before asking whether to go on waiting.
const PATIENCE: Duration = Duration::from_millis(50);

impl Store {
    /// Brings what is read most of one graph into memory, if that is searched often or `all` are meant, and
    /// the limit leaves room; says how many bytes it is.
    ///
    /// For all, it waits for another who does the same, and fails with what fails. Otherwise it leaves the
    /// work to the other, and a graph that failed has to wait, so that it does not keep others waiting.
    pub(crate) fn heat_next(&self, all: bool, progress: &mut Progress<'_>) -> Result<Option<u64>> {
        let Some(_heating) = self.may_heat(all, progress)? else { return Ok(None) };
        let version = self.current();
        self.forget_cold(&version);
        for part in &version.parts {
            for (space, graph) in part.graphs.iter().filter(|(_, graph)| all || graph.is_busy()) {
                let id = (part.segment.uid, *space);
                if !all && self.cold.lock().get(&id).is_some_and(Failure::rests) {
                    continue;
                }
                match self.heat(part, graph, (*space, &version, progress)) {
                    Ok(None) => {}
                    Ok(Some(bytes)) => {
                        self.cold.lock().remove(&id);
                        return Ok(Some(bytes));
                    }
                    Err(Error::Cancelled) => return Err(Error::Cancelled),
                    Err(error) => {
                        let mut cold = self.cold.lock();
                        let failure = Failure::again(cold.get(&id), &error);
                        cold.insert(id, failure);
                        return Err(error);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Heats one graph a little, if that is worth while and there is room.
    fn heat(
        &self,
        part: &Part,
        graph: &Graph,
        (space, version, progress): (u16, &Version, &mut Progress<'_>),
    ) -> Result<Option<u64>> {
        let go_on = &mut || progress.begin(0);
        if !graph.has_signs()
            && let Some(share) = self.heat_share(graph.sign_bytes())
        {
            graph.copy_signs(Some(share), go_on)?;
            return Ok(Some(graph.sign_bytes()));
        }
        let space = version.schema.spaces().iter().find(|known| known.id == space);
        let wanted = self.options.graphs == Graphs::Fast && !graph.has_rows();
        if let Some(space) = space.filter(|_| wanted)
            && let Some(share) = self.heat_share(graph.row_bytes())
            && let Some(_beside) = self.heat_share(graph.making_bytes())
        {
            let how = (self.options.build_threads, Some(share));
            let warm = graph.warmed((&*part.segment, space), how, go_on)?;
            self.exchange(part.segment.uid, space.id, warm);
            return Ok(Some(graph.row_bytes()));
        }
        Ok(None)
    }

    /// Swaps in a version with the warm graph, unless its part is gone. Snapshots that there are keep the cold
    /// one, so that they answer as they did.
    fn exchange(&self, segment: u64, space: u16, warm: Graph) {
        // Versions are made by a writer, or by a reader that reads on.
        let _reader = self.read_only.then(|| self.tail.lock());
        let _writer = (!self.read_only).then(|| self.writer.lock());
        let now = self.current();
        let mut parts = now.parts.clone();
        let Some(part) = parts.iter_mut().find(|part| part.segment.uid == segment) else { return };
        if part.graphs.contains_key(&space) {
            Arc::make_mut(&mut part.graphs).insert(space, Arc::new(warm));
            // Not `swap`: what was computed from the data is as true of it as before.
            *self.current.write() = Arc::new(Version { parts, ..(*now).clone() });
        }
    }

    /// That many bytes of what graphs may take, if there is room beside what all of them have, those of older
    /// versions too: half of the memory limit.
    pub(crate) fn heat_share(&self, bytes: u64) -> Option<Share> {
        // What only makes things faster must not be what a container is ended for.
        let machine = room::memory_bytes().map_or(u64::MAX, |bytes| bytes / 4);
        self.heat.take(bytes, (self.options.memory_limit_bytes / 2).min(machine))
    }

    fn may_heat(
        &self,
        wait: bool,
        progress: &mut Progress<'_>,
    ) -> Result<Option<MutexGuard<'_, ()>>> {
        loop {
            match self.heating.try_lock_for(if wait { PATIENCE } else { Duration::ZERO }) {
                None if wait => progress.begin(0)?,
                guard => return Ok(guard),
            }
        }
    }

    fn forget_cold(&self, version: &Version) {
        let here = |segment: u64| version.parts.iter().any(|part| part.segment.uid == segment);
        self.cold.lock().retain(|(segment, _), _| here(*segment));
    }
}
