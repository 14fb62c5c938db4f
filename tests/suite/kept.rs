//! Kept: what questions leave behind, so that the next one need not count again, stays within the memory
//! limit with all else, and answers do not depend on it.

use super::memory_limits::held_after;
use bowerbird::{
    model::ranker::{Features, Rank, RankBatch, Ranker},
    recommend::*,
    *,
};
use std::time::Duration;

const LIMIT: u64 = 64 << 20;
const ITEMS: u64 = 20_000;

/// Items, and users of ten events each, in two parts on disk and one that is not.
fn shop(options: Options) -> (tempfile::TempDir, Db) {
    let place = tempfile::tempdir().unwrap();
    let schema = Schema::new().space("text", 32, Metric::Dot).event("view").event("like");
    let db = Db::create_with(place.path().join("a.bower"), schema, options).unwrap();
    for part in 0..3u64 {
        let mut batch = db.batch();
        for id in (part..ITEMS).step_by(3) {
            let vector = (0..32).map(|at| ((id * 31 + at * 7) % 101) as f32).collect::<Vec<_>>();
            batch.put(Item::new(id).vector("text", vector));
        }
        for user in (part..12_000).step_by(3) {
            for step in 0..10 {
                let item = (user * 37 + step * step * 211) % ITEMS;
                let kind = if step % 3 == 0 { "like" } else { "view" };
                let at = Timestamp((user * 10 + step) as i64 * 1000);
                let event = Event::new(user, item, kind, at).value((step % 5) as f32);
                batch.event(event);
            }
        }
        batch.commit().unwrap();
        if part < 2 {
            db.flush().unwrap();
        }
    }
    (place, db)
}

fn options() -> Options {
    Options::default()
        .flush_bytes(LIMIT / 4)
        .maintenance(Maintenance::Manual)
        .durability(Durability::None)
        .io_mode(IoMode::Pread)
}

/// By how far the first number of the first vector is from that of the candidate's: it needs all rows.
#[derive(Debug)]
struct First;

impl Ranker for First {
    fn name(&self) -> String {
        "First".into()
    }

    fn rank(&self, batch: &RankBatch, scores: &mut [f32]) -> Result<()> {
        for (row, score) in scores.iter_mut().enumerate() {
            // Rows beyond the table are of items that were written after it was made.
            let (numbers, at) = match batch.rows() {
                Some((table, rows)) => match (rows[row] as usize).checked_sub(table.len()) {
                    Some(fresh) => (batch.fresh(0).unwrap().1, fresh),
                    None => (table.numbers(0), rows[row] as usize),
                },
                None => (batch.items(0).unwrap().1, row),
            };
            *score = numbers[at * 32] + numbers[at * 32 + 1] / 128.0;
        }
        Ok(())
    }
}

/// What a request gets, by counts that fade with a half-life of so many days.
fn ask(db: &Db, days: u64, by: usize) -> Vec<(Key, f32)> {
    let half_life = Duration::from_secs(86_400 * days);
    let kinds = ["view", "like"];
    let recommender = match by {
        0 => Recommender::new().retrieve(CoVisited::new(kinds, 50).half_life(half_life)),
        1 => Recommender::new().retrieve(Popular::new(kinds, half_life, 50)),
        2 => Recommender::new().retrieve(Popular::ever(["like"], 50)).score(ItemMean::new(
            if days.is_multiple_of(2) { ["view"] } else { ["like"] },
            days as f32,
        )),
        3 => {
            let boost = Boost::popular_lately(["view"], half_life);
            let near = NearBoosted::new(50).near("text", 1e-3).boost(boost, 0.5);
            Recommender::new().summarize(Recent::new("text", 5)).retrieve(near)
        }
        _ => {
            let features = Features::new().item("text").history("text", days as u32);
            Recommender::new()
                .retrieve(Popular::ever(kinds, 50))
                .score(Rank::with(features, First).resident())
        }
    };
    let request = Request::new(20, Timestamp(i64::MAX / 2)).user(77 + days);
    let slate = recommender.run(&db.snapshot(), &request).unwrap();
    slate.items.into_iter().map(|item| (item.key, item.score)).collect()
}

/// Goal: what each kind of question leaves behind is counted: never less than the allocator says, and not
/// many times as much.
// checks: L1
#[test]
fn what_questions_leave_behind_is_counted() {
    let (_place, db) = shop(options());
    for by in 0..5 {
        // Each by a half-life of its own: nothing is there from the question before.
        let (before, days) = (db.stats().heap_bytes, 9 + by as u64);
        let (answer, held) = held_after(|| ask(&db, days, by));
        let counted = db.stats().heap_bytes - before;
        println!("question {by}: {held} bytes by the allocator, {counted} counted");
        assert_eq!(answer.len(), 20, "question {by}");
        assert!(held <= counted + counted / 8 + 32_768, "question {by}: {held} {counted}");
        assert!(counted > 50_000 && counted < 3 * held, "question {by}: {held} {counted}");
        let again = db.stats().heap_bytes;
        assert_eq!((ask(&db, days, by), db.stats().heap_bytes), (answer, again), "question {by}");
    }
}

/// Goal: however many different questions are asked, the heap stays below the limit, a batch that needs the
/// room gets it, and all answers are those of a database with more room.
// checks: L1
#[test]
fn questions_stay_below_the_memory_limit() {
    let (_small, small) = shop(options().memory_limit_bytes(LIMIT));
    let (_large, large) = shop(options().memory_limit_bytes(4 << 30));
    let (mut most, mut without_limit) = (0, 0);
    for days in 1..=12 {
        for by in 0..5 {
            assert_eq!(ask(&small, days, by), ask(&large, days, by), "question {by}, {days} days");
            most = most.max(small.stats().heap_bytes);
            without_limit = large.stats().heap_bytes.max(without_limit);
            assert!(most <= LIMIT, "question {by}, {days} days: {most}");
        }
    }
    println!("{most} of {LIMIT} at most; {without_limit} where there is room");
    assert!(without_limit > LIMIT && most > LIMIT / 2, "{without_limit} {most}");
    let mut batch = small.batch();
    for id in ITEMS..ITEMS + 90_000 {
        batch.put(Item::new(id).vector("text", vec![1.0; 32]));
    }
    batch.commit().unwrap();
    assert!(small.stats().heap_bytes <= LIMIT);
    assert_eq!(ask(&small, 3, 0).len(), 20);
}
