//! Input: items and histories as the towers read them.

use super::shape::{Input, Shape};
use crate::{
    error::{Error, Result},
    item::Item,
    key::Addr,
    store::Snapshot,
};

impl Shape {
    /// The vectors of an item, each of length 1; a part is missing if it is there as zeros only.
    pub(super) fn of_vectors(&self, vectors: &[(String, Vec<f32>)]) -> Result<Input> {
        let mut input = Input { numbers: Vec::with_capacity(self.input()), there: Vec::new() };
        for (space, dim) in &self.parts {
            let found = vectors.iter().find(|(name, _)| name == space).map(|found| &found.1);
            if let Some(vector) = found
                && (vector.len() != *dim as usize || !vector.iter().all(|x| x.is_finite()))
            {
                let why = format!("must have {dim} finite numbers, and has {}", vector.len());
                return Err(Error::invalid(format!("vector in space {space:?}"), why));
            }
            let length = found.map_or(0.0, |vector| length(vector));
            input.there.push(length > 0.0);
            match found.filter(|_| length > 0.0) {
                Some(vector) => {
                    input.numbers.extend(vector.iter().map(|x| (f64::from(*x) / length) as f32));
                }
                None => input.numbers.resize(input.numbers.len() + *dim as usize, 0.0),
            }
        }
        Ok(input)
    }

    pub(super) fn of_known_item(&self, item: &Item) -> Result<Input> {
        self.of_vectors(&item.vectors)
    }

    /// The same, of an item of a snapshot.
    pub(super) fn at(&self, snapshot: &Snapshot, addr: Addr) -> Result<Input> {
        let mut vectors = Vec::new();
        for (space, _) in &self.parts {
            let mut vector = Vec::new();
            if snapshot.vector(addr, space, &mut vector)? {
                vectors.push((space.clone(), vector));
            }
        }
        self.of_vectors(&vectors)
    }

    /// A user by past items, oldest first: of each part the mean over those that have it, each
    /// counting `decay` of the one after it; zeros where none has it.
    pub(super) fn of_history<'i>(
        &self,
        history: impl DoubleEndedIterator<Item = &'i Input>,
        decay: f32,
    ) -> Vec<f32> {
        let (mut mean, mut totals) = (vec![0f32; self.input()], vec![0f32; self.parts.len()]);
        let mut weight = 1f32;
        for input in history.rev() {
            for ((range, there), total) in self.ranges().zip(&input.there).zip(&mut totals) {
                if *there {
                    *total += weight;
                    let parts = mean[range.clone()].iter_mut().zip(&input.numbers[range]);
                    parts.for_each(|(mean, x)| *mean += weight * x);
                }
            }
            weight *= decay;
        }
        for (range, total) in self.ranges().zip(&totals) {
            let by = if *total > 0.0 { 1.0 / total } else { 0.0 };
            mean[range].iter_mut().for_each(|x| *x *= by);
        }
        mean
    }
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}
