//! Estimates by inverse propensities (Horvitz and Thompson, 1952), with intervals.

use crate::{
    error::{Error, Result},
    vector::dice::Dice,
};
use std::fmt;

/// An impression, as it is weighed.
///
/// ```
/// use bowerbird::recommend::policy::Weighed;
/// let one = Weighed { group: 1, propensity: 0.5, chance: 1.0, reward: 1.0 };
/// assert_eq!(one.weight(), 2.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighed {
    /// Impressions of one group, such as a request, are not independent of each other.
    pub group: u64,
    /// How likely it was to be shown where it was.
    pub propensity: f64,
    /// How likely the other policy would have been to show it there.
    pub chance: f64,
    /// What came of it.
    pub reward: f64,
}

impl Weighed {
    /// How many impressions of the other policy it stands for.
    pub fn weight(&self) -> f64 {
        self.chance / self.propensity
    }
}

/// What another policy would have earned per impression, and how sure that is.
///
/// ```
/// use bowerbird::recommend::policy::Estimate;
/// let about_a_tenth = Estimate { value: 0.1, low: 0.08, high: 0.12 };
/// assert_eq!(about_a_tenth.to_string(), "0.1000 (0.0800 to 0.1200)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// The truth is above this and below `high` in 95 of 100 cases.
    pub low: f64,
    /// The other end.
    pub high: f64,
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} ({:.4} to {:.4})", self.value, self.low, self.high)
    }
}

/// Weighed impressions, to be summed up in several ways. Values are per impression.
///
/// Intervals are normal ones with a variance over groups, so that what happened in one request counts as
/// one observation. They need some hundred groups with weight; [`effective`](Worth::effective) says how
/// many there are, and [`bootstrap`](Worth::bootstrap) does without the normal law.
///
/// An estimate speaks only of what the logged policy could have shown. Where the other shows what it never
/// would have, [`matched`](Worth::matched) is below 1, and the estimate is too low by what that earned.
///
/// ```
/// use bowerbird::recommend::policy::{Worth, Weighed};
/// // Half of the time A was shown, which is clicked always; half of the time B, never. What if always A?
/// let one = |n: u64| {
///     let a = n % 2 == 0;
///     let (chance, reward) = if a { (1.0, 1.0) } else { (0.0, 0.0) };
///     Weighed { group: n, propensity: 0.5, chance, reward }
/// };
/// let worth = Worth::new((0..1000).map(one))?;
/// assert_eq!((worth.ips().value, worth.snips().value), (1.0, 1.0));
/// # Ok::<(), bowerbird::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Worth {
    weighed: Vec<Weighed>,
    /// Where each group begins, and the end.
    starts: Vec<usize>,
}

/// The normal law has 95 of 100 within so many standard deviations.
const Z: f64 = 1.959_963_984_540_054;
const RESAMPLES_MAX: usize = 100_000;
/// What resamples are drawn for.
const LOTS: u64 = 4;

/// Of one group: how many impressions, and the sums that estimates are made of.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: f64,
    weight: f64,
    earned: f64,
}

impl Worth {
    /// Of these impressions; those of a group next to each other or not.
    ///
    /// # Errors
    /// `Invalid` if there are none, for a propensity that is not above 0 and at most 1, a chance that is
    /// not 0 to 1, or a reward that is not finite.
    pub fn new(weighed: impl IntoIterator<Item = Weighed>) -> Result<Worth> {
        let mut weighed: Vec<Weighed> = weighed.into_iter().collect();
        if weighed.is_empty() {
            return Err(Error::invalid("impressions to weigh", "there are none"));
        }
        for one in &weighed {
            let shown = one.propensity > 0.0 && one.propensity <= 1.0;
            if !shown || !(0.0..=1.0).contains(&one.chance) || !one.reward.is_finite() {
                let why = "needs a propensity above 0 and at most 1, a chance of 0 to 1 and a finite \
                           reward";
                return Err(Error::invalid(format!("impression {one:?}"), why));
            }
        }
        weighed.sort_by_key(|one| one.group);
        let first = |at: &usize| *at == 0 || weighed[*at].group != weighed[*at - 1].group;
        let mut starts: Vec<usize> = (0..weighed.len()).filter(first).collect();
        starts.push(weighed.len());
        Ok(Worth { weighed, starts })
    }

    /// How many impressions there are.
    pub fn len(&self) -> usize {
        self.weighed.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.weighed.is_empty()
    }

    /// The mean weight: 1, but for chance, where everything that the other policy shows could have been
    /// shown. Well below 1, estimates by [`ips`](Worth::ips) leave out what could not.
    pub fn matched(&self) -> f64 {
        self.weighed.iter().map(Weighed::weight).sum::<f64>() / self.len() as f64
    }

    /// The effective sample size, (sum of weights)^2 / sum of squared weights (Kish): of how many
    /// impressions of the other policy itself one would be as sure. 0 if no weight is above 0.
    pub fn effective(&self) -> f64 {
        let sum: f64 = self.weighed.iter().map(Weighed::weight).sum();
        let squares: f64 = self.weighed.iter().map(|one| one.weight().powi(2)).sum();
        if squares > 0.0 { sum * sum / squares } else { 0.0 }
    }

    /// The mean of reward times weight: unbiased, where everything could have been shown.
    pub fn ips(&self) -> Estimate {
        ratio(&self.sums(|one| (one.weight(), one.weight() * one.reward)), |sums| sums.count)
    }

    /// The same with weights of at most `most`: less at the mercy of rare events, and too low for
    /// rewards above 0.
    pub fn clipped(&self, most: f64) -> Estimate {
        let weight = |one: &Weighed| one.weight().min(most);
        ratio(&self.sums(|one| (weight(one), weight(one) * one.reward)), |sums| sums.count)
    }

    /// Self-normalized (Swaminathan and Joachims, 2015): over the sum of weights. Slightly biased, mostly
    /// surer, and never beyond the rewards; 0 if no weight is above 0.
    pub fn snips(&self) -> Estimate {
        ratio(&self.sums(|one| (one.weight(), one.weight() * one.reward)), |sums| sums.weight)
    }

    /// Doubly robust (Dudik, Langford and Li, 2011): what a model expects of the other policy, and
    /// inverse propensities of what it got wrong. `expected` says for each impression, in the order of
    /// groups, what the model expects of the item that was shown and, on average, of what the other
    /// policy would have shown there.
    ///
    /// # Errors
    /// `Invalid` unless there are two finite numbers for each impression.
    pub fn doubly_robust(&self, expected: &[(f64, f64)]) -> Result<Estimate> {
        let finite = |(a, b): &(f64, f64)| a.is_finite() && b.is_finite();
        if expected.len() != self.len() || !expected.iter().all(finite) {
            let why = format!("must be two finite numbers for each of {} impressions", self.len());
            return Err(Error::invalid("expected rewards", why));
        }
        let mut at = expected.iter();
        let sums = self.sums(|one| {
            let (shown, other) = at.next().copied().unwrap_or_default();
            (one.weight(), other + one.weight() * (one.reward - shown))
        });
        Ok(ratio(&sums, |sums| sums.count))
    }

    /// The interval of [`ips`](Worth::ips) and of [`snips`](Worth::snips) by drawing groups again,
    /// so many times: from the 2.5th to the 97.5th of 100.
    ///
    /// # Errors
    /// `Invalid` for less than 40 resamples or more than 100,000.
    pub fn bootstrap(&self, resamples: usize, seed: u64) -> Result<(Estimate, Estimate)> {
        if !(40..=RESAMPLES_MAX).contains(&resamples) {
            let why = format!("are {resamples}; 40 to {RESAMPLES_MAX}");
            return Err(Error::invalid("resamples", why));
        }
        let groups = self.sums(|one| (one.weight(), one.weight() * one.reward));
        let mut dice = Dice::new(seed, LOTS);
        let (mut plain, mut normalized) = (Vec::new(), Vec::new());
        for _ in 0..resamples {
            let mut sum = Sums::default();
            for _ in 0..groups.len() {
                let one = groups[dice.below(groups.len())];
                sum.count += one.count;
                sum.weight += one.weight;
                sum.earned += one.earned;
            }
            plain.push(over(sum.earned, sum.count));
            normalized.push(over(sum.earned, sum.weight));
        }
        Ok((between(plain, self.ips().value), between(normalized, self.snips().value)))
    }

    /// The sums of each group of a weight and what was earned.
    fn sums(&self, mut parts: impl FnMut(&Weighed) -> (f64, f64)) -> Vec<Sums> {
        let mut group = |range: &[usize]| {
            let mut sums = Sums::default();
            for one in &self.weighed[range[0]..range[1]] {
                let (weight, earned) = parts(one);
                sums.count += 1.0;
                sums.weight += weight;
                sums.earned += earned;
            }
            sums
        };
        self.starts.windows(2).map(&mut group).collect()
    }
}

/// What was earned over something else, with the variance of a ratio over groups.
pub(crate) fn ratio_of(groups: &[(f64, f64)]) -> Estimate {
    let sums: Vec<Sums> = groups
        .iter()
        .map(|(earned, count)| Sums { count: *count, weight: 0.0, earned: *earned })
        .collect();
    ratio(&sums, |sums| sums.count)
}

fn ratio(groups: &[Sums], below: impl Fn(&Sums) -> f64) -> Estimate {
    let total: f64 = groups.iter().map(&below).sum();
    let value = over(groups.iter().map(|group| group.earned).sum(), total);
    let n = groups.len() as f64;
    let squares: f64 =
        groups.iter().map(|group| (group.earned - value * below(group)).powi(2)).sum();
    // Of one group nothing can be said.
    let wide = match n > 1.0 && total > 0.0 {
        true => Z * (squares * n / (n - 1.0)).sqrt() / total,
        false => f64::INFINITY,
    };
    Estimate { value, low: value - wide, high: value + wide }
}

fn over(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// The middle 95 of 100.
fn between(mut all: Vec<f64>, value: f64) -> Estimate {
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
    Estimate { value, low: at(0.025), high: at(0.975) }
}
