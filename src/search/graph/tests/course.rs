//! Goal: a build that was cut short goes on as if it had not been, and what an older graph knew is used.

use super::{
    super::{
        beam::Beam,
        course::Stage,
        grow::Grow,
        seed::{self, Seed},
    },
    grown::{DIM, clusters, links_are_whole, nearest, walk},
    unlinked,
};
use crate::{error::Error, format::sink::Sink, progress::Progress};

const DOORS: usize = 8;

/// A graph, with the seeds that it left after every step.
fn grow(vectors: &[Vec<f32>], seed: Option<&Seed>) -> (Grow, Vec<Seed>) {
    let (mut grown, mut kept) = (unlinked(vectors, DIM, 2, true, 2), Vec::new());
    let mut keep = |stage: &Stage<'_>, progress: &mut Progress<'_>| {
        let mut sink = Sink::heap();
        stage.save(&mut sink, progress)?;
        kept.push(Seed::open(sink.into_heap()?, vectors.len() as u32)?);
        Ok(())
    };
    grown.grow(seed, DOORS, (&mut keep, &mut Progress::silent())).unwrap();
    (grown, kept)
}

/// What a graph over the first vectors, of which some are gone, leaves for one over all of them.
fn sown(vectors: &[Vec<f32>], known: usize, gone: impl Fn(u32) -> bool) -> Seed {
    let (old, _) = grow(&vectors[..known], None);
    let mut links = |node: u32, to: &mut Vec<u32>| {
        if (node as usize) < known && !gone(node) {
            to.extend(old.links(node).filter(|to| !gone(*to)));
        }
        Ok(())
    };
    let mut sink = Sink::heap();
    let what = (vectors.len() as u32, 0, None);
    seed::save(what, &mut links, &mut sink, &mut Progress::silent()).unwrap();
    Seed::open(sink.into_heap().unwrap(), vectors.len() as u32).unwrap()
}

fn same(one: &Grow, other: &Grow, place: &str) {
    assert!(one.rows[..] == other.rows[..], "rows, {place}");
    assert!(one.doors[..] == other.doors[..], "doors, {place}");
}

/// Method: take up the build after every step; few vectors, of which there are fewer doors, and more.
#[test]
fn a_build_that_goes_on_from_any_step_gives_the_same_graph() {
    for (count, copies) in [(1, 0), (2, 0), (40, 0), (230, 0), (500, 0), (300, 100)] {
        let mut vectors = clusters(1, count);
        (0..copies).for_each(|n| vectors[3 * n] = vectors[0].clone());
        let worn = sown(&vectors, count * 2 / 3, |node| node % 5 == 0);
        for seed in [None, Some(&worn)] {
            let (whole, kept) = grow(&vectors, seed);
            links_are_whole(&whole);
            assert!(!kept.is_empty());
            for (steps, from) in kept.iter().enumerate().step_by(1 + count / 60) {
                let place = format!("{count} vectors, seed {}, step {steps}", seed.is_some());
                let (again, rest) = grow(&vectors, Some(from));
                assert_eq!(steps + 1 + rest.len(), kept.len(), "{place}");
                same(&whole, &again, &place);
            }
        }
    }
}

fn recall(grown: &Grow, vectors: &[Vec<f32>]) -> f32 {
    let (mut hits, mut beam, queries) = (0, Beam::default(), clusters(2, 100));
    for query in &queries {
        walk(grown, &mut beam, query, 32);
        let found = nearest(vectors, beam.nearest.iter().map(|pair| pair.1), query, true);
        let truth = nearest(vectors, 0..vectors.len() as u32, query, true);
        hits += found.iter().filter(|node| truth.contains(node)).count();
    }
    hits as f32 / 1000.0
}

/// Goal: an older graph saves work and costs no recall; one that knows little is not used.
#[test]
fn an_older_graph_saves_steps_and_costs_no_recall() {
    let vectors = clusters(1, 1000);
    let linked = |seed: &Seed| grow(&vectors, Some(seed)).0;
    let nothing = grow(&vectors, None).0;
    let floor = recall(&nothing, &vectors) - 0.01;
    let most = sown(&vectors, 900, |node| node % 20 == 0);
    assert_eq!(most.linked(), 855);
    let grown = linked(&most);
    links_are_whole(&grown);
    assert!(recall(&grown, &vectors) >= floor, "{} of {floor}", recall(&grown, &vectors));
    let mut work = [0, 0];
    for (seed, work) in [None, Some(&most)].into_iter().zip(&mut work) {
        let mut told = Progress::to(|_, total| {
            *work = total;
            true
        });
        let mut grown = unlinked(&vectors, DIM, 2, true, 2);
        grown.grow(seed, DOORS, (&mut |_, _| Ok(()), &mut told)).unwrap();
    }
    assert!(work[0] == 2000 && work[1] < 600, "{work:?}");
    let few = sown(&vectors, 150, |_| false);
    same(&nothing, &linked(&few), "with a seed of few");
}

/// Goal: steps that no build of so many nodes has are damage.
#[test]
fn more_steps_than_there_are_is_damage() {
    let vectors = clusters(1, 40);
    let (mut grown, _) = grow(&vectors, None);
    let mut links = |_, _: &mut Vec<u32>| Ok(());
    let mut sink = Sink::heap();
    seed::save((40, 1000, Some(&[0; 40])), &mut links, &mut sink, &mut Progress::silent()).unwrap();
    let seed = Seed::open(sink.into_heap().unwrap(), 40).unwrap();
    let keep = &mut |_: &Stage<'_>, _: &mut Progress<'_>| Ok(());
    let grown = grown.grow(Some(&seed), DOORS, (keep, &mut Progress::silent()));
    assert!(matches!(grown, Err(Error::Corrupt(_))), "{grown:?}");
}
