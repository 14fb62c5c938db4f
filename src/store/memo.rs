//! What was computed from a part and can be computed again: kept while the part lives, up to a number.

use parking_lot::Mutex;
use std::{any::Any, sync::Arc};

/// Results by recipe, the most recently used last.
#[derive(Default)]
pub(crate) struct Memo {
    kept: Mutex<Vec<(String, Arc<dyn Any + Send + Sync>)>>,
}

/// More recipes than one recommender uses; fewer than a loop over settings would fill memory with.
const KEPT_MAX: usize = 16;

impl Memo {
    /// What was kept under a recipe, or what `compute` says, which is then kept.
    ///
    /// Two threads may compute the same thing at once; they get the same answer.
    pub(crate) fn get<T: Send + Sync + 'static, E>(
        &self,
        recipe: &str,
        compute: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        if let Some(found) = self.find(recipe) {
            return Ok(found);
        }
        let made = Arc::new(compute()?);
        let mut kept = self.kept.lock();
        kept.retain(|(name, _)| name != recipe);
        if kept.len() == KEPT_MAX {
            kept.remove(0);
        }
        kept.push((recipe.to_owned(), made.clone()));
        Ok(made)
    }

    /// The recipes under which something is kept.
    pub(crate) fn recipes(&self) -> Vec<String> {
        self.kept.lock().iter().map(|(recipe, _)| recipe.clone()).collect()
    }

    /// What was kept under a recipe.
    pub(crate) fn find<T: Send + Sync + 'static>(&self, recipe: &str) -> Option<Arc<T>> {
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|(name, _)| name == recipe)?;
        let entry = kept.remove(at);
        let found = entry.1.clone();
        kept.push(entry);
        found.downcast().ok()
    }
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memo({} kept)", self.kept.lock().len())
    }
}
