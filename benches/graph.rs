//! The graph: how long it takes to build, to go on building and to grow; what searches by it find and
//! cost, one by one, in a batch and filtered; and searches while items come in.
//!
//! `cargo bench --bench graph [-- FILE.npy] [-- --rows N]`: vectors of a file (f32, a row each), or around random
//! centers. Found is compared with what a scan finds, and that with 64-bit arithmetic, before it is timed.
#![allow(missing_docs, clippy::disallowed_methods)] // Files of closed databases are copied and compared.

#[path = "graph/data.rs"]
mod data;
#[path = "graph/inserts.rs"]
mod inserts;
mod timing;

use bowerbird::*;
use data::{Data, K, filled, options, recall, truth};
use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use timing::{median, once, quick};

const EFFORTS: [u32; 5] = [16, 32, 64, 128, 256];

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The only graph of a closed database.
fn graph_file(db: &Path) -> PathBuf {
    files(db, "graph").pop().expect("it was built")
}

fn files(db: &Path, ending: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(db.join("derived")).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(fs::copy(path, to).unwrap()),
        }
    }
}

fn build(path: &Path) -> Duration {
    let db = Db::open_with(path, options()).unwrap();
    let begun = Instant::now();
    db.index().unwrap();
    let took = begun.elapsed();
    db.close().unwrap();
    took
}

/// Recall and speed at every effort, one by one and in a batch, and with a filter.
fn search(path: &Path, data: &Data) {
    let db = Db::open_with(path, options()).unwrap();
    let snapshot = db.snapshot();
    let third = attr("third").is(true);
    let all = truth(&snapshot, data, None);
    data.check(&all);
    let allowed = truth(&snapshot, data, Some(&third));
    println!(
        "\n| effort | recall | one by one, q/s | p50 / p99 us | batch, q/s | of a third: recall | q/s |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    for effort in EFFORTS {
        let near = |query: &Vec<f32>| snapshot.near("v", query).limit(K).effort(effort);
        let some = |query: &Vec<f32>| near(query).filter(third.clone());
        let batch = || snapshot.near_batch("v", &data.queries).limit(K).effort(effort);
        let found = batch().run().unwrap();
        let one: Vec<Vec<Hit>> = data.queries.iter().map(|q| near(q).run().unwrap()).collect();
        assert!(found == one, "a batch finds what its queries find");
        let filtered: Vec<Vec<Hit>> = data.queries.iter().map(|q| some(q).run().unwrap()).collect();
        let (hit, of_third) = (recall(&found, &all), recall(&filtered, &allowed));
        let last = effort == EFFORTS[EFFORTS.len() - 1];
        assert!(!last || (hit > 0.9 && of_third > 0.9), "recall {hit}, {of_third} at {effort}");
        // In passes over all: a query that is asked again at once finds its rows in the caches.
        let time = |query| once(&mut || drop(black_box(near(query).run().unwrap())));
        let passes = [(); 3].map(|()| data.queries.iter().map(time).collect::<Vec<Duration>>());
        let middle = |at: usize| {
            let mut three = [passes[0][at], passes[1][at], passes[2][at]];
            three.sort_unstable();
            three[1]
        };
        let mut times: Vec<Duration> = (0..data.queries.len()).map(middle).collect();
        times.sort_unstable();
        let per_second = |time: Duration| data.queries.len() as f64 / time.as_secs_f64();
        let together = median(3, || drop(black_box(batch().run().unwrap())));
        let of_some = median(3, || {
            data.queries.iter().for_each(|query| drop(black_box(some(query).run().unwrap())));
        });
        println!(
            "| {effort} | {hit:.3} | {:.0} | {} / {} | {:.0} | {of_third:.3} | {:.0} |",
            per_second(times.iter().sum()),
            times[times.len() / 2].as_micros(),
            times[times.len() * 99 / 100].as_micros(),
            per_second(together),
            per_second(of_some),
        );
    }
}

/// A build that is cancelled at two thirds and goes on, beside one that is not.
fn resume(folder: &Path, bare: &Path, whole: (&Path, Duration)) {
    let path = folder.join("resumed");
    copy(bare, &path);
    let db = Db::open_with(&path, options()).unwrap();
    let begun = Instant::now();
    let cut = db.index_with(&mut Progress::to(|done, total| total == 0 || done * 3 < total * 2));
    assert!(matches!(cut, Err(Error::Cancelled)), "{cut:?}");
    let before = begun.elapsed();
    db.close().unwrap();
    let kept: u64 = files(&path, "seed").iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    let after = build(&path);
    // All but the header, which has a nonce.
    let bytes = |db: &Path| fs::read(graph_file(db)).unwrap()[64..].to_vec();
    assert!(bytes(&path) == bytes(whole.0), "it ends with the same graph");
    println!(
        "\nbuilt at once {}; cancelled after {}, with {kept} bytes kept, and then {}: the same graph",
        seconds(whole.1),
        seconds(before),
        seconds(after)
    );
}

/// A twentieth more, merged: grown from the graph there was, and from nothing.
fn grow(folder: &Path, whole: &Path, data: &Data) {
    let path = folder.join("grown");
    copy(whole, &path);
    let db = Db::open_with(&path, options()).unwrap();
    data.put(&db, data.rows()..data.rows() + data.rows() / 20);
    let begun = Instant::now();
    db.compact().unwrap();
    let merge = begun.elapsed();
    db.close().unwrap();
    let nothing = folder.join("nothing");
    copy(&path, &nothing);
    assert_eq!((files(&path, "seed").len(), files(&path, "graph").len()), (1, 0));
    files(&nothing, "seed").into_iter().for_each(|file| fs::remove_file(file).unwrap());
    let mut said = Vec::new();
    for path in [&path, &nothing] {
        let took = build(path);
        let db = Db::open_with(path, options()).unwrap();
        let snapshot = db.snapshot();
        let truth = truth(&snapshot, data, None);
        let found = snapshot.near_batch("v", &data.queries).limit(K).run().unwrap();
        let recall = recall(&found, &truth);
        assert!(recall > 0.9, "{recall}");
        said.push(format!("{}, recall {recall:.3} at the default effort", seconds(took)));
    }
    println!(
        "\na twentieth more, merged in {}: graph grown from the old one in {}; from nothing in {}",
        seconds(merge),
        said[0],
        said[1]
    );
}

fn main() {
    let data = Data::of_arguments();
    let folder = tempfile::tempdir().unwrap();
    let (bare, whole) = (folder.path().join("bare"), folder.path().join("whole"));
    filled(&bare, &data);
    copy(&bare, &whole);
    println!("{} x {} ({}), two threads build", data.rows(), data.dim(), data.name);
    let took = build(&whole);
    let bytes = fs::metadata(graph_file(&whole)).unwrap().len() as f64 / data.rows() as f64;
    println!("graph built in {}, {bytes:.0} bytes a vector", seconds(took));
    search(&whole, &data);
    resume(folder.path(), &bare, (&whole, took));
    grow(folder.path(), &whole, &data);
    let paced = Duration::from_secs(if quick() { 2 } else { 60 });
    for (name, time) in [("fast", Duration::ZERO), ("paced", paced)] {
        inserts::run(&folder.path().join(name), &data, (quick(), time));
    }
}
