//! Every call of the operating system fails, once and forever, in every way it can.

use crate::{
    crash::{Blob, Step, codebook, model, options, workloads},
    oracle::{State, Write, commit, schema},
};
use bowerbird::{
    io::fault::{Failure, Fault},
    *,
};
use std::{collections::BTreeMap, sync::Arc};

const FAILURES: [Failure; 10] = [
    Failure::Eio,
    Failure::EioAfter,
    Failure::Enospc,
    Failure::Edquot,
    Failure::Emfile,
    Failure::Eacces,
    Failure::ShortWrite(1),
    Failure::ShortWriteFull(20),
    Failure::SyncDropsPages,
    Failure::SyncKeepsPages,
];

/// What is known of a database while calls fail.
#[derive(Default)]
struct Ledger {
    /// The states that may be found, by commit.
    states: BTreeMap<u64, State>,
    /// The last acknowledged commit.
    acked: u64,
    /// A batch of which nobody knows, as the commit after the last.
    maybe: Option<State>,
    poisoned: bool,
    created: bool,
}

impl Ledger {
    fn state(&self) -> &State {
        &self.states[&self.acked]
    }

    /// Runs a step and checks what its outcome promises (A2, A3).
    fn step(&mut self, db: &Db, step: &Step, place: &str) {
        let done = match step {
            Step::Commit(batch) => return self.commit(db, batch, place),
            Step::Flush => db.flush().map(drop),
            Step::Compact => db.compact(),
            Step::Maintain => db.maintain().map(drop),
            Step::Index => db.index(),
            Step::Sync => db.sync(),
            Step::AddAttr => db.add_attr("more", AttrType::Bool),
            Step::Publish => db.publish("blob", &Blob(vec![7]), Provenance::default()).map(drop),
            Step::Train => {
                let learned = model(&db.snapshot(), 1);
                let done = db.publish("next", &learned, learned.provenance(db.snapshot().seq()));
                done.and_then(|version| db.activate("next", version))
            }
            // Every trial ends with a reopening.
            Step::Code => {
                let done = db.publish("sid", &codebook(1), Provenance::default());
                done.and_then(|version| db.activate("sid", version))
            }
            Step::Reopen => Ok(()),
        };
        self.judge(done.err(), place);
    }

    fn commit(&mut self, db: &Db, batch: &[Write], place: &str) {
        let mut after = self.state().clone();
        after.apply(batch);
        match commit(db, batch) {
            Ok(seq) => {
                assert!(!self.poisoned, "{place}: a poisoned writer has written");
                assert_eq!(seq.0, self.acked + 1, "{place}");
                self.acked = seq.0;
                self.states.insert(seq.0, after);
            }
            Err(error) => {
                if matches!(error, Error::Indeterminate { .. }) {
                    self.maybe = Some(after);
                }
                self.judge(Some(error), place);
            }
        }
    }

    fn judge(&mut self, error: Option<Error>, place: &str) {
        match error {
            None => {}
            Some(Error::Indeterminate { .. }) => {
                assert!(!self.poisoned, "{place}: indeterminate twice");
                self.poisoned = true;
            }
            // Perhaps by the note in the WAL that follows a commit that was acknowledged.
            Some(Error::Poisoned { .. }) => self.poisoned = true,
            // Rejected: no effect, and the handle goes on.
            Some(Error::Io { .. } | Error::NoSpace { .. } | Error::Exists { .. }) => {}
            // A schema that was changed already.
            Some(Error::Invalid { .. }) => {}
            Some(error) => panic!("{place}: {error:?}"),
        }
    }
}

fn trial(steps: &[Step], (call, failure, forever): (u64, Failure, bool), place: &str) {
    let (dir, mut ledger) = (Fault::new(), Ledger::default());
    ledger.states.insert(0, State::default());
    dir.fail_at(call, failure, forever);
    let made = Db::create_in(Arc::new(dir.clone()), schema(), options(Durability::Immediate));
    if let Ok(db) = made {
        ledger.created = true;
        for step in steps {
            ledger.step(&db, step, place);
            // What was published can be read, whatever happens to writes.
            if let Ok(found) = State::read(&db.snapshot()) {
                assert_eq!(&found, ledger.state(), "{place}: what readers see");
            }
        }
        dir.heal();
        let found = State::read(&db.snapshot()).unwrap_or_else(|e| panic!("{place}: healed: {e}"));
        assert_eq!(&found, ledger.state(), "{place}: what readers see after healing");
        // A writer that was not poisoned goes on; one that was does not.
        ledger.step(&db, &Step::Commit(vec![last()]), place);
        let wrote = ledger.state().items.contains_key(&77);
        assert_eq!(wrote, !ledger.poisoned, "{place}: writing on");
    }
    dir.heal();
    reopen(&dir, &ledger, place);
    // And the same if the power fails now.
    dir.survivors(call, 2).iter().for_each(|image| reopen(image, &ledger, place));
}

fn last() -> Write {
    Write::Put { key: 77, number: 1, tags: vec![], vector: None }
}

fn reopen(dir: &Fault, ledger: &Ledger, place: &str) {
    let dir = dir.fork();
    let db = match Db::open_in(Arc::new(dir.clone()), options(Durability::Immediate)) {
        Ok(db) => db,
        Err(Error::NotFound { .. }) if !ledger.created => return,
        Err(error) => panic!("{place}: reopening: {error}"),
    };
    let (seq, found) = (db.snapshot().seq().0, State::read(&db.snapshot()).unwrap());
    if seq == ledger.acked {
        assert_eq!(&found, ledger.state(), "{place}: after reopening");
    } else {
        assert_eq!(seq, ledger.acked + 1, "{place}: commits after reopening");
        assert_eq!(Some(&found), ledger.maybe.as_ref(), "{place}: the batch nobody knew of");
    }
    commit(&db, &[last()]).unwrap_or_else(|e| panic!("{place}: writing after reopening: {e}"));
    db.close().unwrap_or_else(|e| panic!("{place}: closing: {e}"));
}

/// Goal: a failed call is answered with the right error, nothing is lost, nothing is half-done.
/// Method: for every workload and every call it makes, fail that call in ten ways, once and from then
/// on; check every answer; then heal, write on, reopen, and cut the power.
// checks: A1 A2 A3 D1 D6
#[test]
fn every_call_may_fail_in_every_way() {
    let trials: usize = workloads().iter().map(|(name, _)| fail_every_call(name, &FAILURES)).sum();
    println!("{trials} failures");
    assert!(trials >= 5_000, "only {trials}");
}

/// Fails every call of one workload in these ways; says how many trials that was.
pub fn fail_every_call(workload: &str, failures: &[Failure]) -> usize {
    let found = workloads().into_iter().find(|(name, _)| *name == workload);
    let (name, steps) = found.expect("a workload of that name");
    let whole = Fault::new();
    let made = Db::create_in(Arc::new(whole.clone()), schema(), options(Durability::Immediate));
    let (db, mut ledger) = (made.unwrap(), Ledger::default());
    ledger.states.insert(0, State::default());
    steps.iter().for_each(|step| ledger.step(&db, step, name));
    drop(db);
    let mut trials = 0;
    for call in 0..whole.all_calls() {
        for failure in failures {
            for forever in [false, true] {
                let place = format!("{name}, call {call}, {failure:?}, forever: {forever}");
                trial(&steps, (call, *failure, forever), &place);
                trials += 1;
            }
        }
    }
    trials
}
