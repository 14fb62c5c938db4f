//! The structs of `bowerbird_ranker.h`, and a batch and a table as they say it. Only pointers are made
//! here; nobody follows one.

use crate::model::ranker::{batch::RankBatch, table::Table};
use std::{
    ffi::{c_char, c_int, c_void},
    ptr,
    sync::Arc,
};

pub(super) const ABI: u32 = 1;

#[repr(C)]
#[derive(Debug)]
pub(super) struct RawColumn {
    numbers: *const f32,
    present: *const u8,
    rows: u64,
    dim: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Debug)]
pub(super) struct RawTable {
    struct_size: u32,
    column_count: u32,
    id: u64,
    rows: u64,
    columns: *const RawColumn,
}

pub(super) type Cancelled = extern "C" fn(*const c_void) -> c_int;

#[repr(C)]
pub(super) struct RawBatch {
    struct_size: u32,
    requests: u32,
    candidates: u64,
    starts: *const u32,
    tasks: *const u32,
    context: *const RawColumn,
    context_count: u32,
    item_count: u32,
    items: *const RawColumn,
    table: *const RawTable,
    rows: *const u32,
    fresh: *const RawColumn,
    history: *const RawColumn,
    lived: *const u32,
    scalars: *const f32,
    scalar_count: u32,
    history_places: u32,
    cancelled: Cancelled,
    token: *const c_void,
}

pub(super) type Open = unsafe extern "C" fn(*const c_char, *mut c_char, usize) -> *mut c_void;
pub(super) type Rank =
    unsafe extern "C" fn(*mut c_void, *const RawBatch, *mut f32, *mut c_char, usize) -> c_int;
pub(super) type Hold =
    unsafe extern "C" fn(*mut c_void, *const RawTable, *mut c_char, usize) -> c_int;
pub(super) type Close = unsafe extern "C" fn(*mut c_void);
pub(super) type Entry = unsafe extern "C" fn(u32) -> *const RawRanker;

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct RawRanker {
    pub(super) struct_size: u32,
    pub(super) abi_version: u32,
    pub(super) name: *const c_char,
    pub(super) open: Option<Open>,
    pub(super) rank: Option<Rank>,
    pub(super) hold: Option<Hold>,
    pub(super) close: Option<Close>,
}

fn column((dim, numbers, present): (usize, &[f32], &[u8])) -> RawColumn {
    RawColumn {
        numbers: numbers.as_ptr(),
        present: present.as_ptr(),
        rows: present.len() as u64,
        dim: dim as u32,
        reserved: 0,
    }
}

/// A table as C reads it: it keeps everything that it points to.
#[derive(Debug)]
pub(super) struct Held {
    table: Arc<Table>,
    _columns: Vec<RawColumn>,
    raw: Box<RawTable>,
}

impl Held {
    pub(super) fn of(table: Arc<Table>) -> Held {
        let parts = |at| (table.dim(at), table.numbers(at), table.present(at));
        let columns: Vec<RawColumn> = (0..table.columns()).map(|at| column(parts(at))).collect();
        let raw = Box::new(RawTable {
            struct_size: size_of::<RawTable>() as u32,
            column_count: columns.len() as u32,
            id: table.id(),
            rows: table.len() as u64,
            columns: columns.as_ptr(),
        });
        Held { table, _columns: columns, raw }
    }

    pub(super) fn is(&self, table: &Arc<Table>) -> bool {
        self.table.id() == table.id()
    }

    pub(super) fn raw(&self) -> *const RawTable {
        &raw const *self.raw
    }
}

/// The columns of a batch as C reads them.
pub(super) struct Columns<'a> {
    batch: &'a RankBatch,
    context: Vec<RawColumn>,
    /// The candidates' own, or those that the table has not yet.
    items: Vec<RawColumn>,
    history: Option<RawColumn>,
    rows: Option<(Held, &'a [u32])>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batch: &'a RankBatch) -> Columns<'a> {
        let spaces = 0..batch.features().item_spaces().len();
        let own = |slot| batch.items(slot).or_else(|| batch.fresh(slot)).map(column);
        let history = batch.history.as_ref().map(|cells| column(cells.parts()));
        Columns {
            batch,
            context: (0..batch.features().context_len())
                .map(|s| column(batch.context(s)))
                .collect(),
            items: spaces.filter_map(own).collect(),
            history,
            rows: batch.rows().map(|(table, rows)| (Held::of(table.clone()), rows)),
        }
    }

    pub(super) fn batch(&self) -> &'a RankBatch {
        self.batch
    }

    /// Valid as long as `self` is; `cancelled` is given a pointer to the batch.
    pub(super) fn raw(&self, cancelled: Cancelled) -> RawBatch {
        let batch = self.batch;
        let (items, fresh) = match &self.rows {
            None => (self.items.as_ptr(), ptr::null()),
            Some(_) => (ptr::null(), self.items.as_ptr()),
        };
        let rows = self.rows.as_ref();
        let history = self.history.as_ref();
        RawBatch {
            struct_size: size_of::<RawBatch>() as u32,
            requests: batch.requests() as u32,
            candidates: batch.len() as u64,
            starts: batch.starts().as_ptr(),
            tasks: batch.tasks().as_ptr(),
            context: self.context.as_ptr(),
            context_count: self.context.len() as u32,
            item_count: self.items.len() as u32,
            items,
            table: rows.map_or(ptr::null(), |(held, _)| held.raw()),
            rows: rows.map_or(ptr::null(), |(_, rows)| rows.as_ptr()),
            fresh,
            history: history.map_or(ptr::null(), |column| &raw const *column),
            lived: batch.history().map_or(ptr::null(), |(_, _, lived)| lived.as_ptr()),
            scalars: batch.scalars().as_ptr(),
            scalar_count: batch.features().scalars().len() as u32,
            history_places: places(batch),
            cancelled,
            token: (&raw const *batch).cast(),
        }
    }
}

/// How many items of a history a request has places for.
fn places(batch: &RankBatch) -> u32 {
    batch.features().history.as_ref().map_or(0, |(_, places)| *places)
}
