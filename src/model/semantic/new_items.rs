//! NewItems: any retriever, among new items only.

use crate::{
    error::Result,
    model::operate::unknown_rows,
    recommend::{Allowed, AsOf, Context, Counting, Found, Retrieve},
};
use roaring::RoaringBitmap;
use std::{fmt, sync::Arc, time::Duration};

/// Retrieves by another retriever, but only items that are new: the cold start of an item.
///
/// A model that was trained yesterday says nothing of what came today. What is known of a new item from
/// the moment it is written is its content and its semantic ID, so this goes with
/// [`NearInterests`](crate::recommend::NearInterests), [`SimilarByPrefix`](super::SimilarByPrefix) or
/// [`Generate`](super::Generate), beside the model's own candidates (Yang et al. 2024, LIGER, unite
/// what was decoded with all cold items, and rank them together). Filters hold as everywhere.
///
/// ```
/// use bowerbird::{model::{NextItems, semantic::*}, recommend::*};
/// let near = NearInterests::new("text", 50);
/// let for_you = Recommender::new()
///     .summarize(Recent::new("text", 3))
///     .filter(Seen::new(["buy"]))
///     .retrieve(NextItems::by("sasrec", 200))
///     .retrieve(NewItems::unknown_to("sasrec", near))
///     .select(Explore::new("NewItems", 2));
/// ```
#[derive(Clone)]
pub struct NewItems {
    new: New,
    by: Arc<dyn Retrieve>,
}

#[derive(Clone, Debug)]
enum New {
    UnknownTo(String),
    Since(String, Duration),
    FewerThan(Vec<String>, u32),
}

impl NewItems {
    /// Items that the active version of a model does not know.
    pub fn unknown_to(model: &str, by: impl Retrieve + 'static) -> NewItems {
        NewItems { new: New::UnknownTo(model.into()), by: Arc::new(by) }
    }

    /// Items whose time attribute lies so far back at most, and not in the future.
    pub fn since(attr: &str, age: Duration, by: impl Retrieve + 'static) -> NewItems {
        NewItems { new: New::Since(attr.into(), age), by: Arc::new(by) }
    }

    /// Items with fewer events of these kinds; none means all kinds.
    pub fn fewer_than<'k>(
        events: u32,
        kinds: impl IntoIterator<Item = &'k str>,
        by: impl Retrieve + 'static,
    ) -> NewItems {
        let kinds = kinds.into_iter().map(str::to_owned).collect();
        NewItems { new: New::FewerThan(kinds, events), by: Arc::new(by) }
    }

    fn narrow(&self, cx: &Context<'_>, allowed: &Allowed) -> Result<Allowed> {
        let mut narrow = allowed.clone();
        match &self.new {
            New::UnknownTo(name) => {
                let model = cx.snapshot.model(name)?;
                for (part, rows) in (0u32..).zip(unknown_rows(cx.snapshot, &model)?) {
                    narrow.keep_rows(part, &rows);
                }
            }
            New::Since(attr, age) => {
                let oldest = cx.request.now.minus(*age);
                let within = crate::filter::attr(attr).between(oldest, cx.request.now);
                narrow.keep_where(cx.snapshot, &within)?;
            }
            New::FewerThan(kinds, events) => {
                for (part, rows) in (0u32..).zip(known(cx, kinds, *events)?.iter()) {
                    narrow.remove_rows(part, rows);
                }
            }
        }
        Ok(narrow)
    }
}

/// The rows of live items with at least so many events, computed once for each version.
fn known(cx: &Context<'_>, kinds: &[String], events: u32) -> Result<Arc<Vec<RoaringBitmap>>> {
    let (snapshot, now) = (cx.snapshot, cx.request.now);
    let recipe = format!("known {kinds:?} {events} {:?}", AsOf::of(&snapshot.version, now)?.at);
    snapshot.version.memo.get(&recipe, || {
        let counting = Counting::new(snapshot, kinds, None)?;
        let all = Allowed::all(snapshot)?;
        let mut rows = vec![RoaringBitmap::new(); snapshot.version.parts.len()];
        for (addr, count) in counting.counts(snapshot, now)?.top(snapshot, &all, usize::MAX, now)? {
            if count >= f64::from(events) {
                rows[addr.part as usize].insert(addr.row.0);
            }
        }
        Ok(rows)
    })
}

impl fmt::Debug for NewItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewItems").field("new", &self.new).field("by", &self.by.name()).finish()
    }
}

impl Retrieve for NewItems {
    fn name(&self) -> String {
        "NewItems".into()
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        let narrow = self.narrow(cx, allowed)?;
        if narrow.is_empty() {
            return Ok(());
        }
        // What the other one offers beyond these is dropped here: `found` knows the wider set only.
        found.within(&narrow, |found| self.by.retrieve(cx, &narrow, found))
    }
}
