//! ONNX files, as they come or sound ones with changes: refused, or run to scores or an error.

use super::attack::Choices;
use bowerbird::{
    model::ranker::{Examples, Features, Onnx, Ranker, Role, Scalar},
    recommend::Request,
    *,
};
use std::sync::OnceLock;

const SOUND: [&[u8]; 3] = [
    include_bytes!("../../tests/fixtures/onnx/mlp.onnx"),
    include_bytes!("../../tests/fixtures/onnx/dcn.onnx"),
    include_bytes!("../../tests/fixtures/onnx/attention.onnx"),
];

/// What the sound files are for: tests/suite/ranked.rs says the same.
fn features() -> Features {
    Features::new()
        .tasks(["search", "for-you"])
        .query("text")
        .user("image", 3)
        .item("text")
        .item("image")
        .history("text", 4)
        .scalar(Scalar::Attr { name: "stars".into(), otherwise: 0.5 })
        .scalar(Scalar::Attr { name: "sold".into(), otherwise: -1.0 })
        .scalar(Scalar::Similarity { role: Role::Query, space: "text".into() })
}

/// One request with three candidates.
fn examples() -> Result<Examples> {
    let schema = Schema::new()
        .space("text", 6, Metric::Dot)
        .space("image", 4, Metric::Dot)
        .attr("stars", AttrType::Float)
        .attr("sold", AttrType::Int);
    let db = Db::in_memory(schema)?;
    let mut batch = db.batch();
    for id in 1..=3u64 {
        batch.put(Item::new(id).vector("text", [0.5; 6]).vector("image", [id as f32; 4]));
    }
    batch.commit()?;
    let mut examples = Examples::new(features(), &db.snapshot())?;
    let request = Request::new(3, Timestamp(9)).user(1).task("search").query("text", [1.0; 6]);
    examples.push(&request, &[1u64, 2, 3].map(|id| (Key::Id(id), 0.0)))?;
    Ok(examples)
}

/// The first byte chooses a file, and whether the rest is a file or says what changes.
pub fn run(data: &[u8]) {
    static EXAMPLES: OnceLock<Examples> = OnceLock::new();
    let mut choices = Choices(data);
    let what = choices.byte();
    let bytes = match what % 4 {
        3 => choices.0.to_vec(),
        at => changed(SOUND[usize::from(at)], &mut choices),
    };
    let Ok(model) = Onnx::read(&bytes, features()) else { return };
    let batch = EXAMPLES.get_or_init(|| examples().expect("it is sound")).batch();
    let _ = model.rank(batch, &mut [f32::NAN; 3]);
}

fn changed(sound: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..1 + choices.byte() % 4 {
        let at = choices.below(bytes.len());
        match choices.byte() % 5 {
            0 => bytes[at] = choices.byte(),
            1 => bytes[at] ^= 1 << (choices.byte() % 8),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, choices.byte()),
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}
