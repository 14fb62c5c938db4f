//! Rankers and logs from elsewhere: any weights, manifest and logged request are a value or an error.

use super::attack::{Choices, changed};
use bowerbird::{
    model::{Training, ranker::*},
    recommend::{Popular, Recommender, Request},
    *,
};
use std::sync::{Arc, OnceLock};

/// A sound ranker of each kind as files, and a request that was served by it.
struct Sound {
    files: Vec<(Vec<u8>, String)>,
    served: Vec<u8>,
}

fn features() -> Features {
    let near = Scalar::Similarity { role: Role::User, space: "text".into() };
    let own = Features::new().tasks(["a", "b"]).user("text", 3).item("text").history("text", 2);
    own.scalar(near).scalar(Scalar::Popularity { kinds: vec![], half_life: Some(1000) })
}

fn make() -> Result<Sound> {
    let db = Db::in_memory(Schema::new().space("text", 2, Metric::Cosine).event("view"))?;
    for id in 0..6u64 {
        let item = Item::new(id);
        let vector = [id as f32, 1.0];
        db.batch().put(if id == 3 { item } else { item.vector("text", vector) }).commit()?;
        db.batch().event(Event::new(1, id, "view", Timestamp(id as i64))).commit()?;
    }
    let request = Request::new(3, Timestamp(9)).user(1).task("b").id(7);
    let mut examples = Examples::new(features(), &db.snapshot())?;
    examples.push(&request, &[(Key::Id(1), 1.0), (Key::Id(2), 0.0), (Key::Id(3), 0.0)])?;
    let bodies = [
        Body::Mlp { hidden: vec![3] },
        Body::Dcn { layers: 1, rank: 2, hidden: vec![2] },
        Body::Attention { heads: 2, hidden: vec![3, 2] },
    ];
    let mut files = Vec::new();
    let log = ServedLog::new(1);
    for body in bodies {
        let fit = FitRanker { epochs: 1, width: 2, ..FitRanker::of(body) };
        let model = fit.train(&examples, None, &mut Training::new(1))?;
        files.push(model.export()?);
        let version = db.publish("ranker", &model, Provenance::default())?;
        db.activate("ranker", version)?;
    }
    let popular = Recommender::new().retrieve(Popular::ever(["view"], 5));
    popular.score(Rank::by("ranker").log(&log)).run(&db.snapshot(), &request)?;
    let served = log.take().remove(0).save()?;
    Ok(Sound { files, served })
}

/// The first byte chooses what is read, the rest says it: bytes as they are, or changes to a sound file.
pub fn run(data: &[u8]) {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    let sound = SOUND.get_or_init(|| make().expect("it is sound"));
    let mut choices = Choices(data);
    let what = choices.byte();
    let (weights, manifest) = &sound.files[usize::from(what >> 4) % sound.files.len()];
    let own = Served::read(&sound.served).expect("it is sound");
    match what % 5 {
        0 => served(choices.0),
        1 => served(&changed(&sound.served, &mut choices)),
        2 => ranker(choices.0, manifest.as_bytes(), &own),
        3 => {
            let weights = changed(weights, &mut choices);
            ranker(&weights, &changed(manifest.as_bytes(), &mut choices), &own);
        }
        _ => ranker(weights, &changed(manifest.as_bytes(), &mut choices), &own),
    }
}

/// Whatever was logged, it is written as it was read, and can be asked about and trained on.
fn served(bytes: &[u8]) {
    let Ok(one) = Served::read(bytes) else { return };
    let again = Served::read(&one.save().expect("it was read")).expect("it was written");
    assert_eq!((again.request, &again.keys), (one.request, &one.keys));
    assert_eq!(one.batch().len(), one.keys.len());
    let labels = |one: &Served| Ok((0..one.keys.len()).map(|at| Some((at % 2) as f32)).collect());
    let examples = Served::examples(&[one], labels).expect("it is one request");
    let fit = FitRanker { epochs: 1, width: 2, ..FitRanker::of(Body::Mlp { hidden: vec![2] }) };
    // Numbers may be as large as they like: then training diverges and says so.
    drop(fit.train(&examples, None, &mut Training::new(1)));
}

/// Whatever a ranker is, it comes back from what it writes, and a request of its features has scores.
fn ranker(weights: &[u8], manifest: &[u8], own: &Served) {
    let Ok(model) = RankModel::import(weights, &String::from_utf8_lossy(manifest)) else { return };
    let (weights, manifest) = model.export().expect("it has numbers");
    let again = RankModel::import(&weights, &manifest).expect("what was written can be read");
    assert_eq!(again.export().expect("it has numbers"), (weights, manifest));
    let ranker = Cpu.load(&Arc::new(model)).expect("it is sound");
    assert_eq!(own.replay(&*ranker).len(), own.keys.len());
}
