//! What filters are when built, what they mean when resolved, and what they refuse.

use super::*;
use crate::{
    key::Timestamp,
    schema::{AttrType, Schema},
};
use proptest::prelude::*;

fn depth_of(node: &Node) -> usize {
    1 + match node {
        Node::Not(inner) => depth_of(inner),
        Node::And(list) | Node::Or(list) => list.iter().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

/// `n` levels that cannot be flattened, and a leaf.
fn alternating(n: usize) -> Where {
    (0..n).fold(attr("a").is(0), |inner, level| match level % 2 {
        0 => inner & attr("a").is(1),
        _ => inner | attr("a").is(1),
    })
}

/// Goal: building a filter cannot overflow the stack, and what is too large is refused when used.
/// Method: join 10,000 levels in every way, one level around the limit, and one node around it.
#[test]
fn too_large_filters_can_be_built_but_not_used() {
    let mut refused = vec![alternating(10_000), alternating(FILTER_DEPTH_MAX)];
    refused.push((0..10_000).fold(attr("a").is(0), |w, _| !(w & attr("a").is(1))));
    refused.push((0..FILTER_NODES_MAX).fold(Where::all(), |w, _| w & attr("a").is(1)));
    refused.push((0..FILTER_NODES_MAX).fold(Where::none(), |w, _| attr("a").is(1) | w));
    for filter in refused {
        assert!(matches!(filter.check(), Err(Error::Invalid { .. })));
        assert!((filter.clone() & Where::all()).check().is_err());
        assert!((attr("a").is(1) | !filter).check().is_err());
    }
    alternating(FILTER_DEPTH_MAX - 1).check().unwrap();
    let full = (1..FILTER_NODES_MAX).fold(Where::all(), |w, _| w & attr("a").is(1));
    full.check().unwrap();
    assert_eq!(full.nodes, FILTER_NODES_MAX);
}

#[test]
fn the_refusal_says_which_limit() {
    let why = alternating(100).check().unwrap_err().to_string();
    assert_eq!(why, "filter: is nested too deep; at most 64 levels");
}

#[test]
fn ten_thousand_negations_are_none() {
    let filter = (0..10_000).fold(attr("a").is(1), |w, _| !w);
    assert_eq!(filter, attr("a").is(1));
    filter.check().unwrap();
}

#[test]
fn chains_are_one_level() {
    let leaf = |n: i64| attr("a").is(n);
    let flat = (leaf(1) & leaf(2)) & (leaf(3) & leaf(4));
    assert_eq!((flat.depth, flat.nodes), (2, 5));
    assert_eq!(flat, leaf(1) & (leaf(2) & leaf(3)) & leaf(4));
    assert_eq!(Where::all() & leaf(1), leaf(1));
    assert_eq!(leaf(1) | Where::none(), leaf(1));
    for n in 0..FILTER_DEPTH_MAX {
        let filter = alternating(n);
        assert_eq!((filter.depth, depth_of(&filter.node)), (n + 1, n + 1));
    }
}

const TYPES: [(&str, AttrType); 7] = [
    ("bool", AttrType::Bool),
    ("int", AttrType::Int),
    ("float", AttrType::Float),
    ("time", AttrType::Time),
    ("tag", AttrType::Tag),
    ("tags", AttrType::Tags),
    ("text", AttrType::Text),
];
const INT: u16 = 1;
const FLOAT: u16 = 2;

fn schema() -> Schema {
    let add = |schema: Schema, (name, ty): (&str, AttrType)| schema.attr(name, ty);
    TYPES.into_iter().fold(Schema::new(), add)
}

fn resolve(filter: Where) -> Resolved {
    filter.resolve(&schema()).unwrap()
}

fn error(filter: Where) -> String {
    filter.resolve(&schema()).unwrap_err().to_string()
}

/// Whether an item whose only attribute is `name` is in the filter.
fn holds(filter: &Where, name: &str, value: Option<Value>) -> bool {
    let schema = schema();
    let id = schema.find_attr(name).unwrap().id;
    let filter = filter.resolve(&schema).unwrap();
    filter.matches(&|asked| value.clone().filter(|_| asked == id))
}

#[test]
fn errors_say_which_attribute_and_why() {
    for (filter, message) in [
        (attr("yaer").is(1), "there is no attribute \"yaer\""),
        (
            attr("int").is("jazz"),
            "filter on \"int\": the attribute is an int and cannot be compared with \"jazz\"",
        ),
        (
            attr("text").at_least(5),
            "filter on \"text\": the attribute is a text and cannot be compared with 5",
        ),
        (
            attr("int").is(Timestamp(5)),
            "filter on \"int\": the attribute is an int and cannot be compared with the time 5 ms",
        ),
        (
            attr("tags").is(["a", "b"]),
            "filter on \"tags\": the attribute is a set of tags and cannot be compared with a \
             list; use `in` for any of several values",
        ),
        (
            attr("bool").between(false, true),
            "filter on \"bool\": the attribute is a bool, which has no order; use `is` or `in`, \
             not `between`",
        ),
        (
            attr("tags").at_least("a"),
            "filter on \"tags\": the attribute is a set of tags, which has no order; use `is` or \
             `in`, not `between`",
        ),
        (
            attr("float").at_least(f64::NAN),
            "filter on \"float\": NaN cannot be compared with; leave that end open, or use a \
             number",
        ),
        (
            attr("int").at_most(f64::INFINITY),
            "filter on \"int\": inf cannot be compared with; leave that end open, or use a number",
        ),
        (
            attr("int").is_in(0..=FILTER_IN_MAX as i64),
            "filter on \"int\": the list is too long; at most 1000000 values",
        ),
    ] {
        assert_eq!(error(filter.clone()), message);
        assert_eq!(error(attr("int").exists() & !(filter | Where::all())), message);
    }
    let open: Where = serde_json::from_str(r#"{"between":["int",null,null]}"#).unwrap();
    assert_eq!(error(open), r#"filter on "int": `between` needs a bound; or use `exists`"#);
}

/// Goal: every pair of types is either compared or refused, as documented. Method: the whole table.
#[test]
fn each_type_takes_its_own_values() {
    let values: [(Value, &[&str]); 6] = [
        (true.into(), &["bool"]),
        (3.into(), &["int", "float", "time"]),
        (3.0.into(), &["int", "float"]),
        (Timestamp(3).into(), &["time"]),
        ("a".into(), &["tag", "tags", "text"]),
        (["a"].into(), &[]),
    ];
    for (value, takers) in values {
        for (name, _) in TYPES {
            let ok = attr(name).is(value.clone()).resolve(&schema()).is_ok();
            assert_eq!(ok, takers.contains(&name), "{name} is {value:?}");
            let ok = attr(name).is_in([value.clone()]).resolve(&schema()).is_ok();
            assert_eq!(ok, takers.contains(&name), "{name} in [{value:?}]");
            let ok = attr(name).at_most(value.clone()).resolve(&schema()).is_ok();
            let ordered = !["bool", "tags"].contains(&name);
            assert_eq!(ok, ordered && takers.contains(&name), "{name} at most {value:?}");
        }
    }
}

#[test]
fn numbers_are_compared_exactly() {
    let int = |v| Some(Operand::Int(v));
    let float = |v| Some(Operand::Float(v));
    let never = |id| Resolved::In(id, Vec::new());
    let odd = (1i64 << 53) + 1;
    let (below, above) = (9_007_199_254_740_992.0, 9_007_199_254_740_994.0);
    for (filter, meaning) in [
        (attr("int").is(2.0), Resolved::Is(INT, Operand::Int(2))),
        (attr("int").is(2.5), never(INT)),
        (attr("int").is(1e300), never(INT)),
        (attr("int").is(-resolve::INT_END), Resolved::Is(INT, Operand::Int(i64::MIN))),
        (attr("int").is(resolve::INT_END), never(INT)),
        (attr("int").between(-2.5, 2.5), Resolved::Between(INT, int(-2), int(2))),
        (attr("int").between(2.2, 2.8), never(INT)),
        (attr("int").between(3, 2), never(INT)),
        (attr("int").at_least(resolve::INT_END), never(INT)),
        (attr("int").at_least(-1e300), Resolved::Between(INT, int(i64::MIN), None)),
        (attr("int").at_most(1e300), Resolved::Between(INT, None, int(i64::MAX))),
        (attr("int").at_most(-1e300), never(INT)),
        (attr("float").is(3), Resolved::Is(FLOAT, Operand::Float(3.0))),
        (attr("float").is(odd), never(FLOAT)),
        (attr("float").at_least(odd), Resolved::Between(FLOAT, float(above), None)),
        (attr("float").at_most(odd), Resolved::Between(FLOAT, None, float(below))),
        (
            attr("float").at_most(i64::MAX),
            Resolved::Between(FLOAT, None, float(resolve::INT_END.next_down())),
        ),
        (
            attr("float").is_in([0.0, 2.0, -0.0]),
            Resolved::In(FLOAT, vec![Operand::Float(0.0), Operand::Float(2.0)]),
        ),
    ] {
        assert_eq!(resolve(filter.clone()), meaning, "{filter:?}");
    }
    let Resolved::Is(_, Operand::Float(zero)) = resolve(attr("float").is(-0.0)) else { panic!() };
    assert!(zero.is_sign_positive());
    assert!(holds(&attr("float").between(0.0, 0.0), "float", Some(Value::Float(-0.0))));
}

#[test]
fn tags_contain_and_texts_are_ordered_by_bytes() {
    let tags = || Some(Value::from(["a", "c"]));
    assert!(holds(&attr("tags").is("c"), "tags", tags()));
    assert!(!holds(&attr("tags").is("b"), "tags", tags()));
    assert!(holds(&attr("tags").is_in(["b", "c"]), "tags", tags()));
    assert!(!holds(&attr("tags").is_in(["b", "d"]), "tags", tags()));
    assert!(holds(&attr("text").between("B", "b"), "text", Some("a".into())));
    assert!(!holds(&attr("tag").at_most("z"), "tag", Some("\u{e9}".into())));
}

#[test]
fn a_missing_value_satisfies_only_the_complement() {
    for leaf in [
        attr("int").is(1),
        attr("int").is_in([1, 2]),
        attr("int").at_least(i64::MIN),
        attr("int").exists(),
    ] {
        assert!(!holds(&leaf, "int", None));
        assert!(holds(&!leaf.clone(), "int", None));
        assert!(!holds(&(!leaf & attr("int").exists()), "int", None));
    }
    assert!(holds(&Where::all(), "int", None));
    assert!(!holds(&Where::none(), "int", None));
}

proptest! {
    /// Goal: rounding a bound to the type of the attribute changes no answer. Method: compare with
    /// the bound itself, in arithmetic wide enough to be exact, near every edge.
    #[test]
    fn rounded_bounds_answer_like_exact_ones(
        value in edge_int(), near in edge_int(), off in -1i64..=1, half in any::<bool>(),
    ) {
        let bound = near.saturating_add(off) as f64 + if half { 0.5 } else { 0.0 };
        // Twice as large and in i128, halves are whole and nothing overflows.
        let (twice, exact) = (i128::from(value) * 2, (bound * 2.0) as i128);
        let stored = || Some(Value::Int(value));
        prop_assert_eq!(holds(&attr("int").at_least(bound), "int", stored()), twice >= exact);
        prop_assert_eq!(holds(&attr("int").at_most(bound), "int", stored()), twice <= exact);
        prop_assert_eq!(holds(&attr("int").is(bound), "int", stored()), twice == exact);

        let (bound, value) = (value, bound);
        let (exact, twice) = (i128::from(bound) * 2, exact);
        let stored = || Some(Value::Float(value));
        prop_assert_eq!(holds(&attr("float").at_least(bound), "float", stored()), twice >= exact);
        prop_assert_eq!(holds(&attr("float").at_most(bound), "float", stored()), twice <= exact);
        prop_assert_eq!(holds(&attr("float").is(bound), "float", stored()), twice == exact);
    }

    #[test]
    fn operators_mean_what_they_mean_for_bools(
        a in -2i64..3, b in -2i64..3, v in prop::option::of(-2i64..3),
    ) {
        let (x, y) = (attr("int").at_least(a), attr("int").is_in([b, a]));
        let holds = |filter: &Where| holds(filter, "int", v.map(Value::Int));
        prop_assert_eq!(holds(&x), v.is_some_and(|v| v >= a));
        prop_assert_eq!(holds(&y), v.is_some_and(|v| v == b || v == a));
        prop_assert_eq!(holds(&(x.clone() & y.clone())), holds(&x) && holds(&y));
        prop_assert_eq!(holds(&(x.clone() | y.clone())), holds(&x) || holds(&y));
        prop_assert_eq!(holds(&!(x.clone() & y.clone())), holds(&(!x | !y)));
    }
}

fn edge_int() -> impl Strategy<Value = i64> {
    let edges = [i64::MIN, -(1 << 53), 0, 1 << 53, 1 << 60, i64::MAX];
    let near = (prop::sample::select(edges.to_vec()), -3i64..=3);
    prop_oneof![any::<i64>(), near.prop_map(|(edge, off)| edge.saturating_add(off))]
}
