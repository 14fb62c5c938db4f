//! Keeps what may be meant by what was typed.

use crate::{
    error::Result,
    recommend::{Allowed, Context, Filter},
};
use roaring::RoaringBitmap;

/// Keeps what has all words of the request's text, whose last may be unfinished: what could be meant by
/// what was typed so far. A text without a word, such as an empty one, takes nothing away.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// # fn main() -> Result<()> {
/// # let db = Db::in_memory(Schema::new().attr("query", AttrType::Text).attr("asked", AttrType::Int))?;
/// # db.batch().put(Item::new(1u64).attr("query", "star wars").attr("asked", 9))
/// #     .put(Item::new(2u64).attr("query", "star trek").attr("asked", 12)).commit()?;
/// let complete = Recommender::new().filter(Typed::new("query")).retrieve(Highest::new("asked", 50));
/// let slate = complete.run(&db.snapshot(), &Request::new(5, Timestamp(0)).text("star w"))?;
/// assert_eq!(slate.items.len(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Typed {
    attr: String,
    forgiving: bool,
}

impl Typed {
    /// In this text attribute.
    pub fn new(attr: &str) -> Typed {
        Typed { attr: attr.into(), forgiving: false }
    }

    /// Takes words that are close to one that no item has: with one letter more, less or changed, or two
    /// turned round, in words of three letters or more; two such mistakes in eight or more. The first letter must be right.
    pub fn forgiving(mut self) -> Typed {
        self.forgiving = true;
        self
    }
}

impl Filter for Typed {
    fn name(&self) -> String {
        format!("Typed({})", self.attr)
    }

    fn filter(&self, cx: &Context<'_>, allowed: &mut Allowed) -> Result<()> {
        let rows = cx.snapshot.typed_rows(&self.attr, &cx.request.text, self.forgiving)?;
        for (part, rows) in (0u32..).zip(rows.into_iter().flatten()) {
            let rows = RoaringBitmap::from_sorted_iter(rows.iter()).unwrap_or_default();
            allowed.keep_rows(part, &rows);
        }
        Ok(())
    }
}
