//! Files of sequences: several layouts, told apart by what they look like.

use super::{Outcome, args::Format};
use bowerbird::Key;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

/// A user or a session: items with times in milliseconds, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    pub(crate) items: Vec<String>,
    pub(crate) at: Vec<i64>,
}

/// The lists of a file, in its order; sessions in the order in which they ended.
pub(crate) fn read(path: &Path, format: Format) -> Outcome<Vec<List>> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines: Vec<(usize, Vec<&str>)> = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.split_whitespace().collect::<Vec<_>>()))
        .filter(|(_, words)| !words.is_empty())
        .collect();
    let Some((_, first)) = lines.first() else { return Ok(Vec::new()) };
    let wrong = |line: usize, why: &str| format!("{}, line {line}: {why}", path.display());
    if let Some((user, item, time)) = table(first) {
        return rows(&lines[1..], (user, item, time), &wrong);
    }
    match format {
        Format::LeaveOneOut if lines.iter().all(|(_, words)| words.len() == 2) => {
            rows(&lines, (0, 1, None), &wrong)
        }
        Format::LeaveOneOut => Ok(lines.iter().map(|(_, words)| list(0, &words[1..])).collect()),
        Format::Sessions => {
            let lists = lines.iter().enumerate();
            Ok(lists.map(|(at, (_, words))| list(at as i64 * 100_000, words)).collect())
        }
    }
}

/// Test cases of sessions: what was before, and what came next.
pub(crate) fn read_test(path: &Path) -> Outcome<Vec<(Vec<String>, String)>> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let first: Vec<&str> = text.lines().next().unwrap_or("").split_whitespace().collect();
    let mut cases = Vec::new();
    if table(&first).is_some() {
        for list in read(path, Format::Sessions)? {
            for at in 1..list.items.len() {
                cases.push((list.items[..at].to_vec(), list.items[at].clone()));
            }
        }
        return Ok(cases);
    }
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let Some((prefix, target)) = line.rsplit_once('\t') else {
            let why = "should be items, a tab and the item that came next";
            return Err(format!("{}, line {}: {why}", path.display(), at + 1).into());
        };
        let items = prefix.split_whitespace().map(str::to_owned).collect();
        cases.push((items, target.trim().to_owned()));
    }
    Ok(cases)
}

/// Where a header has the user or session, the item and the time.
fn table(words: &[&str]) -> Option<(usize, usize, Option<usize>)> {
    let find = |names: &[&str]| {
        words.iter().position(|word| names.contains(&word.to_lowercase().as_str()))
    };
    let user = find(&["sessionid", "session", "session_id", "user", "userid", "user_id"])?;
    let item = find(&["itemid", "item", "item_id"])?;
    Some((user, item, find(&["time", "timestamp"])))
}

/// One event per line, of users or sessions in any order; by time if there is one.
fn rows(
    lines: &[(usize, Vec<&str>)],
    (user, item, time): (usize, usize, Option<usize>),
    wrong: &dyn Fn(usize, &str) -> String,
) -> Outcome<Vec<List>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut lists: Vec<Vec<(i64, &str)>> = Vec::new();
    for (order, (number, words)) in lines.iter().enumerate() {
        let word = |at: usize| words.get(at).copied().ok_or_else(|| wrong(*number, "is too short"));
        let at = match time {
            Some(time) => {
                let seconds: f64 =
                    word(time)?.parse().map_err(|_| wrong(*number, "has no number as its time"))?;
                (seconds * 1e3) as i64
            }
            None => order as i64,
        };
        let place = *places.entry(word(user)?).or_insert_with(|| {
            lists.push(Vec::new());
            lists.len() - 1
        });
        lists[place].push((at, word(item)?));
    }
    if time.is_some() {
        lists.iter_mut().for_each(|list| list.sort_by_key(|(at, _)| *at));
        lists.sort_by_key(|list| list.last().map(|(at, _)| *at));
    }
    let list = |list: Vec<(i64, &str)>| {
        let (at, items) = list.into_iter().map(|(at, item)| (at, item.to_owned())).unzip();
        List { items, at }
    };
    Ok(lists.into_iter().map(list).collect())
}

fn list(from: i64, words: &[&str]) -> List {
    let items: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let at = (0..items.len() as i64).map(|step| from + step).collect();
    List { items, at }
}

/// Keys of items: numbers if all are, else names.
pub(crate) struct Keys(BTreeMap<String, Key>);

impl Keys {
    pub(crate) fn of<'a>(items: impl Iterator<Item = &'a String>) -> Keys {
        let items: std::collections::BTreeSet<&String> = items.collect();
        // "007" and "7" must stay apart, so only numbers as they would be printed count.
        let number = |item: &&String| item.parse::<u64>().is_ok_and(|n| n.to_string() == **item);
        let numbers = items.iter().all(number);
        let key = |item: &String| match item.parse() {
            Ok(number) if numbers => Key::Id(number),
            _ => Key::from(item.as_str()),
        };
        Keys(items.into_iter().map(|item| (item.clone(), key(item))).collect())
    }

    pub(crate) fn get(&self, item: &str) -> Key {
        self.0[item].clone()
    }

    pub(crate) fn names(&self) -> bool {
        self.0.values().any(|key| matches!(key, Key::Name(_)))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
