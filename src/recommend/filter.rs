//! Filters: predicates, what was seen, what was shown too often.

use crate::{
    error::{Error, Result},
    filter::Where,
    key::Key,
    recommend::{Allowed, Context, Filter},
    store::HistoryQuery,
};
use std::{collections::BTreeMap, time::Duration};

impl Filter for Where {
    fn name(&self) -> String {
        "Where".into()
    }

    fn filter(&self, cx: &Context<'_>, allowed: &mut Allowed) -> Result<()> {
        allowed.keep_where(cx.snapshot, self)
    }
}

/// Takes away what the user has already acted on.
///
/// ```
/// use bowerbird::{recommend::Seen, days};
/// let bought_lately = Seen::new(["buy"]).within(days(30));
/// ```
#[derive(Clone, Debug)]
pub struct Seen {
    kinds: Vec<String>,
    within: Option<Duration>,
}

impl Seen {
    /// Of these kinds; none means all kinds.
    pub fn new<'k>(kinds: impl IntoIterator<Item = &'k str>) -> Seen {
        Seen { kinds: kinds.into_iter().map(str::to_owned).collect(), within: None }
    }

    /// Only what happened less than this before now.
    pub fn within(mut self, window: Duration) -> Seen {
        self.within = Some(window);
        self
    }
}

impl Filter for Seen {
    fn name(&self) -> String {
        format!("Seen({})", self.kinds.join(", "))
    }

    fn filter(&self, cx: &Context<'_>, allowed: &mut Allowed) -> Result<()> {
        for (item, _) in counted(cx, &self.kinds, self.within)? {
            allowed.remove_key(cx.snapshot, &item)?;
        }
        Ok(())
    }
}

/// Takes away a fixed list: what was recalled, what the house does not show. A request's own exclusions
/// need no operator.
///
/// ```
/// use bowerbird::{Key, recommend::Excluded};
/// let recalled = Excluded::new([Key::Id(17), Key::Id(23)]);
/// ```
#[derive(Clone, Debug)]
pub struct Excluded {
    keys: Vec<Key>,
}

impl Excluded {
    /// These items; keys without an item do no harm.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Excluded {
        Excluded { keys: keys.into_iter().collect() }
    }
}

impl Filter for Excluded {
    fn name(&self) -> String {
        format!("Excluded({} items)", self.keys.len())
    }

    fn filter(&self, cx: &Context<'_>, allowed: &mut Allowed) -> Result<()> {
        self.keys.iter().try_for_each(|key| allowed.remove_key(cx.snapshot, key))
    }
}

/// Takes away what was shown to the user too often lately: impressions are events.
///
/// ```
/// use bowerbird::{recommend::Cooldown, days};
/// // Not again what was shown three times in a week.
/// let tired = Cooldown::new("impression", 3, days(7));
/// ```
#[derive(Clone, Debug)]
pub struct Cooldown {
    kind: String,
    shown: usize,
    within: Duration,
}

impl Cooldown {
    /// What had `shown` events of a kind, or more, within a window before now.
    pub fn new(kind: &str, shown: usize, within: Duration) -> Cooldown {
        Cooldown { kind: kind.into(), shown, within }
    }
}

impl Filter for Cooldown {
    fn name(&self) -> String {
        format!("Cooldown({})", self.kind)
    }

    fn filter(&self, cx: &Context<'_>, allowed: &mut Allowed) -> Result<()> {
        if self.shown == 0 {
            return Err(Error::invalid("Cooldown", "needs at least one impression"));
        }
        let kinds = std::slice::from_ref(&self.kind);
        for (item, count) in counted(cx, kinds, Some(self.within))? {
            if count >= self.shown {
                allowed.remove_key(cx.snapshot, &item)?;
            }
        }
        Ok(())
    }
}

/// How often the user acted on each item: over the whole history, not only its latest part, since an
/// item that was bought long ago must stay away too.
fn counted(
    cx: &Context<'_>,
    kinds: &[String],
    within: Option<Duration>,
) -> Result<BTreeMap<Key, usize>> {
    let Some(user) = cx.request.user else { return Ok(BTreeMap::new()) };
    let kinds = kinds.iter().map(String::as_str);
    let mut query = HistoryQuery::default().as_of(cx.request.now).kinds(kinds);
    query.limit = crate::limits::LIMIT_MAX;
    query.window = within;
    let mut counts = BTreeMap::new();
    for deed in cx.snapshot.history(user, &query)?.deeds {
        *counts.entry(deed.item).or_default() += 1;
    }
    Ok(counts)
}
