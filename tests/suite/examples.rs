//! Examples: what a ranker is taught is what it is asked, and what went wrong is not part of it.

use bowerbird::{
    model::{Case, Cases, Training, ranker::*},
    recommend::*,
    *,
};

const ITEMS: u64 = 40;

fn db(dim: u32) -> Db {
    let db = Db::in_memory(Schema::new().space("text", dim, Metric::Cosine).event("view")).unwrap();
    for id in 0..ITEMS {
        let vector = (0..dim).map(|at| ((id * 7 + u64::from(at) * 3) % 11) as f32 - 4.0);
        db.batch().put(Item::new(id).vector("text", vector.collect::<Vec<_>>())).commit().unwrap();
        let event = Event::new(id % 5, id * id % ITEMS, "view", Timestamp(id as i64));
        db.batch().event(event).commit().unwrap();
    }
    db
}

fn query(request: Request) -> Request {
    request.query("text", [1.0, 0.5, -1.0, 0.0])
}

fn request() -> Request {
    Request::new(5, Timestamp(100))
}

/// Finds all items, the ones with the smallest keys first; under a name.
struct All(&'static str);

impl Retrieve for All {
    fn name(&self) -> String {
        self.0.into()
    }
    fn retrieve(&self, _: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        allowed.iter().for_each(|addr| found.push(addr, 0.0));
        Ok(())
    }
}

/// Says the same of all.
struct Same;

impl Ranker for Same {
    fn name(&self) -> String {
        "same".into()
    }
    fn rank(&self, _: &RankBatch, scores: &mut [f32]) -> Result<()> {
        scores.fill(1.0);
        Ok(())
    }
}

/// Goal: features of a request are the same when a ranker is trained on it and when it is asked, the score that
/// candidates come with among them, whether there are scorers before or not.
/// Method: the sources of every surface, served with a log, and the same without a ranker as examples.
#[test]
fn a_ranker_is_asked_as_it_was_taught() {
    let (db, unified) = (db(4), Unified::new("text", ["view"]));
    let snapshot = db.snapshot();
    let requests = [
        query(request().user(1)),
        query(request()),
        request().user(2),
        request().user(2).item(7u64),
        request().item(9u64),
    ];
    let previous = unified.features().scalars().iter().position(|s| *s == Scalar::Previous);
    let (previous, width) = (previous.unwrap(), unified.features().scalars().len());
    for scored in [false, true] {
        let sources = || match scored {
            true => unified.sources().score(Similarity::new("text")),
            false => unified.sources(),
        };
        let log = ServedLog::new(10);
        let rank = Rank::with(unified.features(), Same).log(&log);
        let served = sources().score(rank);
        let mut examples = Examples::new(unified.features(), &snapshot).unwrap();
        for (at, request) in requests.iter().enumerate() {
            served.run(&snapshot, &request.clone().id(at as u64)).unwrap();
            examples.run(&sources(), request, |_| 0.0).unwrap();
        }
        let batch = examples.batch();
        for (at, one) in log.take().iter().enumerate() {
            let rows = batch.range(at);
            let taught = &batch.scalars()[rows.start * width..rows.end * width];
            assert_eq!(one.batch().scalars(), taught, "request {at}, scored: {scored}");
            assert_eq!(one.batch().tasks()[0], batch.tasks()[at]);
            assert!(taught.chunks(width).any(|row| row[previous] != 0.0), "request {at}");
        }
    }
}

/// Goal: a request that is refused leaves nothing of itself in the examples, wherever it failed: what comes
/// after it is with its own vectors.
/// Method: the same lists with and without requests that fail at the second vector and at the last scalar.
#[test]
fn what_was_refused_leaves_nothing_behind() {
    let db = db(4);
    let features = Features::new()
        .user("text", 10)
        .query("text")
        .required()
        .item("text")
        .history("text", 3)
        .scalar(Scalar::Experience)
        .scalar(Scalar::Place { source: "All".into() });
    let none = || Examples::new(features.clone(), &db.snapshot()).unwrap();
    let (all, other) =
        (Recommender::new().retrieve(All("All")), Recommender::new().retrieve(All("Another")));
    let label = |key: &Key| if *key == Key::Id(3) { 1.0 } else { 0.0 };
    let (mut clean, mut tried) = (none(), none());
    for user in 0..4 {
        let good = query(request().user(user));
        clean.run(&all, &good, label).unwrap();
        let refused = tried.run(&all, &request().user(user), label).unwrap_err();
        assert!(refused.to_string().contains("requires"), "{refused}");
        let refused = tried.run(&other, &good, label).unwrap_err();
        assert!(refused.to_string().contains("All"), "{refused}");
        let pushed = [(Key::Id(1), 1.0), (Key::Id(2), 0.0)];
        assert!(tried.push(&request().user(user), &pushed).is_err());
        assert!(tried.push(&good, &pushed).is_err(), "nobody found it in a place");
        tried.run(&all, &good, label).unwrap();
    }
    let (a, b) = (clean.batch(), tried.batch());
    assert_eq!((a.starts(), a.tasks(), a.scalars()), (b.starts(), b.tasks(), b.scalars()));
    assert_eq!((a.context(0), a.context(1)), (b.context(0), b.context(1)));
    assert_eq!((a.history(), a.rows().unwrap().1), (b.history(), b.rows().unwrap().1));
    assert_eq!(clean.labels(), tried.labels());
}

/// Lists of a third of the items, one of which is right, as `label` says.
fn lists(db: &Db, label: f32) -> Examples {
    let features = Features::new().query("text").item("text");
    let mut examples = Examples::new(features, &db.snapshot()).unwrap();
    let dim = db.snapshot().schema().spaces()[0].dim as usize;
    for at in 0..12u64 {
        let request = request().query("text", vec![1.0 + at as f32; dim]);
        let list: Vec<(Key, f32)> = (0..ITEMS / 3)
            .map(|id| (Key::Id((id * 3 + at) % ITEMS), if id == 4 { label } else { 0.0 }))
            .collect();
        examples.push(&request, &list).unwrap();
    }
    examples
}

fn fit() -> FitRanker {
    FitRanker { epochs: 6, width: 4, ..FitRanker::of(Body::Mlp { hidden: vec![4] }) }
}

/// Goal: validation lists that cannot tell what is better, as none has anything right, stop nothing and choose
/// nothing: it is the last epoch that is kept, as without any.
#[test]
fn lists_without_anything_right_choose_no_epoch() {
    let db = db(4);
    let examples = lists(&db, 1.0);
    let train = |validation: Option<&Examples>| {
        let mut how = Training::new(3);
        let model = fit().train(&examples, validation, &mut how).unwrap();
        (model.export().unwrap(), how.curve().iter().map(|e| e.ndcg_10).collect::<Vec<_>>())
    };
    let plain = train(None);
    assert_eq!(plain.1, [None; 6]);
    assert_eq!(train(Some(&lists(&db, 0.0))), plain);
    assert_eq!(train(Some(&examples.some([]))), plain);
    let judged = train(Some(&examples)).1;
    assert!(judged.iter().all(Option::is_some), "{judged:?}");
}

/// Goal: what a ranker cannot be judged by is refused, and says what to do.
#[test]
fn what_cannot_judge_a_ranker_is_refused() {
    let examples = lists(&db(4), 1.0);
    let refused = |fit: FitRanker, lists: Option<&Examples>, how: &mut Training<'_>| {
        fit.train(&examples, lists, how).unwrap_err().to_string()
    };
    let wider = lists(&db(5), 1.0);
    let why = refused(fit(), Some(&wider), &mut Training::new(1));
    assert!(why.contains("dimensions"), "{why}");
    let cases = Cases::new(vec![Case { history: vec![0], target: Some(1) }]);
    let why = refused(fit(), None, &mut Training::new(1).validate(&cases));
    assert!(why.contains("FitRanker::train"), "{why}");
    let none = Cases::new(vec![]);
    assert!(fit().train(&examples, None, &mut Training::new(1).validate(&none)).is_ok());
    let why = refused(FitRanker { patience: 0, ..fit() }, None, &mut Training::new(1));
    assert!(why.contains("patience"), "{why}");
}
