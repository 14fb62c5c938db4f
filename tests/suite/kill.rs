//! A process that is killed, again and again, and what it had been told was safe.

use bowerbird::*;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

const WRITERS: u64 = 3;
/// How the parent tells the child where to work.
const FOLDER: &str = "BOWERBIRD_KILL_FOLDER";

fn schema() -> Schema {
    Schema::new().space("v", 4, Metric::L2).attr("n", AttrType::Int).event("e")
}

/// What round a folder is in decides how commits are acknowledged: each level survives a kill.
fn options(round: u64) -> Options {
    let durability = match round % 3 {
        0 => Durability::Immediate,
        1 => Durability::Group { max_delay: ms(1), max_ops: WRITERS as usize },
        _ => Durability::Buffered { max_delay: ms(5) },
    };
    Options::default().durability(durability).flush_bytes(64 << 10)
}

fn open(path: &Path, round: u64) -> Db {
    match Db::open_with(path, options(round)) {
        Err(Error::NotFound { .. }) => Db::create_with(path, schema(), options(round)).unwrap(),
        other => other.unwrap(),
    }
}

/// Counts up an item and its events, in one batch each, and says so when it is acknowledged.
fn write(db: &Db, user: u64, commits: u64, acked: &(dyn Fn(u64, u64) + Sync)) {
    let (mut n, events) = look(db, user);
    assert_eq!(n, events);
    for _ in 0..commits {
        n += 1;
        let item = Item::new(user).attr("n", n as i64).vector("v", [n as f32; 4]);
        let event = Event::new(user, n, "e", Timestamp(n as i64));
        db.batch().put(item).event(event).commit().unwrap();
        acked(user, n);
    }
}

/// The count in the item, and how many events there are.
fn look(db: &Db, user: u64) -> (u64, u64) {
    let snapshot = db.snapshot();
    let n = match snapshot.get(&user.into()).unwrap().and_then(|item| item.get("n").cloned()) {
        Some(Value::Int(n)) => n as u64,
        _ => 0,
    };
    let deeds =
        snapshot.history(UserId(user), &HistoryQuery::default().limit(1_000_000)).unwrap().deeds;
    assert!(deeds.iter().zip(1..).all(|(deed, n)| deed.at == Timestamp(n)), "a hole in the events");
    (n, deeds.len() as u64)
}

/// The child of the kill loop; on its own, a short run of the same work.
#[test]
#[allow(clippy::disallowed_methods, clippy::print_stdout)] // How parent and child of a test talk.
fn counting_writers_count_up() {
    let Ok(folder) = std::env::var(FOLDER) else {
        let folder = tempfile::tempdir().unwrap();
        let db = open(&folder.path().join("db"), 0);
        write(&db, 1, 50, &|_, _| ());
        assert_eq!(look(&db, 1), (50, 50));
        return;
    };
    let (path, round) = folder.rsplit_once('#').unwrap();
    let db = open(Path::new(path), round.parse().unwrap());
    let say = |user: u64, n: u64| println!("\nack {user} {n}");
    std::thread::scope(|scope| {
        for user in 0..WRITERS {
            let (db, say) = (&db, &say);
            scope.spawn(move || write(db, user, 1_000_000, say));
        }
    });
}

/// Starts a child, kills it after a while, and says what it had acknowledged.
fn round(path: &Path, round: u64, alive: Duration) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["kill::counting_writers_count_up", "--exact", "--nocapture"])
        .env(FOLDER, format!("{}#{round}", path.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (send, receive) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reading = std::thread::spawn(move || {
        let mut acked = vec![0; WRITERS as usize];
        for line in lines {
            let Ok(line) = line else { break };
            let words: Vec<u64> =
                line.trim_start_matches("ack ").split(' ').filter_map(|w| w.parse().ok()).collect();
            if let (true, [user, n]) = (line.starts_with("ack "), &words[..]) {
                acked[*user as usize] = *n;
                let _ = send.send(());
            }
        }
        acked
    });
    // The time counts from the first commit, so that slow machines kill writers, not starters; a
    // third of the kills come before it, while the child opens and recovers.
    if !round.is_multiple_of(3) {
        let _ = receive.recv_timeout(Duration::from_secs(20));
    }
    std::thread::sleep(alive);
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap()
}

/// Goal: what was acknowledged survives the death of the process, at every level but `None`.
/// Method: 300 times, let three threads count up items with their events, kill the process, and
/// compare what is there with what it had said; a reader stays open through it all.
// checks: D1 D2 D3 I2 I3 I5
#[test]
fn acknowledged_commits_survive_300_kills() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    open(&path, 0).close().unwrap();
    let reader = Db::open_read_only(&path).unwrap();
    let (mut dice, mut total) = (crate::oracle::Dice(11), 0);
    for kill in 0..300 {
        let acked = round(&path, kill, Duration::from_micros(500 + dice.roll(25_000)));
        reader.refresh().unwrap();
        let seen: Vec<u64> = (0..WRITERS).map(|user| look(&reader, user).0).collect();
        let db = open(&path, kill);
        for user in 0..WRITERS {
            let (n, events) = look(&db, user);
            let promised = acked[user as usize];
            assert!(n >= promised, "kill {kill}: acknowledged {promised}, found {n}");
            assert_eq!(n, events, "kill {kill}: half a batch");
            assert_eq!(seen[user as usize], n, "kill {kill}: the reader sees something else");
        }
        let twice = Db::open(&path);
        assert!(matches!(twice, Err(Error::Locked { pid: Some(_), .. })), "{twice:?}");
        total = acked.iter().sum::<u64>().max(total);
    }
    println!("{total} acknowledged commits survived");
    assert!(total > 300, "the writers hardly wrote: {total}");
}
