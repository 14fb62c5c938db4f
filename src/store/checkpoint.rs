//! A consistent copy in another directory: hard links where possible, and a MANIFEST of its own.

use crate::{
    error::Result,
    format::names,
    io::Dir,
    progress::Progress,
    schema::Schema,
    store::{
        Store, recover, root,
        version::{Part, Version},
    },
};
use std::sync::Arc;

impl Store {
    /// Flushes, then makes `target`, an empty directory, a database of everything flushed.
    pub(crate) fn checkpoint(&self, target: &dyn Dir, progress: &mut Progress<'_>) -> Result<()> {
        recover::refuse_unless_new(target)?;
        self.may_write()?;
        // From the flush to the last copy: no file goes away, and no merge leaves out what a commit after
        // the flush has replaced, since what has replaced it is not copied.
        let chores = self.chores.lock();
        self.flush_within(&chores, &mut Progress::silent())?;
        let mut manifest = self.root.lock().clone();
        manifest.wals.clear();
        manifest.synced = manifest.flushed;
        for folder in names::FOLDERS {
            target.make_folder(folder)?;
        }
        target.sync_folder("")?;
        let files: Vec<String> = manifest.files().map(|(path, _)| path).collect();
        progress.begin(files.len() as u64)?;
        for path in files {
            self.dir.link_into(&path, target)?;
            progress.advance(1)?;
        }
        for folder in names::FOLDERS {
            target.sync_folder(folder)?;
        }
        // Last: until MANIFEST is there, the directory is no database.
        root::write(target, self.db, &manifest)
    }

    /// Changes the schema of a live database: later commits are checked against it.
    pub(crate) fn change_schema(
        &self,
        change: impl FnOnce(&mut Schema) -> Result<()>,
    ) -> Result<()> {
        self.chore(|| {
            let mut schema = (*self.current().schema).clone();
            change(&mut schema)?;
            schema.check()?;
            // No commit may come between the root and the version: it could use a field that the
            // root does not have yet.
            let _writer = self.writer.lock();
            self.change_root(|root| {
                root.schema = schema.clone();
                Ok(())
            })?;
            let now = self.current();
            let mut parts = now.parts.clone();
            let drop = |part: &mut Part| [part.drop_graphs(&schema), part.drop_words(&schema)];
            let dropped = parts.iter_mut().flat_map(drop).flatten();
            dropped.for_each(|path| self.discard(path, None));
            self.swap(Version { schema: Arc::new(schema), parts, ..(*now).clone() });
            Ok(())
        })
    }
}
