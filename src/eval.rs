//! How good is a ranking? The usual metrics, as pure functions on slices.
//!
//! Make a [`Ranking`] of what was shown to one user, or of what was scored for them, and ask it.
//! What has no answer is `None`, never NaN: when nothing is relevant, no ranking is better than
//! another. Averaging over users is the caller's: decide what an undefined answer means, then take
//! the mean.
//!
//! Definitions follow scikit-learn (`ndcg`, `auc`) and trec_eval and ranx (the rest); a golden test
//! holds them together. Tied scores are where libraries differ most, so [`Ties`] is explicit.
//!
//! ```
//! use bowerbird::eval::Ranking;
//! let ranking = Ranking::from_list(&["a", "b", "c"], &["b", "x"])?;
//! assert_eq!(ranking.recall(3), Some(0.5));
//! assert_eq!(ranking.reciprocal_rank(3), Some(0.5));
//! # Ok::<(), bowerbird::Error>(())
//! ```

mod outcomes;

pub use outcomes::Outcomes;

use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// What a metric says when equal scores leave the order open.
///
/// ```
/// use bowerbird::eval::{Ranking, Ties};
/// let all_alike = Ranking::from_scores(&[0.5, 0.5, 0.5, 0.5], &[0.0, 0.0, 0.0, 1.0])?;
/// assert_eq!(all_alike.hit_rate(1), Some(0.25));
/// assert_eq!(all_alike.clone().ties(Ties::Optimistic).hit_rate(1), Some(1.0));
/// assert_eq!(all_alike.ties(Ties::Pessimistic).hit_rate(1), Some(0.0));
/// # Ok::<(), bowerbird::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ties {
    /// The exact mean over every order of the tied. A model that scores all alike gains nothing.
    #[default]
    Expected,
    /// The best order. Flatters coarse scores; here to compare with those who report it.
    Optimistic,
    /// The worst order: a lower bound.
    Pessimistic,
}

/// Gains in the order of a ranking, and the gains of relevant items that are not in it.
///
/// A gain says how relevant an item is: 0 is not at all, and metrics without grades count whatever
/// is above 0. Every metric at depth `k` looks at the first `k` ranks, a list may be shorter, and
/// `usize::MAX` means the whole list. Every metric is `None` when nothing is relevant or `k` is 0.
///
/// ```
/// use bowerbird::eval::Ranking;
/// let ranking = Ranking::from_scores(&[0.1, 0.9, 0.4], &[1.0, 0.0, 3.0])?;
/// assert_eq!(ranking.precision(2), Some(0.5));
/// assert_eq!(ranking.auc(), Some(0.0));
/// # Ok::<(), bowerbird::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ranking {
    gains: Vec<f64>,
    // Where each group of tied items ends in `gains`.
    ends: Vec<usize>,
    // Every gain above 0, missed ones too, best first.
    ideal: Vec<f64>,
    ties: Ties,
}

/// Items of equal score, in any order.
struct Group<'a> {
    /// How many are ranked above.
    before: usize,
    gains: &'a [f64],
    /// How many are relevant.
    hits: usize,
}

impl Group<'_> {
    /// How many of its ranks are among the first `k`.
    fn seen(&self, k: usize) -> usize {
        self.gains.len().min(k.saturating_sub(self.before))
    }
}

impl Ranking {
    /// Ranks candidates by score, larger first. `gains[i]` belongs to `scores[i]`.
    ///
    /// NaN among the scores is an error, and so is a gain that is negative or not finite.
    ///
    /// ```
    /// use bowerbird::eval::Ranking;
    /// assert!(Ranking::from_scores(&[f32::NAN], &[1.0]).is_err());
    /// ```
    pub fn from_scores(scores: &[f32], gains: &[f64]) -> Result<Ranking> {
        if scores.len() != gains.len() {
            let why = format!("there are {} for {} scores", gains.len(), scores.len());
            return Err(Error::invalid("gains", why));
        }
        if let Some(at) = scores.iter().position(|s| s.is_nan()) {
            return Err(Error::invalid("scores", format!("number {at} is NaN")));
        }
        // Adding zero makes -0.0 tie with 0.0.
        let score = |at: usize| scores[at] + 0.0;
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        let gains: Vec<f64> = order.iter().map(|&at| gains[at]).collect();
        let tied = order.chunk_by(|&a, &b| score(a) == score(b));
        let ends = tied.scan(0, |end, group| {
            *end += group.len();
            Some(*end)
        });
        Ranking::new(gains, ends.collect())
    }

    /// The gains of a list, best rank first. There are no ties.
    ///
    /// ```
    /// use bowerbird::eval::Ranking;
    /// let ranking = Ranking::from_gains(&[0.0, 1.0])?;
    /// assert_eq!(ranking.ndcg(2), Some(1.0 / 3f64.log2()));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn from_gains(gains: &[f64]) -> Result<Ranking> {
        Ranking::new(gains.to_vec(), (1..=gains.len()).collect())
    }

    /// A slate and all that would have been right, both as keys. There are no ties and no grades.
    ///
    /// A key twice in the slate is an error; twice among the relevant it counts once.
    ///
    /// ```
    /// use bowerbird::{Key, eval::Ranking};
    /// let (slate, bought) = ([Key::Id(3), Key::Id(5)], [Key::Id(5), Key::Id(8)]);
    /// assert_eq!(Ranking::from_list(&slate, &bought)?.precision(2), Some(0.5));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn from_list<T: Ord>(ranked: &[T], relevant: &[T]) -> Result<Ranking> {
        let slate: BTreeSet<&T> = ranked.iter().collect();
        if slate.len() < ranked.len() {
            let why = format!("{} of them are there twice", ranked.len() - slate.len());
            return Err(Error::invalid("ranked keys", why));
        }
        let relevant: BTreeSet<&T> = relevant.iter().collect();
        let gain = |key: &T| f64::from(u8::from(relevant.contains(key)));
        let gains: Vec<f64> = ranked.iter().map(gain).collect();
        let missed = vec![1.0; relevant.difference(&slate).count()];
        Ranking::from_gains(&gains)?.missed(&missed)
    }

    fn new(gains: Vec<f64>, ends: Vec<usize>) -> Result<Ranking> {
        let (ideal, ties) = (Vec::new(), Ties::Expected);
        let relevant = gains.clone();
        Ranking { gains, ends, ideal, ties }.missed(&relevant)
    }

    /// Adds relevant items that were not among the candidates: no order of them could be perfect.
    ///
    /// ```
    /// use bowerbird::eval::Ranking;
    /// let ranking = Ranking::from_gains(&[1.0])?.missed(&[1.0, 1.0, 1.0])?;
    /// assert_eq!(ranking.recall(10), Some(0.25));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn missed(mut self, gains: &[f64]) -> Result<Ranking> {
        let wrong = |gain: &f64| !gain.is_finite() || *gain < 0.0;
        if let Some(at) = gains.iter().position(wrong) {
            let why = format!("number {at} is {}; it must be finite, 0 or more", gains[at]);
            return Err(Error::invalid("gains", why));
        }
        self.ideal.extend(gains.iter().filter(|gain| **gain > 0.0));
        self.ideal.sort_unstable_by(|a, b| b.total_cmp(a));
        Ok(self)
    }

    /// Chooses what ties mean. It is [`Ties::Expected`] until this is called.
    ///
    /// ```
    /// use bowerbird::eval::{Ranking, Ties};
    /// let ranking = Ranking::from_scores(&[1.0, 1.0], &[0.0, 1.0])?.ties(Ties::Pessimistic);
    /// assert_eq!(ranking.reciprocal_rank(2), Some(0.5));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn ties(mut self, ties: Ties) -> Ranking {
        self.ties = ties;
        let mut start = 0;
        for &end in &self.ends {
            let tied = &mut self.gains[start..end];
            match ties {
                Ties::Expected => {}
                Ties::Optimistic => tied.sort_unstable_by(|a, b| b.total_cmp(a)),
                Ties::Pessimistic => tied.sort_unstable_by(f64::total_cmp),
            }
            start = end;
        }
        self
    }

    /// Whether anything relevant is among the first `k`: 0 or 1, or the chance of it under ties.
    ///
    /// ```
    /// use bowerbird::eval::Ranking;
    /// assert_eq!(Ranking::from_gains(&[0.0, 1.0])?.hit_rate(1), Some(0.0));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn hit_rate(&self, k: usize) -> Option<f64> {
        self.first_hit(k, |_| 1.0)
    }

    /// 1 / the rank of the first relevant item, or 0 if it is not among the first `k`. Its mean
    /// over users is MRR.
    ///
    /// ```
    /// use bowerbird::eval::Ranking;
    /// assert_eq!(Ranking::from_gains(&[0.0, 1.0, 1.0])?.reciprocal_rank(3), Some(0.5));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn reciprocal_rank(&self, k: usize) -> Option<f64> {
        self.first_hit(k, |rank| 1.0 / rank as f64)
    }

    /// The share of all relevant items that is among the first `k`.
    ///
    /// ```
    /// use bowerbird::eval::Ranking;
    /// assert_eq!(Ranking::from_gains(&[1.0, 0.0, 1.0])?.recall(2), Some(0.5));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn recall(&self, k: usize) -> Option<f64> {
        self.asks(k).then(|| self.hits(k) / self.ideal.len() as f64)
    }

    /// The share of the first `k` ranks that is relevant. As in trec_eval, ranks beyond the end of
    /// a shorter list count as not relevant, so here `usize::MAX` is no useful depth.
    ///
    /// ```
    /// use bowerbird::eval::Ranking;
    /// assert_eq!(Ranking::from_gains(&[1.0, 0.0])?.precision(4), Some(0.25));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn precision(&self, k: usize) -> Option<f64> {
        self.asks(k).then(|| self.hits(k) / k as f64)
    }

    /// The mean over all relevant items of the precision at their rank, 0 for those not among the
    /// first `k`. Its mean over users is MAP.
    ///
    /// ```
    /// use bowerbird::eval::Ranking;
    /// assert_eq!(Ranking::from_gains(&[1.0, 0.0, 0.0, 1.0])?.average_precision(4), Some(0.75));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn average_precision(&self, k: usize) -> Option<f64> {
        if !self.asks(k) {
            return None;
        }
        let (mut sum, mut hits_above) = (0.0, 0.0);
        for group in self.groups(k) {
            let (size, hits) = (group.gains.len() as f64, group.hits as f64);
            // Given a hit at one rank of the group, each other rank of it holds one of the other
            // hits with this chance.
            let density = if size > 1.0 { (hits - 1.0) / (size - 1.0) } else { 0.0 };
            for at in 0..group.seen(k) {
                let rank = (group.before + at + 1) as f64;
                sum += hits / size * (hits_above + 1.0 + at as f64 * density) / rank;
            }
            hits_above += hits;
        }
        Some(sum / self.ideal.len() as f64)
    }

    /// Normalized discounted cumulative gain: gains divided by log2(rank + 1), summed over the
    /// first `k`, relative to the best order of all relevant items.
    ///
    /// ```
    /// use bowerbird::eval::Ranking;
    /// assert_eq!(Ranking::from_gains(&[3.0, 2.0, 0.0])?.ndcg(3), Some(1.0));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn ndcg(&self, k: usize) -> Option<f64> {
        let best = *self.ideal.first()?;
        // Relative to the best gain, so that no sum overflows.
        self.discounted(k, |gain| gain / best)
    }

    /// The same with 2^gain - 1 as the gain, which tells grades apart more. Without grades it is
    /// equal to [`Ranking::ndcg`].
    ///
    /// ```
    /// use bowerbird::eval::Ranking;
    /// let ranking = Ranking::from_gains(&[1.0, 3.0])?;
    /// assert!(ranking.ndcg_exponential(2) < ranking.ndcg(2));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn ndcg_exponential(&self, k: usize) -> Option<f64> {
        let best = *self.ideal.first()?;
        // Beyond 2^900, where sums could overflow, the 1 is far below rounding.
        if best > 900.0 {
            self.discounted(k, |gain| (gain - best).exp2())
        } else {
            self.discounted(k, |gain| (gain * std::f64::consts::LN_2).exp_m1())
        }
    }

    /// The chance that a relevant candidate is ranked above one that is not; a tie counts half.
    ///
    /// Looks at the candidates only, not at missed items. `None` unless there are both kinds.
    ///
    /// ```
    /// use bowerbird::eval::Ranking;
    /// let ranking = Ranking::from_scores(&[0.9, 0.5, 0.5], &[1.0, 1.0, 0.0])?;
    /// assert_eq!(ranking.auc(), Some(0.75));
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn auc(&self) -> Option<f64> {
        let (mut above, mut won) = (0.0, 0.0);
        for group in self.groups(usize::MAX) {
            let hits = group.hits as f64;
            won += (group.gains.len() as f64 - hits) * (above + 0.5 * hits);
            above += hits;
        }
        let pairs = above * (self.gains.len() as f64 - above);
        (pairs > 0.0).then(|| won / pairs)
    }

    /// Whether a metric at this depth has an answer.
    fn asks(&self, k: usize) -> bool {
        k > 0 && !self.ideal.is_empty()
    }

    /// The groups that reach into the first `k` ranks. Without randomness every item is its own.
    fn groups(&self, k: usize) -> impl Iterator<Item = Group<'_>> {
        let open = self.ties == Ties::Expected;
        let count = if open { self.ends.len() } else { self.gains.len() };
        let range = move |at: usize| match (open, at) {
            (false, at) => at..at + 1,
            (true, 0) => 0..self.ends[0],
            (true, at) => self.ends[at - 1]..self.ends[at],
        };
        let group = move |at| {
            let range = range(at);
            let before = range.start;
            let gains = &self.gains[range];
            let hits = gains.iter().filter(|gain| **gain > 0.0).count();
            Group { before, gains, hits }
        };
        (0..count).map(group).take_while(move |group| group.before < k)
    }

    /// The expected number of relevant items among the first `k`.
    fn hits(&self, k: usize) -> f64 {
        let share = |group: Group<'_>| {
            let (hits, seen) = (group.hits as f64, group.seen(k) as f64);
            hits * seen / group.gains.len() as f64
        };
        self.groups(k).map(share).sum()
    }

    /// The expected worth of the rank of the first relevant item, 0 beyond `k`.
    fn first_hit(&self, k: usize, worth: impl Fn(usize) -> f64) -> Option<f64> {
        if !self.asks(k) {
            return None;
        }
        let Some(group) = self.groups(k).find(|group| group.hits > 0) else {
            return Some(0.0);
        };
        let (mut sum, mut none_yet) = (0.0, 1.0);
        for at in 0..group.seen(k) {
            // Of the ranks that are left in the group, hits fill this many at random.
            let chance = group.hits as f64 / (group.gains.len() - at) as f64;
            sum += none_yet * chance.min(1.0) * worth(group.before + at + 1);
            if chance >= 1.0 {
                break;
            }
            none_yet *= 1.0 - chance;
        }
        Some(sum)
    }

    /// DCG over the best DCG there could be. A tied item has the mean gain of its group.
    fn discounted(&self, k: usize, gain: impl Fn(f64) -> f64) -> Option<f64> {
        let discount = |rank: usize| 1.0 / (rank as f64 + 1.0).log2();
        let of_group = |group: Group<'_>| {
            let mean = group.gains.iter().map(|g| gain(*g)).sum::<f64>() / group.gains.len() as f64;
            let ranks = group.before + 1..=group.before + group.seen(k);
            mean * ranks.map(discount).sum::<f64>()
        };
        let found: f64 = self.groups(k).map(of_group).sum();
        let ideal = self.ideal.iter().take(k).zip(1..);
        let ideal: f64 = ideal.map(|(g, rank)| gain(*g) * discount(rank)).sum();
        self.asks(k).then(|| found / ideal)
    }
}

/// The share of the catalogue that is in at least one slate. `None` for an empty catalogue.
///
/// ```
/// use bowerbird::eval::coverage;
/// assert_eq!(coverage(&[vec![1, 2], vec![2, 3]], 6), Some(0.5));
/// ```
pub fn coverage<T: Ord>(slates: &[Vec<T>], catalogue: usize) -> Option<f64> {
    let shown: BTreeSet<&T> = slates.iter().flatten().collect();
    (catalogue > 0).then(|| shown.len() as f64 / catalogue as f64)
}

/// Mean self-information of what was recommended, in bits: -log2(count / total).
///
/// `counts` has, for each recommended item, how many of the `total` events (or users) were its. An
/// item never seen counts as seen once, which keeps the mean finite. `None` without counts or
/// total.
///
/// ```
/// use bowerbird::eval::novelty;
/// assert_eq!(novelty(&[512, 128], 1024), Some(2.0));
/// assert_eq!(novelty(&[0], 1024), Some(10.0));
/// ```
pub fn novelty(counts: &[u64], total: u64) -> Option<f64> {
    if counts.is_empty() || total == 0 {
        return None;
    }
    let bits = |count: &u64| (total as f64 / (*count).clamp(1, total) as f64).log2();
    Some(counts.iter().map(bits).sum::<f64>() / counts.len() as f64)
}

/// How unlike each other the items of a slate are: the mean of 1 - similarity over all pairs.
///
/// `None` for fewer than two items, and if a similarity is not finite.
///
/// ```
/// use bowerbird::eval::intra_list_diversity;
/// let same_genre = |a: &&str, b: &&str| f64::from(a == b);
/// let diversity = intra_list_diversity(&["jazz", "jazz", "rock"], same_genre);
/// assert!((diversity.unwrap() - 2.0 / 3.0).abs() < 1e-12);
/// ```
pub fn intra_list_diversity<T>(slate: &[T], similarity: impl Fn(&T, &T) -> f64) -> Option<f64> {
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (at, a) in slate.iter().enumerate() {
        for b in &slate[at + 1..] {
            sum += 1.0 - similarity(a, b);
            pairs += 1.0;
        }
    }
    Some(sum / pairs).filter(|mean: &f64| mean.is_finite())
}
