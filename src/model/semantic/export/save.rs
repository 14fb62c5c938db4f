//! A file of an export: whole or not there.

use crate::{
    error::{Error, Result},
    io::{Dir, Disk},
};
use std::path::Path;

/// Writes a file, durably, in place of one of the same name. A decoder that watches the folder never
/// sees a part of it: it is written under another name first.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::invalid(format!("path {}", path.display()), "does not end in the name of a file")
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let dir = Disk::at(folder.unwrap_or(Path::new(".")))?;
    let new = format!(".{name}.{:016x}", dir.nonce()?);
    let written = || {
        let mut file = dir.create(&new)?;
        file.append(bytes)?;
        file.sync()?;
        dir.rename(&new, name)?;
        dir.sync_folder("")
    };
    written().inspect_err(|_| drop(dir.remove(&new)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trie.safetensors");
        for bytes in [&b"old and longer"[..], b"new"] {
            write(&path, bytes).unwrap();
            let dir = Disk::at(folder.path()).unwrap();
            assert_eq!(dir.list("").unwrap(), ["trie.safetensors"]);
            let file = dir.open("trie.safetensors", true).unwrap();
            assert_eq!(file.bytes(), Some(bytes));
        }
        // A folder of that name cannot be replaced, and what was begun is taken away.
        Disk::create(folder.path().join("taken")).unwrap();
        assert!(write(&folder.path().join("taken"), b"x").is_err());
        assert_eq!(Disk::at(folder.path()).unwrap().list("").unwrap().len(), 2);
        assert!(write(Path::new("/no/such/folder/x"), b"x").is_err());
        assert!(write(Path::new(".."), b"x").is_err());
    }
}
