//! Drafts: a heap of queries that might be worth suggesting, one of each.

use super::{
    draft::{Draft, Intent},
    lines,
    template::Template,
};
use crate::{
    error::{Error, Result},
    filter::Where,
    item::Value,
    store::Snapshot,
};
use std::collections::BTreeMap;

/// Queries that might be worth suggesting, from wherever they come. A query that comes again adds its weight
/// to the first.
///
/// ```
/// use bowerbird::{model::suggest::*, *};
/// # fn main() -> Result<()> {
/// let catalog = Db::in_memory(Schema::new().attr("title", AttrType::Text).attr("genre", AttrType::Tags))?;
/// catalog.batch()
///     .put(Item::new(1u64).attr("title", "Star Wars").attr("genre", ["adventure", "space"]))
///     .put(Item::new(2u64).attr("title", "Alien").attr("genre", ["horror", "space"]))
///     .commit()?;
/// let drafts = Drafts::new()
///     .titles(&catalog.snapshot(), "title")?
///     .template(&catalog.snapshot(), "{genre} films", 2)?
///     .read(r#"{"query": "fear in space", "kind": "exploratory", "source": "some model"}"#)?;
/// let texts: Vec<&str> = drafts.iter().map(|draft| draft.text.as_str()).collect();
/// assert_eq!(texts, ["Alien", "fear in space", "space films", "Star Wars"]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Drafts {
    by_key: BTreeMap<String, Draft>,
    refused: Vec<(String, String)>,
}

/// Most drafts at once.
pub(super) const DRAFTS_MAX: usize = 20_000_000;
/// How many of those that were refused are kept to look at.
const REFUSED_MAX: usize = 1000;

impl Drafts {
    /// None yet.
    pub fn new() -> Drafts {
        Drafts::default()
    }

    /// Adds one.
    ///
    /// # Errors
    /// As for [`Draft::key`]; and `Invalid` for a weight that is negative or not finite, and for a source
    /// without a name.
    pub fn push(&mut self, draft: Draft) -> Result<()> {
        let key = draft.check()?;
        if self.by_key.len() == DRAFTS_MAX && !self.by_key.contains_key(&key) {
            return Err(Error::invalid("drafts", format!("are more than {DRAFTS_MAX}")));
        }
        match self.by_key.get_mut(&key) {
            Some(there) => {
                there.weight += draft.weight;
                there.vector = there.vector.take().or(draft.vector);
            }
            None => drop(self.by_key.insert(key, draft)),
        }
        Ok(())
    }

    /// Adds one, or remembers why not: text that others have made need not be perfect.
    fn offer(&mut self, draft: Draft) {
        let text = draft.text.clone();
        if let Err(error) = self.push(draft)
            && self.refused.len() < REFUSED_MAX
        {
            let end = text.floor_char_boundary(100);
            self.refused.push((text[..end].to_owned(), error.to_string()));
        }
    }

    /// Adds every value of a text attribute, as something known: titles, names of people.
    ///
    /// # Errors
    /// `NotFound` for the attribute, `Invalid` for one that is no text. Values that make no query are
    /// in [`Drafts::refused`].
    pub fn titles(mut self, catalog: &Snapshot, attr: &str) -> Result<Drafts> {
        catalog.text_attr(attr)?;
        for addr in catalog.addrs(&Where::all())? {
            if let Some(Value::Text(title)) = catalog.value(addr, attr)? {
                self.offer(Draft::new(&title, Intent::Known, attr));
            }
        }
        Ok(self)
    }

    /// Adds what a pattern makes of the attributes of items, each combination that at least so many
    /// items share, as something exploratory, with the number of these items as weight.
    ///
    /// `"{genre} films with {actor}"` takes the values that an item has, all combinations of them. In
    /// `"{year:10}s"` a number is rounded down to a multiple: 1987 becomes 1980.
    ///
    /// # Errors
    /// `Invalid` for a pattern that has no attribute or an open brace, `NotFound` for an attribute.
    pub fn template(mut self, catalog: &Snapshot, pattern: &str, least: u64) -> Result<Drafts> {
        let template = Template::parse(pattern, catalog.schema())?;
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for addr in catalog.addrs(&Where::all())? {
            for text in template.fill(catalog, addr)? {
                *counts.entry(text).or_default() += 1;
            }
        }
        for (text, count) in counts.into_iter().filter(|(_, count)| *count >= least.max(1)) {
            let draft = Draft::new(&text, Intent::Exploratory, pattern).weight(count as f64);
            self.offer(draft);
        }
        Ok(self)
    }

    /// Adds JSON lines, such as a language model or a log of searches has written, one object each: `query`,
    /// and if need be `kind` (`known` or `exploratory`, which it is unless said), `source` ("import"), `weight` (1)
    /// and `vector`. Empty lines are passed over.
    ///
    /// What is in them is data: it is bounded, checked, and nothing else.
    ///
    /// # Errors
    /// `Invalid`, with the number of the line, for what is no such object. Texts that make no query
    /// are in [`Drafts::refused`].
    pub fn read(mut self, json_lines: &str) -> Result<Drafts> {
        for draft in lines::read(json_lines)? {
            self.offer(draft);
        }
        Ok(self)
    }

    /// Adds all queries that are stored, so that they are asked again: items come and go.
    ///
    /// # Errors
    /// `NotFound` if the database is not one of [`schema`](super::schema).
    pub fn stored(mut self, queries: &Snapshot) -> Result<Drafts> {
        for addr in queries.addrs(&Where::all())? {
            self.offer(super::stored::draft(queries, addr)?);
        }
        Ok(self)
    }

    /// What made no query, and why; the first thousand.
    pub fn refused(&self) -> &[(String, String)] {
        &self.refused
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Draft> {
        self.by_key.values()
    }

    /// All of them and their keys.
    pub(super) fn keyed(&self) -> impl Iterator<Item = (&String, &Draft)> {
        self.by_key.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}
