//! A predicate, an estimate and a list against the bitmap of the same filter.

use crate::{AttrType, Db, IoMode, Item, Options, Schema, Timestamp, Where, attr, io::Memory};
use proptest::{collection::vec, prelude::*};
use std::sync::Arc;

fn schema() -> Schema {
    Schema::new()
        .attr("bool", AttrType::Bool)
        .attr("int", AttrType::Int)
        .attr("float", AttrType::Float)
        .attr("time", AttrType::Time)
        .attr("tag", AttrType::Tag)
        .attr("tags", AttrType::Tags)
        .attr("text", AttrType::Text)
        .attr("never", AttrType::Int)
}

/// An item with any of the attributes, of few values each.
fn item() -> impl Strategy<Value = Item> {
    let maybe = |p| prop::option::weighted(p, -3i64..4);
    (maybe(0.7), maybe(0.9), maybe(0.8), maybe(0.5), maybe(0.9), maybe(0.6), maybe(0.8)).prop_map(
        |(bool, int, float, time, tag, tags, text)| {
            let mut item = Item::new(0u64);
            if let Some(n) = bool {
                item = item.attr("bool", n > 0);
            }
            if let Some(n) = int {
                item = item.attr("int", n);
            }
            if let Some(n) = float {
                item = item.attr("float", n as f64 / 2.0);
            }
            if let Some(n) = time {
                item = item.attr("time", Timestamp(n));
            }
            if let Some(n) = tag {
                item = item.attr("tag", format!("t{n}"));
            }
            if let Some(n) = tags {
                item =
                    item.attr("tags", (0..n.max(0)).map(|i| format!("t{i}")).collect::<Vec<_>>());
            }
            if let Some(n) = text {
                // Also the empty text, which is not a missing one.
                item = item.attr("text", if n == 0 { String::new() } else { format!("x{n}") });
            }
            item
        },
    )
}

fn leaf() -> impl Strategy<Value = Where> {
    let number = -4i64..5;
    let strings = |list: Vec<i64>, c: char| list.into_iter().map(move |n| format!("{c}{n}"));
    prop_oneof![
        any::<bool>().prop_map(|yes| attr("bool").is(yes)),
        Just(attr("bool").is_in([true, false])),
        number.clone().prop_map(|n| attr("int").is(n)),
        (number.clone(), 0i64..4).prop_map(|(n, w)| attr("int").between(n, n + w)),
        vec(number.clone(), 0..5).prop_map(|list| attr("int").is_in(list)),
        (number.clone(), 0i64..4)
            .prop_map(|(n, w)| attr("float").between(n as f64 / 2.0, n as f64 / 2.0 + w as f64)),
        vec(number.clone(), 0..5)
            .prop_map(|list| attr("float").is_in(list.into_iter().map(|n| n as f64 / 2.0))),
        number.clone().prop_map(|n| attr("float").at_least(n)),
        number.clone().prop_map(|n| attr("time").at_most(Timestamp(n))),
        number.clone().prop_map(|n| attr("tag").is(format!("t{n}"))),
        number.clone().prop_map(|n| attr("tag").at_least(format!("t{n}"))),
        vec(number.clone(), 0..5).prop_map(move |list| attr("tag").is_in(strings(list, 't'))),
        number.clone().prop_map(|n| attr("tags").is(format!("t{n}"))),
        vec(number.clone(), 0..5).prop_map(move |list| attr("tags").is_in(strings(list, 't'))),
        number.clone().prop_map(|n| attr("text").is(format!("x{n}"))),
        Just(attr("text").is("")),
        (number.clone(), number.clone())
            .prop_map(|(a, b)| attr("text").between(format!("x{a}"), format!("x{b}"))),
        number.prop_map(|n| attr("text").at_most(format!("x{n}"))),
        prop::sample::select(&["bool", "int", "tag", "tags", "text", "never"][..])
            .prop_map(|name| attr(name).exists()),
        Just(attr("never").is(1)),
        Just(Where::all()),
    ]
}

fn filter() -> impl Strategy<Value = Where> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a & b),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a | b),
            inner.prop_map(|a| !a),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Goal: for any filter and any values, missing ones among them, the predicate allows the rows
    /// of the bitmap, the estimate holds their number, and a list is that of the bitmap.
    /// Method: the same rows mapped or on the heap, and read block by block from a file.
    #[test]
    fn rows_are_allowed_one_by_one_as_all_together(
        items in vec(item(), 1..60),
        filters in vec(filter(), 1..12),
    ) {
        let dir = Arc::new(Memory::new());
        let db = Db::create_in(dir.clone(), schema(), Options::default()).unwrap();
        let mut batch = db.batch();
        for (id, item) in (0u64..).zip(&items) {
            let mut item = item.clone();
            item.key = id.into();
            batch.put(item);
        }
        batch.commit().unwrap();
        let heap = db.snapshot();
        db.close().unwrap();
        let pread = Options::default().io_mode(IoMode::Pread);
        let file = Db::open_read_only_in(dir, pread).unwrap();
        for snapshot in [heap, file.snapshot()] {
            for filter in &filters {
                let resolved = filter.resolve(snapshot.schema()).unwrap();
                for part in &snapshot.version.parts {
                    let segment = &part.segment;
                    let expected = segment.allowed(&resolved).unwrap();
                    let predicate = segment.predicate(&resolved).unwrap();
                    for row in 0..segment.rows() {
                        let allowed = predicate.allows(row).unwrap();
                        prop_assert_eq!(allowed, expected.contains(row), "{:?} {}", filter, row);
                    }
                    let (about, count) = (segment.estimate(&resolved).unwrap(), expected.len());
                    prop_assert!(about.least <= count && count <= about.most, "{:?}", about);
                    prop_assert!(about.least <= about.about && about.about <= about.most);
                    if let Some(list) = segment.few(&resolved).unwrap() {
                        prop_assert!(list.into_iter().eq(&expected), "{:?}", filter);
                    }
                }
            }
        }
    }
}
