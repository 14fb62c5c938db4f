//! Run: asks a ranker, and survives the answer.

use super::{batch::RankBatch, caught::caught, hook::Ranker};

/// What came of asking: scores, NaN where there are none, and for each request why it went wrong, if so.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) scores: Vec<f32>,
    pub(super) wrong: Vec<Option<String>>,
}

impl Answer {
    /// Of requests that all went wrong.
    pub(super) fn failed(batch: &RankBatch, why: &str) -> Answer {
        let wrong = vec![Some(why.to_owned()); batch.requests()];
        Answer { scores: vec![f32::NAN; batch.len()], wrong }
    }
}

/// Scores a batch. If the ranker fails on it, each of its requests is asked alone, so that one that it
/// cannot stand harms no other.
pub(super) fn run(ranker: &dyn Ranker, batch: &RankBatch) -> Answer {
    let mut scores = vec![f32::NAN; batch.len()];
    if scores.is_empty() {
        return Answer { scores, wrong: vec![None; batch.requests()] };
    }
    match ask(ranker, batch, &mut scores) {
        Ok(()) => {
            let wrong = (0..batch.requests()).map(|request| missing(&scores[batch.range(request)]));
            let wrong = wrong.collect();
            Answer { scores, wrong }
        }
        Err(why) if batch.requests() == 1 || batch.cancelled() => Answer::failed(batch, &why),
        Err(_) => {
            let mut all = Answer { scores: Vec::with_capacity(batch.len()), wrong: Vec::new() };
            for request in 0..batch.requests() {
                let one = run(ranker, &batch.request(request));
                all.scores.extend(one.scores);
                all.wrong.extend(one.wrong);
            }
            all
        }
    }
}

/// One call; whatever goes wrong in it is a text. The scores of a call that panicked are not looked at.
fn ask(ranker: &dyn Ranker, batch: &RankBatch, scores: &mut [f32]) -> Result<(), String> {
    let said = caught("ranker", || ranker.rank(batch, scores));
    said.and_then(|said| said).map_err(|why| why.to_string())
}

fn missing(scores: &[f32]) -> Option<String> {
    let bad = scores.iter().filter(|score| !score.is_finite()).count();
    (bad > 0).then(|| format!("{bad} of {} scores are missing or not finite", scores.len()))
}
