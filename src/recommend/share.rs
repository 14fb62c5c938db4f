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
/// says how likely it was at its place. If the other selector draws lots, too, as [`Explore`](crate::recommend::Explore) does, what it
/// says of an item is multiplied with that, as if it did not hang on those lots where the others end up.
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
/// How far from a whole number of places a share may be for each place of the slate, and yet be that.
const ROUND: f64 = 1e-6;

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
        let (low, more) = places(self.share, limit);
        let slate = |wanted| self.slate(cx, ranked, (&with, &without), (wanted, limit));
        if more == 0.0 {
            return slate(low);
        }
        let lot = Dice::new(cx.request.lots(), ROUNDING).fine();
        let (fewer, larger) = (slate(low)?, slate(low + 1)?);
        let chance = |list: &[Chosen], at: usize, place: usize| {
            list.get(at).filter(|c| c.place == place).map_or(0.0, |c| f64::from(c.propensity))
        };
        let likely = |(at, chosen): (usize, &Chosen)| {
            let place = chosen.place;
            let (few, large) = (chance(&fewer, at, place), chance(&larger, at, place));
            // Alike in both is just that, whatever rounding would make of the sum.
            let p = if few == large { few } else { more * large + (1.0 - more) * few };
            Chosen::with(place, p as f32)
        };
        let drawn = if lot < more { &larger } else { &fewer };
        Ok(drawn.iter().enumerate().map(likely).collect())
    }
}

/// A share of so many places: whole ones, and the part of one more.
fn places(share: f32, limit: usize) -> (usize, f64) {
    let exact = f64::from(share) * limit as f64;
    let whole = exact.round();
    // 0.4 is a little more than four tenths as the number that it is.
    match (exact - whole).abs() <= ROUND * limit as f64 {
        true => (whole as usize, 0.0),
        false => (exact.floor() as usize, exact.fract()),
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
    ) -> Result<Vec<Chosen>> {
        let wanted = wanted.min(limit);
        let most_of_others = limit - wanted.min(with.len());
        let others = self.among(cx, ranked, without, most_of_others)?;
        // What the others could not fill goes back.
        let mine = self.among(cx, ranked, with, limit - others.len())?;
        let mut chosen: Vec<Chosen> = mine.into_iter().chain(others).collect();
        chosen.sort_unstable_by_key(|chosen| chosen.place);
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
    ) -> Result<Vec<Chosen>> {
        if limit == 0 || places.is_empty() {
            return Ok(Vec::new());
        }
        let order: Vec<u32> = places.iter().map(|place| ranked.order[*place]).collect();
        let some = Ranked { order: &order, ..*ranked };
        let chosen = self.by.choose(cx, &some, limit)?;
        if chosen.len() > limit || chosen.iter().any(|at| at.place >= places.len()) {
            let why = "chose more than the limit, or a place that does not exist";
            return Err(Error::invalid(format!("selector {}", self.by.name()), why));
        }
        Ok(chosen.into_iter().map(|at| Chosen::with(places[at.place], at.propensity)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a share that is a whole number of places is that, though no binary number is a tenth.
    #[test]
    fn whole_shares_are_whole() {
        for (share, limit, want) in [(0.4, 10, 4), (0.1, 1_000, 100), (0.7, 20, 14), (0.6, 5, 3)] {
            assert_eq!(places(share, limit), (want, 0.0), "{share} of {limit}");
        }
        assert_eq!((places(0.0, 7), places(1.0, 7)), ((0, 0.0), (7, 0.0)));
        let (low, more) = places(0.33, 5);
        assert!(low == 1 && (more - 0.65).abs() < 1e-6);
        assert_eq!(places(0.001, 10).0, 0);
        assert!(places(0.001, 10).1 > 0.0);
    }
}
