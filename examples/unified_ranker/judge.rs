//! Trains the rankers of one seed and judges them; and puts the seeds together.

use crate::{
    Outcome,
    lists::{Lists, TASKS, Three},
};
use bowerbird::model::{Training, ranker::*};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// NDCG@10 of each list to judge; 0 where nothing right was found.
type Marks = Vec<f64>;

/// The rankers of one seed, and their marks by surface.
pub(crate) struct Run {
    pub(crate) unified: RankModel,
    before: [Marks; 3],
    by_unified: [Marks; 3],
    by_blind: [Marks; 3],
    by_specialist: [Marks; 3],
    seconds: f64,
}

fn marks(examples: &Examples, scores: &[f32]) -> Marks {
    examples.ndcgs(scores, 10).into_iter().map(|mark| mark.unwrap_or(0.0)).collect()
}

/// The order that the sources gave: reciprocal rank fusion.
fn before(examples: &Examples) -> Marks {
    let width = examples.batch().features().scalars().len();
    let at = examples.batch().features().scalars().iter().position(|s| *s == Scalar::Previous);
    let rows = examples.batch().scalars().chunks_exact(width);
    let scores: Vec<f32> = rows.map(|row| row[at.unwrap_or(0)]).collect();
    marks(examples, &scores)
}

fn scored(model: &RankModel, examples: &Examples) -> Outcome<Vec<f32>> {
    let ranker = Cpu.load(&Arc::new(model.clone()))?;
    let mut scores = vec![f32::NAN; examples.labels().len()];
    ranker.rank(examples.batch(), &mut scores)?;
    Ok(scores)
}

/// Marks of lists of all surfaces, by surface.
fn by_task(three: &Three, marks: &[f64]) -> [Marks; 3] {
    let mut by = <[Marks; 3]>::default();
    three.tasks.iter().zip(marks).for_each(|(task, mark)| by[*task as usize].push(*mark));
    by
}

pub(crate) fn run(lists: &Lists, fit: &FitRanker, seed: u64, threads: usize) -> Outcome<Run> {
    let begin = Instant::now();
    let train = |examples: &Examples, choose: &Examples| {
        fit.train(examples, Some(choose), &mut Training::new(seed).threads(threads))
    };
    let judge = &lists.judge;
    let unified = train(&lists.train.all, &lists.choose.all)?;
    let by_unified = by_task(judge, &marks(&judge.all, &scored(&unified, &judge.all)?));
    let [blind_train, blind_choose, blind_judge] = &lists.blind;
    let blind = train(blind_train, blind_choose)?;
    let by_blind = by_task(judge, &marks(blind_judge, &scored(&blind, blind_judge)?));
    let mut by_specialist = <[Marks; 3]>::default();
    for (task, by) in by_specialist.iter_mut().enumerate() {
        let specialist = train(&lists.train.each[task], &lists.choose.each[task])?;
        *by = marks(&judge.each[task], &scored(&specialist, &judge.each[task])?);
    }
    let before = [0, 1, 2].map(|task| before(&judge.each[task]));
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Run { unified, before, by_unified, by_blind, by_specialist, seconds })
}

fn mean(marks: &[f64]) -> f64 {
    marks.iter().sum::<f64>() / marks.len().max(1) as f64
}

impl Run {
    pub(crate) fn print(&self, seed: u64) {
        println!("seed {seed}, {:.0} s: NDCG@10", self.seconds);
        println!(
            "{:>10} {:>8} {:>10} {:>8} {:>8}",
            "", "sources", "specialist", "unified", "no task"
        );
        for (task, name) in TASKS.iter().enumerate() {
            println!(
                "{name:>10} {:8.4} {:10.4} {:8.4} {:8.4}",
                mean(&self.before[task]),
                mean(&self.by_specialist[task]),
                mean(&self.by_unified[task]),
                mean(&self.by_blind[task])
            );
        }
    }
}

/// The mean of differences, list by list, over all seeds, and where 95 of 100 resamples of the owners of
/// the lists lie.
fn difference(
    runs: &[Run],
    owners: &[u64],
    of: impl Fn(&Run) -> (&Marks, &Marks),
) -> (f64, f64, f64) {
    let mut sums: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for (at, owner) in owners.iter().enumerate() {
        let sum: f64 = runs.iter().map(|run| of(run).0[at] - of(run).1[at]).sum();
        let (total, lists) = sums.entry(*owner).or_default();
        *total += sum / runs.len() as f64;
        *lists += 1.0;
    }
    let sums: Vec<(f64, f64)> = sums.into_values().collect();
    let mean = |some: &mut dyn Iterator<Item = (f64, f64)>| {
        let (total, lists) = some.fold((0.0, 0.0), |all, one| (all.0 + one.0, all.1 + one.1));
        total / f64::max(lists, 1.0)
    };
    let mut state = 7u64;
    let mut draw = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        sums[(state >> 33) as usize % sums.len()]
    };
    let mut means: Vec<f64> =
        (0..1000).map(|_| mean(&mut (0..sums.len()).map(&mut draw))).collect();
    means.sort_by(f64::total_cmp);
    (mean(&mut sums.iter().copied()), means[25], means[974])
}

/// Everything as numbers, means over the seeds.
pub(crate) fn figures(runs: &[Run], lists: &Lists) -> Map<String, Value> {
    let mut line = Map::new();
    let all = |of: &dyn Fn(&Run) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
    let (mut unified, mut blind) = (0.0, 0.0);
    for (task, name) in TASKS.iter().enumerate() {
        let (name, owners) = (name.replace('-', "_"), &lists.judge.owners[task]);
        let sources = all(&|run| mean(&run.before[task]));
        let specialist = all(&|run| mean(&run.by_specialist[task]));
        let one = all(&|run| mean(&run.by_unified[task]));
        let (lift, low, high) =
            difference(runs, owners, |run| (&run.by_unified[task], &run.by_specialist[task]));
        println!("{name}: unified - specialist {lift:+.4}, 95 % in {low:+.4} to {high:+.4}");
        let (gain, least, _) =
            difference(runs, owners, |run| (&run.by_specialist[task], &run.before[task]));
        let (worth, from, to) =
            difference(runs, owners, |run| (&run.by_unified[task], &run.by_blind[task]));
        println!("{name}: with - without the task {worth:+.4}, 95 % in {from:+.4} to {to:+.4}");
        println!("{name}: specialist - sources {gain:+.4}, 95 % above {least:+.4}");
        line.insert(format!("{name}_lists"), json!(lists.judge.each[task].len()));
        line.insert(format!("{name}_sources"), json!(sources));
        line.insert(format!("{name}_specialist"), json!(specialist));
        line.insert(format!("{name}_unified"), json!(one));
        line.insert(format!("{name}_ratio"), json!(one / specialist));
        line.insert(format!("{name}_lift_low"), json!(low));
        line.insert(format!("{name}_specialist_gain_low"), json!(least));
        unified += one / 3.0;
        blind += all(&|run| mean(&run.by_blind[task])) / 3.0;
    }
    line.insert("mean_unified".into(), json!(unified));
    line.insert("mean_without_task".into(), json!(blind));
    line.insert("seeds".into(), json!(runs.len()));
    line.insert("train_seconds".into(), json!(all(&|run| run.seconds)));
    line
}

/// What must hold: little on the small data, where a few hundred lists decide; on the large all that
/// is claimed of a unified ranker.
pub(crate) fn check(line: &Map<String, Value>, large: bool) {
    let number = |name: &str| line[name].as_f64().unwrap_or(f64::NAN);
    for name in ["search", "similar", "for_you"] {
        let (sources, unified) =
            (number(&format!("{name}_sources")), number(&format!("{name}_unified")));
        assert!(unified > 0.8 * sources, "{name}: {unified} for {sources}");
        let ratio = number(&format!("{name}_ratio"));
        // One seed tells little.
        assert!(
            !large || number("seeds") < 3.0 || ratio >= 0.98,
            "{name}: {ratio} of a specialist"
        );
    }
}
