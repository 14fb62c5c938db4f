//! Commit: one thread at a time leads, and takes along everyone who waits.
//!
//! A commit joins the queue and then asks for the writer's lock. Whoever gets it drains the queue,
//! prepares the next version for each ticket, appends each to the WAL, syncs once, makes the last
//! version visible and answers everybody. What can fail without consequence (reading parts, building
//! segments) happens before the first byte is appended.

use crate::{
    defects::{self, Defect},
    error::{Error, Result},
    format::{batch::Op, codec},
    key::Seq,
    limits::{BATCH_OPS_MAX, FLUSH_BACKLOG_MAX, WAL_BYTES_MAX},
    options::Durability,
    store::{
        Store, Writer,
        apply::{self, Erased},
        encode,
        version::Version,
    },
};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// One waiting commit.
#[derive(Debug)]
pub(crate) struct Ticket {
    ops: Arc<Vec<Op>>,
    payload: Vec<u8>,
    answer: Mutex<Option<Result<Seq>>>,
}

impl Store {
    /// Commits a batch that was checked against a schema. An empty one changes nothing.
    pub(crate) fn commit(&self, ops: &Arc<Vec<Op>>) -> Result<Seq> {
        self.may_write()?;
        if ops.is_empty() {
            Store::refuse_if_poisoned(&self.writer.lock())?;
            return Ok(self.current().seq);
        }
        if ops.len() > BATCH_OPS_MAX {
            let why = format!("has {} operations; at most {BATCH_OPS_MAX}", ops.len());
            return Err(Error::invalid("batch", why));
        }
        let mut payload = Vec::new();
        codec::encode(&**ops, &mut payload).map_err(|why| Error::invalid("batch", why))?;
        self.make_room(payload.len() as u64)?;
        let (ops, answer) = (ops.clone(), Mutex::new(None));
        let ticket = Arc::new(Ticket { ops, payload, answer });
        self.queue.lock().push(ticket.clone());
        let mut writer = self.writer.lock();
        if let Some(answer) = ticket.answer.lock().take() {
            return answer;
        }
        let tickets = self.gather_tickets();
        self.lead(&mut writer, &tickets);
        drop(writer);
        // A leader answers every ticket it drained, and this one was among them.
        let answer = ticket.answer.lock().take();
        answer.unwrap_or(Err(Error::Cancelled))
    }

    /// Drains the queue; under `Group`, waits a little for company first.
    fn gather_tickets(&self) -> Vec<Arc<Ticket>> {
        if let Durability::Group { max_delay, max_ops } = self.options.durability {
            let until = Instant::now() + max_delay;
            let enough = || self.queue.lock().iter().map(|t| t.ops.len()).sum::<usize>() >= max_ops;
            while !enough() && Instant::now() < until {
                std::thread::sleep(Duration::from_micros(50).min(max_delay));
            }
        }
        std::mem::take(&mut *self.queue.lock())
    }

    /// Flushes before a batch that would not fit into memory otherwise.
    fn make_room(&self, batch: u64) -> Result<()> {
        let limit = self.options.memory_limit_bytes;
        // The batch, its heap segment, and a merge of it.
        let needed = || self.current().heap_bytes() + 3 * batch;
        let backlog = self.options.flush_bytes.saturating_mul(FLUSH_BACKLOG_MAX);
        if needed() > backlog.min(limit / 2) && self.current().heap_parts().next().is_some() {
            self.flush(&mut crate::progress::Progress::silent())?;
        }
        // What can be computed again makes room for what cannot.
        if needed() + self.held.kept() > limit {
            self.held.forget();
        }
        if needed() > limit {
            return Err(Error::MemoryLimit { what: "the batch", needed: needed(), limit });
        }
        Ok(())
    }

    fn lead(&self, writer: &mut Writer, tickets: &[Arc<Ticket>]) {
        let mut next = (*self.current()).clone();
        let mut answers: Vec<Result<Seq>> = Vec::with_capacity(tickets.len());
        for ticket in tickets {
            answers.push(self.append(writer, &mut next, ticket));
        }
        let synced = self.sync_as_promised(writer);
        if answers.iter().any(Result::is_ok) {
            match &synced {
                Ok(()) => {
                    self.assign_fresh(&next);
                    self.swap(next);
                }
                // Nobody may see what may not survive.
                Err(error) => {
                    answers.iter_mut().filter(|a| a.is_ok()).for_each(|a| *a = Err(error.clone()));
                }
            }
        }
        for (ticket, answer) in tickets.iter().zip(answers) {
            *ticket.answer.lock() = Some(answer);
        }
    }

    /// One ticket: the next version, then the WAL. `next` changes only if both succeed.
    fn append(&self, writer: &mut Writer, next: &mut Version, ticket: &Ticket) -> Result<Seq> {
        Store::refuse_if_poisoned(writer)?;
        let recheck =
            |op| encode::check(&next.schema, op).map_err(|why| Error::invalid("batch", why));
        ticket.ops.iter().try_for_each(recheck)?;
        check_fields(next, &ticket.ops)?;
        let wal_bytes = writer.wal.as_ref().map_or(0, |wal| wal.len) + ticket.payload.len() as u64;
        // With room for the frame of this record and the seal after it.
        if wal_bytes + 128 > WAL_BYTES_MAX {
            let (needed, limit) = (wal_bytes, WAL_BYTES_MAX);
            return Err(Error::MemoryLimit { what: "the WAL", needed, limit });
        }
        let (seq, uid) = (Seq(writer.next_lsn), || self.new_heap_uid());
        let mut after = apply::apply(next, &ticket.ops, seq, &uid)?;
        apply::tidy(&mut after, writer.frozen, &uid)?;
        if writer.wal.as_ref().is_none_or(|wal| wal.full) {
            self.rotate(writer)?;
        }
        let Some(wal) = &mut writer.wal else { return Err(Error::ReadOnly) };
        if let Err(error) = wal.append(seq.0, &ticket.payload) {
            if error.is_full() {
                let path = match error {
                    Error::Io { path, .. } => path,
                    _ => self.location(),
                };
                return Err(Error::NoSpace { path });
            }
            let cause = Store::poison(writer, error);
            return Err(Error::Indeterminate { cause });
        }
        writer.next_lsn += 1;
        writer.unsynced_since.get_or_insert_with(Instant::now);
        let erased = Erased::of(&ticket.ops);
        writer.erase_pending |= !erased.is_empty();
        writer.erased.absorb(erased);
        *next = after;
        Ok(seq)
    }

    /// Syncs if an `Ok` promises it, and notes in the WAL that it did.
    fn sync_as_promised(&self, writer: &mut Writer) -> Result<()> {
        if let Some(cause) = &writer.poison {
            return Err(Error::Indeterminate { cause: cause.clone() });
        }
        let now = match self.options.durability {
            Durability::Immediate | Durability::Group { .. } => true,
            Durability::Buffered { max_delay } => {
                writer.unsynced_since.is_some_and(|since| since.elapsed() >= max_delay)
            }
            Durability::None => false,
        };
        if !now || defects::on(Defect::AckBeforeSync) {
            return Ok(());
        }
        Store::sync_wal(writer)?;
        let Some(wal) = &mut writer.wal else { return Ok(()) };
        match wal.seal() {
            Err(error) if !error.is_full() => drop(Store::poison(writer, error)),
            // A full disk ends this file; what is in it is safe.
            _ => {}
        }
        Ok(())
    }
}

/// A field that was dropped since the batch was checked would be left out in silence.
fn check_fields(version: &Version, ops: &[Op]) -> Result<()> {
    for op in ops {
        let Op::Put(row) = op else { continue };
        let space = |id: &u16| version.schema.space_by_id(*id).is_some();
        let attr = |id: &u16| version.schema.attr_by_id(*id).is_some();
        let all =
            row.vectors.iter().all(|(id, _)| space(id)) && row.attrs.iter().all(|(id, _)| attr(id));
        if !all {
            let what = format!("item {}", row.key);
            return Err(Error::invalid(what, "has a field that was dropped meanwhile"));
        }
    }
    Ok(())
}
