//! Operations to the next version: what a commit does, and what replay does again.

use crate::{
    defects::{self, Defect},
    error::Result,
    format::batch::{EventRow, Op, Row},
    key::{Key, Seq, UserId},
    limits::HEAP_MERGE_BYTES,
    progress::Progress,
    segment::{Segment, build, dead::Dead, merge, source::Source},
    store::{
        semantic,
        version::{Part, Version},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a batch comes to: for each key its last word, the events that stay, what is erased.
#[derive(Default)]
struct Outcome<'a> {
    rows: BTreeMap<&'a Key, Option<&'a Row>>,
    events: Vec<&'a EventRow>,
    erased: Erased,
}

/// Users and items to be forgotten.
#[derive(Clone, Debug, Default)]
pub(crate) struct Erased {
    pub(crate) users: BTreeSet<UserId>,
    pub(crate) items: BTreeSet<Key>,
}

impl Erased {
    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.items.is_empty()
    }

    /// Of a batch.
    pub(crate) fn of(ops: &[Op]) -> Erased {
        let mut erased = Erased::default();
        for op in ops {
            match op {
                Op::EraseUser(user) => drop(erased.users.insert(*user)),
                Op::EraseItem(key) => drop(erased.items.insert(key.clone())),
                _ => {}
            }
        }
        erased
    }

    pub(crate) fn absorb(&mut self, other: Erased) {
        self.users.extend(other.users);
        self.items.extend(other.items);
    }
}

fn fold(ops: &[Op]) -> Outcome<'_> {
    let mut outcome = Outcome { erased: Erased::of(ops), ..Outcome::default() };
    // Where each user and item is erased last: events of the batch before that are forgotten with the
    // rest, later ones stay.
    let (mut users, mut items) = (BTreeMap::new(), BTreeMap::new());
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Put(row) => drop(outcome.rows.insert(&row.key, Some(row))),
            Op::Delete(key) => drop(outcome.rows.insert(key, None)),
            Op::Event(_) => {}
            Op::EraseUser(user) => drop(users.insert(*user, at)),
            Op::EraseItem(key) => {
                outcome.rows.insert(key, None);
                items.insert(key, at);
            }
        }
    }
    for (at, op) in ops.iter().enumerate() {
        let Op::Event(event) = op else { continue };
        let erased = users.get(&event.user).max(items.get(&event.item));
        if erased.is_none_or(|erased| *erased < at) {
            outcome.events.push(event);
        }
    }
    outcome
}

/// The version after a batch. Fails only where a part on disk cannot be read.
pub(crate) fn apply(
    version: &Version,
    ops: &[Op],
    seq: Seq,
    new_uid: &dyn Fn() -> u64,
) -> Result<Version> {
    let outcome = fold(ops);
    let mut next = version.clone();
    next.seq = seq;
    for part in &mut next.parts {
        let killed = kill(part, outcome.rows.keys().copied(), &outcome.erased)?;
        if let Some(killed) = killed {
            *part = killed;
        }
    }
    next.erasures += u64::from(!outcome.erased.is_empty());
    let rows: Vec<&Row> = outcome.rows.values().filter_map(|row| *row).collect();
    if !rows.is_empty() || !outcome.events.is_empty() {
        let rows =
            if defects::on(Defect::PartialBatchVisible) { &rows[..rows.len() / 2] } else { &rows };
        let segment = build::fresh(&next.schema, (rows, &outcome.events), seq, new_uid())?;
        next.parts.push(Part::new(Arc::new(segment), Dead::default()));
    }
    Ok(next)
}

/// The part without the rows of `keys` and without what is erased; `None` if nothing changes.
pub(crate) fn kill<'k>(
    part: &Part,
    keys: impl Iterator<Item = &'k Key>,
    erased: &Erased,
) -> Result<Option<Part>> {
    let mut dead: Option<Dead> = None;
    let mut erasing = false;
    if !defects::on(Defect::ReplacedRowStaysAlive) {
        for key in keys {
            let Some(row) = part.segment.find(key)? else { continue };
            if !part.dead.rows.contains(row) {
                dead.get_or_insert_with(|| (*part.dead).clone()).rows.insert(row);
            }
            // The row of an erased item may be dead already; its bytes are still there.
            erasing |= erased.items.contains(key);
        }
    }
    for user in &erased.users {
        if defects::on(Defect::EraseLeavesEvents) {
            break;
        }
        let Some(events) = part.segment.events()? else { break };
        let range = events.of_user(*user)?;
        if !range.is_empty() {
            let dead = dead.get_or_insert_with(|| (*part.dead).clone());
            dead.events.insert_range(range);
            erasing = true;
        }
    }
    let positions = part.events_of_all(&erased.items)?;
    if !positions.is_empty() {
        dead.get_or_insert_with(|| (*part.dead).clone()).events |= positions;
        erasing = true;
    }
    if dead.is_none() && !erasing {
        return Ok(None);
    }
    let dead = dead.unwrap_or_else(|| (*part.dead).clone());
    Ok(Some(part.with_dead(dead, erasing)))
}

/// Merges the newest heap parts while the last is at least half its neighbour and both are small, so
/// that their number stays logarithmic. Parts before `frozen` are being flushed and stay.
pub(crate) fn tidy(version: &mut Version, frozen: usize, new_uid: &dyn Fn() -> u64) -> Result<()> {
    while let [.., older, newer] = &version.parts[frozen.min(version.parts.len())..] {
        let small = older.on_heap() && newer.segment.bytes() < HEAP_MERGE_BYTES;
        if !small || newer.segment.bytes() * 2 < older.segment.bytes() {
            break;
        }
        let merged = merge_on_heap(version, &[older, newer], new_uid)?;
        let from = version.parts.len() - 2;
        version.parts.splice(from.., merged);
    }
    Ok(())
}

fn merge_on_heap(
    version: &Version,
    parts: &[&Part],
    new_uid: &dyn Fn() -> u64,
) -> Result<Option<Part>> {
    let sources = sources(parts);
    let plan = merge::plan(&sources, &mut Progress::silent())?;
    if plan.rows.is_empty() && plan.events.is_empty() {
        return Ok(None);
    }
    let mut sink = crate::format::sink::Sink::heap();
    let seqs = seqs(parts.iter().copied());
    merge::write(&version.schema, &sources, &plan, seqs, (&mut sink, &mut Progress::silent()))?;
    let segment = Segment::open(sink.into_heap()?, new_uid())?;
    let part = Part::new(Arc::new(segment), Dead::default());
    semantic::carry(&part, parts, &plan.rows);
    Ok(Some(part))
}

/// Parts as sources of a merge.
pub(crate) fn sources<'p>(parts: &[&'p Part]) -> Vec<Source<'p>> {
    parts.iter().map(|part| Source::Part { segment: &part.segment, dead: &part.dead }).collect()
}

/// The first and last commit in some parts.
pub(crate) fn seqs<'p>(parts: impl Iterator<Item = &'p Part>) -> (u64, u64) {
    parts.fold((u64::MAX, 0), |(first, last), part| {
        let meta = &part.segment.meta;
        (first.min(meta.first_seq), last.max(meta.last_seq))
    })
}
