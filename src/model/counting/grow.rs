//! Grow: a model of what was before, and one of what came since, become one.

use crate::{
    error::{Error, Result},
    model::{Model, Vocabulary, method::Method},
};
use std::sync::Arc;

/// Two models of one method and the same options, the earlier first, each with what the codes of
/// its items are in the vocabulary of both. Those ascend as the old ones did.
pub(crate) type Parts<'a, M> = [(&'a M, &'a [u32]); 2];

/// The model that `join` makes of one that was there, and one that was trained on what came since;
/// `join` is also told how many items there are now.
pub(crate) fn grown<M: Method>(
    before: &Model,
    since: Model,
    join: impl FnOnce(Parts<'_, M>, usize) -> Result<M>,
) -> Result<Model> {
    let (old, new) = (before.card(), since.card());
    if (&old.method, &old.options) != (&new.method, &new.options) {
        let why = format!(
            "was trained as {} with {:?}, not as {} with {:?}; only the same method with the same \
             options can grow it",
            old.method, old.options, new.method, new.options
        );
        return Err(Error::invalid("model to grow", why));
    }
    if !new.kinds.is_empty() && new.kinds != old.kinds {
        let why = format!("is of {:?}, but what came since is of {:?}", old.kinds, new.kinds);
        return Err(Error::invalid("kinds of events of the model to grow", why));
    }
    let (Some(one), Some(other)) = (before.of_method::<M>(), since.of_method::<M>()) else {
        return Err(Error::invalid("model to grow", "is of another method"));
    };
    let keys = [before.vocabulary().keys(), since.vocabulary().keys()];
    let both = Vocabulary::new(keys.into_iter().flatten().cloned())?;
    let [first, second] = keys.map(|keys| both.codes(keys));
    let method = join([(one, &first), (other, &second)], both.len())?;
    Ok(since.joined(before, Arc::new(both), Arc::new(method)))
}

#[cfg(test)]
mod tests {
    use crate::{
        Db, Error, Event, Key, Progress, Provenance, Schema, Timestamp,
        model::{train::dice::Dice, *},
    };

    type Lists = Vec<(u64, Vec<(Key, i64)>)>;

    /// Sessions at random among the items from `first` on, many of which end at the same time.
    fn sessions(seed: u64, (count, first): (u64, u64)) -> Lists {
        let mut dice = Dice::new(seed, 1);
        let session = |user| {
            let (length, start) = (1 + dice.below(12), dice.below(40) as i64 * 3_600_000);
            let item =
                |dice: &mut Dice| Key::Id(first + (dice.below(5) * dice.below(6)) as u64 * 2);
            (user, (0..length).map(|at| (item(&mut dice), start + at as i64 / 4)).collect())
        };
        (0..count).map(session).collect()
    }

    /// What is there and what comes: new items before and between the old ones, sessions that are
    /// older, nothing, nothing at first, nothing at all.
    fn pairs() -> Vec<(Lists, Lists)> {
        let (old, new) = (sessions(1, (60, 10)), sessions(2, (40, 5)));
        let late = |lists: &Lists| -> Lists {
            let later = |list: &Vec<(Key, i64)>| {
                list.iter().map(|(key, at)| (key.clone(), at + 80 * 3_600_000)).collect()
            };
            lists.iter().map(|(user, list)| (*user, later(list))).collect()
        };
        vec![
            (old.clone(), new.clone()),
            (old.clone(), late(&new)),
            (late(&old), new.clone()),
            (old.clone(), vec![]),
            (vec![], new),
            (vec![], vec![]),
        ]
    }

    fn methods() -> Vec<Box<dyn Grow>> {
        vec![
            Box::new(Popularity::default()),
            Box::new(Markov::default()),
            Box::new(Associations { reach: 3, ..Associations::default() }),
            Box::new(VsKnn::default()),
            Box::new(VsKnn { sample: 4, neighbours: 3, recent: 5, ..VsKnn::default() }),
            Box::new(Rules::default()),
            Box::new(Popularity { half_life_days: Some(0.7) }),
        ]
    }

    /// Of those, the ones whose sums are of whole numbers.
    const WHOLE: usize = 5;

    fn scores(model: &Model, history: &[u32]) -> Vec<f32> {
        let mut scores = vec![f32::NAN; model.vocabulary().len()];
        model.method().scores(history, &mut scores).unwrap();
        scores
    }

    fn read(lists: &Lists) -> Sequences {
        Sequences::new(lists.clone()).unwrap()
    }

    /// Goal: growing a model gives the model that training on everything gives: to the bit where
    /// sums are of whole numbers, else to rounding; whether or not it was saved in between.
    #[test]
    fn grown_models_are_those_trained_on_everything() {
        let how = &mut Training::new(3);
        for (case, (old, new)) in pairs().into_iter().enumerate() {
            let all = read(&[old.clone(), new.clone()].concat());
            for (number, method) in methods().into_iter().enumerate() {
                let want = method.train(&all, how).unwrap();
                let model = method.train(&read(&old), how).unwrap();
                let db = Db::in_memory(Schema::new()).unwrap();
                let version = db.publish("next", &model, Provenance::default()).unwrap();
                let model: Model = db.snapshot().artifact_version("next", version).unwrap();
                let got = method.grow(&model, &read(&new), how).unwrap();
                assert_eq!((got.card(), got.vocabulary()), (want.card(), want.vocabulary()));
                if number < WHOLE {
                    let bytes = |model: &Model| format!("{:?}", model.method());
                    assert_eq!(bytes(&got), bytes(&want), "case {case}");
                }
                for history in all.iter().chain([&[][..]]) {
                    for (got, want) in scores(&got, history).iter().zip(scores(&want, history)) {
                        let near = (got - want).abs() <= 1e-6 * want.abs().max(1.0);
                        assert!(near, "case {case}, method {number}: {got} for {want}");
                    }
                }
            }
        }
    }

    /// Goal: of rows that are cut, the heaviest of what was left stay, and totals count everything.
    #[test]
    fn what_was_cut_stays_lost() {
        let lists = |items: &[u64]| -> Lists {
            items.iter().map(|to| (0, vec![(Key::Id(1), 0), (Key::Id(*to), 0)])).collect()
        };
        let how = &mut Training::new(0);
        let markov = Markov { keep: 1, recent: 1, ..Markov::default() };
        let model = markov.train(&read(&lists(&[2, 2, 2, 3, 3])), how).unwrap();
        let model = markov.grow(&model, &read(&lists(&[3, 3, 4])), how).unwrap();
        // All in all 3 came four times, but twice it was cut.
        assert_eq!(model.best(&[Key::Id(1)], 9).unwrap(), [(Key::Id(2), 3.0 / 8.0)]);
    }

    /// Goal: what a model cannot be grown by is refused.
    #[test]
    fn what_does_not_fit_is_refused() {
        let (how, more) = (&mut Training::new(0), read(&sessions(1, (9, 1))));
        let model = Markov::default().train(&more, how).unwrap();
        let names = Sequences::new([(0, vec![(Key::from("a"), 0)])]).unwrap();
        let kept = Markov { keep: 7, ..Markov::default() };
        for grown in [
            Rules::default().grow(&model, &more, how),
            VsKnn::default().grow(&model, &more, how),
            kept.grow(&model, &more, how),
            Markov { keep: 0, ..kept }.grow(&model, &more, how),
            Markov::default().grow(&model, &names, how),
        ] {
            let error = grown.unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{error}");
        }
    }

    /// Goal: a model of some kinds of events stays one of those.
    #[test]
    fn kinds_of_events_are_not_mixed() {
        let db = Db::in_memory(Schema::new().event("view")).unwrap();
        db.batch().event(Event::new(7, 30u64, "view", Timestamp(1))).commit().unwrap();
        let reading = Reading { kinds: vec!["view".into()], ..Reading::default() };
        let views = Sequences::read(&db.snapshot(), &reading).unwrap();
        let (how, any) = (&mut Training::new(0), read(&sessions(1, (9, 1))));
        let of_views = Markov::default().train(&views, how).unwrap();
        let of_any = Markov::default().train(&any, how).unwrap();
        for more in [&views, &any] {
            let grown = Markov::default().grow(&of_views, more, how).unwrap();
            assert_eq!(grown.card().kinds, ["view"]);
        }
        let error = Markov::default().grow(&of_any, &views, how).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }

    /// Goal: growing stops when it is told to, even while models are joined.
    /// Method: the second report that all is done comes after what is new was trained on.
    #[test]
    fn growing_can_be_cancelled() {
        let more = read(&sessions(1, (9, 1)));
        for method in [&Markov::default() as &dyn Grow, &VsKnn::default()] {
            let model = method.train(&more, &mut Training::new(0)).unwrap();
            let mut ends = 0;
            let report = |done, total| {
                ends += u32::from(done == total);
                ends < 2
            };
            let mut how = Training::new(0).progress(Progress::to(report));
            let grown = method.grow(&model, &more, &mut how);
            assert!(matches!(grown, Err(Error::Cancelled)));
        }
    }
}
