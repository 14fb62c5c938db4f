//! Cases: histories with what came next; and how well a model ranks it among all items.

use crate::{
    artifact::Saved,
    error::{Error, Result},
    model::{Model, method::Method},
    store::spread,
};

/// A history, and the item that came next.
///
/// ```
/// use bowerbird::model::Case;
/// let case = Case { history: vec![3, 1, 4], target: Some(1) };
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Codes, oldest first.
    pub history: Vec<u32>,
    /// What came next; `None` if it is an item that the vocabulary does not have, which is a miss.
    pub target: Option<u32>,
}

/// Histories with what came next, to judge models by.
///
/// ```
/// use bowerbird::model::{Case, Cases};
/// let cases = Cases::new(vec![Case { history: vec![3], target: Some(1) }]);
/// assert_eq!(cases.len(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cases {
    cases: Vec<Case>,
}

/// What counts as being ranked.
///
/// ```
/// use bowerbird::model::Protocol;
/// let ratings = Protocol { exclude_seen: true, ..Protocol::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Protocol {
    /// Whether items of the history are left out of the ranking. Right for ratings, where nothing
    /// comes twice; wrong for clicks and songs. A target that is left out is a miss.
    pub exclude_seen: bool,
    /// Worker threads.
    pub threads: usize,
}

impl Default for Protocol {
    fn default() -> Protocol {
        Protocol { exclude_seen: false, threads: 1 }
    }
}

/// How well targets were ranked, among all items of the vocabulary: means over cases.
///
/// An item that a counting method is silent about is not ranked at all, and a miss. Where scores are
/// equal the numbers are the means over all orders of the equal; `ndcg_10_range`
/// says what the worst and the best order would give.
///
/// ```
/// use bowerbird::model::Quality;
/// assert_eq!(Quality::default().hr_10, 0.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Quality {
    /// How many cases there were.
    pub cases: u64,
    /// The share of targets among the first 10 (hit rate, recall@10).
    pub hr_10: f64,
    /// Mean of 1 / log2(rank + 1), 0 beyond 10.
    pub ndcg_10: f64,
    /// The share of targets among the first 20.
    pub hr_20: f64,
    /// Mean of 1 / rank, 0 beyond 20.
    pub mrr_20: f64,
    /// The share of targets among the first 20, with ties in the target's favour.
    pub hr_20_optimistic: f64,
    /// Mean of 1 / rank, 0 beyond 20, with ties in the target's favour.
    pub mrr_20_optimistic: f64,
    /// `ndcg_10` with ties against the target, and in its favour.
    pub ndcg_10_range: (f64, f64),
    /// The share of all items that is among the first 20 of some case.
    pub coverage_20: f64,
}

/// Cases scored at a time.
const BLOCK: usize = 64;

impl Cases {
    /// These cases.
    pub fn new(cases: Vec<Case>) -> Cases {
        Cases { cases }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// The cases.
    pub fn iter(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter()
    }

    /// At most so many of them, spread evenly.
    pub fn sample(&self, most: usize) -> Cases {
        let count = self.cases.len();
        if count <= most {
            return self.clone();
        }
        Cases { cases: (0..most).map(|at| self.cases[at * count / most].clone()).collect() }
    }

    /// How well a model ranks the targets.
    ///
    /// # Errors
    /// `Invalid` if a code is not one of the model's.
    pub fn measure(&self, model: &Model, protocol: Protocol) -> Result<Quality> {
        self.judge(model.method(), model.vocabulary().len(), protocol)
    }

    /// How well any function ranks the targets among so many items: it is given the codes of a
    /// history and writes a score for each item. An item with the score 0 counts as not found.
    ///
    /// ```
    /// use bowerbird::model::{Case, Cases, Protocol};
    /// let cases = Cases::new(vec![Case { history: vec![2], target: Some(0) }]);
    /// let lowest_first = |_: &[u32], scores: &mut [f32]| {
    ///     scores.iter_mut().zip(1u8..).for_each(|(score, rank)| *score = 1.0 / f32::from(rank));
    ///     Ok(())
    /// };
    /// let quality = cases.measure_by(3, Protocol::default(), lowest_first)?;
    /// assert_eq!(quality.ndcg_10, 1.0);
    /// # Ok::<(), bowerbird::Error>(())
    /// ```
    pub fn measure_by(
        &self,
        items: usize,
        protocol: Protocol,
        scores: impl Fn(&[u32], &mut [f32]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Quality> {
        self.judge(&Function(scores), items, protocol)
    }

    pub(crate) fn judge(
        &self,
        method: &dyn Method,
        items: usize,
        protocol: Protocol,
    ) -> Result<Quality> {
        let known = |code: &u32| (*code as usize) < items;
        if !self.cases.iter().all(|c| c.history.iter().chain(&c.target).all(known)) {
            return Err(Error::invalid("cases", "have codes that the vocabulary does not have"));
        }
        if items == 0 || self.cases.is_empty() {
            return Ok(Quality::default());
        }
        let blocks = self.cases.len().div_ceil(BLOCK);
        let one = |block: usize| {
            let some = &self.cases[block * BLOCK..self.cases.len().min((block + 1) * BLOCK)];
            block_quality(some, method, items, protocol)
        };
        let (mut sum, mut shown) = (Quality::default(), vec![false; items]);
        for (quality, codes) in spread(blocks, protocol.threads, one)? {
            sum.add(&quality);
            codes.into_iter().for_each(|code| shown[code as usize] = true);
        }
        let n = self.cases.len() as f64;
        let covered = shown.iter().filter(|shown| **shown).count();
        Ok(sum.over(n, covered as f64 / items as f64))
    }
}

/// A function that scores, as a method that cannot be saved.
struct Function<F>(F);

impl<F> std::fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Function")
    }
}

impl<F: Fn(&[u32], &mut [f32]) -> Result<()> + Send + Sync + 'static> Method for Function<F> {
    fn name(&self) -> &'static str {
        "function"
    }

    fn scores(&self, history: &[u32], scores: &mut [f32]) -> Result<()> {
        (self.0)(history, scores)
    }

    fn silence(&self) -> Option<f32> {
        Some(0.0)
    }

    fn save(&self, _: &mut Saved) -> Result<()> {
        Err(Error::invalid("a function", "cannot be saved"))
    }
}

impl Quality {
    fn add(&mut self, other: &Quality) {
        self.cases += other.cases;
        self.hr_10 += other.hr_10;
        self.ndcg_10 += other.ndcg_10;
        self.hr_20 += other.hr_20;
        self.mrr_20 += other.mrr_20;
        self.hr_20_optimistic += other.hr_20_optimistic;
        self.mrr_20_optimistic += other.mrr_20_optimistic;
        self.ndcg_10_range.0 += other.ndcg_10_range.0;
        self.ndcg_10_range.1 += other.ndcg_10_range.1;
    }

    fn over(mut self, n: f64, coverage_20: f64) -> Quality {
        for sum in [
            &mut self.hr_10,
            &mut self.ndcg_10,
            &mut self.hr_20,
            &mut self.mrr_20,
            &mut self.hr_20_optimistic,
            &mut self.mrr_20_optimistic,
            &mut self.ndcg_10_range.0,
            &mut self.ndcg_10_range.1,
        ] {
            *sum /= n;
        }
        Quality { coverage_20, ..self }
    }

    /// Of one target with so many items above it, and so many equal to it, itself among them.
    fn of(above: usize, equal: usize) -> Quality {
        let mean = |worth: &dyn Fn(usize) -> f64, depth: usize| {
            // No rank beyond the depth is worth anything, so the sum stays short.
            let last = (above + equal).min(depth);
            (above + 1..=last).map(worth).sum::<f64>() / equal as f64
        };
        let gain = |rank: usize| 1.0 / ((rank + 1) as f64).log2();
        let ndcg = |rank: usize| if rank <= 10 { gain(rank) } else { 0.0 };
        let hit = |depth: usize| mean(&|_| 1.0, depth);
        Quality {
            cases: 1,
            hr_10: hit(10),
            ndcg_10: mean(&gain, 10),
            hr_20: hit(20),
            mrr_20: mean(&|rank| 1.0 / rank as f64, 20),
            hr_20_optimistic: f64::from(u8::from(above < 20)),
            mrr_20_optimistic: if above < 20 { 1.0 / (above + 1) as f64 } else { 0.0 },
            ndcg_10_range: (ndcg(above + equal), ndcg(above + 1)),
            coverage_20: 0.0,
        }
    }
}

/// The sums over some cases, and the codes that were among the first 20.
fn block_quality(
    cases: &[Case],
    method: &dyn Method,
    items: usize,
    protocol: Protocol,
) -> Result<(Quality, Vec<u32>)> {
    let histories: Vec<&[u32]> = cases.iter().map(|case| &case.history[..]).collect();
    let mut scores = vec![0f32; items * cases.len()];
    method.scores_all(&histories, &mut scores)?;
    let (mut sum, mut listed_codes) = (Quality::default(), Vec::new());
    for (case, scores) in cases.iter().zip(scores.chunks_mut(items)) {
        if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
            let why = format!("scored item {at} as {}", scores[at]);
            return Err(Error::invalid(format!("model {}", method.name()), why));
        }
        if protocol.exclude_seen {
            case.history.iter().for_each(|code| scores[*code as usize] = f32::NEG_INFINITY);
        }
        let listed = |code: u32| scores[code as usize] > f32::NEG_INFINITY;
        let best = super::method::best(scores, method.silence(), listed, 20);
        listed_codes.extend(best.into_iter().map(|(_, code)| code));
        // What a method is silent about would not be shown, so it is a miss.
        let shown = |score: &f32| *score > f32::NEG_INFINITY && method.silence() != Some(*score);
        match case.target.map(|code| scores[code as usize]).filter(shown) {
            Some(score) => {
                let above = scores.iter().filter(|other| **other > score).count();
                let equal = scores.iter().filter(|other| **other == score).count();
                sum.add(&Quality::of(above, equal));
            }
            None => sum.cases += 1,
        }
    }
    listed_codes.sort_unstable();
    listed_codes.dedup();
    Ok((sum, listed_codes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{Ranking, Ties};

    /// Goal: the closed forms here are the metrics of `eval`, ties and all.
    #[test]
    fn means_over_ties_are_those_of_eval() {
        for (above, equal) in [(0, 1), (0, 7), (3, 1), (8, 5), (9, 1), (10, 3), (15, 20), (40, 2)] {
            let mut scores = vec![2.0; above];
            scores.extend(vec![1.0; equal]);
            scores.extend(vec![0.0; 5]);
            let mut gains = vec![0.0; scores.len()];
            gains[above] = 1.0;
            let ranking = Ranking::from_scores(&scores, &gains).unwrap();
            let ours = Quality::of(above, equal);
            let same = |a: f64, b: Option<f64>| (a - b.unwrap()).abs() < 1e-12;
            assert!(same(ours.hr_10, ranking.hit_rate(10)));
            assert!(same(ours.hr_20, ranking.hit_rate(20)));
            assert!(same(ours.ndcg_10, ranking.ndcg(10)));
            assert!(same(ours.mrr_20, ranking.reciprocal_rank(20)));
            let best = ranking.clone().ties(Ties::Optimistic);
            assert!(same(ours.hr_20_optimistic, best.hit_rate(20)));
            assert!(same(ours.mrr_20_optimistic, best.reciprocal_rank(20)));
            assert!(same(ours.ndcg_10_range.1, best.ndcg(10)));
            assert!(same(ours.ndcg_10_range.0, ranking.ties(Ties::Pessimistic).ndcg(10)));
        }
    }
}
