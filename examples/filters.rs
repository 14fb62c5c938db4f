//! Filtered search in the peer benchmark: twelve kinds of range filter, recall and speed.
//!
//! `filters DATA WORKDIR [--threads 2] [--efforts 16,32,64] [--only rand10,neg500]
//! [--graphs compact|fast]`
//!
//! DATA is a folder of the peer benchmark with base.npy, query.npy, attr.npy and meta.json, and with
//! its filters taken apart: `python3 -m zipfile -e DATA/filters.npz DATA/filters`. The database stays
//! in WORKDIR and is opened the next time. One thread searches, one query at a time. `--only` names
//! filters by kind and thousandths allowed.
#![allow(clippy::disallowed_methods)] // The data of the benchmark are plain files.

use bowerbird::*;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

type Failure = Box<dyn std::error::Error>;
type Outcome<T> = std::result::Result<T, Failure>;

const K: usize = 10;
const QUERIES: usize = 150;
const EFFORTS: [u32; 9] = [16, 32, 64, 96, 128, 256, 512, 1024, 2048];
/// What counts as good, and as good enough to try no more effort.
const RECALL_GOOD: f64 = 0.95;
const RECALL_ENOUGH: f64 = 0.97;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("filters: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let (mut plain, mut threads, mut efforts) = (Vec::new(), 2, EFFORTS.to_vec());
    let (mut only, mut graphs): (Option<Vec<String>>, _) = (None, Graphs::Fast);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--threads" => threads = words.next().ok_or("--threads needs a number")?.parse()?,
            "--efforts" => {
                let list = words.next().ok_or("--efforts needs numbers")?;
                efforts = list.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?;
            }
            "--only" => {
                let list = words.next().ok_or("--only needs names")?;
                only = Some(list.split(',').map(str::to_owned).collect());
            }
            "--graphs" => {
                graphs = match words.next().as_deref() {
                    Some("compact") => Graphs::Compact,
                    Some("fast") => Graphs::Fast,
                    _ => return Err("--graphs needs compact or fast".into()),
                }
            }
            _ => plain.push(PathBuf::from(word)),
        }
    }
    let [data, workdir] = &plain[..] else {
        return Err(
            "usage: filters DATA WORKDIR [--threads N] [--efforts A,B,C] [--only A,B,C]".into()
        );
    };
    let kinds = ["rand", "pos", "neg"];
    let all: Vec<(&str, u32)> =
        kinds.iter().flat_map(|kind| [500, 100, 10, 1].map(|permille| (*kind, permille))).collect();
    let name = |(kind, permille): (&str, u32)| format!("{kind}{permille}");
    for wanted in only.iter().flatten() {
        if !all.iter().any(|one| name(*one) == *wanted) {
            let names: Vec<String> = all.iter().map(|one| name(*one)).collect();
            return Err(format!("--only {wanted}: is none of {}", names.join(", ")).into());
        }
    }
    let db = database(data, workdir, Options::default().build_threads(threads).graphs(graphs))?;
    let queries = Table::read(&data.join("query.npy"))?;
    db.warm()?;
    let snapshot = db.snapshot();
    println!(
        "{:<8} {:>7}  {:>9} {:>9} {:>7}  all",
        "filter", "passes", "recall@10", "q/s", "effort"
    );
    for (kind, permille) in all {
        let name = name((kind, permille));
        if only.as_ref().is_some_and(|only| !only.contains(&name)) {
            continue;
        }
        let read = |end| Table::read(&data.join(format!("filters/{name}_{end}.npy")));
        let (windows, truth) = (read("w")?, read("g")?);
        let attr = if kind == "rand" { "a0" } else { "a1" };
        let mut tried = Vec::new();
        for effort in &efforts {
            let point = measure(&snapshot, attr, *effort, (&queries, &windows, &truth))?;
            tried.push((*effort, point.0, point.1));
            if point.0 >= RECALL_ENOUGH {
                break;
            }
        }
        report(&format!("{kind} {}%", f64::from(permille) / 10.0), &tried);
    }
    Ok(())
}

/// Prints the fastest point that is good, or else the best one.
fn report(name: &str, tried: &[(u32, f64, f64)]) {
    let good = tried.iter().filter(|point| point.1 >= RECALL_GOOD);
    let best = good.max_by(|a, b| a.2.total_cmp(&b.2));
    let best = best.or_else(|| tried.iter().max_by(|a, b| a.1.total_cmp(&b.1)));
    let Some((effort, recall, qps)) = best else { return };
    let all: Vec<String> = tried
        .iter()
        .map(|(effort, recall, qps)| format!("{effort}:{recall:.3}/{qps:.0}"))
        .collect();
    println!("{name:<16}  {recall:>9.3} {qps:>9.0} {effort:>7}  {}", all.join(" "));
}

/// Recall and queries per second of one filter with one effort.
fn measure(
    snapshot: &Snapshot,
    name: &str,
    effort: u32,
    (queries, windows, truth): (&Table, &Table, &Table),
) -> Outcome<(f64, f64)> {
    let ask = |at: usize| -> Outcome<Vec<Hit>> {
        let window = windows.numbers(at);
        // The window is open at its end.
        let filter = attr(name).between(window[0] as i64, window[1] as i64 - 1);
        let query = queries.floats(at);
        Ok(snapshot.near("v", &query).filter(filter).limit(K).effort(effort).run()?)
    };
    let count = QUERIES.min(queries.rows).min(windows.rows);
    // What a question reads was read before: the database has been in use for a while.
    let start = Instant::now();
    for at in 0..count {
        ask(at)?;
        if start.elapsed().as_secs_f64() > 3.0 {
            break;
        }
    }
    let (mut share, mut seconds, mut done) = (0.0, 0.0, 0);
    for at in 0..count {
        let start = Instant::now();
        let hits = ask(at)?;
        seconds += start.elapsed().as_secs_f64();
        let exact: Vec<u64> =
            truth.numbers(at).into_iter().filter(|id| *id >= 0.0).map(|id| id as u64).collect();
        let right = |hit: &&Hit| matches!(hit.key, Key::Id(id) if exact.contains(&id));
        share += hits.iter().filter(right).count() as f64 / exact.len().max(1) as f64;
        done += 1;
        if seconds > 3.0 {
            break;
        }
    }
    Ok((share / f64::from(done), f64::from(done) / seconds))
}

/// Opens the database of a data set, or makes it: vectors and two attributes.
fn database(data: &Path, workdir: &Path, options: Options) -> Outcome<Db> {
    let folder = workdir.join("db");
    if folder.exists() {
        return Ok(Db::open_with(folder, options)?);
    }
    let (base, attrs) =
        (Table::read(&data.join("base.npy"))?, Table::read(&data.join("attr.npy"))?);
    let meta: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(data.join("meta.json"))?)?;
    let metric = match meta["metric"].as_str() {
        Some("l2") => Metric::L2,
        Some("ip") => Metric::Dot,
        _ => Metric::Cosine,
    };
    let schema = Schema::new()
        .space("v", base.columns as u32, metric)
        .attr("a0", AttrType::Int)
        .attr("a1", AttrType::Int);
    fs::create_dir_all(workdir)?;
    // Under another name until it is whole.
    let building = workdir.join("building");
    if building.exists() {
        fs::remove_dir_all(&building)?;
    }
    let start = Instant::now();
    let db = Db::create_with(&building, schema, options.clone())?;
    for first in (0..base.rows).step_by(1000) {
        let mut batch = db.batch();
        for row in first..base.rows.min(first + 1000) {
            let values = attrs.numbers(row);
            let item = Item::new(row as u64).vector("v", base.floats(row));
            batch.put(item.attr("a0", values[0] as i64).attr("a1", values[1] as i64));
        }
        batch.commit()?;
    }
    db.compact()?;
    db.index()?;
    db.close()?;
    fs::rename(&building, &folder)?;
    eprintln!("built in {:.1} s", start.elapsed().as_secs_f64());
    Ok(Db::open_with(folder, options)?)
}

/// A table of numbers from a `.npy` file.
struct Table {
    rows: usize,
    columns: usize,
    /// Bytes of a number, and whether it is a float.
    number: (usize, bool),
    bytes: Vec<u8>,
}

impl Table {
    /// Reads a two-dimensional array in C order.
    fn read(path: &Path) -> Outcome<Table> {
        let wrong = |what: &str| format!("{}: {what}", path.display());
        let mut bytes = fs::read(path).map_err(|error| wrong(&error.to_string()))?;
        let head = bytes.get(..12).ok_or_else(|| wrong("too short"))?;
        let (at, len) = match head[6] {
            1 => (10, usize::from(u16::from_le_bytes([head[8], head[9]]))),
            _ => (12, u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize),
        };
        if &head[..6] != b"\x93NUMPY" {
            return Err(wrong("is no .npy file").into());
        }
        let text = bytes.get(at..at + len).ok_or_else(|| wrong("a header that is cut"))?;
        let text = String::from_utf8_lossy(text).into_owned();
        let number = match ["<f4", "<i4", "<i8"].into_iter().find(|name| text.contains(name)) {
            Some("<f4") => (4, true),
            Some("<i4") => (4, false),
            Some(_) => (8, false),
            None => return Err(wrong("numbers that are not f4, i4 or i8").into()),
        };
        let shape = text.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')'));
        let shape = shape.ok_or_else(|| wrong("no shape"))?.0;
        let sides: Vec<usize> = shape.split(',').filter_map(|n| n.trim().parse().ok()).collect();
        let [rows, columns] = sides[..] else { return Err(wrong("is no table").into()) };
        bytes.drain(..at + len);
        if text.contains("'fortran_order': True") || bytes.len() != rows * columns * number.0 {
            return Err(wrong("numbers in another order, or not all").into());
        }
        Ok(Table { rows, columns, number, bytes })
    }

    fn numbers(&self, row: usize) -> Vec<f64> {
        let size = self.columns * self.number.0;
        let cells = self.bytes[row * size..][..size].chunks_exact(self.number.0);
        let number = |cell: &[u8]| match (self.number, cell) {
            ((4, true), &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            ((4, false), &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
            (_, cell) => i64::from_le_bytes(cell.try_into().unwrap_or_default()) as f64,
        };
        cells.map(number).collect()
    }

    fn floats(&self, row: usize) -> Vec<f32> {
        self.numbers(row).into_iter().map(|number| number as f32).collect()
    }
}
