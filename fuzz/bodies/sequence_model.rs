//! Models of every method with changed sections, under right checksums: opened and asked everything.

use super::{
    attack::{self, Choices},
    seal::{self, Files},
};
use bowerbird::{
    Artifact, Db, Event, Key, KeyKind, Metric, Options, Schema, Timestamp,
    io::fault::Fault,
    model::*,
    recommend::{Recommender, Request},
};
use std::sync::{Arc, OnceLock};

/// Every method, small enough to be trained here.
pub fn methods() -> Vec<(&'static str, Box<dyn Train>)> {
    vec![
        ("popularity", Box::new(Popularity::default())),
        ("sequential-rules", Box::new(Rules::default())),
        ("association-rules", Box::new(Associations::default())),
        ("markov", Box::new(Markov::default())),
        ("item-knn", Box::new(ItemKnn::default())),
        ("vs-knn", Box::new(VsKnn::default())),
        ("item2vec", Box::new(Item2Vec { dim: 8, epochs: Some(2), ..Item2Vec::default() })),
        ("ease", Box::new(Ease::default())),
        ("als", Box::new(Als { dim: 4, epochs: 2, ..Als::default() })),
        ("gru4rec", Box::new(Gru4Rec { dim: 6, epochs: 2, ..Gru4Rec::default() })),
        ("bert4rec", Box::new(Bert4Rec { dim: 8, epochs: Some(2), ..Bert4Rec::default() })),
        ("sasrec", Box::new(Sasrec { dim: 8, epochs: Some(2), ..Sasrec::default() })),
    ]
}

/// And one that reads content, which `sequence-model` files have a section for.
fn content() -> ContentSasrec {
    let sasrec = Sasrec { dim: 8, epochs: Some(2), ..Sasrec::default() };
    ContentSasrec { sasrec, hidden: 4, ..ContentSasrec::of(["text"]) }
}

fn item_of(key: u64) -> bowerbird::Item {
    let angle = key as f32;
    bowerbird::Item::new(key).vector("text", [angle.cos(), angle.sin(), 0.5])
}

/// The files of a database in which each method has an active model, named by its number.
fn sound() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let dir = Fault::new();
        let text = Schema::new().space("text", 3, Metric::Cosine);
        let schema = text.keys(KeyKind::Id).event("view");
        let db = Db::create_in(Arc::new(dir.clone()), schema, Options::default()).unwrap();
        for user in 0..30u64 {
            let mut batch = db.batch();
            for step in 0..4 {
                let item = (user + step) % 12;
                batch.put(item_of(item));
                batch.event(Event::new(user, item, "view", Timestamp(step as i64)));
            }
            batch.commit().unwrap();
        }
        let sequences = Sequences::read(&db.snapshot(), &Reading::default()).unwrap();
        for (at, (_, method)) in methods().into_iter().enumerate() {
            let mut model = method.train(&sequences, &mut Training::new(7)).unwrap();
            if model.dim().is_some() {
                model = model.indexed(1, &mut bowerbird::Progress::silent()).unwrap();
            }
            let name = format!("m{at}");
            let version = db.publish(&name, &model, model.provenance(db.snapshot().seq())).unwrap();
            db.activate(&name, version).unwrap();
        }
        let model = content().train(&db.snapshot(), &sequences, &mut Training::new(7)).unwrap();
        let name = format!("m{}", methods().len());
        let version = db.publish(&name, &model, model.provenance(db.snapshot().seq())).unwrap();
        db.activate(&name, version).unwrap();
        db.batch().put(item_of(50)).commit().unwrap();
        db.close().unwrap();
        attack::files(&dir)
    })
}

/// The first byte chooses the model, the rest what is changed in its file.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let number = usize::from(choices.byte()) % (methods().len() + 1);
    let mut files = sound().clone();
    let prefix = format!("artifacts/m{number}@");
    let Some(path) = files.keys().find(|path| path.starts_with(&prefix)).cloned() else {
        panic!("no file of {prefix}");
    };
    // Only the model's own file is changed; everything above it is made right again.
    let mut own: Files = [(path.clone(), files[&path].clone())].into_iter().collect();
    let before = files[&path].clone();
    for _ in 0..=choices.byte() % 3 {
        attack::mutate(&mut own, &mut choices, false);
    }
    let Some(bytes) = own.remove(&path) else { return };
    files.insert(path.clone(), bytes);
    seal::reseal_all(&mut files, &path, &before);
    ask(&attack::dir(files), &format!("m{number}"));
}

/// Everything that a model can be asked.
fn ask(dir: &Fault, name: &str) {
    let Ok(db) = Db::open_read_only_in(Arc::new(dir.clone()), Options::default()) else { return };
    let snapshot = db.snapshot();
    let Ok(model) = snapshot.model(name) else { return };
    for history in [&[][..], &[Key::Id(3)], &[Key::Id(1), Key::Id(2), Key::Id(99)]] {
        if let Ok(best) = model.best(history, 5) {
            assert!(best.iter().all(|(_, score)| !score.is_nan()), "a score that is none");
        }
        let _ = model.encode(history);
    }
    let _ = (model.vector(&Key::Id(1)), model.item_vector(&Key::Id(1)), model.export());
    let mut saved = bowerbird::Saved::default();
    let _ = Artifact::save(&*model, &mut saved);
    let recommender = Recommender::new()
        .retrieve(NextItems::by(name, 5))
        .retrieve(SimilarItems::by(name, 5))
        .score(NextScore::by(name));
    for user in [1, 999] {
        let request = Request::new(5, Timestamp::MAX).user(user).item(3u64);
        if let Ok(slate) = recommender.run(&snapshot, &request) {
            assert!(slate.items.iter().all(|item| item.score.is_finite()));
        }
    }
    for key in [1u64, 50, 99] {
        if let Ok(Some(row)) = model.content_vector(&snapshot, &Key::Id(key)) {
            assert!(row.iter().all(|x| x.is_finite()));
        }
    }
    let new = Recommender::new().retrieve(NextNew::by(name, 5)).score(NextScore::by(name));
    if let Ok(slate) = new.run(&snapshot, &Request::new(5, Timestamp::MAX).user(1)) {
        assert!(slate.items.iter().all(|item| item.score.is_finite()));
    }
    let tastes = Recommender::new()
        .summarize(UserVector::by(name).interests(2))
        .retrieve(NextItems::by(name, 5));
    let _ = tastes.run(&snapshot, &Request::new(5, Timestamp::MAX).user(1));
}
