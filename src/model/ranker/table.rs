//! Table: the vectors of all items of a snapshot in some spaces, for rankers that keep them at hand.

use super::cells::Cells;
use crate::{
    error::{Error, Result},
    key::{Addr, Row},
    recommend::{disk_parts, prefix},
    store::{
        Snapshot,
        weight::{Weight, block},
    },
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The item-side vectors of one version of a database, dense: what a device uploads once, so that a
/// request sends numbers of rows and no vectors.
///
/// ```
/// use bowerbird::{*, model::ranker::Table};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().space("text", 2, Metric::Dot))?;
/// db.batch().put(Item::new(1u64).vector("text", [1.0, 2.0])).put(Item::new(2u64)).commit()?;
/// let table = Table::of(&db.snapshot(), &["text"])?;
/// assert_eq!((table.len(), table.dim(0)), (2, 2));
/// assert_eq!(table.present(0).iter().filter(|there| **there == 1).count(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Table {
    id: u64,
    columns: Vec<Cells>,
    /// The first row of each part of the snapshot.
    starts: Vec<u32>,
    rows: u32,
}

/// Tables are told apart by number, so that a device knows which it has.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl Weight for Table {
    fn weight(&self) -> u64 {
        self.columns.iter().map(Cells::weight).sum::<u64>() + block(&self.starts)
    }
}

impl Table {
    /// Of all rows of a snapshot, dead ones among them: rows keep their numbers.
    pub fn of(snapshot: &Snapshot, spaces: &[&str]) -> Result<Table> {
        Table::of_parts(snapshot, snapshot.version.parts.len(), spaces)
    }

    fn of_parts(snapshot: &Snapshot, count: usize, spaces: &[&str]) -> Result<Table> {
        let parts = &snapshot.version.parts[..count];
        let (mut starts, mut rows) = (Vec::with_capacity(parts.len()), 0u32);
        for part in parts {
            starts.push(rows);
            rows = rows.saturating_add(part.segment.rows());
        }
        let mut columns = Vec::with_capacity(spaces.len());
        let mut vector = Vec::new();
        for space in spaces {
            let space = snapshot.space(space)?;
            let mut cells = Cells::new(space.dim as usize);
            for part in parts {
                for row in 0..part.segment.rows() {
                    vector.clear();
                    let there = part.segment.vector(row, &space, &mut vector)?;
                    cells.push(there.then_some(&vector[..]));
                }
            }
            columns.push(cells);
        }
        Ok(Table { id: NEXT.fetch_add(1, Ordering::Relaxed), columns, starts, rows })
    }

    /// That of the parts of a snapshot that are on disk, made once for them: what is written after is not
    /// in it until it is flushed. `None` if nothing is on disk, if it is not there and not to be made, or if
    /// the memory limit has no room for it: then it is not made again for these parts.
    pub(crate) fn kept(
        snapshot: &Snapshot,
        spaces: &[String],
        make: bool,
    ) -> Result<Option<Arc<Table>>> {
        let version = &snapshot.version;
        let on_disk = disk_parts(version);
        let Some(last) = version.parts[..on_disk].last() else { return Ok(None) };
        let names: Vec<&str> = spaces.iter().map(String::as_str).collect();
        // A space of the same name may be another one by now: numbers are never used twice.
        let number = |name: &&str| Ok(snapshot.space(name)?.id);
        let numbers = names.iter().map(number).collect::<Result<Vec<u16>>>()?;
        let recipe = format!("ranker table {numbers:?} {}", prefix(version, on_disk));
        let no_room = format!("no room for {recipe}");
        if let Some(kept) = last.memo.find(&recipe) {
            return Ok(Some(kept));
        }
        if !make || last.memo.find::<()>(&no_room).is_some() {
            return Ok(None);
        }
        let made = last.memo.get(&recipe, || Table::of_parts(snapshot, on_disk, &names))?;
        // Who has it keeps it where it is kept; if it is not there, it will not be there for anybody.
        let kept = last.memo.find(&recipe);
        drop(made);
        if kept.is_none() {
            last.memo.get_weighed(&no_room, |()| 0, || Ok::<(), Error>(()))?;
        }
        Ok(kept)
    }

    /// Its number: another table has another.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows as usize
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// How many columns it has: one for each space.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// How many numbers a vector of a column has.
    pub fn dim(&self, column: usize) -> usize {
        self.columns[column].dim
    }

    /// The numbers of a column, row by row; zeros where a vector is missing.
    pub fn numbers(&self, column: usize) -> &[f32] {
        self.columns[column].numbers()
    }

    /// For each row of a column, 1 if its vector is there and 0 if it is missing.
    pub fn present(&self, column: usize) -> &[u8] {
        self.columns[column].present()
    }

    /// A vector; `None` if it is missing.
    pub(crate) fn vector(&self, column: usize, row: usize) -> Option<&[f32]> {
        self.columns[column].vector(row)
    }

    /// The row of an item; `None` if its part is not in the table.
    pub(crate) fn row(&self, addr: Addr) -> Option<u32> {
        let Addr { part, row: Row(row) } = addr;
        self.starts.get(part as usize).map(|start| start + row)
    }
}
