//! Whole files cut, grown, missing, exchanged, out of date or from elsewhere: never silently wrong.
//!
//! Two things cannot be told from the past itself. A WAL cut off at its end is what a power failure
//! leaves, so commits at its end may go, in order, down to what MANIFEST knows to be durable: then all
//! answers must be those of one earlier commit. And an older MANIFEST, where all the files it names are
//! still there, is an older root with the commits since: then each answer must have been true once.
//! Everything else must be the present truth or an error.

use crate::fuzz_bodies::bodies::{
    attack,
    base::{self, Answer, Moment},
    seal::Files,
};
use bowerbird::{IoMode, KeyKind};
use std::cell::Cell;

const DEEP: bool = option_env!("BOWERBIRD_DEEP").is_some();

/// One database through its life, and how its damaged copies turned out.
struct Stage {
    moments: Vec<Moment>,
    now: Files,
    errors: Cell<usize>,
    same: Cell<usize>,
    past: Cell<usize>,
}

impl Stage {
    fn new() -> Stage {
        let moments = base::life(KeyKind::Id, 1);
        let now = attack::files(&moments[moments.len() - 1].dir);
        Stage {
            moments,
            now,
            errors: Cell::default(),
            same: Cell::default(),
            past: Cell::default(),
        }
    }

    fn truth(&self) -> &[Answer] {
        &self.moments[self.moments.len() - 1].answers
    }

    /// Asks everything of changed files; `rule` says which other answers will do.
    fn check(&self, place: &str, files: Files, rule: Rule) {
        let mode = if place.len().is_multiple_of(2) { IoMode::Mmap } else { IoMode::Pread };
        let outcome = attack::ask(&attack::dir(files), mode);
        for answers in [outcome.read, outcome.write] {
            let Ok(answers) = answers else {
                self.errors.set(self.errors.get() + 1);
                continue;
            };
            let Err(other) = base::agree(&answers, self.truth()) else {
                self.same.set(self.same.get() + 1);
                continue;
            };
            let was = |answers: &[Answer]| {
                let agree = |moment: &Moment| base::agree(answers, &moment.answers).is_ok();
                self.moments.iter().any(agree)
            };
            let fine = match rule {
                Rule::Present => false,
                Rule::OneCommit => was(&answers),
                Rule::EachOnce => (0..answers.len()).all(|at| {
                    let alone = |moment: &Moment| {
                        base::agree(&answers[at..at + 1], &moment.answers[at..at + 1]).is_ok()
                    };
                    self.moments.iter().any(alone)
                }),
            };
            assert!(fine, "{place}: another answer: {other}");
            self.past.set(self.past.get() + 1);
        }
    }

    /// With one file replaced.
    fn with(&self, place: &str, path: &str, bytes: Vec<u8>, rule: Rule) {
        let mut files = self.now.clone();
        files.insert(path.into(), bytes);
        self.check(&format!("{path}: {place}"), files, rule);
    }

    fn tell(&self, what: &str) {
        let counts = (self.errors.get(), self.same.get(), self.past.get());
        println!(
            "{what}: {} errors, {} the same, {} of an earlier commit",
            counts.0, counts.1, counts.2
        );
    }
}

/// Which answers other than the present truth will do.
#[derive(Clone, Copy)]
enum Rule {
    Present,
    /// Those of one earlier commit.
    OneCommit,
    /// Each as it was at some commit.
    EachOnce,
}

/// What may be taken for a torn write.
fn torn(path: &str) -> Rule {
    if path.starts_with("wal/") { Rule::OneCommit } else { Rule::Present }
}

// checks: C3 C6
#[test]
fn a_file_cut_at_any_length_is_an_error_or_a_torn_tail() {
    let stage = Stage::new();
    for (path, bytes) in &stage.now {
        let all = DEEP || bytes.len() < 2048 || path.starts_with("wal/");
        for len in (0..bytes.len()).step_by(if all { 1 } else { 19 }) {
            stage.with(&format!("cut to {len}"), path, bytes[..len].to_vec(), torn(path));
        }
    }
    stage.tell("cut");
}

// checks: C3 C6
#[test]
fn a_file_with_more_at_its_end_is_an_error_or_the_same() {
    let stage = Stage::new();
    for (path, bytes) in &stage.now {
        for more in [1, 7, 64, 4096] {
            let zeros = [bytes.clone(), vec![0; more]].concat();
            stage.with(&format!("{more} zeros more"), path, zeros, Rule::Present);
            let noise = [bytes.clone(), attack::noise(7, more)].concat();
            stage.with(&format!("{more} bytes more"), path, noise, Rule::Present);
        }
    }
    stage.tell("grown");
}

// checks: C3
#[test]
fn a_file_that_is_missing_or_exchanged_is_an_error_or_the_same() {
    let stage = Stage::new();
    for (path, bytes) in &stage.now {
        let mut files = stage.now.clone();
        files.remove(path);
        stage.check(&format!("{path} is missing"), files, Rule::Present);
        stage.with("empty", path, Vec::new(), Rule::Present);
        for (other, others) in stage.now.iter().filter(|(other, _)| *other > path) {
            let mut files = stage.now.clone();
            files.insert(path.clone(), others.clone());
            files.insert(other.clone(), bytes.clone());
            stage.check(&format!("{path} and {other} exchanged"), files, Rule::Present);
            stage.with(&format!("as {other}"), path, others.clone(), Rule::Present);
        }
    }
    stage.tell("exchanged");
}

/// Method: every file of every earlier moment in the place of its successor, one by one and each
/// folder at once; then the same from another database with the same history.
// checks: C3
#[test]
fn a_file_of_another_time_or_database_is_an_error_or_was_true() {
    let stage = Stage::new();
    for moment in &stage.moments[..stage.moments.len() - 1] {
        let place = format!("as of {}", moment.name);
        for (path, bytes) in attack::files(&moment.dir) {
            let rule = if path == "MANIFEST" { Rule::EachOnce } else { torn(&path) };
            stage.with(&place, &path, bytes, rule);
        }
        let mut files = stage.now.clone();
        files.extend(attack::files(&moment.dir));
        stage.check(&format!("everything {place}"), files, Rule::EachOnce);
    }
    let others = base::life(KeyKind::Id, 2);
    let other = attack::files(&others[others.len() - 1].dir);
    assert!(other.keys().eq(stage.now.keys()));
    for (path, bytes) in &other {
        stage.with("of another database", path, bytes.clone(), Rule::Present);
    }
    stage.tell("out of date");
}

// checks: C1 C3 C6
#[test]
fn a_sector_of_zeros_or_noise_is_an_error_or_a_torn_tail() {
    let stage = Stage::new();
    for (path, bytes) in &stage.now {
        for at in (0..bytes.len()).step_by(512) {
            let end = bytes.len().min(at + 512);
            for (what, sector) in
                [("zeros", vec![0; end - at]), ("noise", attack::noise(1, end - at))]
            {
                let mut bad = bytes.clone();
                bad[at..end].copy_from_slice(&sector);
                // Of a WAL, only damage that reaches the end can be taken for a torn write.
                let rule = if end == bytes.len() { torn(path) } else { Rule::Present };
                stage.with(&format!("{what} at {at}"), path, bad, rule);
            }
        }
    }
    stage.tell("sectors");
}

/// Goal: files that MANIFEST does not name are nothing to readers, and go when a writer opens.
// checks: C3
#[test]
fn a_copy_under_the_next_number_changes_nothing() {
    let stage = Stage::new();
    for (path, bytes) in &stage.now {
        let Some((folder, name)) = path.split_once('/') else { continue };
        let Some((_, ending)) = name.split_once('.') else { continue };
        for number in [900_000, 900_001, 1_234_567] {
            let mut files = stage.now.clone();
            files.insert(format!("{folder}/{number}.{ending}"), bytes.clone());
            stage.check(&format!("{path} again as {number}"), files, Rule::Present);
        }
    }
    stage.tell("copied");
    assert_eq!(stage.errors.get(), 0);
}
