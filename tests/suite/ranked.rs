//! A database and examples that rankers from elsewhere are tried on.
#![allow(dead_code)] // Which of it is used depends on the features.

use bowerbird::{
    AttrType, Db, Event, Item, Key, Metric, Schema, Timestamp,
    model::ranker::{Examples, Features, Role, Scalar},
    recommend::Request,
};

/// Numbers between -1 and 1, the same each time.
pub fn number(seed: u64) -> f32 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (seed >> 7);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

fn vector(seed: u64, dim: u64) -> Vec<f32> {
    (0..dim).map(|at| number(seed * 1000 + at)).collect()
}

/// 40 items: vectors of 6 and of 4 numbers, some missing, and stars.
pub fn db() -> Db {
    let schema = Schema::new()
        .space("text", 6, Metric::Dot)
        .space("image", 4, Metric::Dot)
        .attr("stars", AttrType::Float)
        .attr("sold", AttrType::Int)
        .event("view");
    let db = Db::in_memory(schema).unwrap();
    let mut batch = db.batch();
    for id in 1..=40u64 {
        let mut item = Item::new(id).attr("stars", f64::from(number(id)));
        if id % 5 != 0 {
            item = item.vector("text", vector(id, 6));
        }
        if id % 3 != 0 {
            item = item.vector("image", vector(100 + id, 4)).attr("sold", id as i64 % 7);
        }
        batch.put(item);
    }
    for id in 1..=12u64 {
        batch.event(Event::new(id % 3, 1 + id * 3, "view", Timestamp(10 * id as i64)));
    }
    batch.commit().unwrap();
    db
}

/// Of tasks, a query, a user, two vectors of the candidate, a history and three scalars.
pub fn features() -> Features {
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

/// 9 requests of 5 to 13 candidates.
pub fn examples() -> Examples {
    let mut examples = Examples::new(features(), &db().snapshot()).unwrap();
    for at in 0..9u64 {
        let task = if at % 2 == 0 { "search" } else { "for-you" };
        let mut request = Request::new(10, Timestamp(1000)).user(at % 4).task(task);
        if at % 3 != 1 {
            request = request.query("text", vector(500 + at, 6));
        }
        let candidates: Vec<(Key, f32)> = (0..5 + at)
            .map(|i| (Key::Id(1 + (at * 7 + i * 3) % 40), f32::from(u8::from(i == at % 5))))
            .collect();
        examples.push(&request, &candidates).unwrap();
    }
    examples
}
