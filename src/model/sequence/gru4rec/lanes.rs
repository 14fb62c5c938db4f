//! Lanes: several sessions side by side, each step one event of each; a lane whose session has
//! ended takes the next one, in time order.

use crate::model::Sequences;

/// Where each lane is.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Sessions with something to predict, by when they began.
    order: Vec<usize>,
    next: usize,
    /// Per lane: session and place in it.
    at: Vec<(usize, usize)>,
}

/// Lanes that took another session, or none: what becomes of their states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// Starts from nothing.
    Fresh(usize),
    /// Is over; the last lane takes its place.
    Gone(usize),
}

impl Lanes {
    pub(super) fn new(sequences: &Sequences, most: usize) -> Lanes {
        let long = |session: &usize| sequences.items(*session).len() > 1;
        let mut order: Vec<usize> = (0..sequences.len()).filter(long).collect();
        order.sort_by_key(|session| (sequences.at(*session)[0], *session));
        let next = most.min(order.len());
        let at = order[..next].iter().map(|session| (*session, 0)).collect();
        Lanes { order, next, at }
    }

    /// How many lanes there are now.
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    /// The item of each lane, and the one after it.
    pub(super) fn read(&self, sequences: &Sequences, items: &mut Vec<u32>, truth: &mut Vec<u32>) {
        items.clear();
        truth.clear();
        for (session, place) in &self.at {
            items.push(sequences.items(*session)[*place]);
            truth.push(sequences.items(*session)[*place + 1]);
        }
    }

    /// Goes on by one event; says what changes, in order.
    pub(super) fn advance(&mut self, sequences: &Sequences) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut lane = 0;
        while lane < self.at.len() {
            let (session, place) = &mut self.at[lane];
            *place += 1;
            if *place + 1 >= sequences.items(*session).len() {
                if let Some(session) = self.order.get(self.next) {
                    self.at[lane] = (*session, 0);
                    self.next += 1;
                    changes.push(Change::Fresh(lane));
                } else {
                    self.at.swap_remove(lane);
                    changes.push(Change::Gone(lane));
                    // The lane that took this place has not been moved yet.
                    continue;
                }
            }
            lane += 1;
        }
        changes
    }
}
