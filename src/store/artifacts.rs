//! Publish, activate, roll back: artifacts change readers' answers in one replacement of the root.

use crate::{
    artifact::{self, Artifact, ArtifactRef, Provenance},
    error::{Error, Result},
    format::{
        envelope::{FileKind, Header},
        manifest::ArtifactEntry,
        names,
    },
    store::{Store, snapshot::Snapshot, version::Version},
};
use std::sync::Arc;

impl Store {
    /// Writes an artifact as the next version of its name; it is not active yet.
    pub(crate) fn publish<A: Artifact>(
        &self,
        name: &str,
        artifact: &A,
        from: Provenance,
    ) -> Result<u32> {
        artifact::check_name(name)?;
        self.chore(|| {
            let known = self.current().artifacts.clone();
            for (parent, version) in &from.parents {
                entry(&known, parent, *version)?;
            }
            let last = known.iter().filter(|a| a.name == name).map(|a| a.version).max();
            let version = last.unwrap_or(0) + 1;
            let (id, nonce) = (self.new_id(), self.dir.nonce()?);
            let header = Header::new(FileKind::Artifact, self.db, id, nonce);
            let path = names::artifact(name, version, id);
            let label = (name, version);
            let file = artifact::save(&*self.dir, &path, header, label, (artifact, &from))?;
            self.published(path);
            let (name, kind) = (name.to_owned(), A::KIND.to_owned());
            let (format, parents, active) = (A::FORMAT, from.parents, false);
            let entry = ArtifactEntry { name, version, kind, format, active, parents, file };
            self.change_artifacts(|artifacts| artifacts.push(entry))?;
            Ok(version)
        })
    }

    /// Makes these versions active, in one step, in place of those of the same names.
    pub(crate) fn activate(&self, wanted: &[(&str, u32)]) -> Result<()> {
        self.assign_wanted(wanted)?;
        self.chore(|| {
            let mut next = (*self.current().artifacts).clone();
            for (name, version) in wanted {
                entry(&next, name, *version)?;
                for a in next.iter_mut().filter(|a| a.name == *name) {
                    a.active = a.version == *version;
                }
            }
            check_parents(&next)?;
            self.change_artifacts(|artifacts| *artifacts = next)
        })
    }

    /// No version of a name is active any more.
    pub(crate) fn deactivate(&self, name: &str) -> Result<()> {
        self.chore(|| {
            let mut next = (*self.current().artifacts).clone();
            if !next.iter().any(|a| a.name == name) {
                return Err(Error::missing("artifact", name));
            }
            next.iter_mut().filter(|a| a.name == name).for_each(|a| a.active = false);
            check_parents(&next)?;
            self.change_artifacts(|artifacts| *artifacts = next)
        })
    }

    fn change_artifacts(&self, change: impl FnOnce(&mut Vec<ArtifactEntry>)) -> Result<()> {
        self.change_root(|root| {
            change(&mut root.artifacts);
            Ok(())
        })?;
        let artifacts = Arc::new(self.root.lock().artifacts.clone());
        let _writer = self.writer.lock();
        let now = self.current();
        self.swap(Version { artifacts, ..(*now).clone() });
        Ok(())
    }
}

pub(crate) fn entry<'a>(
    all: &'a [ArtifactEntry],
    name: &str,
    version: u32,
) -> Result<&'a ArtifactEntry> {
    let found = all.iter().find(|a| a.name == name && a.version == version);
    found.ok_or_else(|| Error::missing("artifact", format!("{name}@{version}")))
}

/// What is active was trained on what is active.
fn check_parents(all: &[ArtifactEntry]) -> Result<()> {
    for child in all.iter().filter(|a| a.active) {
        for (parent, version) in &child.parents {
            let active = all.iter().find(|a| a.name == *parent && a.active);
            if active.is_some_and(|a| a.version == *version) {
                continue;
            }
            let child = format!("{}@{}", child.name, child.version);
            let is = match active {
                Some(a) => format!("{parent}@{} is active", a.version),
                None => format!("no {parent} is active"),
            };
            let why = format!(
                "was trained on {parent}@{version}; {is}. Activate both at once, or deactivate it first."
            );
            return Err(Error::invalid(child, why));
        }
    }
    Ok(())
}

impl Snapshot {
    /// The active version of an artifact.
    ///
    /// # Errors
    /// `NotFound` if none is active, `Invalid` if it is of another kind, `Incompatible` if it was
    /// saved in another format, `Corrupt` or `Io` if its file cannot be read.
    pub fn artifact<A: Artifact>(&self, name: &str) -> Result<A> {
        let active = self.version.artifacts.iter().find(|a| a.name == name && a.active);
        self.open(active.ok_or_else(|| Error::missing("active artifact", name))?)
    }

    /// The active version of an artifact, opened once and kept.
    pub(crate) fn kept<A: Artifact>(&self, name: &str) -> Result<Arc<A>> {
        let active = self.version.artifacts.iter().find(|a| a.name == name && a.active);
        let entry = active.ok_or_else(|| Error::missing("active artifact", name))?;
        self.kept_version(entry)
    }

    /// A version of an artifact, opened once and kept.
    pub(crate) fn kept_version<A: Artifact>(&self, entry: &ArtifactEntry) -> Result<Arc<A>> {
        // Names and versions are never used twice, so what was opened is still right.
        let recipe = format!("{} {}@{}", A::KIND, entry.name, entry.version);
        // Not weighed: to open a model for each question is no answer.
        self.files.opened.get_weighed(&recipe, |_| 0, || self.open(entry))
    }

    /// A version of an artifact, active or not.
    pub fn artifact_version<A: Artifact>(&self, name: &str, version: u32) -> Result<A> {
        self.open(entry(&self.version.artifacts, name, version)?)
    }

    /// Where a version of an artifact came from.
    pub fn provenance(&self, name: &str, version: u32) -> Result<Provenance> {
        let entry = entry(&self.version.artifacts, name, version)?;
        let (files, label) = (&self.files, (name, version));
        let file = (&files.db, entry.file);
        Ok(artifact::open(&*files.dir, &entry.path(), file, label, &files.mode)?.1)
    }

    /// All artifacts, oldest first.
    pub fn artifacts(&self) -> Vec<ArtifactRef> {
        let list = |a: &ArtifactEntry| ArtifactRef {
            name: a.name.clone(),
            version: a.version,
            kind: a.kind.clone(),
            active: a.active,
            parents: a.parents.clone(),
        };
        self.version.artifacts.iter().map(list).collect()
    }

    fn open<A: Artifact>(&self, entry: &ArtifactEntry) -> Result<A> {
        if entry.kind != A::KIND {
            let what = format!("artifact {}@{}", entry.name, entry.version);
            return Err(Error::invalid(what, format!("is a {}, not a {}", entry.kind, A::KIND)));
        }
        if entry.format != A::FORMAT {
            let why = format!(
                "is format {} of {}; this version has {}.",
                entry.format,
                A::KIND,
                A::FORMAT
            );
            return Err(Error::Incompatible { path: entry.path().into(), why });
        }
        let (files, label) = (&self.files, (entry.name.as_str(), entry.version));
        let file = (&files.db, entry.file);
        let (opened, _) = artifact::open(&*files.dir, &entry.path(), file, label, &files.mode)?;
        A::open(&opened)
    }
}
