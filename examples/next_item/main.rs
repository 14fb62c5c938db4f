//! Trains a method on a file of sequences, ranks all items for every test case, and serves it.
//!
//! ```text
//! cargo run --release --example next_item -- --data FILE [--method sasrec] [--curve curve.svg]
//! cargo run --release --example next_item -- --data TRAIN --format sessions --test TEST --method vs-knn
//! ```
//!
//! Leave-one-out: FILE has `user item` lines in time order, or one user per line with its items. The
//! last item of a user is the test, the one before it validates; models learn from the rest
//! (unless told to learn from the validation items, too), and are asked with everything before the
//! test item. Items of the history are excluded from the ranking.
//!
//! Sessions: one session per line, or a table `SessionId ItemId Time`. TEST has lines of items, a
//! tab and what came next, or such a table, of which every prefix is a case. Nothing is excluded.
//! Methods that learn in epochs find how many they need on the latest tenth of the sessions, and then
//! learn from all. Without a TEST the latest tenth is the test.
//!
//! All rankings are of all items. The last line is one JSON object; the floor, popularity and
//! sequential rules, is measured beside.
#![allow(
    clippy::disallowed_methods,
    reason = "an example reads its data and writes its picture itself"
)]

mod args;
mod files;
mod run;
mod serve;
mod svg;

use args::{Args, Format};
use bowerbird::{
    Db, Event, Item, Key, KeyKind, Schema, Timestamp,
    model::{Case, Cases, Reading, Sequences, Vocabulary},
};
use files::{Keys, List};
use std::error::Error;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What comes out of a file: a database, what to learn from, and what to be judged by.
struct Task {
    db: Db,
    train: Sequences,
    validation: Cases,
    /// Learned from once the number of epochs is known; none if that is the same as `train`.
    whole: Option<Sequences>,
    test: Cases,
    exclude_seen: bool,
    protocol: String,
}

fn main() -> Outcome<()> {
    if std::env::args().any(|word| word == "--help" || word == "-h") {
        println!("{}", args::USAGE);
        return Ok(());
    }
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(2);
        }
    };
    let task = match args.format {
        Format::LeaveOneOut => leave_one_out(&args)?,
        Format::Sessions => sessions(&args)?,
    };
    eprintln!(
        "{} sequences, {} events, {} items to learn from; {} test cases",
        task.train.len(),
        task.train.events(),
        task.train.vocabulary().len(),
        task.test.len()
    );
    if task.train.is_empty() {
        return Err("there is nothing to learn from: no sequence is long enough".into());
    }
    let rows = run::all(&task, &args)?;
    let models = &rows.last().ok_or("nothing was run")?.models;
    let served = serve::serve(&task.db, models, task.exclude_seen)?;
    run::print(&rows, &args, &task, &served);
    Ok(())
}

fn leave_one_out(args: &Args) -> Outcome<Task> {
    let mut lists = files::read(&args.data, Format::LeaveOneOut)?;
    let keys = Keys::of(lists.iter().flat_map(|list| &list.items));
    let mut held: Vec<Option<Key>> = Vec::new();
    for list in &mut lists {
        // A user with fewer than three events has nothing to test, validate and learn from.
        let target = if list.items.len() >= 3 { list.items.pop() } else { None };
        list.at.truncate(list.items.len());
        held.push(target.map(|item| keys.get(&item)));
    }
    let db = database(&lists, &keys)?;
    let all = Sequences::read(&db.snapshot(), &Reading::default())?;
    let test = (0..all.len()).filter_map(|at| {
        let target = held.get(all.user(at) as usize)?.as_ref()?;
        Some(Case { history: all.items(at).to_vec(), target: all.vocabulary().code(target) })
    });
    let test = Cases::new(test.collect());
    let (train, validation) = all.hold_out_last();
    let (train, protocol) = match args.train_on_validation {
        true => (all, "leave-one-out, learned from validation items too"),
        false => (train, "leave-one-out, learned without validation items"),
    };
    let validation = if args.train_on_validation { Cases::default() } else { validation };
    let protocol = format!("{protocol}; all items ranked, those of the history excluded");
    Ok(Task { db, train, validation, whole: None, test, exclude_seen: true, protocol })
}

fn sessions(args: &Args) -> Outcome<Task> {
    let mut lists = files::read(&args.data, Format::Sessions)?;
    let cases = match &args.test {
        Some(path) => files::read_test(path)?,
        None => {
            let held = lists.split_off(lists.len() - lists.len() / 10);
            let prefix =
                |list: &List, at: usize| (list.items[..at].to_vec(), list.items[at].clone());
            let each = |list: &List| (1..list.items.len()).map(|at| prefix(list, at)).collect();
            held.iter().flat_map(|list| -> Vec<(Vec<String>, String)> { each(list) }).collect()
        }
    };
    let tested = cases.iter().flat_map(|(items, target)| items.iter().chain([target]));
    let keys = Keys::of(lists.iter().flat_map(|list| &list.items).chain(tested));
    let db = database(&lists, &keys)?;
    let all = Sequences::read(&db.snapshot(), &Reading::default())?;
    let test =
        cases.iter().map(|(items, target)| code_case(all.vocabulary(), &keys, items, target));
    let test = Cases::new(test.collect());
    let (train, validation) = all.hold_out_latest(0.1)?;
    let protocol = "sessions, every prefix; all items ranked, nothing excluded".into();
    Ok(Task { db, train, validation, whole: Some(all), test, exclude_seen: false, protocol })
}

fn code_case(vocabulary: &Vocabulary, keys: &Keys, items: &[String], target: &str) -> Case {
    let items: Vec<Key> = items.iter().map(|item| keys.get(item)).collect();
    Case { history: vocabulary.codes(&items), target: vocabulary.code(&keys.get(target)) }
}

/// A database of these events; the number of a list is its user.
fn database(lists: &[List], keys: &Keys) -> Outcome<Db> {
    let kind = if keys.names() { KeyKind::Name } else { KeyKind::Id };
    let db = Db::in_memory(Schema::new().keys(kind).event("view"))?;
    let mut items = std::collections::BTreeSet::new();
    let mut batch = db.batch();
    for (user, list) in lists.iter().enumerate() {
        for (item, at) in list.items.iter().zip(&list.at) {
            let key = keys.get(item);
            if items.insert(key.clone()) {
                batch.put(Item::new(key.clone()));
            }
            batch.event(Event::new(user as u64, key, "view", Timestamp(*at)));
        }
        if batch.len() > 20_000 {
            batch.commit()?;
        }
    }
    batch.commit()?;
    drop(batch);
    db.flush()?;
    eprintln!("{} items, {} events in the database", keys.len(), db.snapshot().users()?.len());
    Ok(db)
}
