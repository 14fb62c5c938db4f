//! Finding the nearest of few rows: signs say which of them may be near, and those are compared.
//!
//! Where a filter leaves one row in a hundred, a walk meets mostly rows that may not be returned, and a
//! scan reads whole vectors that lie here and there. Signs are a line of the cache to a row, and say how
//! near it may be (RaBitQ, SIGMOD 2024): what is surely farther than those found is not read at all.

use super::{
    beam::Beam,
    codes::Codes,
    effort,
    kept::Kept,
    links,
    walk::{Ask, Cost, prepare, rescore},
};
use crate::{
    error::Result,
    search::{
        blocks::{Blocks, Rows},
        present,
        top::Top,
    },
    segment::Stored,
    vector::{
        kernel::{Kernel, hop::touch},
        signs::Signs,
    },
};

/// By how many times what its signs are off by a row may be nearer than they say, at effort 64 and less. So
/// much farther off are two in a hundred of those whose distance is just that, and fewer of the nearest.
const DOUBT: f32 = 2.0;
/// The same for most effort. Every doubling is worth half of what they are off by.
const DOUBT_MAX: f32 = 4.0;
/// Of every result that is wanted, so many rows are compared before others are ruled out.
const FIRST: usize = 3;
/// Rows whose signs are looked at together, while those of the next are on their way.
const TOGETHER: usize = 16;
/// Rows that are asked for before they are compared.
const AHEAD: usize = 4;

/// Offers the nearest of `rows` to `top`, with the scores that a scan would give them: as many as are
/// wanted, if there are as many. Which rows are allowed is said by `rows`, not by what is asked.
pub(crate) fn skim(ask: &Ask<'_>, rows: Rows<'_>, top: &mut Top) -> Result<Cost> {
    let Some(space) = ask.queries.first().map(|query| &query.space) else {
        return Ok(Cost::default());
    };
    let Some(stored) = ask.segment.space(space)? else { return Ok(Cost::default()) };
    let mut beam = ask.graph.beams.lock().pop().unwrap_or_default();
    let doubt = DOUBT + 0.5 * (ask.effort.max(64) as f32 / 64.0).log2();
    prepare(ask, &mut beam, (false, Some(doubt.min(DOUBT_MAX))));
    let found = look(ask, &stored, rows, (&beam.signs, &mut beam.offers))
        .and_then(|()| compare(ask, &stored, &mut beam))
        .and_then(|nearest| rescore(ask, &stored, &beam.nearest[..nearest], top));
    let cost = Cost { scored: beam.offers.len() as u64, expanded: 0 };
    ask.graph.beams.lock().push(beam);
    found.map(|()| cost)
}

/// Looks at the signs of all rows: how near each may be, and where its vector is.
fn look(
    ask: &Ask<'_>,
    stored: &Stored<'_>,
    rows: Rows<'_>,
    (signs, offers): (&[Signs], &mut Vec<(f32, u32)>),
) -> Result<()> {
    let (graph, kernel) = (ask.graph, Kernel::best());
    let (codes, l2) = (Codes::of(graph)?, graph.measure.l2);
    let mut blocks = Blocks::new(rows, 0..ask.segment.rows());
    let (mut block, mut some, mut near) = (Vec::new(), Vec::new(), [0f32; TOGETHER]);
    offers.clear();
    while blocks.next(&mut block) {
        present::keep(stored, &mut block)?;
        let places = present::places(stored, &block)?;
        let mut next = places.chunks(TOGETHER);
        next.next().into_iter().flatten().for_each(|place| codes.touch(*place));
        for now in places.chunks(TOGETHER) {
            next.next().into_iter().flatten().for_each(|place| codes.touch(*place));
            some.clear();
            now.iter().try_for_each(|place| codes.append(*place, &mut some))?;
            let near = &mut near[..now.len()];
            near.fill(f32::INFINITY);
            signs.iter().for_each(|query| query.nearest(kernel, &some, l2, near));
            offers.extend(near.iter().copied().zip(now.iter().copied()));
        }
    }
    Ok(())
}

/// Compares what may be near: the nearest are in the beam. Says how many of them are worth scoring.
fn compare(ask: &Ask<'_>, stored: &Stored<'_>, beam: &mut Beam) -> Result<usize> {
    let (graph, kernel) = (ask.graph, Kernel::best());
    let Beam { queries, nearest, offers, .. } = beam;
    let width = effort::spared(ask.k);
    let Some(rows) = graph.rows() else {
        nearest.begin(width);
        let far = |nearest: &Kept| nearest.get(width - 1).map(|last| last.0);
        let distance = |place| links::distance(graph, ask.queries, stored, place);
        sift(offers, (nearest, width), far, |place| stored.touch(place), distance)?;
        return Ok(nearest.len());
    };
    // What codes cannot tell from the last is compared, too, and kept.
    let by_codes = (&graph.measure, &queries[..]);
    let far = |nearest: &Kept| {
        let last = nearest.get(width - 1)?.0;
        Some(last + effort::doubt(last, by_codes))
    };
    nearest.begin(width.saturating_mul(FIRST).max(ask.effort as usize));
    let own = |row: &[u8]| {
        let each = queries.iter().map(|query| graph.measure.own(kernel, query, row));
        each.fold(f32::INFINITY, f32::min)
    };
    let begin = |node| touch(&rows.row(node)[..graph.measure.layout.own]);
    sift(offers, (nearest, width), far, begin, |node| Ok(own(rows.row(node))))?;
    Ok(effort::doubtful(nearest, ask.k, by_codes))
}

/// Keeps the nearest of what is offered. Those that may be nearest are compared first, and then those that
/// may be no farther than `far` says after these: the more it takes to fill `width`, the more are first.
fn sift(
    offers: &mut [(f32, u32)],
    (nearest, width): (&mut Kept, usize),
    far: impl Fn(&Kept) -> Option<f32>,
    touch: impl Fn(u32),
    distance: impl Fn(u32) -> Result<f32>,
) -> Result<()> {
    // One that is neither nearer nor farther, as forged signs may say, is compared.
    let too_far =
        |offer: &(f32, u32), nearest: &Kept| far(nearest).is_some_and(|far| offer.0 > far);
    let compare = |some: &[(f32, u32)], nearest: &mut Kept| -> Result<()> {
        some.iter().take(AHEAD).for_each(|offer| touch(offer.1));
        for (at, offer) in some.iter().enumerate() {
            some.get(at + AHEAD).into_iter().for_each(|later| touch(later.1));
            if !too_far(offer, nearest) {
                nearest.offer(distance(offer.1)?, offer.1);
            }
        }
        Ok(())
    };
    let first = width.saturating_mul(FIRST).min(offers.len());
    if first < offers.len() {
        offers.select_nth_unstable_by(first, |a, b| a.0.total_cmp(&b.0));
    }
    let (first, rest) = offers.split_at_mut(first);
    compare(first, nearest)?;
    nearest.settle();
    let mut left = 0;
    for at in 0..rest.len() {
        if !too_far(&rest[at], nearest) {
            rest.swap(left, at);
            left += 1;
        }
    }
    compare(&rest[..left], nearest)?;
    nearest.settle();
    Ok(())
}
