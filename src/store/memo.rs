//! What was computed from a part and can be computed again: kept while the part lives, up to a number,
//! and as far as the memory limit has room for it.

use crate::store::{held::Held, weight::Weight};
use parking_lot::Mutex;
use std::{
    any::Any,
    sync::{Arc, OnceLock},
};

/// Results by recipe, the most recently used last.
#[derive(Default)]
pub(crate) struct Memo {
    kept: Mutex<Vec<Kept>>,
    /// Who counts the bytes; nobody until the part is one of a version.
    held: OnceLock<Arc<Held>>,
}

struct Kept {
    recipe: String,
    what: Arc<dyn Any + Send + Sync>,
    /// 0 for what is small.
    bytes: u64,
}

impl Kept {
    /// Whether nobody uses it: what somebody does would free nothing.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.what) == 1
    }

    /// Whether it would make room.
    fn is_to_go(&self) -> bool {
        self.bytes > 0 && self.is_idle()
    }
}

/// More recipes than one recommender uses; fewer than a loop over settings would fill memory with.
const KEPT_MAX: usize = 16;

impl Memo {
    /// What was kept under a recipe, or what `compute` says, which is then kept while the memory limit
    /// has room for it, and else made anew each time.
    ///
    /// Two threads may compute the same thing at once; they get the same answer.
    pub(crate) fn get<T: Weight + Send + Sync + 'static, E>(
        &self,
        recipe: &str,
        compute: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        self.get_weighed(recipe, T::weight, compute)
    }

    /// The same for what `weigh` says the bytes of; what has none is always kept.
    pub(crate) fn get_weighed<T: Send + Sync + 'static, E>(
        &self,
        recipe: &str,
        weigh: impl FnOnce(&T) -> u64,
        compute: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        if let Some(found) = self.find(recipe) {
            return Ok(found);
        }
        let made = Arc::new(compute()?);
        let bytes = weigh(&made);
        self.keep(Kept { recipe: recipe.to_owned(), what: made.clone(), bytes });
        Ok(made)
    }

    fn keep(&self, new: Kept) {
        let mut kept = self.kept.lock();
        if kept.iter().any(|old| old.recipe == new.recipe) {
            return;
        }
        if kept.len() >= KEPT_MAX {
            let Some(oldest) = kept.iter().position(Kept::is_idle) else { return };
            self.drop_at(&mut kept, oldest);
        }
        if self.has_room(&mut kept, new.bytes) {
            kept.push(new);
        }
    }

    /// Takes room, if need be that of what was used longest ago.
    fn has_room(&self, kept: &mut Vec<Kept>, bytes: u64) -> bool {
        let Some(held) = self.held.get().filter(|_| bytes > 0) else { return true };
        while !held.take(bytes) {
            let Some(oldest) = kept.iter().position(Kept::is_to_go) else { return false };
            self.drop_at(kept, oldest);
        }
        true
    }

    fn drop_at(&self, kept: &mut Vec<Kept>, at: usize) {
        let gone = kept.remove(at);
        if let Some(held) = self.held.get() {
            held.give(gone.bytes);
        }
    }

    /// Has bytes counted from now on, also those of what is kept already.
    pub(crate) fn count_in(self: &Arc<Memo>, held: &Arc<Held>) {
        if self.held.get().is_some() {
            return;
        }
        {
            let mut kept = self.kept.lock();
            if self.held.set(held.clone()).is_err() {
                return;
            }
            kept.retain(|old| held.take(old.bytes));
        }
        held.watch(self);
    }

    /// Forgets what has a weight and is not in use.
    pub(crate) fn forget(&self) {
        let mut kept = self.kept.lock();
        while let Some(at) = kept.iter().position(Kept::is_to_go) {
            self.drop_at(&mut kept, at);
        }
    }

    /// The recipes under which something is kept.
    pub(crate) fn recipes(&self) -> Vec<String> {
        self.kept.lock().iter().map(|old| old.recipe.clone()).collect()
    }

    /// What was kept under a recipe.
    pub(crate) fn find<T: Send + Sync + 'static>(&self, recipe: &str) -> Option<Arc<T>> {
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|old| old.recipe == recipe)?;
        let entry = kept.remove(at);
        let found = entry.what.clone();
        kept.push(entry);
        found.downcast().ok()
    }
}

impl Drop for Memo {
    fn drop(&mut self) {
        let mut kept = std::mem::take(self.kept.get_mut());
        while !kept.is_empty() {
            self.drop_at(&mut kept, 0);
        }
    }
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memo({} kept)", self.kept.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(memo: &Memo, recipe: &str, bytes: u64) -> u64 {
        *memo.get_weighed(recipe, |_| bytes, || Ok::<u64, ()>(bytes)).unwrap()
    }

    fn has(memo: &Memo, recipe: &str) -> bool {
        memo.recipes().iter().any(|kept| kept == recipe)
    }

    /// Goal: bytes are counted from the first version on and until they are gone, whatever takes them
    /// away; over the limit the ones used last stay, and what is too large is only answered.
    #[test]
    fn what_is_kept_is_counted_and_stays_below_the_limit() {
        let held = Arc::new(Held::new(100));
        let (one, other) = (Arc::new(Memo::default()), Arc::new(Memo::default()));
        get(&one, "a", 30);
        get(&one, "small", 0);
        assert_eq!(held.kept(), 0);
        one.count_in(&held);
        other.count_in(&held);
        one.count_in(&held);
        assert_eq!(held.kept(), 30);
        get(&one, "b", 40);
        get(&one, "a", 30);
        assert_eq!(held.kept(), 70);
        assert_eq!(get(&one, "c", 50), 50);
        assert!(has(&one, "a") && !has(&one, "b") && has(&one, "c") && has(&one, "small"));
        assert_eq!((held.kept(), get(&other, "large", 40)), (80, 40));
        assert!(!has(&other, "large"), "others keep what they use");
        get(&other, "fits", 20);
        assert_eq!(held.kept(), 100);
        held.must_hold(5);
        assert!(held.kept() == 0 && one.recipes() == ["small"], "it made room");
        get(&other, "too large", 96);
        get(&other, "next", 95);
        assert_eq!((held.kept(), other.recipes()), (95, vec!["next".to_owned()]));
        drop(other);
        assert_eq!(held.kept(), 0);
        let late = Arc::new(Memo::default());
        get(&late, "too large", 96);
        late.count_in(&held);
        assert!(held.kept() == 0 && late.recipes().is_empty());
    }

    #[test]
    fn old_recipes_make_room_for_new_ones() {
        let (memo, held) = (Arc::new(Memo::default()), Arc::new(Held::new(1000)));
        memo.count_in(&held);
        (0..40u64).for_each(|at| assert_eq!(get(&memo, &at.to_string(), 1), 1));
        assert_eq!((memo.recipes().len(), held.kept()), (KEPT_MAX, KEPT_MAX as u64));
    }
}
