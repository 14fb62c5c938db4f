//! Training, judging and printing.

use super::{Outcome, Task, args::Args, serve::Served, svg};
use bowerbird::{
    Key, Progress,
    model::{Epoch, Model, Protocol, Quality, Sequences, Train, Training, *},
};
use std::time::Instant;

/// What one method did, or several together.
pub(crate) struct Row {
    pub(crate) method: String,
    pub(crate) models: Vec<Model>,
    pub(crate) quality: Quality,
    pub(crate) train_seconds: f64,
    pub(crate) evaluation_seconds: f64,
    pub(crate) examples_per_second: f64,
    pub(crate) curve: Vec<Epoch>,
}

/// The floor, and the method last.
pub(crate) fn all(task: &Task, args: &Args) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for name in ["popularity", "sequential-rules"] {
        if args.method != name {
            rows.push(run(task, args, name)?);
        }
    }
    let parts: Vec<&str> = args.method.split('+').collect();
    match parts[..] {
        [name] => rows.push(run(task, args, name)?),
        _ => rows.push(blend(task, args, &parts)?),
    }
    if let (Some(path), Some(row)) = (&args.curve, rows.last()) {
        std::fs::write(path, svg::curve(&row.method, &row.curve))?;
    }
    Ok(rows)
}

/// A method by name, with the options that were said.
fn method(
    name: &str,
    epochs: Option<usize>,
    dim: Option<usize>,
) -> Outcome<(Box<dyn Train>, bool)> {
    Ok(match name {
        "popularity" => (Box::new(Popularity::default()), false),
        "sequential-rules" => (Box::new(Rules::default()), false),
        "association-rules" => (Box::new(Associations::default()), false),
        "markov" => (Box::new(Markov::default()), false),
        "item-knn" => (Box::new(ItemKnn::default()), false),
        "vs-knn" => (Box::new(VsKnn::default()), false),
        "item2vec" => {
            let plain = Item2Vec::default();
            (Box::new(Item2Vec { dim: dim.unwrap_or(plain.dim), epochs, ..plain }), false)
        }
        "ease" => (Box::new(Ease::default()), false),
        "als" => {
            let plain = Als::default();
            let (dim, epochs) = (dim.unwrap_or(plain.dim), epochs.unwrap_or(plain.epochs));
            (Box::new(Als { dim, epochs, ..plain }), false)
        }
        "gru4rec" => {
            let plain = Gru4Rec::default();
            let (dim, epochs) = (dim.unwrap_or(plain.dim), epochs.unwrap_or(plain.epochs));
            (Box::new(Gru4Rec { dim, epochs, ..plain }), true)
        }
        "sasrec" => {
            let plain = Sasrec::default();
            (Box::new(Sasrec { epochs, dim: dim.unwrap_or(plain.dim), ..plain }), true)
        }
        "bert4rec" => {
            let plain = Bert4Rec::default();
            (Box::new(Bert4Rec { epochs, dim: dim.unwrap_or(plain.dim), ..plain }), true)
        }
        _ => return Err(format!("--method {name}: not known").into()),
    })
}

fn run(task: &Task, args: &Args, name: &str) -> Outcome<Row> {
    eprintln!("{name}:");
    let (trainer, learns_in_epochs) = method(name, args.epochs, args.dim)?;
    let begin = Instant::now();
    let (mut model, mut curve) = match (&task.whole, learns_in_epochs) {
        (Some(whole), false) => train(&*trainer, whole, task, args, false)?,
        _ => train(&*trainer, &task.train, task, args, true)?,
    };
    if let (Some(whole), true) = (&task.whole, learns_in_epochs) {
        // How many epochs it takes is known now: learn from everything, for as long.
        let best = |e: &&Epoch| e.ndcg_10.unwrap_or(0.0);
        let best = curve.iter().max_by(|a, b| best(a).total_cmp(&best(b))).map_or(1, |e| e.number);
        eprintln!("  best after {best} epochs; once more, from all sessions");
        let (trainer, _) = method(name, Some(best), args.dim)?;
        let before = curve;
        (model, curve) = train(&*trainer, whole, task, args, false)?;
        curve.iter_mut().zip(&before).for_each(|(now, was)| now.ndcg_10 = was.ndcg_10);
    }
    let train_seconds = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    let protocol = Protocol { exclude_seen: task.exclude_seen, threads: args.threads };
    let quality = task.test.measure(&model, protocol)?;
    let evaluation_seconds = begin.elapsed().as_secs_f64();
    let examples_per_second = match curve.last() {
        Some(last) => last.examples as f64 / last.seconds.max(1e-9),
        None => task.train.events() as f64 / train_seconds.max(1e-9),
    };
    eprintln!(
        "  HR@10 {:.4}, NDCG@10 {:.4}, HR@20 {:.4}, MRR@20 {:.4}; {train_seconds:.1} s",
        quality.hr_10, quality.ndcg_10, quality.hr_20, quality.mrr_20
    );
    let method = name.to_owned();
    Ok(Row {
        method,
        models: vec![model],
        quality,
        train_seconds,
        evaluation_seconds,
        examples_per_second,
        curve,
    })
}

/// Several methods by reciprocal rank fusion (Cormack et al., 2009), as a recommender with one source
/// for each of them does.
fn blend(task: &Task, args: &Args, parts: &[&str]) -> Outcome<Row> {
    let rows = parts.iter().map(|name| run(task, args, name)).collect::<Outcome<Vec<Row>>>()?;
    let sum = |of: fn(&Row) -> f64| rows.iter().map(of).sum::<f64>();
    let (train_seconds, speed) = (sum(|row| row.train_seconds), sum(|r| r.examples_per_second));
    let models: Vec<Model> = rows.into_iter().flat_map(|row| row.models).collect();
    let begin = Instant::now();
    let protocol = Protocol { exclude_seen: task.exclude_seen, threads: args.threads };
    let (asked, seen_out) = (models.clone(), task.exclude_seen);
    let fused = move |history: &[u32], scores: &mut [f32]| {
        scores.fill(0.0);
        for model in &asked {
            let vocabulary = model.vocabulary();
            let keys: Vec<Key> = history.iter().map(|code| vocabulary.key(*code).clone()).collect();
            let most = FUSED + if seen_out { history.len() } else { 0 };
            let best = model.best(&keys, most)?;
            let codes = best.iter().filter_map(|(key, _)| vocabulary.code(key));
            let fresh = codes.filter(|code| !seen_out || !history.contains(code)).take(FUSED);
            for (rank, code) in fresh.enumerate() {
                scores[code as usize] += 1.0 / (61 + rank) as f32;
            }
        }
        Ok(())
    };
    let quality = task.test.measure_by(task.train.vocabulary().len(), protocol, fused)?;
    Ok(Row {
        method: args.method.clone(),
        models,
        quality,
        train_seconds,
        evaluation_seconds: begin.elapsed().as_secs_f64(),
        examples_per_second: speed,
        curve: Vec::new(),
    })
}

/// How many of each method's best are fused.
const FUSED: usize = 200;

fn train(
    trainer: &dyn Train,
    sequences: &Sequences,
    task: &Task,
    args: &Args,
    validate: bool,
) -> Outcome<(Model, Vec<Epoch>)> {
    let mut last = 0;
    let report = |done: u64, total: u64| {
        // Every tenth, and every pass of what takes long.
        if done > last && (total <= 400 || done * 10 / total > last * 10 / total) {
            eprint!("\r  {done} of at most {total}");
            last = done;
        }
        true
    };
    let mut how = Training::new(args.seed)
        .threads(args.threads)
        .exclude_seen(task.exclude_seen)
        .progress(Progress::to(report));
    if validate {
        how = how.validate(&task.validation);
    }
    if let Some(budget) = args.time_budget {
        // Where a second round follows, the first may take half.
        let again = validate && task.whole.is_some();
        how = how.time_budget(if again { budget / 2 } else { budget });
    }
    let model = trainer.train(sequences, &mut how)?;
    eprintln!();
    for epoch in how.curve() {
        let ndcg = epoch.ndcg_10.map_or("".into(), |n| format!(", validation NDCG@10 {n:.4}"));
        eprintln!("  epoch {}: loss {:.4}{ndcg}, {:.1} s", epoch.number, epoch.loss, epoch.seconds);
    }
    Ok((model, how.curve().to_vec()))
}

/// One JSON object on the last line.
pub(crate) fn print(rows: &[Row], args: &Args, task: &Task, served: &Served) {
    let Some((row, floor)) = rows.split_last() else { return };
    let figures = |row: &Row| {
        let q = &row.quality;
        serde_json::json!({
            "HR@10": q.hr_10, "NDCG@10": q.ndcg_10, "HR@20": q.hr_20, "MRR@20": q.mrr_20,
            "coverage": q.coverage_20, "train_seconds": row.train_seconds,
        })
    };
    let q = &row.quality;
    let mut line = serde_json::json!({
        "method": row.method,
        "protocol": task.protocol,
        "cases": q.cases,
        "items": task.train.vocabulary().len(),
        "HR@10": q.hr_10,
        "NDCG@10": q.ndcg_10,
        "HR@20": q.hr_20,
        "MRR@20": q.mrr_20,
        "HR@20_optimistic": q.hr_20_optimistic,
        "MRR@20_optimistic": q.mrr_20_optimistic,
        "NDCG@10_range": [q.ndcg_10_range.0, q.ndcg_10_range.1],
        "coverage": q.coverage_20,
        "seed": args.seed,
        "threads": args.threads,
        "epochs": row.curve.len(),
        "train_seconds": row.train_seconds,
        "evaluation_seconds": row.evaluation_seconds,
        "examples_per_second": row.examples_per_second,
        "p50_ms": served.p50_ms,
        "p99_ms": served.p99_ms,
    });
    for other in floor {
        line["floor"][&other.method] = figures(other);
    }
    if floor.len() == 1 {
        // The method is one of the floor itself.
        line["floor"][&row.method] = figures(row);
    }
    println!("{line}");
}
