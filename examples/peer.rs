//! Bowerbird in the peer benchmark: an external engine, through the public API, with a database on
//! disk.
//!
//! `peer BASE QUERY TRUTH METRIC THREADS WORKDIR [--graphs compact|fast] [--efforts 8,16]
//! [--encoding f32|f16|i8|u8] [--memory-limit BYTES] [--batch-threads N]`
//!
//! BASE and QUERY are `.fvecs`, TRUTH is `.ivecs`. Prints a JSON line after each phase, and writes
//! `ids_EFFORT.ivecs` into WORKDIR. If there is a database in WORKDIR it is opened, not built.
#![allow(clippy::disallowed_methods)] // The data of the benchmark are plain files.

use bowerbird::*;
use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

type Failure = Box<dyn std::error::Error>;

const K: usize = 10;
const SWEEP: [u32; 15] = [4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512];
/// A sweep ends once more effort can find no more that matters.
const RECALL_ENOUGH: f64 = 0.998;

struct Job {
    base: PathBuf,
    query: PathBuf,
    truth: PathBuf,
    metric: Metric,
    threads: usize,
    workdir: PathBuf,
    graphs: Graphs,
    efforts: Vec<u32>,
    encoding: Encoding,
    memory_limit: Option<u64>,
    batch_threads: usize,
}

impl Job {
    fn parse() -> std::result::Result<Job, Failure> {
        let (mut plain, mut graphs) = (Vec::new(), Graphs::default());
        let (mut efforts, mut encoding) = (SWEEP.to_vec(), Encoding::F32);
        let (mut memory_limit, mut batch_threads) = (None, 1);
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                plain.push(word);
                continue;
            };
            let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
            match (name, value.as_str()) {
                ("graphs", "compact") => graphs = Graphs::Compact,
                ("graphs", "fast") => graphs = Graphs::Fast,
                ("efforts", list) => {
                    efforts = list.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
                ("memory-limit", bytes) => memory_limit = Some(bytes.parse()?),
                ("batch-threads", count) => batch_threads = count.parse()?,
                ("encoding", "f32") => encoding = Encoding::F32,
                ("encoding", "f16") => encoding = Encoding::F16,
                ("encoding", "i8") => encoding = Encoding::I8,
                ("encoding", "u8") => encoding = Encoding::U8,
                _ => return Err(format!("--{name} {value} is not known").into()),
            }
        }
        let [base, query, truth, metric, threads, workdir] = &plain[..] else {
            return Err("usage: peer BASE QUERY TRUTH l2|ip|angular THREADS WORKDIR".into());
        };
        let metric = match metric.as_str() {
            "l2" => Metric::L2,
            "ip" => Metric::Dot,
            "angular" => Metric::Cosine,
            other => return Err(format!("metric {other} is not l2, ip or angular").into()),
        };
        let [base, query, truth, workdir] = [base, query, truth, workdir].map(PathBuf::from);
        let threads = threads.parse()?;
        Ok(Job {
            base,
            query,
            truth,
            metric,
            threads,
            workdir,
            graphs,
            efforts,
            encoding,
            memory_limit,
            batch_threads,
        })
    }

    fn options(&self) -> Options {
        let options = Options::default().graphs(self.graphs).build_threads(self.threads);
        match self.memory_limit {
            Some(bytes) => options.memory_limit_bytes(bytes),
            None => options,
        }
    }

    fn folder(&self) -> PathBuf {
        self.workdir.join("db")
    }
}

fn main() -> ExitCode {
    match Job::parse().and_then(|job| run(&job)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(job: &Job) -> std::result::Result<(), Failure> {
    let queries = vectors(&job.query)?;
    let truth = ids(&job.truth)?;
    if queries.is_empty() || queries.len() != truth.len() {
        return Err(format!("{} queries, {} truths", queries.len(), truth.len()).into());
    }
    if !job.folder().exists() {
        build(job)?;
    }
    let start = Instant::now();
    let db = Db::open_with(job.folder(), job.options())?;
    let opened = start.elapsed().as_secs_f64();
    db.snapshot().near("v", &queries[0]).limit(K).run()?;
    let first = start.elapsed().as_secs_f64();
    let rss = resident_mb();
    db.warm()?;
    let snapshot = db.snapshot();
    let warm = start.elapsed().as_secs_f64() - first;
    say(&format!(
        r#"{{"phase":"open","seconds":{opened:.6},"first_query_s":{first:.6},"rss_mb":{rss},"warm_s":{warm:.3}}}"#
    ));
    for effort in &job.efforts {
        if search(job, &snapshot, &queries, &truth, *effort)? > RECALL_ENOUGH {
            break;
        }
    }
    Ok(())
}

/// Imports the base and builds its graphs. Reading the file does not count.
fn build(job: &Job) -> std::result::Result<(), Failure> {
    let base = vectors(&job.base)?;
    let dim = base.first().map_or(0, Vec::len) as u32;
    fs::create_dir_all(&job.workdir)?;
    // Under another name until it is whole.
    let building = job.workdir.join("building");
    if building.exists() {
        fs::remove_dir_all(&building)?;
    }
    // By hand: a thread would build graphs of segments that are about to be merged.
    let start = Instant::now();
    let schema = Schema::new().space_as("v", dim, job.metric, job.encoding);
    let db = Db::create_with(&building, schema, job.options().maintenance(Maintenance::Manual))?;
    for (at, rows) in base.chunks(1000).enumerate() {
        let mut batch = db.batch();
        for (id, row) in (at as u64 * 1000..).zip(rows) {
            batch.put(Item::new(id).vector("v", row.clone()));
        }
        batch.commit()?;
    }
    db.compact()?;
    let imported = start.elapsed().as_secs_f64();
    db.index()?;
    let (all, rows) = (start.elapsed().as_secs_f64(), db.snapshot().len());
    db.close()?;
    fs::rename(&building, job.folder())?;
    let (bytes, indexed) = (folder_bytes(&job.folder())?, all - imported);
    say(&format!(
        r#"{{"phase":"build","seconds":{all:.3},"disk_bytes":{bytes},"import_s":{imported:.3},"index_s":{indexed:.3},"rows":{rows}}}"#
    ));
    Ok(())
}

/// Searches all queries in both modes; returns the recall.
fn search(
    job: &Job,
    snapshot: &Snapshot,
    queries: &[Vec<f32>],
    truth: &[Vec<i32>],
    effort: u32,
) -> std::result::Result<f64, Failure> {
    let batch = || {
        let batch = snapshot.near_batch("v", queries).threads(job.batch_threads);
        batch.limit(K).effort(effort).run()
    };
    let start = Instant::now();
    let mut answers = batch()?;
    let mut best = start.elapsed().as_secs_f64();
    if best < 2.0 {
        for _ in 0..2 {
            let start = Instant::now();
            answers = batch()?;
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    let found: Vec<Vec<i32>> = answers.iter().map(|hits| row_numbers(hits)).collect();
    write_ids(&job.workdir.join(format!("ids_{effort}.ivecs")), &found)?;
    let recall = recall(&found, truth);
    let qps = queries.len() as f64 / best;
    say(&format!(
        r#"{{"phase":"search","effort":{effort},"mode":"batch","recall10":{recall:.5},"qps":{qps:.1}}}"#
    ));

    let one = |query: &Vec<f32>| snapshot.near("v", query).limit(K).effort(effort).run();
    for query in queries.iter().take(20) {
        one(query)?;
    }
    let (mut times, mut sum) = (Vec::new(), 0.0);
    for query in queries {
        let start = Instant::now();
        one(query)?;
        let time = start.elapsed().as_secs_f64();
        times.push(time);
        sum += time;
        if sum > 0.6 {
            break;
        }
    }
    let count = times.len();
    times.sort_by(f64::total_cmp);
    let (qps, p50, p99) = (
        count as f64 / sum,
        times[count / 2] * 1e6,
        times[(count * 99 / 100).min(count - 1)] * 1e6,
    );
    say(&format!(
        r#"{{"phase":"search","effort":{effort},"mode":"one","recall10":{recall:.5},"qps":{qps:.1},"p50_us":{p50:.1},"p99_us":{p99:.1},"queries":{count}}}"#
    ));
    Ok(recall)
}

/// The ten row numbers of an answer, -1 for none.
fn row_numbers(hits: &[Hit]) -> Vec<i32> {
    let number = |hit: &Hit| match hit.key {
        Key::Id(id) => i32::try_from(id).unwrap_or(-1),
        Key::Name(_) => -1,
    };
    let mut rows: Vec<i32> = hits.iter().map(number).collect();
    rows.resize(K, -1);
    rows
}

fn recall(found: &[Vec<i32>], truth: &[Vec<i32>]) -> f64 {
    let right = |(found, truth): (&Vec<i32>, &Vec<i32>)| {
        let nearest = &truth[..K.min(truth.len())];
        found.iter().filter(|id| nearest.contains(id)).count()
    };
    let hits: usize = found.iter().zip(truth).map(right).sum();
    hits as f64 / (K * truth.len()) as f64
}

/// A line of the protocol, out at once.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Rows of four-byte numbers, each with its length before it.
fn rows(path: &Path) -> std::result::Result<Vec<Vec<[u8; 4]>>, Failure> {
    let mut file = std::io::BufReader::with_capacity(1 << 20, fs::File::open(path)?);
    let (mut all, mut word) = (Vec::new(), [0; 4]);
    while file.read_exact(&mut word).is_ok() {
        let len = u32::from_le_bytes(word) as usize;
        if len == 0 || len > 100_000 {
            return Err(format!("{}: a row of {len} numbers", path.display()).into());
        }
        let mut bytes = vec![0; len * 4];
        file.read_exact(&mut bytes)?;
        all.push(bytes.as_chunks::<4>().0.to_vec());
    }
    Ok(all)
}

fn vectors(path: &Path) -> std::result::Result<Vec<Vec<f32>>, Failure> {
    let numbers = |row: Vec<[u8; 4]>| row.into_iter().map(f32::from_le_bytes).collect();
    Ok(rows(path)?.into_iter().map(numbers).collect())
}

fn ids(path: &Path) -> std::result::Result<Vec<Vec<i32>>, Failure> {
    let numbers = |row: Vec<[u8; 4]>| row.into_iter().map(i32::from_le_bytes).collect();
    Ok(rows(path)?.into_iter().map(numbers).collect())
}

fn write_ids(path: &Path, found: &[Vec<i32>]) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    for row in found {
        bytes.extend((row.len() as i32).to_le_bytes());
        row.iter().for_each(|id| bytes.extend(id.to_le_bytes()));
    }
    fs::write(path, bytes)
}

fn folder_bytes(path: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        sum += if kind.is_dir() { folder_bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}

/// Resident memory of this process, 0 where nobody says.
fn resident_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
