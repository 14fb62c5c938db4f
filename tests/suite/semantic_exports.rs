//! Tries handed over to decoders elsewhere.

use bowerbird::{model::semantic::*, semantic::*, *};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn id(codes: &[u16]) -> SemanticId {
    SemanticId::new(codes).unwrap()
}

/// A database whose items have these IDs, by number.
fn with(ids: &[SemanticId]) -> Db {
    let db = Db::in_memory(Schema::new().attr("odd", AttrType::Bool)).unwrap();
    let listed = (0u64..).zip(ids).map(|(key, id)| (Key::Id(key), *id));
    db.publish("sid", &Codebook::listed(listed).unwrap(), Provenance::default()).unwrap();
    db.activate("sid", 1).unwrap();
    let mut batch = db.batch();
    for key in 0..ids.len() as u64 {
        batch.put(Item::new(key).attr("odd", key % 2 == 1));
        if key == 20 {
            batch.commit().unwrap();
            db.flush().unwrap();
        }
    }
    batch.commit().unwrap();
    db
}

fn numbers(value: &Value) -> Vec<i32> {
    value.as_array().unwrap().iter().map(|n| n.as_i64().unwrap() as i32).collect()
}

/// An array that was written as its entries that are not 0.
fn dense(value: &Value) -> (Vec<usize>, Vec<i32>) {
    let shape: Vec<usize> = numbers(&value["shape"]).into_iter().map(|n| n as usize).collect();
    let mut all = vec![0; shape.iter().product()];
    for (at, number) in numbers(&value["at"]).into_iter().zip(numbers(&value["values"])) {
        all[at as usize] = number;
    }
    (shape, all)
}

/// Goal: the arrays are those of STATIC's own builder, number by number.
/// Method: a fixture of its builder's arrays, see `tests/parity/make_static.py`.
#[test]
fn static_arrays_are_those_of_its_own_builder() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../fixtures/semantic/static.json")).unwrap();
    assert!(cases.len() >= 6);
    for case in cases {
        let rows = case["ids"].as_array().unwrap().iter().map(numbers);
        let ids: Vec<SemanticId> = rows
            .map(|codes| id(&codes.into_iter().map(|c| c as u16).collect::<Vec<_>>()))
            .collect();
        let (vocabulary, levels) =
            (case["vocabulary"].as_u64().unwrap() as usize, case["dense"].as_u64().unwrap());
        let db = with(&ids);
        let trie = db.snapshot().trie("sid", &Where::all()).unwrap();
        let made = trie.to_static(vocabulary, levels as usize).unwrap();
        for name in ["packed_csr", "indptr", "layer_max_branches"] {
            assert_eq!(
                made.array(name).unwrap().numbers().unwrap(),
                numbers(&case[name]),
                "{name}"
            );
        }
        let array = |name: &str| made.array(name).unwrap();
        assert_eq!(array("packed_csr").shape(), [array("packed_csr").bytes().len() / 8, 2]);
        let (shape, states) = dense(&case["dense_states"]);
        assert_eq!(
            (array("dense_states").shape(), array("dense_states").numbers().unwrap()),
            (&shape[..], &states[..])
        );
        for name in ["start_mask", "dense_mask"] {
            let (shape, bits) = dense(&case[name]);
            let bytes = array(name).bytes().iter().map(|b| i32::from(*b)).collect::<Vec<_>>();
            assert_eq!((array(name).shape(), bytes), (&shape[..], bits), "{name}");
        }
        for array in made.arrays() {
            assert_eq!(array.bytes().as_ptr() as usize % 64, 0);
        }
        let file = made.to_safetensors().unwrap();
        let folder = tempfile::tempdir().unwrap();
        made.save(folder.path().join("trie")).unwrap();
        let dir = io::Disk::at(folder.path()).unwrap();
        let saved = io::Dir::open(&dir, "trie", true).unwrap();
        assert_eq!(saved.bytes(), Some(&file[..]));
        let text: String = file.iter().map(|byte| char::from(byte & 127)).collect();
        let label = r#"{"__metadata__":{"codebook":"sid","seq":"#;
        assert!(text[8..].starts_with(label) && text.contains("\"version\":\"1\""));
        assert!(trie.to_static(vocabulary, 0).is_err() && trie.to_static(vocabulary, 8).is_err());
        assert!(trie.to_static(1, 1).is_err() && trie.to_static(usize::MAX, 1).is_err());
    }
    let db = with(&[id(&[1, 2])]);
    db.batch().delete(0u64).commit().unwrap();
    let none = db.snapshot().trie("sid", &Where::all()).unwrap();
    assert!(none.to_static(8, 1).is_err() && none.to_offsets().is_ok());
    assert_eq!(none.to_json(&db.snapshot()).unwrap().text(), "{}");
    // One node above each level, or none: a level has an offset more than the level above has values.
    let offsets = none.to_offsets().unwrap();
    let numbers = |name: &str| offsets.array(name).unwrap().numbers().unwrap().to_vec();
    assert_eq!((numbers("values.0"), numbers("offsets.0")), (vec![], vec![0, 0]));
    assert_eq!((numbers("values.1"), numbers("offsets.1")), (vec![], vec![0]));
}

/// Goal: offsets and values, masks, JSON and deltas say the same tree, whole or under a filter.
/// Method: every export is turned back into the set of IDs.
#[test]
fn every_export_says_the_same_ids() {
    let mut ids = Vec::new();
    for n in 0..70u16 {
        ids.push(id(&[n % 3, n * n % 7, n % 5 * 30]));
    }
    let db = with(&ids);
    db.batch().delete(3u64).delete(40u64).commit().unwrap();
    let snapshot = db.snapshot();
    for filter in [Where::all(), attr("odd").is(true)] {
        let trie = snapshot.trie("sid", &filter).unwrap();
        let want = trie.ids();
        assert!(want.len() > 20);
        let offsets = trie.to_offsets().unwrap();
        let column = |name: &str, level: usize| {
            let array = offsets.array(&format!("{name}.{level}")).unwrap();
            array.numbers().unwrap().to_vec()
        };
        let mut nodes: Vec<Vec<u16>> = vec![vec![]];
        for level in 0..3 {
            let (values, starts) = (column("values", level), column("offsets", level));
            assert_eq!(starts.len(), nodes.len() + 1);
            let children = |(at, prefix): (usize, &Vec<u16>)| {
                let range = starts[at] as usize..starts[at + 1] as usize;
                let child = |code: &i32| [&prefix[..], &[*code as u16]].concat();
                values[range].iter().map(child).collect::<Vec<_>>()
            };
            nodes = nodes.iter().enumerate().flat_map(children).collect();
        }
        assert_eq!(nodes.iter().map(|codes| id(codes)).collect::<Vec<_>>(), want);
        let starts = offsets.array("by_code").unwrap().numbers().unwrap().to_vec();
        assert_eq!(starts.len(), trie.widths()[0] + 1);
        let pairs: Vec<(u16, i32)> = (0u16..)
            .zip(starts.windows(2))
            .flat_map(|(first, pair)| (pair[0]..pair[1]).map(move |at| (first, at)))
            .map(|(first, at)| (first, column("values", 1)[at as usize]))
            .collect();
        let mut wanted: Vec<(u16, i32)> =
            want.iter().map(|id| (id.codes()[0], id.codes()[1].into())).collect();
        wanted.dedup();
        assert_eq!(pairs, wanted);

        let json: BTreeMap<String, Vec<String>> =
            serde_json::from_str(trie.to_json(&snapshot).unwrap().text()).unwrap();
        let mut keys = BTreeSet::new();
        for (codes, items) in &json {
            let codes: Vec<u16> = codes.split(',').map(|code| code.parse().unwrap()).collect();
            assert!(want.contains(&id(&codes)));
            keys.extend(items.clone());
        }
        let allowed = snapshot.keys(&filter, 1000).unwrap();
        assert_eq!(keys, allowed.iter().map(Key::to_string).collect());
        assert_eq!(json.len(), want.len());

        let beams: Vec<Node> = trie.children(&trie.root()).into_iter().map(|(_, n)| n).collect();
        let (mut masks, mut logits) = (vec![0; beams.len()], vec![1.0; beams.len() * 7]);
        trie.masks(&beams, 1, &mut masks).unwrap();
        trie.constrain(&beams, 7, &mut logits).unwrap();
        for ((node, mask), logits) in beams.iter().zip(&masks).zip(logits.chunks(7)) {
            let codes: Vec<u16> = trie.children(node).into_iter().map(|(code, _)| code).collect();
            assert_eq!(codes.iter().map(|code| 1u64 << code).sum::<u64>(), *mask);
            for (code, logit) in (0u16..).zip(logits) {
                let may = codes.contains(&code);
                assert_eq!(*logit, if may { 1.0 } else { f32::NEG_INFINITY });
            }
        }
        let mut prefixes: Vec<SemanticId> = want.iter().map(|id| id.prefix(1)).collect();
        prefixes.dedup();
        prefixes.extend([id(&[77]), id(&[0, 0, 0, 0])]);
        let mut again = vec![9; prefixes.len()];
        trie.masks_below(&prefixes, 1, &mut again).unwrap();
        assert_eq!(again, [&masks[..], &[0, 0]].concat());
        assert!(trie.masks_below(&prefixes, 1, &mut masks).is_err());
        // Of a clone, nodes are good; of another trie they are not, and nothing is below them.
        trie.clone().masks(&beams, 1, &mut masks).unwrap();
        let small = with(&ids[..2]).snapshot().trie("sid", &Where::all()).unwrap();
        for other in [small, snapshot.trie("sid", &filter).unwrap()] {
            let error = other.masks(&beams, 1, &mut masks).unwrap_err().to_string();
            assert!(error.contains("another trie"), "{error}");
            assert!(other.constrain(&beams, 7, &mut logits).is_err());
            let (node, mut mask) = (beams.last().unwrap(), [9]);
            other.mask(node, &mut mask);
            assert_eq!((mask, other.count(node), other.items(node).count()), ([0], 0, 0));
            assert!(other.child(node, 0).is_none() && other.children(node).is_empty());
        }
        assert!(trie.masks(&beams, 2, &mut masks).is_err());
        assert!(trie.constrain(&beams, 8, &mut logits).is_err());
    }
}

#[test]
fn ids_lead_back_to_items_and_deltas_to_newer_tries() {
    let ids = [id(&[0, 1]), id(&[0, 1]), id(&[0, 2]), id(&[3, 1])];
    let db = with(&ids);
    let before = db.snapshot();
    let old = before.trie("sid", &Where::all()).unwrap();
    let resolve = |trie: &Trie, snapshot: &Snapshot, id: SemanticId| {
        Ok::<_, Error>(trie.resolve(snapshot, &[id])?.remove(0))
    };
    let keys = |keys: &[u64]| keys.iter().map(|key| Key::Id(*key)).collect::<Vec<_>>();
    assert_eq!(resolve(&old, &before, ids[0]).unwrap(), keys(&[0, 1]));
    assert_eq!(resolve(&old, &before, id(&[2, 2])).unwrap(), keys(&[]));
    for wrong in [id(&[0]), id(&[0, 1, 2]), id(&[0, 9]), id(&[])] {
        assert!(resolve(&old, &before, wrong).unwrap_err().to_string().contains("sid@1"));
    }
    assert_eq!(old.keys(&before, &id(&[0])).unwrap(), keys(&[0, 1, 2]));
    db.batch().delete(0u64).delete(2u64).put(Item::new(9u64)).commit().unwrap();
    let now = db.snapshot();
    let new = now.trie("sid", &Where::all()).unwrap();
    assert_eq!(resolve(&new, &now, ids[0]).unwrap(), keys(&[1]));
    assert!(old.keys(&now, &ids[0]).is_err());
    let delta = new.delta(&old).unwrap();
    assert_eq!((delta.added, delta.removed), (vec![], vec![ids[2]]));
    assert_eq!(old.delta(&new).unwrap().added, vec![ids[2]]);
    let odd = now.trie("sid", &attr("odd").is(true)).unwrap();
    assert_eq!(odd.delta(&new).unwrap(), Delta::default());
    let second = Codebook::listed([(Key::Id(1), id(&[4, 4]))]).unwrap();
    db.publish("sid", &second, Provenance::default()).unwrap();
    let other = now.trie_version("sid", 1, &Where::all()).unwrap();
    assert!(other.delta(&old).is_ok());
    let other = db.snapshot().trie_version("sid", 2, &Where::all()).unwrap();
    assert!(other.delta(&old).unwrap_err().to_string().contains("sid@2"));
}

/// Goal: a trie and a later snapshot of the same segments say what both have: a commit that only takes
/// away leaves addresses as they are, and what it took away came back.
#[test]
fn what_was_taken_away_since_is_not_found() {
    let ids = [id(&[0, 1]), id(&[0, 1]), id(&[0, 2]), id(&[3, 1])];
    let keys = |keys: &[u64]| keys.iter().map(|key| Key::Id(*key)).collect::<Vec<_>>();
    for erases in [false, true] {
        let db = with(&ids);
        let before = db.snapshot();
        let old = before.trie("sid", &Where::all()).unwrap();
        let mut batch = db.batch();
        for key in [0u64, 2, 3] {
            match erases {
                true => batch.erase_item(key),
                false => batch.delete(key),
            };
        }
        batch.commit().unwrap();
        let now = db.snapshot();
        let Ok(found) = old.keys(&now, &id(&[0])) else {
            panic!("a commit that only takes away leaves addresses as they are");
        };
        assert_eq!(found, keys(&[1]));
        assert_eq!(old.resolve(&now, &ids).unwrap(), [keys(&[1]), keys(&[1]), vec![], vec![]]);
        let json = old.to_json(&now).unwrap();
        assert_eq!((json.text(), json.seq()), (r#"{"0,1":["1"]}"#, now.seq()));
        for some in [0, 5] {
            let shelves = old.browse(&now, &id(&[]), some).unwrap();
            assert_eq!(shelves.len(), 1);
            assert_eq!((shelves[0].prefix, shelves[0].count), (id(&[0]), 1));
            assert_eq!(shelves[0].keys, if some > 0 { keys(&[1]) } else { vec![] });
        }
        // And the other way round: what the trie has no more is not found in an older snapshot.
        let new = now.trie("sid", &Where::all()).unwrap();
        assert_eq!(new.keys(&before, &id(&[0])).unwrap(), keys(&[1]));
        assert_eq!(new.to_json(&before).unwrap(), json);
        assert_eq!(old.keys(&before, &id(&[0])).unwrap(), keys(&[0, 1, 2]));
    }
}

/// Goal: a refreshed codebook keeps its old names, and says how much has moved.
#[test]
fn refreshed_codebooks_keep_their_names() {
    let schema = Schema::new().space("x", 2, Metric::L2);
    let db = Db::in_memory(schema).unwrap();
    let mut batch = db.batch();
    for key in 0..200u64 {
        let angle = key as f32 / 7.0;
        batch.put(Item::new(key).vector("x", [angle.cos() * 3.0, angle.sin() + (key % 5) as f32]));
    }
    batch.commit().unwrap();
    let fit = Fit { levels: vec![8, 6], ..Fit::of(["x"]) };
    let make = |seed| fit.fit(&db.snapshot(), &mut model::Training::new(seed)).unwrap();
    let (old, new) = (make(1), make(2));
    for book in [&old, &new] {
        db.publish("sid", book, fit.provenance(db.snapshot().seq(), 1)).unwrap();
    }
    let snapshot = db.snapshot();
    let items = snapshot.semantic_pairs("sid", 1, 2).unwrap();
    let aligned = align(&new, &old, &items).unwrap();
    db.publish("sid", &aligned, fit.provenance(snapshot.seq(), 2)).unwrap();
    let snapshot = db.snapshot();
    let raw = Drift::between(&snapshot, "sid", 1, 2).unwrap();
    let kept = Drift::between(&snapshot, "sid", 1, 3).unwrap();
    println!("{:?} {:?}, aligned {:?} {:?}", raw.reassigned, raw.kept, kept.reassigned, kept.kept);
    assert!(kept.kept[0] > raw.kept[0] + 0.2 && kept.kept[1] > raw.kept[1]);
    // Only names differ: the same items are together.
    assert_eq!(raw.after.unique, kept.after.unique);
    let figures =
        |version| Figures::of_codebook(&snapshot, "sid", version, &mut Progress::silent()).unwrap();
    let (a, b) = (figures(2), figures(3));
    assert!((a.error.unwrap() - b.error.unwrap()).abs() < 1e-6 && a.error.unwrap() < 0.3);
    // A permutation of the old codes is undone altogether.
    let turned = |level: &Level| {
        let mut rows: Vec<f32> = Vec::new();
        level.centroids().chunks(2).rev().for_each(|row| rows.extend(row));
        Level::new(2, rows)
    };
    let levels: Vec<Level> = old.levels().iter().map(turned).collect();
    let turned = Codebook::new(old.inputs().to_vec(), levels).unwrap();
    db.publish("sid", &turned, Provenance::default()).unwrap();
    let items = db.snapshot().semantic_pairs("sid", 1, 4).unwrap();
    assert_eq!(align(&turned, &old, &items).unwrap(), old);
    assert!(align(&turned, &old, &[(id(&[1]), id(&[1, 1]))]).is_err());
}

/// Goal: browsing counts every allowed item once, largest first, and shows some that are there.
#[test]
fn browsing_counts_what_is_below() {
    let ids: Vec<SemanticId> = (0..90u16).map(|n| id(&[n % 7 % 3, n % 4, n % 2])).collect();
    let db = with(&ids);
    db.batch().delete(5u64).commit().unwrap();
    let snapshot = db.snapshot();
    for filter in [Where::all(), attr("odd").is(true)] {
        let trie = snapshot.trie("sid", &filter).unwrap();
        for prefix in [id(&[]), id(&[1]), id(&[2, 3])] {
            let shelves = trie.browse(&snapshot, &prefix, 4).unwrap();
            assert!(!shelves.is_empty());
            let order = |shelf: &Shelf| (std::cmp::Reverse(shelf.count), shelf.prefix);
            assert!(shelves.is_sorted_by_key(order));
            let all = trie.keys(&snapshot, &prefix).unwrap();
            assert_eq!(shelves.iter().map(|shelf| shelf.count).sum::<u64>(), all.len() as u64);
            for shelf in shelves {
                assert_eq!(shelf.prefix.prefix(prefix.codes().len()), prefix);
                let below = trie.keys(&snapshot, &shelf.prefix).unwrap();
                assert_eq!(below.len() as u64, shelf.count);
                assert!((1..=4).contains(&shelf.keys.len()));
                assert!(shelf.keys.iter().all(|key| below.contains(key)));
            }
        }
        assert!(trie.browse(&snapshot, &id(&[0, 0, 0]), 4).unwrap().is_empty());
        assert!(trie.browse(&snapshot, &id(&[9]), 4).unwrap().is_empty());
        let none = trie.browse(&snapshot, &id(&[]), 0).unwrap();
        assert!(none.iter().all(|shelf| shelf.keys.is_empty() && shelf.count > 0));
    }
    let old = snapshot.trie("sid", &Where::all()).unwrap();
    db.batch().put(Item::new(5u64)).commit().unwrap();
    assert!(old.browse(&db.snapshot(), &id(&[]), 1).is_err());
}
