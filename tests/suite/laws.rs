//! The database against maps and lists: the same writes, the same questions, the same answers.

use crate::{
    crash::options,
    oracle::{Dice, State, Thing, commit, schema},
};
use bowerbird::{io::fault::Fault, *};
use std::{collections::BTreeMap, sync::Arc};

/// One database under test, what it should hold, and what was held on to.
struct Subject {
    dir: Fault,
    db: Db,
    reader: Db,
    state: State,
    held: Vec<(Snapshot, State)>,
    durability: Durability,
    io: IoMode,
}

impl Subject {
    fn new(dice: &mut Dice) -> Subject {
        let durability = match dice.roll(3) {
            0 => Durability::Immediate,
            1 => Durability::Buffered { max_delay: ms(0) },
            _ => Durability::None,
        };
        let io = if dice.roll(2) == 0 { IoMode::Mmap } else { IoMode::Pread };
        let dir = Fault::new();
        let options = options(durability).io_mode(io);
        let db = Db::create_in(Arc::new(dir.clone()), schema(), options.clone()).unwrap();
        let reader = Db::open_read_only_in(Arc::new(dir.clone()), options).unwrap();
        Subject { dir, db, reader, state: State::default(), held: Vec::new(), durability, io }
    }

    fn options(&self) -> Options {
        options(self.durability).io_mode(self.io)
    }

    /// One random step; says how many operations it was.
    fn step(&mut self, dice: &mut Dice) -> usize {
        match dice.roll(100) {
            0..=79 => {
                let batch = dice.batch(6);
                commit(&self.db, &batch).unwrap();
                self.state.apply(&batch);
                return batch.len();
            }
            80..=84 => drop(self.db.flush().unwrap()),
            85..=86 => self.db.compact().unwrap(),
            87..=90 => drop(self.db.maintain().unwrap()),
            91..=92 => self.reopen(dice),
            93 => self.crash(dice),
            94..=95 => self.hold(dice),
            96 => {
                self.reader.refresh().unwrap();
                let seen = State::read(&self.reader.snapshot()).unwrap();
                assert_eq!(seen, self.state, "a reader that has refreshed");
            }
            _ => self.ask(dice),
        }
        1
    }

    fn reopen(&mut self, dice: &mut Dice) {
        if dice.roll(2) == 0 {
            self.db.clone().close().unwrap();
        }
        // Whatever the durability, nothing is lost when only the process ends.
        let elsewhere = Db::in_memory(Schema::new()).unwrap();
        drop(std::mem::replace(&mut self.db, elsewhere));
        self.db = Db::open_in(Arc::new(self.dir.clone()), self.options()).unwrap();
    }

    /// The power goes; what is left must be what a sync has made sure of.
    fn crash(&mut self, dice: &mut Dice) {
        self.db.sync().unwrap();
        let images = self.dir.survivors(dice.0, 4);
        self.dir = images[dice.roll(images.len() as u64) as usize].fork();
        self.held.clear();
        self.db = Db::open_in(Arc::new(self.dir.clone()), self.options()).unwrap();
        self.reader = Db::open_read_only_in(Arc::new(self.dir.clone()), self.options()).unwrap();
    }

    fn hold(&mut self, dice: &mut Dice) {
        self.held.push((self.db.snapshot(), self.state.clone()));
        if self.held.len() > 4 {
            let (snapshot, then) = self.held.swap_remove(dice.roll(4) as usize);
            assert_eq!(State::read(&snapshot).unwrap(), then, "a snapshot has changed");
        }
    }

    /// Compares everything that can be read, and some questions.
    fn ask(&self, dice: &mut Dice) {
        let snapshot = self.db.snapshot();
        assert_eq!(State::read(&snapshot).unwrap(), self.state);
        for _ in 0..4 {
            let (filter, plain) = filter(dice, 3);
            let allowed: Vec<u64> =
                self.state.items.iter().filter(|(_, t)| plain(t)).map(|(key, _)| *key).collect();
            let keys = snapshot.keys(&filter, 1000).unwrap();
            assert_eq!(keys, allowed.iter().map(|k| Key::Id(*k)).collect::<Vec<_>>(), "{filter:?}");
            self.search(dice, &snapshot, &filter, &allowed);
        }
        self.history(dice, &snapshot);
    }

    /// Exact search, whole, in pages and grouped, against sorting everything.
    fn search(&self, dice: &mut Dice, snapshot: &Snapshot, filter: &Where, allowed: &[u64]) {
        let query = [dice.roll(7) as f32 - 3.0, dice.roll(7) as f32 - 3.0];
        let mut all: Vec<(f32, u64)> = Vec::new();
        for key in allowed {
            let Some(v) = self.state.items[key].2 else { continue };
            let v = v.map(f32::from_bits);
            // Adding zero makes one zero of two.
            all.push((v[0] * query[0] + v[1] * query[1] + 0.0, *key));
        }
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let limit = 1 + dice.roll(8) as usize;
        let near = || snapshot.near("v", &query).filter(filter.clone()).limit(limit);
        let plain = |hits: &[Hit]| -> Vec<(f32, u64)> {
            let id = |hit: &Hit| match hit.key {
                Key::Id(id) => (hit.score + 0.0, id),
                Key::Name(_) => panic!("a name"),
            };
            hits.iter().map(id).collect()
        };
        let hits = near().threads(1 + dice.roll(3) as usize).run().unwrap();
        assert_eq!(plain(&hits), all[..limit.min(all.len())]);
        let (mut paged, mut cursor) = (Vec::new(), None);
        loop {
            let page = near().page(cursor.as_ref()).unwrap();
            paged.extend(plain(&page.hits));
            let Some(next) = page.next else { break };
            cursor = Some(next);
        }
        assert_eq!(paged, all, "pages of {limit}");
        self.grouped(near().group_by("tags", 1), &all, limit);
    }

    fn grouped(&self, near: Near<'_>, all: &[(f32, u64)], limit: usize) {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut expected = Vec::new();
        for (_, key) in all {
            let tags = &self.state.items[key].1;
            if tags.iter().all(|tag| !seen.contains_key(tag.as_str())) {
                seen.extend(tags.iter().map(|tag| (tag.as_str(), 1)));
                expected.push(Key::Id(*key));
            }
        }
        expected.truncate(limit);
        let hits = near.run().unwrap();
        assert_eq!(hits.iter().map(|hit| hit.key.clone()).collect::<Vec<_>>(), expected);
    }

    /// Both clocks, windows and limits, against filtering the list.
    fn history(&self, dice: &mut Dice, snapshot: &Snapshot) {
        let (user, as_of) = (dice.roll(6), dice.roll(70) as i64);
        let (window, limit) = (dice.roll(60), 1 + dice.roll(5) as usize);
        let query = HistoryQuery::default().as_of(Timestamp(as_of)).window(ms(window)).limit(limit);
        let found = snapshot.history(UserId(user), &query).unwrap().deeds;
        let all = self.state.events.get(&user).cloned().unwrap_or_default();
        let after = as_of - window as i64;
        let known = |e: &&(u64, i64, i64, Option<u32>)| e.1 <= as_of && e.2 <= as_of && e.1 > after;
        let mut expected: Vec<_> = all.iter().filter(known).map(|e| (e.0, e.1, e.2)).collect();
        expected.drain(..expected.len().saturating_sub(limit));
        let plain = |deed: &Deed| match deed.item {
            Key::Id(id) => (id, deed.at.0, deed.recorded.0),
            Key::Name(_) => panic!("a name"),
        };
        assert_eq!(found.iter().map(plain).collect::<Vec<_>>(), expected, "{query:?}");
        let item = dice.roll(24);
        let mut about: Vec<(u64, i64, i64)> = Vec::new();
        for (user, list) in &self.state.events {
            about.extend(list.iter().filter(|e| e.0 == item).map(|e| (*user, e.1, e.2)));
        }
        let found = snapshot.item_history(&Key::Id(item), Timestamp::MAX, 100_000).unwrap();
        let mut found: Vec<_> = found.iter().map(|i| (i.user.0, i.at.0, i.recorded.0)).collect();
        found.sort();
        about.sort();
        assert_eq!(found, about, "events about item {item}");
    }
}

type Plain = Box<dyn Fn(&Thing) -> bool>;

/// A random filter and the same as a function.
fn filter(dice: &mut Dice, depth: u64) -> (Where, Plain) {
    match dice.roll(if depth == 0 { 5 } else { 8 }) {
        0 => {
            let n = dice.roll(10) as i64 - 5;
            (attr("number").is(n), Box::new(move |t| t.0 == n))
        }
        1 => {
            let (a, b) = (dice.roll(10) as i64 - 5, dice.roll(10) as i64 - 5);
            let inside = move |t: &Thing| t.0 >= a && t.0 <= b;
            (attr("number").between(a, b), Box::new(inside))
        }
        2 => {
            let tag = format!("tag{}", dice.roll(6));
            (attr("tags").is(tag.as_str()), Box::new(move |t| t.1.contains(&tag)))
        }
        3 => (attr("tags").exists(), Box::new(|_| true)),
        4 => {
            let set = [dice.roll(10) as i64 - 5, dice.roll(10) as i64 - 5];
            (attr("number").is_in(set), Box::new(move |t| set.contains(&t.0)))
        }
        5 => {
            let (inner, plain) = filter(dice, depth - 1);
            (!inner, Box::new(move |t| !plain(t)))
        }
        n => {
            let ((a, f), (b, g)) = (filter(dice, depth - 1), filter(dice, depth - 1));
            match n {
                6 => (a & b, Box::new(move |t| f(t) && g(t))),
                _ => (a | b, Box::new(move |t| f(t) || g(t))),
            }
        }
    }
}

/// Runs so many operations from a seed; panics at the first difference.
pub fn run(seed: u64, operations: usize) {
    let mut dice = Dice(seed);
    let mut subject = Subject::new(&mut dice);
    let mut done = 0;
    while done < operations {
        done += subject.step(&mut dice);
    }
    subject.ask(&mut dice);
    assert!(subject.db.verify().unwrap().is_sound());
}

/// Goal: whatever is done in whatever order, the database holds what it should and answers as it
/// should, through flushes, merges, reopenings, power failures and held snapshots.
/// Method: 200,000 operations from 100 seeds, compared with maps and lists after every few.
// checks: D5 I1 I5 V4 V5 V7 V8 L3 A1
#[test]
fn the_database_does_what_maps_and_lists_do() {
    for seed in 0..100 {
        let failed = std::panic::catch_unwind(|| run(seed, 2_000));
        assert!(failed.is_ok(), "seed {seed}");
    }
}
