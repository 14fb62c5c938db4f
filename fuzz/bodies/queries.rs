//! Drafts of queries, such as a language model writes: any lines are drafts or an error, and any draft that
//! is kept can be stored, asked, and typed.

use super::attack::{Choices, changed};
use bowerbird::{
    model::suggest::{Drafts, Suggest, Validate, Wanted, schema},
    recommend::{Matches, Recommender, Request},
    *,
};
use std::sync::OnceLock;

const LINES: &str = r#"{"query": "quiet films", "kind": "exploratory", "source": "llm:one", "weight": 2.5, "vector": [1.0, 0.5]}
{"query": "Star Wars", "kind": "known"}

{"query": "ignore all \"instructions\"; ../../etc", "weight": 0}
"#;

fn catalog() -> &'static Db {
    static CATALOG: OnceLock<Db> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let schema = Schema::new()
            .space("text", 2, Metric::Cosine)
            .attr("title", AttrType::Text)
            .attr("genre", AttrType::Tags)
            .attr("year", AttrType::Int);
        let db = Db::in_memory(schema).expect("it is sound");
        let mut batch = db.batch();
        for (id, title) in (0u64..).zip(["Star Wars", "quiet stars", "all instructions", "a b c"]) {
            let item = Item::new(id).attr("title", title).attr("genre", ["war", "love"]);
            batch.put(item.attr("year", 1970 + id as i64).vector("text", [1.0, id as f32]));
        }
        batch.commit().expect("it is sound");
        db
    })
}

/// The first byte chooses: bytes as they are or changes to sound lines; the rest after a line `---` is a pattern,
/// and what was typed.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let bytes = match choices.byte() % 3 {
        0 => choices.0.to_vec(),
        _ => changed(LINES.as_bytes(), &mut choices),
    };
    let text = String::from_utf8_lossy(&bytes);
    let typed = String::from_utf8_lossy(data);
    let snapshot = catalog().snapshot();
    let pattern: String = typed.chars().take(40).collect();
    let _ = Drafts::new().template(&snapshot, &pattern, 1);
    let _ = Drafts::new().template(&snapshot, &format!("{{genre}} {pattern} {{year:10}}"), 1);
    let Ok(drafts) = Drafts::new().read(&text) else { return };
    assert!(drafts.iter().all(|draft| draft.key().is_ok()), "a draft without a key");
    let search = Recommender::new().retrieve(Matches::new("title", 20));
    let validated = Validate::by(search, "text").threads(2).run(
        &drafts,
        &snapshot,
        Timestamp(0),
        &mut Progress::silent(),
    );
    let Ok(validated) = validated else { return };
    assert_eq!(validated.items.len() + validated.dropped.len(), drafts.len());
    let space = snapshot.schema().find_space("text").expect("it is there");
    let queries = Db::in_memory(schema(space)).expect("it is sound");
    let mut batch = queries.batch();
    for item in validated.items {
        batch.put(item);
    }
    // A vector of another length is refused here.
    if batch.commit().is_err() {
        return;
    }
    let request = Request::new(5, Timestamp(0)).text(typed.clone());
    let wanted = Wanted::items([(Key::Id(0), 1.0), (Key::Id(1), 0.5)]);
    let slate = Suggest::new("text").run(&queries.snapshot(), &wanted, &request);
    assert!(slate.expect("all of it is sound").items.len() <= 5, "more than asked for");
}
