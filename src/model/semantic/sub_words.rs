//! SubWords: pieces of semantic IDs, learned by byte-pair encoding.

use super::features::{check_widths, symbols};
use crate::{
    artifact::{Artifact, Opened, Saved, shelf},
    error::{Error, Result},
    limits::LEVELS_MAX,
    progress::Progress,
    semantic::SemanticId,
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

/// Most sub-words: a table of embeddings with more is no table.
const SIZE_MAX: usize = 1 << 26;

type Pair = (u32, u32);

/// Semantic IDs as few sub-words: codes that often come side by side are one word, rare ones stay
/// apart. So a popular kind has rows of its own in a ranker's table, and a rare one shares those of its
/// codes (Singh et al., RecSys 2024, learn them with SentencePiece; this is byte-pair encoding, Sennrich
/// et al. 2016, over codes that know their level).
///
/// The first words are the codes of all levels, level by level; then each word is two that were there.
/// The same IDs, in any order, give the same words. An artifact: publish it with the codebook among the
/// parents of its provenance, so that it can be active only while that is.
///
/// ```
/// use bowerbird::{Progress, SemanticId, model::semantic::SubWords};
/// # fn main() -> bowerbird::Result<()> {
/// let id = |codes: &[u16]| SemanticId::new(codes);
/// let items = [(id(&[1, 2, 0])?, 9), (id(&[1, 2, 3])?, 8), (id(&[0, 2, 3])?, 1)];
/// let words = SubWords::learn(&[4, 4, 4], items, 13, &mut Progress::silent())?;
/// assert_eq!(words.encode(&id(&[1, 2, 0])?)?, [12, 8]);
/// assert_eq!(words.encode(&id(&[0, 2, 3])?)?, [0, 6, 11]);
/// assert_eq!(words.codes(12), Some((0, vec![1, 2])));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SubWords {
    widths: Vec<usize>,
    /// Which two words each further word is, in the order in which they were learned.
    merges: Vec<Pair>,
    ranks: HashMap<Pair, u32>,
    /// Of every word the first level and the one after its last.
    spans: Vec<(u8, u8)>,
}

/// One ID while words are learned.
struct Word {
    pieces: Vec<u32>,
    weight: u64,
}

/// A pair of words: how often, and in which IDs it was once seen.
#[derive(Default)]
struct Seen {
    count: u128,
    places: Vec<u32>,
}

impl SubWords {
    /// Learns words from IDs, each with how much it counts: 1, its items, or how often it was shown.
    /// There are `size` words in the end, the codes of all levels among them; fewer if no two are left
    /// that are side by side in more than one ID or count more than 1.
    ///
    /// # Errors
    /// `Invalid` for widths that no codebook has, an ID that such a codebook does not say, or a size that
    /// is less than the codes or more than 67,108,864; `Cancelled`.
    pub fn learn(
        widths: &[usize],
        ids: impl IntoIterator<Item = (SemanticId, u64)>,
        size: usize,
        progress: &mut Progress<'_>,
    ) -> Result<SubWords> {
        check_widths(widths)?;
        let base: usize = widths.iter().sum();
        if !(base..=SIZE_MAX).contains(&size) {
            let why = format!("is {size}; {base} codes to {SIZE_MAX}");
            return Err(Error::invalid("number of sub-words", why));
        }
        let mut words = Vec::new();
        for (id, weight) in ids {
            words.push(Word { pieces: symbols(widths, &id)?, weight });
        }
        if u32::try_from(words.len()).is_err() {
            return Err(Error::invalid("semantic IDs", "are more than u32 counts"));
        }
        let mut made = SubWords::plain(widths);
        progress.begin((size - base) as u64)?;
        let mut seen = first_seen(&words);
        let mut heap: BinaryHeap<(u128, Reverse<Pair>)> =
            seen.iter().map(|(pair, seen)| (seen.count, Reverse(*pair))).collect();
        while made.len() < size {
            let Some((count, Reverse(pair))) = heap.pop() else { break };
            let now = seen.get(&pair).map_or(0, |seen| seen.count);
            if now != count {
                // It has become rarer since: it goes back to where it belongs.
                heap.push((now, Reverse(pair)));
                continue;
            }
            if count < 2 {
                break;
            }
            let new = made.len() as u32;
            made.add(pair);
            let places = seen.remove(&pair).map(|seen| seen.places).unwrap_or_default();
            let mut changed = Vec::new();
            for place in places {
                merge(&mut words[place as usize], place, (pair, new), &mut seen, &mut changed);
            }
            changed.sort_unstable();
            changed.dedup();
            let entry = |pair: Pair| Some((seen.get(&pair)?.count, Reverse(pair)));
            heap.extend(changed.into_iter().filter_map(entry));
            progress.advance(1)?;
        }
        Ok(made)
    }

    /// The codes alone.
    fn plain(widths: &[usize]) -> SubWords {
        let spans = (0u8..)
            .zip(widths)
            .flat_map(|(level, width)| std::iter::repeat_n((level, level + 1), *width));
        let spans = spans.collect();
        SubWords { widths: widths.to_vec(), merges: Vec::new(), ranks: HashMap::new(), spans }
    }

    fn add(&mut self, pair: Pair) {
        let span = |word: u32| self.spans[word as usize];
        let both = (span(pair.0).0, span(pair.1).1);
        self.ranks.insert(pair, self.spans.len() as u32);
        self.merges.push(pair);
        self.spans.push(both);
    }

    /// How many words there are: rows of a table.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// There are always words: the codes.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The widths of the codebook whose IDs it takes.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// The words of an ID, coarse to fine: between one and as many as it has codes.
    ///
    /// # Errors
    /// `Invalid` for an ID that such a codebook does not say.
    pub fn encode(&self, id: &SemanticId) -> Result<Vec<u32>> {
        let mut words = symbols(&self.widths, id)?;
        let rank = |(at, pair): (usize, &[u32])| Some((*self.ranks.get(&(pair[0], pair[1]))?, at));
        while let Some((word, at)) = words.windows(2).enumerate().filter_map(rank).min() {
            words[at] = word;
            words.remove(at + 1);
        }
        Ok(words)
    }

    /// What a word says: its first level, and its codes from there on; `None` if there is no such word.
    pub fn codes(&self, word: u32) -> Option<(usize, Vec<u16>)> {
        let (first, _) = *self.spans.get(word as usize)?;
        let (mut waiting, mut codes) = (vec![word as usize], Vec::with_capacity(LEVELS_MAX));
        while let Some(word) = waiting.pop() {
            match word.checked_sub(self.len() - self.merges.len()) {
                Some(at) => {
                    let (left, right) = self.merges[at];
                    waiting.extend([right as usize, left as usize]);
                }
                None => {
                    let level = usize::from(self.spans[word].0);
                    codes.push((word - self.widths[..level].iter().sum::<usize>()) as u16);
                }
            }
        }
        Some((first.into(), codes))
    }
}

fn first_seen(words: &[Word]) -> HashMap<Pair, Seen> {
    let mut all: HashMap<Pair, Seen> = HashMap::new();
    for (place, word) in (0u32..).zip(words) {
        for pair in word.pieces.windows(2) {
            let seen = all.entry((pair[0], pair[1])).or_default();
            seen.count += u128::from(word.weight);
            seen.places.push(place);
        }
    }
    all
}

/// Makes two pieces of an ID one, and counts its pairs anew. A piece knows its levels, so a pair is in
/// an ID once at most.
fn merge(
    word: &mut Word,
    place: u32,
    (pair, new): (Pair, u32),
    all: &mut HashMap<Pair, Seen>,
    changed: &mut Vec<Pair>,
) {
    let Some(at) = word.pieces.windows(2).position(|two| (two[0], two[1]) == pair) else { return };
    let weight = u128::from(word.weight);
    let before = at.checked_sub(1).map(|at| word.pieces[at]);
    let after = word.pieces.get(at + 2).copied();
    let gone = [before.map(|left| (left, pair.0)), after.map(|right| (pair.1, right))];
    for pair in gone.into_iter().flatten() {
        if let Some(seen) = all.get_mut(&pair) {
            seen.count -= weight;
        }
    }
    let come = [before.map(|left| (left, new)), after.map(|right| (new, right))];
    for pair in come.into_iter().flatten() {
        let seen = all.entry(pair).or_default();
        seen.count += weight;
        seen.places.push(place);
        changed.push(pair);
    }
    word.pieces[at] = new;
    word.pieces.remove(at + 1);
}

const WIDTHS: u16 = 0;
const MERGES: u16 = 1;

impl Artifact for SubWords {
    const KIND: &'static str = "sub-words";
    const FORMAT: u16 = 1;

    fn save(&self, out: &mut Saved) -> Result<()> {
        shelf::put(out, WIDTHS, &self.widths)?;
        let flat: Vec<u32> = self.merges.iter().flat_map(|(a, b)| [*a, *b]).collect();
        shelf::put_u32(out, MERGES, &flat)
    }

    fn open(from: &Opened) -> Result<SubWords> {
        let widths: Vec<usize> = shelf::take(from, WIDTHS)?;
        check_widths(&widths).map_err(|error| from.damage(&error.to_string()))?;
        let count = shelf::count(from, MERGES)?;
        let flat = shelf::take_u32(from, MERGES, count, SIZE_MAX as u32)?;
        let mut words = SubWords::plain(&widths);
        let (pairs, rest) = flat.as_chunks::<2>();
        for [left, right] in pairs {
            let span = |word: &u32| words.spans.get(*word as usize);
            let side_by_side = span(left).zip(span(right)).is_some_and(|(a, b)| a.1 == b.0);
            if !side_by_side || words.ranks.contains_key(&(*left, *right)) {
                return Err(from.damage("a sub-word of two that are not side by side, or twice"));
            }
            words.add((*left, *right));
        }
        match rest.is_empty() && words.len() <= SIZE_MAX {
            true => Ok(words),
            false => Err(from.damage("number of sub-words")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Db, Provenance, Schema};
    use proptest::prelude::*;

    fn id(codes: &[u16]) -> SemanticId {
        SemanticId::new(codes).unwrap()
    }

    fn learn(ids: &[(SemanticId, u64)], size: usize) -> SubWords {
        SubWords::learn(&[4; 4], ids.iter().copied(), size, &mut Progress::silent()).unwrap()
    }

    /// As in a textbook: count all pairs anew for each word, and take the most frequent.
    fn plainly(ids: &[(SemanticId, u64)], size: usize) -> Vec<Pair> {
        let mut words: Vec<(Vec<u32>, u64)> =
            ids.iter().map(|(id, n)| (symbols(&[4; 4], id).unwrap(), *n)).collect();
        let mut merges = Vec::new();
        while 16 + merges.len() < size {
            let mut counts: std::collections::BTreeMap<Pair, u64> = Default::default();
            for (word, n) in &words {
                word.windows(2).for_each(|two| *counts.entry((two[0], two[1])).or_default() += n);
            }
            let best = counts.into_iter().max_by_key(|(pair, n)| (*n, Reverse(*pair)));
            let Some((pair, _)) = best.filter(|(_, n)| *n >= 2) else { break };
            for (word, _) in &mut words {
                if let Some(at) = word.windows(2).position(|two| (two[0], two[1]) == pair) {
                    word[at] = 16 + merges.len() as u32;
                    word.remove(at + 1);
                }
            }
            merges.push(pair);
        }
        merges
    }

    proptest! {
        /// Goal: the words are those of byte-pair encoding by its definition, in any order of IDs, and
        /// the words of an ID say its codes.
        #[test]
        fn words_are_those_of_the_plain_method(
            ids in prop::collection::vec((prop::collection::vec(0u16..4, 4), 0u64..6), 0..40),
            size in 16usize..60,
        ) {
            let mut ids: Vec<_> = ids.into_iter().map(|(codes, n)| (id(&codes), n)).collect();
            let words = learn(&ids, size);
            prop_assert_eq!(&words.merges, &plainly(&ids, size));
            for (id, _) in &ids {
                let mut codes = Vec::new();
                for word in words.encode(id).unwrap() {
                    let (level, some) = words.codes(word).unwrap();
                    prop_assert_eq!(level, codes.len());
                    codes.extend(some);
                }
                prop_assert_eq!(&codes[..], id.codes());
            }
            ids.reverse();
            prop_assert_eq!(&words, &learn(&ids, size));
        }
    }

    #[test]
    fn frequent_kinds_are_one_word_and_rare_ones_many() {
        let mut ids = vec![(id(&[1, 2, 3, 0]), 100)];
        ids.extend((0..4).map(|n| (id(&[n, 3 - n, n, 1]), 1)));
        let words = learn(&ids, 19);
        assert_eq!(words.encode(&ids[0].0).unwrap(), [18]);
        assert_eq!(words.codes(18), Some((0, vec![1, 2, 3, 0])));
        assert_eq!(words.encode(&id(&[3, 0, 3, 1])).unwrap().len(), 4);
        assert_eq!(words.codes(19), None);
        for wrong in [&[0, 0, 0][..], &[0, 0, 0, 4], &[0; 5]] {
            assert!(words.encode(&id(wrong)).is_err());
        }
    }

    #[test]
    fn words_come_back_from_a_database_and_wrong_sizes_are_refused() {
        let db = Db::in_memory(Schema::new()).unwrap();
        let words = learn(&[(id(&[1, 2, 3, 0]), 2), (id(&[1, 2, 0, 0]), 5)], 40);
        assert!(words.len() > 18 && !words.is_empty());
        let version = db.publish("words", &words, Provenance::default()).unwrap();
        let back: SubWords = db.snapshot().artifact_version("words", version).unwrap();
        assert_eq!(back, words);
        let mut progress = Progress::silent();
        let mut learn = |widths: &[usize], ids: &[(SemanticId, u64)], size| {
            SubWords::learn(widths, ids.iter().copied(), size, &mut progress)
        };
        assert!(learn(&[4, 4], &[], 7).is_err() && learn(&[4, 4], &[], usize::MAX).is_err());
        assert!(learn(&[], &[], 7).is_err() && learn(&[4, 4], &[(id(&[0]), 1)], 9).is_err());
        assert_eq!(learn(&[4, 4], &[], 9).unwrap().len(), 8);
        let weight = u64::MAX;
        assert_eq!(learn(&[4, 4], &[(id(&[0, 0]), weight); 3], 9).unwrap().len(), 9);
        let cancelled =
            SubWords::learn(&[4, 4], [(id(&[0, 0]), 5)], 9, &mut Progress::to(|done, _| done < 1));
        assert!(matches!(cancelled, Err(Error::Cancelled)));
    }

    /// Sections as somebody else wrote them, under right checksums.
    struct Forged(Vec<usize>, Vec<u32>);

    impl Artifact for Forged {
        const KIND: &'static str = SubWords::KIND;
        const FORMAT: u16 = SubWords::FORMAT;
        fn save(&self, out: &mut Saved) -> Result<()> {
            shelf::put(out, WIDTHS, &self.0)?;
            shelf::put_u32(out, MERGES, &self.1)
        }
        fn open(_: &Opened) -> Result<Forged> {
            Ok(Forged(vec![], vec![]))
        }
    }

    #[test]
    fn forged_words_are_refused() {
        let db = Db::in_memory(Schema::new()).unwrap();
        let open = |widths: &[usize], merges: &[u32]| {
            let forged = Forged(widths.to_vec(), merges.to_vec());
            let version = db.publish("words", &forged, Provenance::default()).unwrap();
            db.snapshot().artifact_version::<SubWords>("words", version)
        };
        assert_eq!(open(&[2, 2, 2], &[0, 2, 6, 4]).unwrap().codes(7), Some((0, vec![0, 0, 0])));
        // No levels, too wide, half a pair, not side by side, itself, later ones, twice, too large.
        let wrong: [(&[usize], &[u32]); 9] = [
            (&[], &[]),
            (&[usize::MAX], &[]),
            (&[2, 2, 2], &[0]),
            (&[2, 2, 2], &[0, 4]),
            (&[2, 2, 2], &[2, 0]),
            (&[2, 2, 2], &[0, 6]),
            (&[2, 2, 2], &[7, 4, 0, 2]),
            (&[2, 2, 2], &[0, 2, 0, 2]),
            (&[2, 2, 2], &[0, u32::MAX]),
        ];
        for (widths, merges) in wrong {
            let opened = open(widths, merges);
            assert!(matches!(opened, Err(Error::Corrupt(_))), "{widths:?} {merges:?}");
        }
    }
}
