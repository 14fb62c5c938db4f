//! Masks of one step, for the logits of all beams at once.

use crate::{
    error::{Error, Result},
    semantic::{Node, SemanticId, Trie},
};

impl Trie {
    /// The masks of many beams, side by side: `words_per_beam` words for each node, as
    /// [`Trie::mask`] writes them. What a logits processor takes; a node is kept by the caller and goes
    /// down by [`Trie::child`].
    ///
    /// # Errors
    /// `Invalid` if there is not room for exactly one mask for each node, or for a node of another trie.
    ///
    /// ```
    /// use bowerbird::{Result, semantic::*};
    /// fn step(trie: &Trie, beams: &[Node]) -> Result<Vec<u64>> {
    ///     let words = 256 / 64;
    ///     let mut masks = vec![0; beams.len() * words];
    ///     trie.masks(beams, words, &mut masks)?;
    ///     Ok(masks)
    /// }
    /// ```
    pub fn masks(&self, beams: &[Node], words_per_beam: usize, masks: &mut [u64]) -> Result<()> {
        fits(beams.len(), words_per_beam, masks.len())?;
        self.must_own(beams)?;
        if words_per_beam > 0 {
            beams
                .iter()
                .zip(masks.chunks_exact_mut(words_per_beam))
                .for_each(|(node, mask)| self.mask(node, mask));
        }
        Ok(())
    }

    /// The same for prefixes, for a caller that keeps no nodes: each is looked up from the root. A prefix
    /// that nothing is below has no code that may follow: its mask is all zeros.
    ///
    /// # Errors
    /// `Invalid` if there is not room for exactly one mask for each prefix.
    ///
    /// ```
    /// use bowerbird::{Result, SemanticId, semantic::Trie};
    /// fn step(trie: &Trie, beams: &[SemanticId], masks: &mut [u64]) -> Result<()> {
    ///     trie.masks_below(beams, 256 / 64, masks)
    /// }
    /// ```
    pub fn masks_below(
        &self,
        prefixes: &[SemanticId],
        words_per_beam: usize,
        masks: &mut [u64],
    ) -> Result<()> {
        fits(prefixes.len(), words_per_beam, masks.len())?;
        for (prefix, mask) in prefixes.iter().zip(masks.chunks_exact_mut(words_per_beam.max(1))) {
            match self.find(prefix) {
                Some(node) => self.mask(&node, mask),
                None => mask.fill(0),
            }
        }
        Ok(())
    }

    /// Sets the logits of every code that a beam must not take to minus infinity; `width` logits for
    /// each node.
    ///
    /// # Errors
    /// `Invalid` if there are not exactly `width` logits for each node, or for a node of another trie.
    ///
    /// ```
    /// use bowerbird::{Result, semantic::*};
    /// fn step(trie: &Trie, beams: &[Node], logits: &mut [f32]) -> Result<()> {
    ///     trie.constrain(beams, 256, logits)
    /// }
    /// ```
    pub fn constrain(&self, beams: &[Node], width: usize, logits: &mut [f32]) -> Result<()> {
        fits(beams.len(), width, logits.len())?;
        self.must_own(beams)?;
        let mut mask = vec![0u64; width.div_ceil(64)];
        for (node, logits) in beams.iter().zip(logits.chunks_exact_mut(width.max(1))) {
            self.mask(node, &mut mask);
            for (word, logits) in mask.iter().zip(logits.chunks_mut(64)) {
                for (bit, logit) in logits.iter_mut().enumerate() {
                    // Both sides are computed, so that no branch is guessed.
                    *logit = if word >> bit & 1 == 1 { *logit } else { f32::NEG_INFINITY };
                }
            }
        }
        Ok(())
    }

    fn must_own(&self, beams: &[Node]) -> Result<()> {
        match beams.iter().position(|node| !self.owns(node)) {
            None => Ok(()),
            Some(at) => {
                let why = "is of another trie. Look its prefix up in this one by `find`, or use \
                           `masks_below`";
                Err(Error::invalid(format!("node {at} of the beams"), why))
            }
        }
    }
}

fn fits(beams: usize, each: usize, room: usize) -> Result<()> {
    match beams.checked_mul(each) == Some(room) {
        true => Ok(()),
        false => {
            let why = format!("has {room} places for {beams} beams of {each}");
            Err(Error::invalid("buffer for masks", why))
        }
    }
}
