//! Any operations, a power failure at any call, and what may be left of it (D1, D5).

use super::{attack::Choices, base};
use bowerbird::{io::fault::Fault, *};
use std::{collections::BTreeMap, sync::Arc};

type State = BTreeMap<u64, i64>;

/// The first bytes say when the power fails and which survivors to draw; then come operations.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let dir = Fault::new();
    let schema = Schema::new().attr("year", AttrType::Int);
    let durability = if choices.byte() & 1 == 0 { Durability::Immediate } else { Durability::None };
    let options = base::options(IoMode::Mmap).durability(durability);
    let (cut, seed) = (choices.below(160) as u64, choices.byte().into());
    let db = Db::create_in(Arc::new(dir.clone()), schema, options.clone());
    let db = db.expect("the directory is empty");
    dir.cut_power_at(dir.calls() + cut);
    // What the state was after each commit; the last may or may not have happened.
    let mut states: Vec<State> = vec![State::new()];
    let (mut durable, mut reopened) = (0, Some(db));
    for _ in 0..60 {
        if choices.is_empty() || dir.power_is_off() {
            break;
        }
        let Some(db) = &reopened else { break };
        let now = states.len() - 1;
        let done = match choices.byte() % 8 {
            0..=3 => commit(db, &mut states, &mut choices),
            4 => db.flush().map(drop),
            5 => db.compact(),
            6 => db.sync(),
            _ => {
                drop(reopened.take());
                reopened = Db::open_in(Arc::new(dir.clone()), options.clone()).ok();
                continue;
            }
        };
        let synced = durability == Durability::Immediate;
        match done {
            Ok(()) if synced => durable = states.len() - 1,
            // Flushed and synced, whatever the durability.
            Ok(()) if states.len() - 1 == now => durable = now,
            _ => {}
        }
    }
    drop(reopened);
    for left in dir.survivors(seed, 6) {
        check(&left, &states, durable);
    }
}

fn commit(db: &Db, states: &mut Vec<State>, choices: &mut Choices<'_>) -> Result<()> {
    let mut state = states[states.len() - 1].clone();
    let mut batch = db.batch();
    for _ in 0..1 + choices.byte() % 3 {
        let (id, year) = (u64::from(choices.byte() % 8), i64::from(choices.byte()));
        if year % 5 == 0 {
            batch.delete(id);
            state.remove(&id);
        } else {
            batch.put(Item::new(id).attr("year", year));
            state.insert(id, year);
        }
    }
    let done = batch.commit().map(drop);
    match &done {
        Ok(()) | Err(Error::Indeterminate { .. }) => states.push(state),
        Err(_) => {}
    }
    done
}

fn check(dir: &Fault, states: &[State], durable: usize) {
    let reader = Db::open_read_only_in(Arc::new(dir.clone()), base::options(IoMode::Pread));
    let seen = state(&reader.expect("a power failure is not damage"));
    let at = states.iter().rposition(|state| *state == seen);
    let at = at.unwrap_or_else(|| panic!("{seen:?} was never the state: {states:?}"));
    assert!(at >= durable, "commit {at} of at least {durable}: {states:?}");
    let db = Db::open_in(Arc::new(dir.clone()), base::options(IoMode::Mmap));
    let db = db.expect("a power failure is not damage");
    assert_eq!(state(&db), seen);
    assert!(db.verify().expect("the disk is fine").is_sound());
}

fn state(db: &Db) -> State {
    let snapshot = db.snapshot();
    let mut state = State::new();
    for key in snapshot.keys(&Where::all(), 1000).expect("it is sound") {
        let item = snapshot.get(&key).expect("it is sound").expect("it was listed");
        let (Key::Id(id), Some(Value::Int(year))) = (key, item.get("year")) else {
            panic!("{item:?}")
        };
        state.insert(id, *year);
    }
    state
}
