//! Import: indexes that others have made, as JSON.

use crate::{
    error::{Error, Result},
    key::Key,
    semantic::{Codebook, SemanticId},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use std::fmt;

/// How to read an index of semantic IDs that was made elsewhere.
///
/// One object of items: `{"12": ["<a_1>", "<b_7>", "<c_3>"], ...}` as LETTER and MiniOneRec write it, or
/// `{"12": [1, 7, 3, 91], ...}` as the open TIGER does, whose last code only tells apart items that share
/// the others: it says nothing of them, and is left out.
///
/// ```
/// use bowerbird::{Key, model::semantic::Index};
/// # fn main() -> bowerbird::Result<()> {
/// let text = r#"{"0": ["<a_1>", "<b_7>"], "1": ["<a_1>", "<b_7>"]}"#;
/// let codebook = Index { first: Some(1), ..Index::default() }.read(text)?;
/// assert_eq!(codebook.find(&Key::Id(2)), "<a_1><b_7>".parse().ok());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    /// Which number item `"0"` has in the database: names that are numbers become numbers, so much
    /// larger. Without it they are names.
    pub first: Option<u64>,
    /// So many first codes of each item. If `None`, all tokens, or all numbers but the last.
    pub levels: Option<usize>,
}

/// Longest text that is read.
const TEXT_MAX: usize = 1 << 30;

impl Index {
    /// Reads an index as a listed codebook.
    ///
    /// # Errors
    /// `Invalid` for text that is no such index: other JSON, an item twice, no items, codes that are not
    /// `<a_0>` to `<h_65535>` in order or numbers below 65,536, or IDs of different lengths.
    pub fn read(&self, json: &str) -> Result<Codebook> {
        let refuse = |why: String| Error::invalid("index of semantic IDs", why);
        if json.len() > TEXT_MAX {
            return Err(refuse(format!("has {} bytes; at most {TEXT_MAX}", json.len())));
        }
        let items: Items = serde_json::from_str(json).map_err(|why| refuse(why.to_string()))?;
        let mut listed = Vec::with_capacity(items.0.len());
        let mut length = None;
        for (name, codes) in items.0 {
            let key = match self.first {
                Some(first) => {
                    let number = name.parse::<u64>().ok().and_then(|n| n.checked_add(first));
                    Key::Id(number.ok_or_else(|| refuse(format!("names item {}", short(&name))))?)
                }
                None => Key::Name(name.as_str().into()),
            };
            let (codes, suffix) = match codes {
                Codes::Numbers(numbers) => (numbers, 1),
                Codes::Tokens(tokens) => {
                    let parsed = parse(&tokens);
                    let wrong = |why| refuse(format!("has {why} for item {}", short(&name)));
                    (parsed.map_err(wrong)?, 0)
                }
            };
            let (has, others) = (codes.len(), *length.get_or_insert(codes.len()));
            if has != others || has == 0 {
                let name = short(&name);
                return Err(refuse(format!(
                    "has {has} codes for item {name}, {others} for another"
                )));
            }
            let meant = self.levels.unwrap_or((has - suffix).max(1));
            let id = SemanticId::new(&codes[..has.min(meant)])
                .map_err(|why| refuse(format!("has for item {} a {why}", short(&name))))?;
            listed.push((key, id));
        }
        Codebook::listed(listed)
    }
}

fn short(name: &str) -> String {
    format!("{:?}", name.chars().take(40).collect::<String>())
}

/// `<a_1>`, `<b_7>`: a letter for each level.
fn parse(tokens: &[String]) -> Result<Vec<u16>, String> {
    let text: String = tokens.concat();
    let id: SemanticId = text.parse().map_err(|error: Error| error.to_string())?;
    let one = |token: &String| token.starts_with('<') && token.matches('<').count() == 1;
    match tokens.iter().all(one) {
        true => Ok(id.codes().to_vec()),
        false => Err("tokens that are not one code each".into()),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Codes {
    Numbers(Vec<u16>),
    Tokens(Vec<String>),
}

/// The items in the order of the text: a map would lose one that is there twice.
struct Items(Vec<(String, Codes)>);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Items, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Items;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of items, each with a list of codes")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Items, M::Error> {
                let mut items = Vec::new();
                while let Some(item) = map.next_entry()? {
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_map(All)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // Reads shared data, if it is there.

    use super::*;
    use crate::model::semantic::Figures;

    #[test]
    fn what_is_no_index_is_refused() {
        let index = Index { first: Some(0), ..Index::default() };
        for wrong in [
            "",
            "[]",
            "{}",
            "{\"0\": 1}",
            "{\"0\": []}",
            "{\"0\": [\"<b_1>\"]}",
            "{\"0\": [\"<a_1>\", \"<a_1>\"]}",
            "{\"0\": [\"<a_1><b_2>\", \"\"]}",
            "{\"0\": [\"<a_99999>\"]}",
            "{\"0\": [65536]}",
            "{\"0\": [-1]}",
            "{\"0\": [1], \"0\": [2]}",
            "{\"0\": [1], \"00\": [2]}",
            "{\"0\": [1], \"1\": [1, 2]}",
            "{\"0\": [1,2,3,4,5,6,7,8,9,10]}",
            "{\"x\": [1]}",
            "{\"18446744073709551616\": [1]}",
        ] {
            assert!(matches!(index.read(wrong), Err(Error::Invalid { .. })), "{wrong}");
        }
        let deep = format!("{{\"0\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(index.read(&deep).is_err());
        let late = Index { first: Some(u64::MAX), ..Index::default() };
        assert!(late.read("{\"1\": [1]}").is_err() && late.read("{\"0\": [1]}").is_ok());
        let names = Index::default().read("{\"0\": [1], \"x\": [2]}").unwrap();
        assert!(names.find(&Key::from("x")).is_some());
    }

    /// Goal: the open indexes come in, with exactly the collisions that others have counted.
    #[test]
    fn the_open_indexes_have_the_collisions_that_were_counted() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/");
        for (file, levels, unique, colliding, largest) in [
            ("s3rec/Beauty_semids_letter.json", None, 12_088, 24, 0),
            ("semids/noname_beauty_index_rqvae.json", None, 11_412, 1_198, 13),
            ("semids/noname_beauty_index_rqvae.json", Some(4), 12_101, 0, 1),
            ("semids/noname_beauty_index_rqkmeans.json", None, 7_840, 5_891, 75),
        ] {
            let Ok(text) = std::fs::read_to_string(format!("{folder}{file}")) else {
                println!("SKIPPED: {file} is not there");
                continue;
            };
            let book = Index { first: Some(1), levels }.read(&text).unwrap();
            let ids: Vec<SemanticId> = book.items().map(|(_, id)| *id).collect();
            let figures = Figures::of(&ids);
            println!("{file}: {figures:?}");
            assert_eq!((figures.items, figures.unique), (12_101, unique));
            assert_eq!(figures.colliding_items, colliding);
            assert!(largest == 0 || figures.largest_bucket == largest);
        }
    }
}
