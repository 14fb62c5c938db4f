//! The nearest nodes so far.

use std::ops::Deref;

/// Up to so many, each node is put where it belongs at once.
const AT_ONCE: usize = 2048;

/// The nearest few of what was offered, nearest first; the first of equals.
///
/// Putting a node where it belongs moves all that are farther, which is next to nothing for some hundreds
/// and most of the time for a hundred thousand. So of many, what came late waits beside them until it is
/// worth moving all once. Until then the last that is kept is said to be farther than it is, and a walk goes
/// a little farther than it would.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    kept: Vec<(f32, u32)>,
    late: Vec<(f32, u32)>,
    width: usize,
}

impl Kept {
    /// Forgets all, and keeps that many from now on.
    pub(super) fn begin(&mut self, width: usize) {
        self.kept.clear();
        self.late.clear();
        self.width = width;
    }

    #[inline]
    pub(super) fn offer(&mut self, distance: f32, node: u32) {
        if self.kept.len() >= self.width && self.kept.last().is_none_or(|last| last.0 <= distance) {
            return;
        }
        if self.kept.len() >= AT_ONCE {
            self.late.push((distance, node));
            if self.late.len() >= AT_ONCE.max(self.kept.len() / 8) {
                self.settle();
            }
            return;
        }
        if self.kept.len() == self.width {
            self.kept.pop();
        }
        let at = self.kept.partition_point(|other| other.0 <= distance);
        self.kept.insert(at, (distance, node));
    }

    /// Puts all where they belong.
    pub(super) fn settle(&mut self) {
        if self.late.is_empty() {
            return;
        }
        // Not by node: of equals, the one that came first.
        self.kept.append(&mut self.late);
        self.kept.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.kept.truncate(self.width);
    }
}

impl Deref for Kept {
    type Target = [(f32, u32)];
    fn deref(&self) -> &[(f32, u32)] {
        &self.kept
    }
}
