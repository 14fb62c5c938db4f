//! Trees that LightGBM and XGBoost trained: the same scores, and errors for what is no such model.

use bowerbird::model::ranker::{Features, Ranker, Scalar, Trees};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/trees");
const WIDTH: usize = 5;

#[allow(clippy::disallowed_methods)]
fn numbers(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(format!("{FOLDER}/{name}")).unwrap();
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn text(name: &str) -> String {
    std::fs::read_to_string(format!("{FOLDER}/{name}")).unwrap()
}

fn features(count: usize) -> Features {
    let scalar = |at: usize| Scalar::Attr { name: format!("x{at}"), otherwise: 0.0 };
    (0..count).fold(Features::new(), |all, at| all.scalar(scalar(at)))
}

/// Goal: our trees say what the library says, missing values and all kinds of splits included.
/// Method: raw scores of 500 rows, one in five values missing, by the libraries themselves.
#[test]
fn trees_score_as_the_libraries_that_trained_them() {
    let rows = numbers("rows");
    assert!(rows.iter().filter(|number| number.is_nan()).count() > 400);
    let lightgbm = ["numbers", "zeros", "never", "categories", "lambdarank", "forest"];
    let xgboost = ["squares", "logistic", "ranking"];
    for name in lightgbm.into_iter().chain(xgboost) {
        let trees = match lightgbm.contains(&name) {
            true => Trees::lightgbm(&text(&format!("{name}.txt")), features(WIDTH)),
            false => Trees::xgboost(&text(&format!("{name}.json")), features(WIDTH)),
        };
        let (trees, expected) = (trees.unwrap(), numbers(&format!("{name}.scores")));
        assert_eq!(rows.len(), expected.len() * WIDTH);
        let mut most = 0f32;
        for (row, expected) in rows.chunks_exact(WIDTH).zip(&expected) {
            let apart = (trees.score(row).unwrap() - expected).abs() / (1.0 + expected.abs());
            most = most.max(apart);
        }
        println!("{name}: {most:.1e}");
        assert!(most <= 1e-6, "{name}: {most}");
    }
}

#[test]
fn trees_rank_a_batch_by_its_scalars() {
    let examples = crate::ranked::examples();
    let batch = examples.batch();
    let line = "tree\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=2\n\nTree=0\n\
        num_leaves=2\nsplit_feature=1\nthreshold=2.5\ndecision_type=0\nleft_child=-1\n\
        right_child=-2\nleaf_value=0.25 4\n\nend of trees\n";
    let trees = Trees::lightgbm(line, batch.features().clone()).unwrap();
    assert_eq!(trees.name(), "trees of lightgbm");
    let mut scores = vec![f32::NAN; batch.len()];
    trees.rank(batch, &mut scores).unwrap();
    for (score, row) in scores.iter().zip(batch.scalars().chunks_exact(3)) {
        assert_eq!(*score, if row[1] <= 2.5 { 0.25 } else { 4.0 });
    }
    let other = Trees::lightgbm(line, features(3)).unwrap().rank(batch, &mut scores);
    assert!(other.unwrap_err().to_string().contains("has other features"));
}

#[test]
fn what_is_no_ensemble_for_these_scalars_is_refused() {
    let sound = text("numbers.txt");
    for (from, to, why) in [
        ("tree\n", "forest\n", "does not begin with a line \"tree\""),
        ("end of trees", "", "it was cut off"),
        ("num_class=1", "num_class=3", "has 3 classes"),
        ("max_feature_idx=4", "max_feature_idx=1", "splits on feature"),
        ("max_feature_idx=4", "max_feature_idx=5", "was trained on 6 features, but 5 scalars"),
        ("is_linear=0", "is_linear=1", "Tree=0 has linear leaves"),
        ("num_leaves=12", "num_leaves=11", "has 12 numbers in leaf_value; 11 are needed"),
        ("num_leaves=12", "num_leaves=many", "has \"many\" in num_leaves"),
        ("left_child=", "left_child=0 ", "12 numbers in left_child"),
        ("threshold=", "thresholds=", "Tree=0 has no threshold"),
    ] {
        let error = Trees::lightgbm(&sound.replacen(from, to, 1), features(WIDTH)).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let sound = text("squares.json");
    for (from, to, why) in [
        ("gbtree\"", "dart\"", "is of the booster \"dart\""),
        ("\"num_class\":\"0\"", "\"num_class\":\"3\"", "has several classes"),
        ("reg:squarederror", "multi:softmax", "is of the objective \"multi:softmax\""),
        ("\"left_children\":[1", "\"left_children\":[0", "comes to node 0 twice"),
        ("{", "", "cannot be read"),
    ] {
        let text = sound.replacen(from, to, if why.contains("dart") { 9 } else { 1 });
        let error = Trees::xgboost(&text, features(WIDTH)).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let error = Trees::xgboost(&sound, features(4)).unwrap_err().to_string();
    assert!(error.contains("was trained on 5 features, but 4 scalars are declared"), "{error}");
    let trees = Trees::xgboost(&sound, features(WIDTH)).unwrap();
    assert!(trees.score(&[0.0; 3]).unwrap_err().to_string().contains("has 3 numbers"));
}
