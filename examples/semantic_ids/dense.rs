//! A sequence model over what items have, and the places that it gives to new ones.

use super::{
    Outcome, Shop, act,
    args::Args,
    cold::content,
    judge::{Case, Quality, judge},
    stock,
};
use bowerbird::{
    Db, Key, Snapshot, Timestamp,
    model::{
        ContentSasrec, Loss, NextItems, NextNew, NextScore, Reading, Sasrec, Sequences, Training,
    },
    recommend::{Explore, Recent, Recommender, Request, Seen, Similarity, Weighted},
};
use serde_json::{Map, Value as Json, json};
use std::{collections::BTreeSet, time::Instant};

/// The model of this example. Dropout of .2, .3 and .4 was tried on validation cases, not tuned.
pub(crate) fn sequence_model(inputs: Vec<(String, f32)>) -> ContentSasrec {
    let loss = Some(Loss::Sampled { negatives: 512, corrected: true });
    let sasrec = Sasrec { dropout: 0.3, epochs: Some(40), patience: 5, loss, ..Sasrec::default() };
    ContentSasrec { sasrec, inputs, ..ContentSasrec::of([]) }
}

/// Trains one, the last item of each history aside, and makes it the active version of "dense".
fn train(db: &Db, spaces: usize, args: &Args) -> Outcome<f64> {
    let snapshot = db.snapshot();
    let (train, last) = Sequences::read(&snapshot, &Reading::default())?.hold_out_last();
    let mut how = Training::new(args.seed).threads(args.threads).validate(&last);
    let begun = Instant::now();
    let inputs = (0..spaces).map(|at| (format!("v{at}"), 1.0)).collect();
    let model = sequence_model(inputs).train(&snapshot, &train, &mut how)?;
    let version = db.publish("dense", &model, model.provenance(snapshot.seq()))?;
    db.activate("dense", version)?;
    Ok(begun.elapsed().as_secs_f64())
}

/// How a slate is made: `similar` is what the cosine of an item with the latest ones of the history adds
/// to the model's logit, for each space of content.
#[derive(Clone, Copy)]
struct Slates {
    spaces: usize,
    similar: f32,
}

impl Slates {
    fn ranked(self) -> Recommender {
        let mut score = Weighted::new().add(1.0, NextScore::by("dense"));
        let mut recommender = Recommender::new().filter(Seen::new(["view"]));
        for space in (0..self.spaces).map(|at| format!("v{at}")) {
            recommender = recommender.summarize(Recent::new(&space, LATEST));
            score = score.add(self.similar, Similarity::new(&space));
        }
        recommender.score(score)
    }

    /// Of what the model knows.
    fn known(self) -> Recommender {
        self.ranked().retrieve(NextItems::by("dense", 100))
    }

    /// Of what is new to it.
    fn fresh(self) -> Recommender {
        self.ranked().retrieve(NextNew::by("dense", 100))
    }

    /// Of both: on the last places, new items that come near enough to those that they push out.
    fn both(self, margin: f32) -> Recommender {
        let explore = Explore::unshown(["view"], 1, PLACES).within(margin);
        self.known().retrieve(NextNew::by("dense", 100)).select(explore)
    }
}

/// The user's latest items that are compared with.
const LATEST: usize = 5;
/// Most places for new items, of ten.
const PLACES: usize = 5;
/// How much less a new item may score than what it pushes out.
const MARGINS: [f32; 13] = [-9.0, 0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.4, 2.7, 3.0, 9.0];
/// What the cosine may add.
const SIMILAR: [f32; 4] = [0.0, 1.0, 2.0, 4.0];
/// What warm cases may lose.
const LOSS_MAX: f64 = 0.02;

/// Recall of new items, and what is left of NDCG@10 of the others, for every margin.
struct Line {
    base: Quality,
    rows: Vec<(f32, f64, f64)>,
    /// New items among themselves: how often the right one is among the first so many.
    alone: Vec<f64>,
}

/// What a case comes to with every margin, from both lists apart: the two are asked for once, and the
/// rule of [`Explore::within`] is a line of code. `start` asks the operator itself with the chosen
/// margin; there a new item may also stand higher, where its own score puts it.
fn line(db: &Db, slates: Slates, (cold, warm): (&[&Case], &[&Case]), args: &Args) -> Outcome<Line> {
    let snapshot = db.snapshot();
    let (known, new) = (slates.known(), slates.fresh());
    let mut rows: Vec<(f32, f64, f64)> = MARGINS.iter().map(|m| (*m, 0.0, 0.0)).collect();
    let (mut base, mut alone) = (Quality::default(), vec![0.0; PLACES]);
    for (cases, is_cold) in [(cold, true), (warm, false)] {
        let lists = lists(&snapshot, (&known, &new), cases, args.threads)?;
        let share = 1.0 / cases.len().max(1) as f64;
        for (case, (old, fresh)) in cases.iter().zip(&lists) {
            let at = |list: &[(Key, f32)]| list.iter().position(|i| i.0 == Key::Id(case.target));
            if is_cold {
                let first = at(fresh).unwrap_or(PLACES);
                alone[first.min(PLACES)..].iter_mut().for_each(|sum| *sum += share);
            } else if let Some(at) = at(old) {
                base.hr_10 += share;
                base.ndcg_10 += share / (at as f64 + 2.0).log2();
            }
            for (margin, found, left) in &mut rows {
                let worth = |at: &usize| {
                    let last = old.len().checked_sub(at + 1).filter(|_| old.len() == 10);
                    last.is_none_or(|last| fresh[*at].1 + *margin >= old[last].1)
                };
                let slots = (0..fresh.len().min(PLACES)).take_while(worth).count();
                match (is_cold, at(fresh), at(old)) {
                    (true, Some(at), _) if at < slots => *found += share,
                    (false, _, Some(at)) if at < 10 - slots => {
                        *left += share / (at as f64 + 2.0).log2();
                    }
                    _ => {}
                }
            }
        }
    }
    rows.iter_mut().for_each(|row| row.2 /= base.ndcg_10.max(1e-12));
    base.cases = warm.len();
    Ok(Line { base, rows, alone })
}

type Lists = Vec<(Vec<(Key, f32)>, Vec<(Key, f32)>)>;

/// The first ten of what is known and of what is new, with scores, for each case.
fn lists(
    snapshot: &Snapshot,
    (known, new): (&Recommender, &Recommender),
    cases: &[&Case],
    threads: usize,
) -> Outcome<Lists> {
    let one = |case: &&Case| -> bowerbird::Result<_> {
        let request = Request::new(10, Timestamp::MAX).user(case.user);
        let list = |recommender: &Recommender| -> bowerbird::Result<Vec<(Key, f32)>> {
            let slate = recommender.run(snapshot, &request)?;
            Ok(slate.items.into_iter().map(|item| (item.key, item.score)).collect())
        };
        Ok((list(known)?, list(new)?))
    };
    let piece = cases.len().div_ceil(threads.max(1)).max(1);
    let parts = std::thread::scope(|scope| {
        let one = &one;
        let each = |some| scope.spawn(move || <[&Case]>::iter(some).map(one).collect());
        let handles: Vec<_> = cases.chunks(piece).map(each).collect();
        let join = |handle: std::thread::ScopedJoinHandle<'_, bowerbird::Result<Lists>>| {
            handle.join().expect("no panic")
        };
        handles.into_iter().map(join).collect::<bowerbird::Result<Vec<Lists>>>()
    });
    Ok(parts?.concat())
}

/// The largest margin that costs the others no more than they may lose.
fn choose(line: &Line) -> f32 {
    let fits = line.rows.iter().filter(|row| row.2 >= 1.0 - LOSS_MAX);
    fits.map(|row| row.0).fold(f32::NEG_INFINITY, f32::max)
}

/// Chooses what similarity adds, and the margin, as if it were a day earlier: without each user's last
/// item and without the items that are new in the end, with others held back in their place.
fn rehearse(shop: &Shop, args: &Args) -> Outcome<(Slates, f32)> {
    let files = &shop.files;
    let keys: BTreeSet<u64> = files.keys.difference(&shop.cold).copied().collect();
    let earlier = |(user, items): &(u64, Vec<u64>)| {
        let past = &items[..items.len().saturating_sub(1)];
        (*user, past.iter().copied().filter(|item| keys.contains(item)).collect::<Vec<u64>>())
    };
    let lists: Vec<(u64, Vec<u64>)> = files.lists.iter().map(earlier).collect();
    let db = stock(files, &keys)?;
    let other = Args { seed: args.seed + 1_000, ..args.clone() };
    let (cold, cases) = act(&db, &lists, &keys, &other)?;
    let seconds = train(&db, files.spaces.len(), args)?;
    let (new, warm): (Vec<&Case>, Vec<&Case>) =
        cases.iter().partition(|case| cold.contains(&case.target));
    // A third of the others says as much as is needed.
    let warm: Vec<&Case> = warm.into_iter().step_by(3).collect();
    println!("rehearsed on {} cases of {} items, {seconds:.0} s", new.len(), cold.len());
    let mut best: Option<(Slates, Line)> = None;
    for similar in SIMILAR {
        let slates = Slates { spaces: files.spaces.len(), similar };
        let line = line(&db, slates, (&new, &warm), args)?;
        println!("similarity adds {similar}: others {:?}, new {:.4?}", line.base, line.alone);
        print(&line);
        if best.as_ref().is_none_or(|(_, best)| line.base.ndcg_10 > best.base.ndcg_10) {
            best = Some((slates, line));
        }
    }
    let (slates, line) = best.ok_or("something is tried")?;
    Ok((slates, choose(&line)))
}

fn print(line: &Line) {
    for (margin, found, kept) in &line.rows {
        println!("  margin {margin}: new {found:.4}, others keep {kept:.3}");
    }
}

pub(crate) fn start(shop: &Shop, args: &Args, figures: &mut Map<String, Json>) -> Outcome<()> {
    let (slates, margin) = rehearse(shop, args)?;
    let seconds = train(&shop.db, shop.files.spaces.len(), args)?;
    let is_cold = |case: &&Case| shop.cold.contains(&case.target);
    let (cold, warm): (Vec<&Case>, Vec<&Case>) = shop.cases.iter().partition(is_cold);
    let line = line(&shop.db, slates, (&cold, &warm), args)?;
    println!("sequence model of content, {seconds:.0} s: others {:?}", line.base);
    println!(
        "new items among themselves, the right one among the first 1, 2, ...: {:.4?}",
        line.alone
    );
    print(&line);
    let (snapshot, both) = (shop.db.snapshot(), slates.both(margin));
    let spaces: Vec<String> = (0..slates.spaces).map(|at| format!("v{at}")).collect();
    let nearest = judge(&snapshot, &content(&spaces), &cold, args.threads)?.hr_10;
    println!("nearest by content in {} spaces: new {nearest:.4}", slates.spaces);
    figures.insert("content_cold_recall_10".into(), json!(nearest));
    let found = judge(&snapshot, &both, &cold, args.threads)?.hr_10;
    let kept = judge(&snapshot, &both, &warm, args.threads)?.ndcg_10 / line.base.ndcg_10;
    println!("margin {margin}, as rehearsed: new {found:.4}, others keep {kept:.4}");
    let rows = line.rows.iter().map(|(margin, found, kept)| {
        json!({ "margin": margin, "cold_recall_10": found, "warm_kept": kept })
    });
    figures.insert("dense_cold_cases".into(), json!(cold.len()));
    figures.insert("dense_hr_10".into(), json!(line.base.hr_10));
    figures.insert("dense_ndcg_10".into(), json!(line.base.ndcg_10));
    figures.insert("dense_new_alone".into(), json!(line.alone));
    figures.insert("dense_similar".into(), json!(slates.similar));
    figures.insert("dense_margin".into(), json!(margin));
    figures.insert("dense_cold_recall_10".into(), json!(found));
    figures.insert("dense_warm_kept".into(), json!(kept));
    figures.insert("dense".into(), rows.collect());
    Ok(())
}
