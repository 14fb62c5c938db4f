//! Points: what is quantized, as rows that lie end to end.

use crate::{
    error::{Error, Result},
    filter::Where,
    key::Key,
    model::train::dice::Dice,
    progress::Progress,
    semantic::{Codebook, Input, Level},
    store::Snapshot,
};
use std::borrow::Borrow;

/// Rows of `dim` numbers.
#[derive(Clone, Debug)]
pub(crate) struct Points {
    pub(crate) dim: usize,
    pub(crate) rows: Vec<f32>,
}

impl Points {
    pub(crate) fn len(&self) -> usize {
        self.rows.len() / self.dim.max(1)
    }

    pub(crate) fn row(&self, at: usize) -> &[f32] {
        &self.rows[at * self.dim..][..self.dim]
    }

    /// At most so many of them, as [`drawn`] draws them.
    pub(crate) fn sample(self, most: usize, seed: u64) -> Points {
        if self.len() <= most {
            return self;
        }
        let rows = drawn(self.len(), most, seed).flat_map(|at| self.row(at).to_vec()).collect();
        Points { dim: self.dim, rows }
    }
}

/// At most `most` places of so many, ascending, drawn without repeats.
pub(crate) fn drawn(all: usize, most: usize, seed: u64) -> impl Iterator<Item = usize> {
    let mut order: Vec<usize> = (0..all).collect();
    if all > most {
        Dice::new(seed, 0).shuffle(&mut order);
        order.truncate(most);
        order.sort_unstable();
    }
    order.into_iter()
}

/// The vectors of one item, one for each input.
pub(crate) type Given = Vec<Option<Vec<f32>>>;

/// The vectors of all items in some spaces, in order of keys; items with none are left out.
pub(crate) fn read(
    snapshot: &Snapshot,
    spaces: &[&str],
    progress: &mut Progress<'_>,
) -> Result<Vec<(Key, Given)>> {
    read_some(snapshot, spaces, (usize::MAX, 0), progress)
}

/// The same of at most `most` of them, as [`drawn`] draws them by a seed. The others' vectors are not
/// read, so what is held is no more than what was asked for.
pub(crate) fn read_some(
    snapshot: &Snapshot,
    spaces: &[&str],
    (most, seed): (usize, u64),
    progress: &mut Progress<'_>,
) -> Result<Vec<(Key, Given)>> {
    // How much there is to learn is not known yet; what was done before is done.
    progress.begin(0)?;
    let mut with = Vec::new();
    for key in snapshot.keys(&Where::all(), usize::MAX)? {
        progress.poll()?;
        let Some(addr) = snapshot.find(&key)? else { continue };
        let mut has = false;
        for space in spaces {
            has |= snapshot.has_vector(addr, space)?;
        }
        if has {
            with.push((key, addr));
        }
    }
    let mut all = Vec::with_capacity(with.len().min(most));
    for at in drawn(with.len(), most, seed) {
        progress.poll()?;
        let (key, addr) = &with[at];
        let mut given: Given = Vec::with_capacity(spaces.len());
        for space in spaces {
            let mut vector = Vec::new();
            given.push(snapshot.vector(*addr, space, &mut vector)?.then_some(vector));
        }
        all.push((key.clone(), given));
    }
    Ok(all)
}

/// Inputs centred on the items, scaled to length one.
pub(crate) fn centred(
    inputs: &[(String, f32)],
    dims: &[usize],
    items: &[impl Borrow<Given>],
) -> Result<Vec<Input>> {
    let mut centred = Vec::with_capacity(inputs.len());
    for (at, ((space, weight), dim)) in inputs.iter().zip(dims).enumerate() {
        let plain = Input::new(space, *dim as u32);
        let (mut sums, mut count, mut room) = (vec![0f64; *dim], 0u64, Vec::new());
        for given in items {
            let given: &Given = given.borrow();
            let Some(vector) = &given[at] else { continue };
            if vector.len() != *dim || !vector.iter().all(|x| x.is_finite()) {
                let why = format!("has a vector that is not {dim} finite numbers");
                return Err(Error::invalid(format!("input {space:?}"), why));
            }
            room.clear();
            plain.push(Some(vector), &mut room);
            sums.iter_mut().zip(&room).for_each(|(sum, x)| *sum += f64::from(*x));
            count += 1;
        }
        let mean = sums.iter().map(|sum| (sum / count.max(1) as f64) as f32).collect();
        let input = Input { weight: *weight, mean, ..plain };
        input.check()?;
        centred.push(input);
    }
    Ok(centred)
}

/// What the first level of a codebook over these inputs quantizes.
pub(crate) fn prepared(inputs: &[Input], items: &[impl Borrow<Given>]) -> Result<Points> {
    let dim: usize = inputs.iter().map(|input| input.dim as usize).sum();
    // Any level of the right width: only the reading is asked of it.
    let reader = Codebook::new(inputs.to_vec(), vec![Level::new(dim, vec![0.0; dim])])?;
    let mut rows = Vec::with_capacity(items.len() * dim);
    for given in items {
        let given: &Given = given.borrow();
        let vectors: Vec<Option<&[f32]>> = given.iter().map(|v| v.as_deref()).collect();
        rows.extend(reader.read(&vectors)?);
    }
    Ok(Points { dim, rows })
}
