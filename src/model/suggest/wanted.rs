//! Wanted: what a user seems to want, by the catalog that the queries are about.

use crate::{
    error::Result,
    key::Key,
    recommend::{Interest, Recommender, Request},
    store::Snapshot,
};

/// What a user seems to want: items that would be recommended, and interests. Made once of the catalog, and
/// used for every key that is pressed.
///
/// ```
/// use bowerbird::{model::suggest::Wanted, recommend::*, *};
/// # fn main() -> Result<()> {
/// # let catalog = Db::in_memory(Schema::new().space("text", 1, Metric::Dot).event("view"))?;
/// # catalog.batch().put(Item::new(1u64).vector("text", [1.0])).put(Item::new(2u64).vector("text", [0.5]))
/// #     .event(Event::new(7, 1u64, "view", Timestamp(1))).commit()?;
/// let for_you = Recommender::new()
///     .summarize(Recent::new("text", 10))
///     .filter(Seen::new(["view"]))
///     .retrieve(NearInterests::new("text", 100));
/// let request = Request::new(100, Timestamp(9)).user(7);
/// let wanted = Wanted::of(&catalog.snapshot(), &for_you, &request)?;
/// assert_eq!((wanted.items.len(), wanted.interests.len()), (1, 1));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Wanted {
    /// Items of the catalog and how much each is wanted, most first.
    pub items: Vec<(Key, f32)>,
    /// What the recommender's summarizers said.
    pub interests: Vec<Interest>,
}

/// How little the first places stand out: an item at place `r`, from 0, is wanted by 1 / (r + this).
const FLAT: f32 = 10.0;

impl Wanted {
    /// What a recommender of the catalog says: the items of its slate by their places, and its
    /// interests.
    ///
    /// # Errors
    /// Those of the recommender.
    pub fn of(catalog: &Snapshot, recommender: &Recommender, request: &Request) -> Result<Wanted> {
        let runs = recommender.run_to_end(catalog, std::slice::from_ref(request))?;
        let mut wanted = Wanted::default();
        for run in runs {
            let ranked = run.ranked();
            for (place, at) in run.chosen.iter().enumerate() {
                let key = run.candidates.keys()[ranked.candidate(at.place)].clone();
                wanted.items.push((key, 1.0 / (FLAT + place as f32)));
            }
            wanted.interests.extend(run.interests);
        }
        Ok(wanted)
    }

    /// Of items and weights that somebody else has found.
    pub fn items(items: impl IntoIterator<Item = (Key, f32)>) -> Wanted {
        Wanted { items: items.into_iter().collect(), interests: Vec::new() }
    }

    /// With an interest.
    pub fn interest(mut self, interest: Interest) -> Wanted {
        self.interests.push(interest);
        self
    }
}
