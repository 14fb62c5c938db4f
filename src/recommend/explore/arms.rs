//! Arms: which items are to be explored.

use crate::{
    error::{Error, Result},
    recommend::{Context, Counting, Ranked, source_named},
};

/// Items that one source found, or that have hardly been shown.
#[derive(Clone, Debug)]
pub(super) enum Arms {
    Source { name: String, least: f32 },
    Unshown { kinds: Vec<String>, below: u64 },
}

impl Arms {
    pub(super) fn source(name: &str) -> Arms {
        Arms::Source { name: name.into(), least: f32::NEG_INFINITY }
    }

    pub(super) fn unshown<'k>(kinds: impl IntoIterator<Item = &'k str>, below: u64) -> Arms {
        Arms::Unshown { kinds: kinds.into_iter().map(str::to_owned).collect(), below }
    }

    pub(super) fn least(&mut self, hint: f32) {
        if let Arms::Source { least, .. } = self {
            *least = hint;
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Arms::Source { name, .. } => name.clone(),
            Arms::Unshown { kinds, below } => format!("below {below} of {}", kinds.join(", ")),
        }
    }

    /// Their places in the ranked order, without those that stay where they are: in the order of the
    /// source, or of the ranking.
    pub(super) fn places(
        &self,
        cx: &Context<'_>,
        ranked: &Ranked<'_>,
        stay: &[usize],
    ) -> Result<Vec<usize>> {
        let candidates = ranked.candidates();
        match self {
            Arms::Source { name, least } => {
                if least.is_nan() {
                    return Err(Error::invalid("least hint of Explore", "is not a number"));
                }
                if !candidates.sources().any(|other| other == name) {
                    return Ok(Vec::new());
                }
                let source = source_named(candidates, name)?;
                let find = |place: usize| candidates.find(source, ranked.candidate(place));
                let good = |place: usize| {
                    let (rank, _) = find(place).filter(|(_, hint)| hint >= least)?;
                    Some((rank, place))
                };
                let mut found: Vec<(u32, usize)> = (0..ranked.len()).filter_map(good).collect();
                found.sort_unstable();
                let places = found.into_iter().map(|(_, place)| place);
                Ok(places.filter(|place| !stay.contains(place)).collect())
            }
            Arms::Unshown { kinds, below } => {
                let counting = Counting::new(cx.snapshot, kinds, None)?;
                let (now, counts) = (cx.request.now, counting.counts(cx.snapshot, cx.request.now)?);
                let rare = |place: &usize| {
                    let key = &candidates.keys()[ranked.candidate(*place)];
                    counts.get(key, now) < *below as f64 && !stay.contains(place)
                };
                Ok((0..ranked.len()).filter(rare).collect())
            }
        }
    }
}
