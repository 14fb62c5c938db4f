//! Tune: weights that make an objective large, found by trying some.

use crate::{
    error::{Error, Result},
    limits::TERMS_MAX,
    progress::Progress,
    recommend::{
        Recommender,
        replay::{Replay, Report},
    },
    store::Snapshot,
    vector::rotate::splitmix,
};

/// Searches for the weights with the largest objective, of which nothing need be known but its values.
///
/// A quarter of the trials are weights at random, anywhere in their ranges (Bergstra and Bengio,
/// 2012): they say which hill to climb. The others climb it by an evolution strategy of one parent and
/// one child with the one-fifth rule (Rechenberg, 1973, as in Kern et al., 2004): a child is the best so
/// far, moved at random, in all weights or, every second time, in one; if it is not worse it is the
/// best from now on, and steps grow, else they shrink, so that about one in five succeeds. When steps
/// have become too small to matter, they begin anew at full length, from the best. Weights that would
/// leave their range stop at its end: what had better not count gets exactly 0, where a range begins
/// there.
///
/// The same seed and objective give the same weights, and never worse ones than the start. What
/// is tuned on some users and times should be judged on others: see
/// [`Split::Between`](crate::recommend::replay::Split::Between).
///
/// ```
/// use bowerbird::{Progress, recommend::Tune};
/// let tune = Tune::new(200).weight("text", (0.0, 2.0), 1.0).weight("stars", (0.0, 1.0), 0.0);
/// let hill = |w: &[f32]| Ok(-f64::from((w[0] - 0.7).powi(2) + (w[1] - 0.3).powi(2)));
/// let tuned = tune.run(hill, &mut Progress::silent())?;
/// assert!((tuned.weights[1] - 0.3).abs() < 0.05);
/// assert!(tuned.value > tuned.start);
/// # Ok::<(), bowerbird::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "nothing is tried before `run`"]
pub struct Tune {
    budget: usize,
    seed: u64,
    weights: Vec<Range>,
}

/// A weight: its name, where it may be, and where it starts.
#[derive(Clone, Debug, PartialEq)]
struct Range {
    name: String,
    low: f32,
    high: f32,
    start: f32,
}

/// Some weights that were tried, and what they were worth.
///
/// ```
/// fn better(a: &bowerbird::recommend::Trial, b: &bowerbird::recommend::Trial) -> bool {
///     a.value > b.value
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Trial {
    /// The weights, in the order in which they were named.
    pub weights: Vec<f32>,
    /// The objective; what was not finite is negative infinity.
    pub value: f64,
}

/// What was found.
///
/// ```
/// fn gain(tuned: &bowerbird::recommend::Tuned) -> f64 {
///     tuned.value / tuned.start - 1.0
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tuned {
    /// The names of the weights.
    pub names: Vec<String>,
    /// The best weights; of equally good ones, those found first.
    pub weights: Vec<f32>,
    /// Their objective.
    pub value: f64,
    /// The objective of the start.
    pub start: f64,
    /// Everything that was tried, in order; the first is the start.
    pub trail: Vec<Trial>,
}

/// Most trials.
const BUDGET_MAX: usize = 1_000_000;
/// The first steps, and those after new beginnings: this share of every range.
const STEP_FIRST: f64 = 0.2;
/// Steps shorter than this share of a range change hardly a ranking.
const STEP_MIN: f64 = 3e-3;
/// What a success does to steps, and what a failure does: together one in five keeps them.
const GROWTH: f64 = 1.5;
const SHRINKAGE: f64 = 0.903_602_003_609_844_8; // GROWTH to the power of -1/4

impl Tune {
    /// Tries so many weights, the start among them.
    pub fn new(budget: usize) -> Tune {
        Tune { budget, seed: 0, weights: Vec::new() }
    }

    /// Adds a weight: its range, both ends included, and its start.
    pub fn weight(mut self, name: &str, (low, high): (f32, f32), start: f32) -> Tune {
        self.weights.push(Range { name: name.into(), low, high, start });
        self
    }

    /// What the random steps come from; 0 unless set.
    pub fn seed(mut self, seed: u64) -> Tune {
        self.seed = seed;
        self
    }

    /// Tries weights. What must not be is an objective of negative infinity. Progress is in trials.
    ///
    /// # Errors
    /// `Invalid` for ranges that are none, and for a start whose objective is not finite; `Cancelled`;
    /// and whatever the objective returns.
    pub fn run(
        &self,
        mut objective: impl FnMut(&[f32]) -> Result<f64>,
        progress: &mut Progress<'_>,
    ) -> Result<Tuned> {
        self.check()?;
        progress.begin(self.budget as u64)?;
        let start: Vec<f32> = self.weights.iter().map(|range| range.start).collect();
        let mut value = |weights: Vec<f32>, progress: &mut Progress<'_>| -> Result<Trial> {
            let value = objective(&weights)?;
            progress.advance(1)?;
            let value = if value.is_finite() { value } else { f64::NEG_INFINITY };
            Ok(Trial { weights, value })
        };
        let mut best = value(start, progress)?;
        if best.value == f64::NEG_INFINITY {
            let why = "has no finite value at the start; there is nothing to do better than";
            return Err(Error::invalid("objective", why));
        }
        let mut trail = vec![best.clone()];
        let (mut search, mut step, mut state) = (best.clone(), STEP_FIRST, self.seed);
        let wide = self.budget / 4;
        for _ in 0..wide {
            let trial = value(self.anywhere(&mut state), progress)?;
            if trial.value > best.value {
                best = trial.clone();
            }
            trail.push(trial);
        }
        search.clone_from(&best);
        while trail.len() < self.budget {
            let child = value(self.child(&search.weights, step, &mut state), progress)?;
            // On a plateau a child that is no worse is taken, so that the search wanders over it.
            if child.value >= search.value {
                search = child.clone();
                step = (step * GROWTH).min(1.0);
            } else {
                step *= SHRINKAGE;
            }
            if step < STEP_MIN {
                (search, step) = (best.clone(), STEP_FIRST);
            }
            if child.value > best.value {
                best = child.clone();
            }
            trail.push(child);
        }
        let names = self.weights.iter().map(|range| range.name.clone()).collect();
        let start = trail[0].value;
        Ok(Tuned { names, weights: best.weights, value: best.value, start, trail })
    }

    /// Tries weights in a recommender, by what a replay measures of it: `build` makes a recommender of
    /// weights, `measure` says what of the report is to be large.
    ///
    /// ```
    /// # use bowerbird::{*, recommend::{*, replay::*}};
    /// # fn main() -> Result<()> {
    /// # let db = Db::in_memory(Schema::new().attr("stars", AttrType::Float).event("view"))?;
    /// # let mut batch = db.batch();
    /// # for user in 0..4 {
    /// #     for item in 0..3u64 {
    /// #         batch.put(Item::new(item));
    /// #         batch.event(Event::new(user, item, "view", Timestamp(item as i64)));
    /// #     }
    /// # }
    /// # batch.commit()?;
    /// let validation = Replay::new(Split::Between(Timestamp(0), Timestamp(1)), ["view"], 10);
    /// let build = |w: &[f32]| {
    ///     let popular = Boost::popular(["view"]);
    ///     let stars = Boost::number("stars", 1.0, 5.0);
    ///     let good = NearBoosted::new(10).boost(popular, w[0]).boost(stars, w[1]).norm_max(2.0);
    ///     Recommender::new().filter(Seen::new([])).retrieve(good)
    /// };
    /// let tune = Tune::new(5).weight("popular", (0.0, 1.0), 1.0).weight("stars", (0.0, 1.0), 0.0);
    /// let (snapshot, quiet) = (db.snapshot(), &mut Progress::silent());
    /// let tuned = tune.replay(&snapshot, &validation, build, |report| report.ndcg, quiet)?;
    /// assert!(tuned.value >= tuned.start);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Tune::run`], and whatever the replay returns.
    pub fn replay(
        &self,
        snapshot: &Snapshot,
        replay: &Replay,
        build: impl Fn(&[f32]) -> Recommender,
        measure: impl Fn(&Report) -> f64,
        progress: &mut Progress<'_>,
    ) -> Result<Tuned> {
        let run = |weights: &[f32]| {
            let report = replay.run(snapshot, &build(weights), &mut Progress::silent())?;
            Ok(measure(&report))
        };
        self.run(run, progress)
    }

    fn check(&self) -> Result<()> {
        if !(1..=BUDGET_MAX).contains(&self.budget) {
            let why = format!("is {}; it must be 1 to {BUDGET_MAX}", self.budget);
            return Err(Error::invalid("budget of Tune", why));
        }
        if !(1..=TERMS_MAX).contains(&self.weights.len()) {
            let why = format!("are {}; there must be 1 to {TERMS_MAX}", self.weights.len());
            return Err(Error::invalid("weights of Tune", why));
        }
        for Range { name, low, high, start } in &self.weights {
            // Comparisons with NaN are false.
            let fits = low <= start && start <= high && (high - low).is_finite();
            if !fits {
                let why = format!("starts at {start} and goes from {low} to {high}");
                let why = format!("{why}; it must be finite, and the start within");
                return Err(Error::invalid(format!("weight {name:?} of Tune"), why));
            }
        }
        Ok(())
    }

    fn anywhere(&self, state: &mut u64) -> Vec<f32> {
        let draw = |range: &Range| {
            let unit = (splitmix(state) >> 11) as f64 / (1u64 << 53) as f64;
            let (low, high) = (f64::from(range.low), f64::from(range.high));
            ((low + unit * (high - low)) as f32).clamp(range.low, range.high)
        };
        self.weights.iter().map(draw).collect()
    }

    fn child(&self, parent: &[f32], step: f64, state: &mut u64) -> Vec<f32> {
        let only = splitmix(state);
        let count = self.weights.len() as u64;
        let only = (only & 1 == 1).then_some((only >> 1) % count);
        let moved = |(at, (range, weight)): (u64, (&Range, &f32))| {
            let by = step * normal(state);
            if only.is_some_and(|only| only != at) {
                return *weight;
            }
            let width = f64::from(range.high) - f64::from(range.low);
            let to = (f64::from(*weight) + by * width) as f32;
            to.clamp(range.low, range.high)
        };
        (0u64..).zip(self.weights.iter().zip(parent)).map(moved).collect()
    }
}

/// Normally distributed, mean 0, variance 1 (Box and Muller).
fn normal(state: &mut u64) -> f64 {
    let mut unit = || ((splitmix(state) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let (radius, turn) = (unit(), unit());
    (-2.0 * radius.ln()).sqrt() * (turn * std::f64::consts::TAU).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Progress<'static> {
        Progress::silent()
    }

    fn two() -> Tune {
        Tune::new(300).weight("a", (0.0, 1.0), 0.0).weight("b", (-5.0, 5.0), 4.0)
    }

    /// Goal: hills are climbed: round ones, long ones, ones in steps, and at the end of a range.
    #[test]
    fn hills_are_climbed() {
        type Hill = fn(&[f32]) -> f64;
        let hills: [(Hill, [f32; 2]); 4] = [
            (|w| -f64::from((w[0] - 0.5).powi(2) + (w[1] + 1.0).powi(2)), [0.5, -1.0]),
            (|w| -f64::from((w[0] - 0.5).powi(2) + 0.01 * (w[1] + 1.0).powi(2)), [0.5, -1.0]),
            (|w| -f64::from((10.0 * (w[0] - 0.5).abs()).floor() + (w[1] + 1.0).abs()), [0.5, -1.0]),
            (|w| f64::from(w[0] - w[1]), [1.0, -5.0]),
        ];
        for (hill, top) in hills {
            for seed in 0..5 {
                let tuned = two().seed(seed).run(|w| Ok(hill(w)), &mut quiet()).unwrap();
                for (weight, top) in tuned.weights.iter().zip(top) {
                    assert!((weight - top).abs() < 0.15, "{:?} {top} {seed}", tuned.weights);
                }
                assert_eq!(tuned.value, hill(&tuned.weights));
            }
        }
    }

    /// Goal: the same seed, the same trail; within ranges; never worse than the start; as many trials
    /// as were allowed. Method: objectives that are noise, flat, or nowhere as good as the start.
    #[test]
    fn never_worse_than_the_start_and_the_same_again() {
        let noise = |w: &[f32]| f64::from((w[0] * 1e4).sin() + (w[1] * 1e4).sin());
        let spike = |w: &[f32]| if w == [0.0, 4.0] { 1.0 } else { f64::NAN };
        for objective in [&noise as &dyn Fn(&[f32]) -> f64, &spike, &|_| 3.0] {
            let run = || two().seed(9).run(|w| Ok(objective(w)), &mut quiet()).unwrap();
            let tuned = run();
            assert_eq!(tuned, run());
            assert!(tuned.value >= tuned.start);
            assert_eq!((tuned.trail.len(), &tuned.trail[0].weights[..]), (300, &[0.0, 4.0][..]));
            for trial in &tuned.trail {
                assert!((0.0..=1.0).contains(&trial.weights[0]), "{trial:?}");
                assert!((-5.0..=5.0).contains(&trial.weights[1]), "{trial:?}");
                assert!(trial.value <= tuned.value);
            }
        }
        let one = Tune::new(1).weight("a", (2.0, 2.0), 2.0).run(|_| Ok(1.0), &mut quiet());
        assert_eq!(one.unwrap().weights, [2.0]);
    }

    #[test]
    fn what_is_no_range_is_refused_and_a_cancel_is_heard() {
        let flat = |_: &[f32]| Ok(0.0);
        let far = f32::MAX;
        for (low, high, start) in
            [(0.0, 1.0, 2.0), (1.0, 0.0, 0.5), (f32::NAN, 1.0, 0.5), (-far, far, 0.0)]
        {
            assert!(Tune::new(9).weight("a", (low, high), start).run(flat, &mut quiet()).is_err());
        }
        assert!(Tune::new(9).run(flat, &mut quiet()).is_err());
        assert!(Tune { budget: 0, ..two() }.run(flat, &mut quiet()).is_err());
        assert!(two().run(|_| Ok(f64::NAN), &mut quiet()).is_err());
        let fails = |_: &[f32]| Err(Error::Cancelled);
        assert!(matches!(two().run(fails, &mut quiet()), Err(Error::Cancelled)));
        let mut tried = 0;
        let count = |_: &[f32]| {
            tried += 1;
            Ok(0.0)
        };
        let stopped = two().run(count, &mut Progress::to(|done, _| done < 5));
        assert!(matches!(stopped, Err(Error::Cancelled)));
        assert_eq!(tried, 5);
    }
}
