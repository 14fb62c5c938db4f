//! Agreement: how far teachers say the same, before anything learns from them.

use super::{
    labels::{Label, Labels},
    teacher::Teacher,
};
use std::{collections::BTreeMap, fmt};

/// How far one teacher says what another says, on the pairs that both have labelled.
///
/// The second is taken for right: precision is the share of the first one's yes that is a yes of the second,
/// recall the share of the second one's yes that the first has found. Kappa (Cohen, 1960) is how much more
/// often they agree than by chance: 1 always, 0 as by chance. What has no answer is `None`.
///
/// ```
/// use bowerbird::model::classify::{Agreement, Labels};
/// # fn main() -> bowerbird::Result<()> {
/// let mut lines = String::new();
/// for (item, person, model) in [(1, 1, 1), (2, 1, 1), (3, 0, 0), (4, 0, 1)] {
///     lines += &format!(
///         "{{\"user\":7,\"item\":{item},\"label\":{person},\"by\":{{\"person\":\"ann\"}},\"at\":0}}\n\
///          {{\"user\":7,\"item\":{item},\"label\":{model},\"by\":{{\"model\":\"llm\",\"prompt\":\"9f\"}},\"at\":0}}\n"
///     );
/// }
/// let all = Agreement::all(&Labels::read(&lines)?);
/// assert_eq!((all[0].precision(), all[0].recall()), (Some(2.0 / 3.0), Some(1.0)));
/// assert_eq!(all[0].kappa(), Some(0.5));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Agreement {
    /// Who is judged.
    pub teacher: String,
    /// Who is taken for right.
    pub truth: String,
    /// Pairs of which both say yes.
    pub both: usize,
    /// Pairs of which only the teacher says yes.
    pub only_teacher: usize,
    /// Pairs of which only the truth says yes.
    pub only_truth: usize,
    /// Pairs of which both say no.
    pub neither: usize,
}

/// The name of all persons together.
const PEOPLE: &str = "people";

impl Agreement {
    /// Of every two teachers with a pair in common, and of every model with people: all persons together,
    /// by majority, where there are several persons. A person is taken for right beside a model, and of two
    /// of a kind the one whose name is first.
    pub fn all(labels: &Labels) -> Vec<Agreement> {
        let mut counts: BTreeMap<(String, String), [usize; 4]> = BTreeMap::new();
        let mut count = |teacher: String, truth: String, (a, b): (bool, bool)| {
            let place = usize::from(!a) * 2 + usize::from(!b);
            counts.entry((teacher, truth)).or_default()[place] += 1;
        };
        let mut persons = labels.all().iter().map(|label| &label.by).filter(|by| by.is_person());
        let first = persons.next();
        let several = persons.any(|by| Some(by) != first);
        for teachers in labels.latest().values() {
            // Persons come before models, and names in their order.
            let all: Vec<(&&Teacher, &&Label)> = teachers.iter().collect();
            for (at, (truth, right)) in all.iter().enumerate() {
                for (teacher, said) in &all[at + 1..] {
                    let both = (said.is_yes(), right.is_yes());
                    count(teacher.to_string(), truth.to_string(), both);
                }
            }
            let (persons, models): (Vec<_>, Vec<_>) =
                all.iter().partition(|(teacher, _)| teacher.is_person());
            let yes = persons.iter().filter(|(_, label)| label.is_yes()).count();
            // Where they are divided, people say nothing.
            if several && !persons.is_empty() && yes * 2 != persons.len() {
                for (model, said) in models {
                    let both = (said.is_yes(), yes * 2 > persons.len());
                    count(model.to_string(), PEOPLE.into(), both);
                }
            }
        }
        let one =
            |((teacher, truth), [both, only_teacher, only_truth, neither]): (_, [usize; 4])| {
                Agreement { teacher, truth, both, only_teacher, only_truth, neither }
            };
        counts.into_iter().map(one).collect()
    }

    /// On how many pairs.
    pub fn pairs(&self) -> usize {
        self.both + self.only_teacher + self.only_truth + self.neither
    }

    /// The share of the teacher's yes that is right.
    pub fn precision(&self) -> Option<f64> {
        share(self.both, self.both + self.only_teacher)
    }

    /// The share of the yes that there is that the teacher says.
    pub fn recall(&self) -> Option<f64> {
        share(self.both, self.both + self.only_truth)
    }

    /// The share of pairs of which both say the same.
    pub fn agreement(&self) -> Option<f64> {
        share(self.both + self.neither, self.pairs())
    }

    /// Cohen's kappa; `None` also if both say the same one thing of all.
    pub fn kappa(&self) -> Option<f64> {
        let all = self.pairs() as f64;
        let (a, b) = (self.both + self.only_teacher, self.both + self.only_truth);
        let (a, b) = (a as f64 / all, b as f64 / all);
        let chance = a * b + (1.0 - a) * (1.0 - b);
        self.agreement().filter(|_| chance < 1.0).map(|same| (same - chance) / (1.0 - chance))
    }
}

fn share(part: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.3}"));
        let Agreement { teacher, truth, .. } = self;
        let (precision, recall) = (figure(self.precision()), figure(self.recall()));
        let (kappa, pairs) = (figure(self.kappa()), self.pairs());
        write!(
            f,
            "{teacher} against {truth}: precision {precision}, recall {recall}, kappa {kappa} on {pairs} pairs"
        )
    }
}
