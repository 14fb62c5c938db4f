//! Explore: places of the slate for what nobody knows yet, and how likely each item was to get one.
//!
//! | file | it owns |
//! |---|---|
//! | this one | the selector, and the door for bandits |
//! | `arms` | which items are candidates for those places |
//! | `margin` | which of them come near enough to what they push out |
//! | `rewards` | what an item has earned so far, by events |
//! | `epsilon` | epsilon-greedy, with exact probabilities |
//! | `thompson` | Thompson sampling |
//! | `linear`, `lin_ucb` | LinUCB |

mod arms;
mod epsilon;
mod lin_ucb;
mod linear;
mod margin;
mod rewards;
mod thompson;

pub use epsilon::EpsilonGreedy;
pub use lin_ucb::LinUcb;
pub use rewards::Rewards;
pub use thompson::Thompson;

use crate::{
    error::{Error, Result},
    key::{Addr, Key},
    recommend::{Chosen, Context, Ranked, Select},
    vector::dice::Dice,
};
use arms::Arms;
use margin::Margin;

/// Chooses as another selector would, but keeps the last places for items to explore: those that one
/// source found, or those that have hardly been shown. A [`Bandit`] says which of them get the places;
/// without one the first do.
///
/// Items that made it above those places by their own score stay there, and do not count. Where there
/// are fewer items to explore than places, the others move up. With [`share`](Explore::share), only so
/// many of the requests explore.
///
/// Every item of the slate says how likely it was to be shown at its position: its
/// [`propensity`](crate::recommend::Recommended::propensity). If [`by`](Explore::by) draws lots, too, it is
/// the probability given what that chose. Lots are drawn from
/// [`Request::lots`](crate::recommend::Request::lots), so asking again gives the same slate.
///
/// ```
/// use bowerbird::recommend::*;
/// // Two places for what a source found and the ranking would not have shown.
/// let quota = Explore::new("NewItems", 2).least(0.6);
/// // Two places for what was shown less than 50 times, by what was clicked so far.
/// let bandit = Thompson::new(Rewards::new(["click"], ["impression"]));
/// let explore = Explore::unshown(["impression"], 50, 2).bandit(bandit).by(Diverse::new("text", 0.3));
/// let recommender = Recommender::new().retrieve(Fresh::new("published", 50)).select(explore);
/// ```
pub struct Explore {
    arms: Arms,
    places: usize,
    most: usize,
    share: f64,
    within: f32,
    by: Box<dyn Select>,
    /// Without one, the first get the places.
    bandit: Option<Box<dyn Bandit>>,
}

/// Most places that are kept.
const PLACES_MAX: usize = 100;
/// Most items that a bandit chooses among, and how many unless the caller says.
const ARMS_MAX: usize = 1_000;
const ARMS: usize = 100;
/// What is said of the bandit where there is none.
const IN_ORDER: &str = "in order";
/// What the coin of `share` is drawn for, apart from what bandits draw.
const COIN: u64 = 1;

impl Explore {
    fn of(arms: Arms, places: usize) -> Explore {
        let by = Box::new(crate::recommend::Top);
        Explore { arms, places, most: ARMS, share: 1.0, within: f32::INFINITY, by, bandit: None }
    }

    /// At most so many places for what a retriever of this name finds, in the order in which it found
    /// them, and the rest by rank.
    pub fn new(source: &str, places: usize) -> Explore {
        Explore::of(Arms::source(source), places)
    }

    /// At most so many places for items with fewer than `below` events of these kinds (none means all)
    /// by the time of the request, in the order of the ranking.
    pub fn unshown<'k>(
        kinds: impl IntoIterator<Item = &'k str>,
        below: u64,
        places: usize,
    ) -> Explore {
        Explore::of(Arms::unshown(kinds, below), places)
    }

    /// What the source's hint must be at least: a similarity, if it is a search by content.
    pub fn least(mut self, hint: f32) -> Explore {
        self.arms.least(hint);
        self
    }

    /// Gives a place only where the item's score is at most this far below that of the item which would
    /// have had the place otherwise: the first item to explore beside the last of the slate, the second
    /// beside the last but one. One that has its place by its own score pushes nobody out. So slates whose
    /// last items are hardly likelier give more places than those whose are. With scores that are logits,
    /// such as [`NextScore`](crate::model::NextScore)'s, `ln 3` means a third as likely. For all unless set.
    ///
    /// A [`bandit`](Explore::bandit) may give any of its places to any item. So it deals as many places as
    /// there are items that come near enough to the best one that would lose its place, and only to those.
    pub fn within(mut self, margin: f32) -> Explore {
        self.within = margin;
        self
    }

    /// Looks at the first so many items to explore, 1 to 1,000; 100 unless set. What bandits do costs
    /// time for each.
    pub fn among(mut self, most: usize) -> Explore {
        self.most = most;
        self
    }

    /// Explores for this share of the requests, 0 to 1; for all unless set.
    pub fn share(mut self, share: f64) -> Explore {
        self.share = share;
        self
    }

    /// Chooses the rest by another selector.
    pub fn by(mut self, selector: impl Select + 'static) -> Explore {
        self.by = Box::new(selector);
        self
    }

    /// Gives the places to whom a bandit says.
    pub fn bandit(mut self, bandit: impl Bandit + 'static) -> Explore {
        self.bandit = Some(Box::new(bandit));
        self
    }

    fn check(&self) -> Result<()> {
        if self.places > PLACES_MAX {
            let why = format!("are {}; at most {PLACES_MAX}", self.places);
            return Err(Error::invalid("places of Explore", why));
        }
        if !(1..=ARMS_MAX).contains(&self.most) {
            let why = format!("are {}; 1 to {ARMS_MAX}", self.most);
            return Err(Error::invalid("items that Explore is among", why));
        }
        if self.within.is_nan() {
            return Err(Error::invalid("margin of Explore", "is not a number"));
        }
        if !(0.0..=1.0).contains(&self.share) {
            return Err(Error::invalid("share of Explore", format!("is {}; 0 to 1", self.share)));
        }
        Ok(())
    }

    /// Among whom the places are dealt, and how many places.
    fn field(
        &self,
        ranked: &Ranked<'_>,
        usual: &[Chosen],
        mut arms: Vec<usize>,
        limit: usize,
    ) -> (Vec<usize>, usize) {
        arms.truncate(self.most);
        let (margin, most) = (Margin(self.within), self.places.min(arms.len()).min(limit));
        if self.bandit.is_some() {
            return margin.any(ranked, usual, arms, (most, limit));
        }
        arms.truncate(margin.first(ranked, usual, (&arms[..most], limit)));
        let slots = arms.len();
        (arms, slots)
    }

    /// Who gets the places, checked.
    fn deal(&self, cx: &Context<'_>, arms: &[Arm], slots: usize) -> Result<Deal> {
        let Some(bandit) = &self.bandit else {
            return Ok(Deal::surely((0..slots).collect(), arms.len()));
        };
        let deal = bandit.deal(cx, arms, slots)?;
        let mut seen = vec![false; arms.len()];
        let fresh = |arm: &usize| seen.get_mut(*arm).is_some_and(|s| !std::mem::replace(s, true));
        let shaped = deal.picks.len() == slots && deal.chances.len() == slots * arms.len();
        if !deal.picks.iter().all(fresh) || !shaped {
            let why = "did not deal every slot to an arm of its own";
            return Err(Error::invalid(format!("bandit {}", bandit.name()), why));
        }
        Ok(deal)
    }
}

impl std::fmt::Debug for Explore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Select for Explore {
    fn name(&self) -> String {
        let bandit = self.bandit.as_ref().map_or(IN_ORDER.to_owned(), |bandit| bandit.name());
        let by = self.by.name();
        format!("Explore({}, {}, {bandit}, {by})", self.arms.name(), self.places)
    }

    fn select(&self, cx: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<usize>> {
        Ok(self.choose(cx, ranked, limit)?.into_iter().map(|at| at.place).collect())
    }

    fn choose(&self, cx: &Context<'_>, ranked: &Ranked<'_>, limit: usize) -> Result<Vec<Chosen>> {
        self.check()?;
        let usual = self.by.choose(cx, ranked, limit)?;
        // Those above the quota's places stay where they are.
        let above = limit.saturating_sub(self.places).min(usual.len());
        let stay: Vec<usize> = usual[..above].iter().map(|at| at.place).collect();
        let places = self.arms.places(cx, ranked, &stay)?;
        let (places, slots) = self.field(ranked, &usual, places, limit);
        if slots == 0 || self.share == 0.0 {
            return Ok(usual);
        }
        let arms: Vec<Arm> = places.iter().map(|place| Arm::at(ranked, *place)).collect();
        let deal = self.deal(cx, &arms, slots)?;
        // Either all arms get a place; or no arm is among those above the places, who are the others then.
        // So who the others are does not hang on the lots.
        let picked = |at: &&Chosen| !deal.picks.iter().any(|arm| places[*arm] == at.place);
        let others: Vec<Chosen> =
            usual.iter().filter(picked).take(limit - slots).copied().collect();
        let exploring = self.share >= 1.0 || Dice::new(cx.request.lots(), COIN).fine() < self.share;
        let mut slate = usual.clone();
        if exploring {
            let new = deal.picks.iter().map(|arm| Chosen::surely(places[*arm]));
            slate = others.iter().copied().chain(new).collect();
        }
        let chance = |list: &[Chosen], at: usize, place: usize| {
            list.get(at).filter(|c| c.place == place).map_or(0.0, |c| f64::from(c.propensity))
        };
        for (at, chosen) in slate.iter_mut().enumerate() {
            let explored = match at.checked_sub(others.len()) {
                None => chance(&others, at, chosen.place),
                Some(slot) => {
                    let arm = places.iter().position(|place| *place == chosen.place);
                    arm.map_or(0.0, |arm| f64::from(deal.chance(slot, arm)))
                }
            };
            let usually = chance(&usual, at, chosen.place);
            chosen.propensity = (self.share * explored + (1.0 - self.share) * usually) as f32;
        }
        Ok(slate)
    }
}

/// An item to explore.
///
/// ```
/// use bowerbird::recommend::Arm;
/// fn best(arms: &[Arm]) -> Option<&Arm> {
///     arms.iter().max_by(|a, b| a.score.total_cmp(&b.score))
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Arm {
    /// The item.
    pub key: Key,
    /// Where it lives in the snapshot.
    pub addr: Addr,
    /// The score that the recommender gave it.
    pub score: f32,
}

impl Arm {
    fn at(ranked: &Ranked<'_>, place: usize) -> Arm {
        let key = ranked.candidates().keys()[ranked.candidate(place)].clone();
        Arm { key, addr: ranked.addr(place), score: ranked.score(place) }
    }
}

/// Who gets the slots, and how likely each arm was to get each.
///
/// ```
/// use bowerbird::recommend::Deal;
/// let sure = Deal::surely(vec![2, 0], 3);
/// assert_eq!((sure.chance(0, 2), sure.chance(0, 1)), (1.0, 0.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Deal {
    picks: Vec<usize>,
    /// Slot by slot, one number per arm.
    chances: Vec<f32>,
}

impl Deal {
    /// The arm of each slot, and `chances[slot * arms + arm]`: how likely each arm was to get it.
    pub fn new(picks: Vec<usize>, chances: Vec<f32>) -> Deal {
        Deal { picks, chances }
    }

    /// The arm of each slot of so many arms, where no lots were drawn.
    pub fn surely(picks: Vec<usize>, arms: usize) -> Deal {
        let mut chances = vec![0.0; picks.len().saturating_mul(arms)];
        for (slot, arm) in picks.iter().enumerate() {
            if let Some(chance) = chances.get_mut(slot * arms + arm) {
                *chance = 1.0;
            }
        }
        Deal { picks, chances }
    }

    /// The arm of each slot.
    pub fn picks(&self) -> &[usize] {
        &self.picks
    }

    /// How likely an arm was to get a slot; 0 beyond the arms and slots that there are.
    pub fn chance(&self, slot: usize, arm: usize) -> f32 {
        let arms = self.chances.len() / self.picks.len().max(1);
        if arm >= arms {
            return 0.0;
        }
        self.chances.get(slot * arms + arm).copied().unwrap_or(0.0)
    }
}

/// Deals arms to slots, learning from what the database knows by the time of the request.
///
/// ```
/// use bowerbird::{recommend::*, Result};
/// /// The last first.
/// struct LastFirst;
/// impl Bandit for LastFirst {
///     fn name(&self) -> String {
///         "LastFirst".into()
///     }
///     fn deal(&self, _: &Context<'_>, arms: &[Arm], slots: usize) -> Result<Deal> {
///         Ok(Deal::surely((0..arms.len()).rev().take(slots).collect(), arms.len()))
///     }
/// }
/// let explore = Explore::unshown(["impression"], 10, 1).bandit(LastFirst);
/// ```
pub trait Bandit: Send + Sync {
    /// Its name in traces.
    fn name(&self) -> String;
    /// A different arm for each slot; there are at least as many arms. Lots are drawn from
    /// [`Request::lots`](crate::recommend::Request::lots), and from nothing else.
    fn deal(&self, cx: &Context<'_>, arms: &[Arm], slots: usize) -> Result<Deal>;
}

/// The numbers of the arms, best value first; equal ones in the order of the arms.
fn best_first(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    order
}
