//! Impressions: what was shown, as events.

use crate::{
    error::{Error, Result},
    item::Event,
    recommend::{Request, Slate},
};

impl Slate {
    /// One event of this kind for each item, to be committed once the slate was shown: whose, which,
    /// when (the request's `now`), the request's number, the position from 0, and as its value the
    /// [propensity](crate::recommend::Recommended::propensity).
    ///
    /// What users do then is an event of another kind with the same request number; so
    /// [`policy`](crate::recommend::policy) can say how another recommender would have done. What was shown is
    /// nothing that a user did: name the kinds that are, by
    /// [`Recommender::acts`](crate::recommend::Recommender::acts).
    ///
    /// ```
    /// use bowerbird::{recommend::*, *};
    /// # fn main() -> Result<()> {
    /// let db = Db::in_memory(Schema::new().event("impression").event("click"))?;
    /// db.batch().put(Item::new(1u64)).event(Event::new(9, 1u64, "click", Timestamp(1))).commit()?;
    /// let request = Request::new(5, Timestamp(10)).user(7).id(99);
    /// let popular = Recommender::new().retrieve(Popular::ever(["click"], 10));
    /// let slate = popular.run(&db.snapshot(), &request)?;
    /// let mut batch = db.batch();
    /// for event in slate.impressions("impression", &request)? {
    ///     batch.event(event);
    /// }
    /// batch.event(Event::new(7, 1u64, "click", Timestamp(12)).request(99)).commit()?;
    /// let shown = db.snapshot().history(UserId(7), &HistoryQuery::default())?.deeds[0].clone();
    /// assert_eq!((shown.position, shown.value), (Some(0), Some(1.0)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` if the request has no user or no number, or the slate is longer than positions are.
    pub fn impressions(&self, kind: &str, request: &Request) -> Result<Vec<Event>> {
        let wrong = |why: &str| Error::invalid("request of the impressions", why);
        let user = request.user.ok_or_else(|| wrong("has no user: whose are they?"))?;
        let id = request.id.ok_or_else(|| wrong("has no number: set one with `id`"))?;
        let mut events = Vec::with_capacity(self.items.len());
        for (at, item) in self.items.iter().enumerate() {
            let position = u16::try_from(at).map_err(|_| wrong("has more than 65,536 items"))?;
            let event = Event::new(user.0, &item.key, kind, request.now);
            events.push(event.request(id).position(position).value(item.propensity));
        }
        Ok(events)
    }
}
