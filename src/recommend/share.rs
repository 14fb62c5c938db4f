//! A share of the slate for items with one value of a tag.

use crate::{
    error::{Error, Result},
    item::Value,
    recommend::{Chosen, Context, Ranked, Select, Top},
    vector::dice::Dice,
};

/// Gives a share of the slate to items with one value of a tag attribute, and the rest to the others:
/// so much exploration, so many of the house's own.
///
/// Within each of the two another selector chooses; all are shown in the order of their rank. If one
/// of them has too few, the other gets the places. A share that is no whole number of places is rounded
/// by lot, drawn from [`Request::lots`](crate::recommend::Request::lots), so that it is right on average; every item
/// says how likely it was at its place.
///
/// ```
/// use bowerbird::recommend::{Diverse, Share};
/// let slate = Share::new("kind", "exploratory", 0.4).by(Diverse::new("text", 0.3));
/// ```
pub struct Share {
    attr: String,
    value: String,
    share: f32,
    by: Box<dyn Select>,
}

/// What the lot of rounding is drawn for, apart from what others draw.
const ROUNDING: u64 = 5;

impl Share {
    /// A share in 0..=1 for items whose tag is `value`, or among whose tags it is.
    pub fn new(attr: &str, value: &str, share: f32) -> Share {
        Share { attr: attr.into(), value: value.into(), share, by: Box::new(Top) }
    }

    /// Chooses by another selector; the best unless set.
    pub fn by(mut self, selector: impl Select + 'static) -> Share {
        self.by = Box::new(selector);
        self
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Select for Share {
    fn name(&self) -> String {
        format!("Share({} {}, {}, {})", self.attr, self.value, self.share, self.by.name())
    }

    fn select(&self, cx: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<usize>> {
        Ok(self.choose(cx, ranked, limit)?.into_iter().map(|chosen| chosen.place).collect())
    }

    fn choose(&self, cx: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<Chosen>> {
        if !(0.0..=1.0).contains(&self.share) {
            let why = format!("is {}; it must be 0 to 1", self.share);
            return Err(Error::invalid("share of Share", why));
        }
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for place in 0..ranked.len() {
            match self.has(cx, ranked, place)? {
                true => with.push(place),
                false => without.push(place),
            }
        }
        let exact = f64::from(self.share) * limit as f64;
        let (low, more) = (exact.floor() as usize, exact.fract());
        let slate = |wanted| self.slate(cx, ranked, (&with, &without), (wanted, limit));
        if more == 0.0 {
            return Ok(slate(low)?.into_iter().map(Chosen::surely).collect());
        }
        let lot = Dice::new(cx.request.lots(), ROUNDING).fine();
        let (fewer, larger) = (slate(low)?, slate(low + 1)?);
        let (drawn, other, chance) = match lot < more {
            true => (larger, fewer, more),
            false => (fewer, larger, 1.0 - more),
        };
        let likely = |(at, place): (usize, usize)| {
            let always = other.get(at) == Some(&place);
            Chosen::with(place, if always { 1.0 } else { chance as f32 })
        };
        Ok(drawn.iter().copied().enumerate().map(likely).collect())
    }
}

impl Share {
    /// The slate with so many places of the share.
    fn slate(
        &self,
        cx: &Context<'_>,
        ranked: &Ranked<'_>,
        (with, without): (&[usize], &[usize]),
        (wanted, limit): (usize, usize),
    ) -> Result<Vec<usize>> {
        let wanted = wanted.min(limit);
        let most_of_others = limit - wanted.min(with.len());
        let others = self.among(cx, ranked, without, most_of_others)?;
        // What the others could not fill goes back.
        let mine = self.among(cx, ranked, with, limit - others.len())?;
        let mut chosen: Vec<usize> = mine.into_iter().chain(others).collect();
        chosen.sort_unstable();
        Ok(chosen)
    }

    fn has(&self, cx: &Context<'_>, ranked: &Ranked<'_>, place: usize) -> Result<bool> {
        match cx.snapshot.value(ranked.addr(place), &self.attr)? {
            Some(Value::Text(tag)) => Ok(tag == self.value),
            Some(Value::Tags(tags)) => Ok(tags.contains(&self.value)),
            Some(_) => {
                let what = format!("attribute {:?}", self.attr);
                Err(Error::invalid(what, "has no tags to share by"))
            }
            None => Ok(false),
        }
    }

    /// What the other selector chooses among some places.
    fn among(
        &self,
        cx: &Context<'_>,
        ranked: &Ranked<'_>,
        places: &[usize],
        limit: usize,
    ) -> Result<Vec<usize>> {
        if limit == 0 || places.is_empty() {
            return Ok(Vec::new());
        }
        let order: Vec<u32> = places.iter().map(|place| ranked.order[*place]).collect();
        let some = Ranked { order: &order, ..*ranked };
        let chosen = self.by.select(cx, &some, limit)?;
        if chosen.len() > limit || chosen.iter().any(|at| *at >= places.len()) {
            let why = "chose more than the limit, or a place that does not exist";
            return Err(Error::invalid(format!("selector {}", self.by.name()), why));
        }
        Ok(chosen.into_iter().map(|at| places[at]).collect())
    }
}
