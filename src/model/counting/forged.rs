//! Sections that no training wrote.

#[cfg(test)]
mod tests {
    use crate::{
        Db, Error, Key, Provenance, Result, Saved, Schema,
        model::{method::Method, shelf::*, *},
    };

    /// Says it is of a method, and saves what it likes.
    struct Liar(&'static str, fn(&mut Saved) -> Result<()>);

    impl std::fmt::Debug for Liar {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Method for Liar {
        fn name(&self) -> &'static str {
            self.0
        }

        fn scores(&self, _: &[u32], _: &mut [f32]) -> Result<()> {
            Ok(())
        }

        fn save(&self, out: &mut Saved) -> Result<()> {
            (self.1)(out)
        }
    }

    /// What opening a model of three items says that was saved like this.
    fn opened(name: &'static str, save: fn(&mut Saved) -> Result<()>) -> Result<Model> {
        with_options(name, save, Vec::new())
    }

    fn with_options(
        name: &'static str,
        save: fn(&mut Saved) -> Result<()>,
        options: Vec<(String, String)>,
    ) -> Result<Model> {
        let list = (1..4).map(|id| (Key::Id(id), 0)).collect();
        let sequences = Sequences::new([(0, list)]).unwrap();
        let model = Model::trained(Liar(name, save), options, &sequences, &Training::new(0));
        let db = Db::in_memory(Schema::new()).unwrap();
        let version = db.publish("next", &model, Provenance::default()).unwrap();
        db.snapshot().artifact_version("next", version)
    }

    fn table(
        out: &mut Saved,
        (recent, decay, shrink): (u64, f32, Option<f32>),
        (lengths, to): (&[u32], &[u32]),
        (weights, totals): (&[f32], &[f32]),
    ) -> Result<()> {
        put(out, OWN, &(recent, decay, shrink))?;
        put_u32(out, OWN + 1, lengths)?;
        put_u32(out, OWN + 2, to)?;
        put_f32(out, OWN + 3, weights)?;
        put_f32(out, OWN + 4, totals)
    }

    const SOUND: (u64, f32, Option<f32>) = (3, 0.5, Some(0.0));
    const TO: (&[u32], &[u32]) = (&[2, 0, 1], &[0, 2, 1]);
    const SUMS: (&[f32], &[f32]) = (&[1.0, 2.0, 3.0], &[4.0, 0.0, 3.0]);

    /// Goal: what could not be scored with is damage when it is opened, not later.
    /// Method: sections that are sound but for one thing; the first of each method is sound.
    #[test]
    fn forged_tables_are_damage() {
        for name in ["markov", "sequential-rules", "association-rules", "item-knn", "ease"] {
            assert!(opened(name, |out| table(out, SOUND, TO, SUMS)).is_ok());
        }
        let wrong: [fn(&mut Saved) -> Result<()>; 12] = [
            |out| table(out, (0, 0.5, None), TO, SUMS),
            |out| table(out, (3, f32::NAN, None), TO, SUMS),
            |out| table(out, (3, 0.5, Some(-1.0)), TO, SUMS),
            |out| table(out, SOUND, (&[2, 0], &[0, 2]), SUMS),
            |out| table(out, SOUND, (&[2, 0, 2], &[0, 2, 1]), SUMS),
            |out| table(out, SOUND, (&[u32::MAX, 0, 1], &[0, 2, 1]), SUMS),
            |out| table(out, SOUND, (&[2, 0, 1], &[0, 3, 1]), SUMS),
            |out| table(out, SOUND, (&[2, 0, 1], &[2, 0, 1]), SUMS),
            |out| table(out, SOUND, TO, (&[1.0, f32::NAN, 3.0], &[4.0, 0.0, 3.0])),
            |out| table(out, SOUND, TO, (&[1.0, 5.0, 3.0], &[4.0, 0.0, 3.0])),
            |out| table(out, SOUND, TO, (&[1.0, 2.0, 3.0], &[4.0, 0.0, f32::INFINITY])),
            |out| put(out, OWN, &0u8),
        ];
        for (number, save) in wrong.into_iter().enumerate() {
            let error = opened("markov", save).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{number}: {error}");
        }
    }

    fn visits(
        out: &mut Saved,
        numbers: (u64, u64, u64, f32),
        (lengths, items): (&[u32], &[u32]),
        (ends, events): (&[i64], &[u64]),
    ) -> Result<()> {
        put(out, OWN, &numbers)?;
        put_u32(out, OWN + 1, lengths)?;
        put_u32(out, OWN + 2, items)?;
        put(out, OWN + 3, &ends)?;
        put(out, OWN + 4, &(u64::MAX, events))
    }

    const SETS: (&[u32], &[u32]) = (&[2, 1], &[2, 0, 1]);
    const ALL: (&[i64], &[u64]) = (&[7, 7], &[1, 0, u64::MAX]);

    /// Goal: as above, for sessions.
    #[test]
    fn forged_sessions_are_damage() {
        assert!(opened("vs-knn", |out| visits(out, (5, 5, 9, 1.0), SETS, ALL)).is_ok());
        let wrong: [fn(&mut Saved) -> Result<()>; 12] = [
            |out| visits(out, (0, 5, 9, 1.0), SETS, ALL),
            |out| visits(out, (5, 0, 9, 1.0), SETS, ALL),
            |out| visits(out, (5, 5, 0, 1.0), SETS, ALL),
            |out| visits(out, (5, 5, 1_001, 1.0), SETS, ALL),
            |out| visits(out, (5, 5, 1, 1.0), SETS, ALL),
            |out| visits(out, (5, 5, 9, 1.0), (&[2, 1], &[2, 2, 1]), ALL),
            |out| visits(out, (5, 5, 9, 1.0), (&[2, 1], &[2, 3, 1]), ALL),
            |out| visits(out, (5, 5, 9, 1e7), SETS, ALL),
            |out| visits(out, (5, 5, 9, f32::NAN), SETS, ALL),
            |out| visits(out, (5, 5, 9, 1.0), SETS, (&[7], ALL.1)),
            |out| visits(out, (5, 5, 9, 1.0), SETS, (&[7, 8], ALL.1)),
            |out| visits(out, (5, 5, 9, 1.0), SETS, (ALL.0, &[1, 2])),
        ];
        for (number, save) in wrong.into_iter().enumerate() {
            let error = opened("vs-knn", save).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{number}: {error}");
        }
    }

    /// Goal: as above, for counts.
    #[test]
    fn forged_counts_are_damage() {
        fn counts(out: &mut Saved, counts: &[f32], latest: Option<i64>) -> Result<()> {
            put_f32(out, OWN, counts)?;
            put(out, OWN + 1, &latest)
        }
        assert!(opened("popularity", |out| counts(out, &[0.0, 2.0, 1e15], Some(-1))).is_ok());
        let wrong: [fn(&mut Saved) -> Result<()>; 5] = [
            |out| counts(out, &[0.0, 2.0], None),
            |out| counts(out, &[0.0, 2.0, 1e16], None),
            |out| counts(out, &[0.0, 2.0, -1.0], None),
            |out| counts(out, &[0.0, 2.0, f32::NAN], None),
            |out| put_f32(out, OWN, &[0.0, 2.0, 1.0]).and_then(|()| put(out, OWN + 1, &7u8)),
        ];
        for (number, save) in wrong.into_iter().enumerate() {
            let error = opened("popularity", save).unwrap_err();
            assert!(!matches!(error, Error::Invalid { .. }), "{number}: {error}");
        }
    }

    /// Goal: what is as large as it may be can be grown, and the outcome be opened.
    #[test]
    fn forged_models_that_open_can_be_grown() {
        let how = &mut Training::new(0);
        let more = Sequences::new([(0, vec![(Key::Id(2), i64::MIN), (Key::Id(3), i64::MAX)])]);
        let more = more.unwrap();
        let large: [fn(&mut Saved) -> Result<()>; 3] = [
            |out| put_f32(out, OWN, &[1e15; 3]).and_then(|()| put(out, OWN + 1, &Some(i64::MIN))),
            |out| table(out, (10, 0.3, Some(0.0)), TO, (&[-1e15, 1e15, 1e15], &[1e15; 3])),
            |out| visits(out, (500, 5_000, 1_000, 5.0), SETS, ALL),
        ];
        let names = ["popularity", "markov", "vs-knn"];
        let methods: [&dyn Grow; 3] =
            [&Popularity::default(), &Markov::default(), &VsKnn::default()];
        for ((name, save), method) in names.into_iter().zip(large).zip(methods) {
            let options = method.train(&more, how).unwrap().card().options.clone();
            let model = with_options(name, save, options).unwrap();
            let grown = method.grow(&model, &more, how).unwrap();
            let again = method.grow(&grown, &more, how).unwrap();
            let db = Db::in_memory(Schema::new()).unwrap();
            let version = db.publish("next", &again, Provenance::default()).unwrap();
            let _: Model = db.snapshot().artifact_version("next", version).unwrap();
        }
    }

    fn factors(out: &mut Saved, dim: u64, numbers: (f32, f32, f32), vectors: &[f32]) -> Result<()> {
        put(out, OWN, &(dim, 7u64, 3u64))?;
        put(out, OWN + 1, &numbers)?;
        put_f32(out, OWN + 2, vectors)
    }

    /// Goal: as above, for factors; and those as large as they may be score finitely.
    #[test]
    fn forged_factors_are_damage_or_score() {
        let large = opened("als", |out| factors(out, 2, (1e-9, 1e-9, 1.0), &[-1e9; 6])).unwrap();
        let mut scores = [f32::NAN; 3];
        large.method().scores(&[0, 2, 1], &mut scores).unwrap();
        assert!(scores.iter().all(|score| score.is_finite()));
        let wrong: [fn(&mut Saved) -> Result<()>; 5] = [
            |out| factors(out, 0, (0.1, 0.1, 1.0), &[]),
            |out| factors(out, u64::MAX, (0.1, 0.1, 1.0), &[1.0; 6]),
            |out| factors(out, 2, (0.0, 0.1, 1.0), &[1.0; 6]),
            |out| factors(out, 2, (0.1, 0.1, 2.0), &[1.0; 6]),
            |out| factors(out, 2, (0.1, 0.1, 1.0), &[1e10; 6]),
        ];
        for (number, save) in wrong.into_iter().enumerate() {
            let error = opened("als", save).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{number}: {error}");
        }
    }
}
