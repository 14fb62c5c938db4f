//! Judge: how well the IDs that were seen are ranked, to know when training should stop.

use super::{
    head::HeadTrace,
    level::Network,
    sequences::{CodeSequences, NONE},
};
use crate::{
    error::{Error, Result},
    model::{Case, Cases, train::exp::add},
    search::top::Top,
    semantic::SemanticId,
    store::spread,
};

/// Most cases looked at after an epoch, and beams of each: enough to see which epoch is better.
const CASES_MAX: usize = 4_000;
const BEAMS: usize = 20;
/// Cases at a time.
const BLOCK: usize = 32;

/// A beam: the case it belongs to, its node, its last choice, and how likely it is.
#[derive(Clone, Copy, Debug)]
struct Beam {
    case: usize,
    node: u32,
    from: usize,
    code: u16,
    log_prob: f32,
}

/// NDCG@10 of the IDs of the targets, among all that training saw, by beam search.
///
/// A target whose ID training never saw is a miss. Items that share an ID count as one.
pub(super) fn ndcg_10(
    network: Network<'_>,
    sequences: &CodeSequences,
    cases: &Cases,
    exclude_seen: bool,
    threads: usize,
) -> Result<f64> {
    let (of_item, cases) = (sequences.of_item()?, cases.sample(CASES_MAX));
    let known = |code: &u32| (*code as usize) < of_item.len();
    if !cases.iter().all(|case| case.history.iter().chain(&case.target).all(known)) {
        return Err(Error::invalid("cases", "have codes that the vocabulary does not have"));
    }
    let cases: Vec<&Case> = cases.iter().collect();
    let number = |item: &u32| of_item[*item as usize];
    let block = |at: usize| {
        let cases = &cases[at * BLOCK..cases.len().min((at + 1) * BLOCK)];
        let histories: Vec<Vec<u32>> = cases
            .iter()
            .map(|case| case.history.iter().map(number).filter(|id| *id != NONE).collect())
            .collect();
        let mut gain = 0.0;
        let lists = best(network, sequences.ids(), &histories, BEAMS);
        for ((case, history), list) in cases.iter().zip(&histories).zip(lists) {
            let Some(target) = case.target.as_ref().map(number).filter(|id| *id != NONE) else {
                continue;
            };
            let shown = |id: &&u32| !exclude_seen || !history.contains(id);
            if let Some(rank) = list.iter().filter(shown).take(10).position(|id| *id == target) {
                gain += 1.0 / (rank as f64 + 2.0).log2();
            }
        }
        Ok(gain)
    };
    let gains: Vec<f64> = spread(cases.len().div_ceil(BLOCK), threads, block)?;
    Ok(gains.iter().sum::<f64>() / cases.len().max(1) as f64)
}

/// Per history the likeliest IDs that training saw, best first, by beam search over their prefixes.
/// Histories and answers are numbers of `ids`.
fn best(
    network: Network<'_>,
    ids: &[SemanticId],
    histories: &[Vec<u32>],
    beams: usize,
) -> Vec<Vec<u32>> {
    let (plan, tree, dim) = (network.plan, network.tree, network.plan.dim());
    let histories: Vec<Vec<SemanticId>> =
        histories.iter().map(|list| list.iter().map(|id| ids[*id as usize]).collect()).collect();
    let (mut x, mut trace) = (Vec::new(), HeadTrace::default());
    network.states(histories.iter().map(Vec::as_slice), &mut x);
    let first = |case: usize| Beam { case, node: 0, from: case, code: 0, log_prob: 0.0 };
    let mut all: Vec<Beam> = (0..histories.len()).map(first).collect();
    let mut log_probs = Vec::new();
    for level in 0..plan.levels() {
        let width = plan.widths[level];
        let nodes: Vec<u32> = all.iter().map(|beam| beam.node).collect();
        log_probs.resize(all.len() * width, 0.0);
        network.say(level, (&x, &nodes), &mut log_probs, &mut trace);
        let mut next: Vec<Beam> = Vec::new();
        let mut rest = &all[..];
        let mut done = 0;
        while let Some(case) = rest.first().map(|beam| beam.case) {
            let count = rest.iter().take_while(|beam| beam.case == case).count();
            let mut made = Vec::new();
            let mut top = Top::new(beams);
            for (from, beam) in (done..).zip(&rest[..count]) {
                let children = tree.children(level, beam.node);
                let codes = if level == 0 { &tree.first[..] } else { children.codes };
                for (at, code) in (0u32..).zip(codes) {
                    let log_prob = beam.log_prob + log_probs[from * width + usize::from(*code)];
                    let node = if level == 0 { u32::from(*code) } else { children.node + at };
                    top.push(log_prob, made.len() as u32);
                    made.push(Beam { case, node, from, code: *code, log_prob });
                }
            }
            next.extend(top.into_sorted().into_iter().map(|(_, at)| made[at as usize]));
            (rest, done) = (&rest[count..], done + count);
        }
        let mut chosen = Vec::with_capacity(next.len() * dim);
        for beam in &next {
            let at = chosen.len();
            chosen.extend_from_slice(&x[beam.from * dim..][..dim]);
            add(&mut chosen[at..], &network.theta[plan.chosen(level, beam.code)..][..dim], 1.0);
        }
        (x, all) = (chosen, next);
    }
    // The nodes of the last depth are the IDs in order; of a single level, the codes are.
    let number = |beam: &Beam| match plan.levels() {
        1 => tree.first.binary_search(&(beam.node as u16)).unwrap_or(0) as u32,
        _ => beam.node,
    };
    let mut lists = vec![Vec::new(); histories.len()];
    all.iter().for_each(|beam| lists[beam.case].push(number(beam)));
    lists
}
