//! Any JSON as a filter: read, written, read again, and asked.

use super::base;
use bowerbird::{Db, KeyKind, Where};
use std::sync::OnceLock;

fn db() -> &'static Db {
    static DB: OnceLock<Db> = OnceLock::new();
    DB.get_or_init(|| {
        let db = Db::in_memory(base::schema(KeyKind::Id)).expect("the schema is fine");
        let mut batch = db.batch();
        for n in 0..40 {
            batch.put(base::item(KeyKind::Id, n, 1));
        }
        batch.commit().expect("the batch is fine");
        db
    })
}

/// The data is the JSON.
pub fn run(data: &[u8]) {
    let Ok(filter) = serde_json::from_slice::<Where>(data) else { return };
    if let Ok(json) = serde_json::to_string(&filter) {
        let again: Where = serde_json::from_str(&json).expect("what was written can be read");
        let json_again = serde_json::to_string(&again).expect("it was written before");
        // Long decimals are read to the nearest but one, so floats may move once.
        let third: Where = serde_json::from_str(&json_again).expect("what was written can be read");
        assert!(again == filter || third == again || json.contains('.') || json.contains('e'));
    }
    let snapshot = db().snapshot();
    let Ok(keys) = snapshot.keys(&filter, 1000) else { return };
    let count = snapshot.count(&filter).expect("it was asked before");
    let others = snapshot.count(&!filter);
    assert_eq!(keys.len() as u64, count);
    // One level more may be one too many.
    if let Ok(others) = others {
        assert_eq!(count + others, snapshot.len(), "a filter and its complement");
    }
}
