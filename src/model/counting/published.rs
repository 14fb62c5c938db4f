//! The methods against numbers that were not made here. Needs the data; says so where it is absent.

#[cfg(test)]
mod tests {
    use crate::{Key, model::*};
    use std::collections::BTreeMap;

    /// A file of the data that is kept beside the repository, as lines.
    fn lines(path: &str) -> Option<Vec<String>> {
        let path = format!("{}/../shared/data/{path}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path);
        if text.is_err() {
            println!("SKIPPED: there is no {path}");
        }
        Some(text.ok()?.lines().map(str::to_owned).collect())
    }

    type Lists = BTreeMap<u64, Vec<(Key, i64)>>;

    /// A table `SessionId ItemId Time`, as sessions in time order.
    fn sessions(path: &str) -> Option<Lists> {
        let mut sessions = Lists::new();
        for line in &lines(path)?[1..] {
            let cells: Vec<&str> = line.split('\t').collect();
            let at = (cells[2].parse::<f64>().unwrap() * 1000.0) as i64;
            let step = (Key::Id(cells[1].parse().unwrap()), at);
            sessions.entry(cells[0].parse().unwrap()).or_default().push(step);
        }
        sessions.values_mut().for_each(|session| session.sort_by_key(|step| step.1));
        Some(sessions)
    }

    fn clicks() -> Option<(Sequences, Lists)> {
        let train = sessions("sessions/rsc15-100k_train_full.tsv")?;
        Some((Sequences::new(train).unwrap(), sessions("sessions/rsc15-100k_test.tsv")?))
    }

    fn keys(session: &[(Key, i64)]) -> Vec<Key> {
        session.iter().map(|step| step.0.clone()).collect()
    }

    /// Goal: session neighbours reach the reference on clicks (HR@20 0.6884, MRR@20 0.3671; ties in
    /// the target's favour, no score is a miss).
    #[test]
    fn session_neighbours_reach_the_reference() {
        let Some((train, test)) = clicks() else { return };
        let model = VsKnn::default().train(&train, &mut Training::new(0)).unwrap();
        let (mut hits, mut ranks, mut all) = (0.0, 0.0, 0.0);
        for session in test.values().map(|session| keys(session)) {
            for at in 1..session.len() {
                let best = model.best(&session[..at], train.vocabulary().len()).unwrap();
                let target = best.iter().find(|(key, _)| *key == session[at]);
                let above = target.map(|(_, score)| best.iter().filter(|b| b.1 > *score).count());
                if let Some(above) = above.filter(|above| *above < 20) {
                    hits += 1.0;
                    ranks += 1.0 / (above + 1) as f64;
                }
                all += 1.0;
            }
        }
        assert_eq!(all, 10_152.0);
        let (hits, ranks): (f64, f64) = (hits / all, ranks / all);
        println!("HR@20 {hits:.4}, MRR@20 {ranks:.4}");
        assert!((hits - 0.6884).abs() < 0.002 && (ranks - 0.3671).abs() < 0.002);
    }

    /// Goal: session neighbours recommend what session-rec does: the same first item always, 19 of 20
    /// in the mean (the rest are ties).
    #[test]
    fn session_neighbours_are_those_of_session_rec() {
        let Some((train, test)) = clicks() else { return };
        let Some(golden) = lines("sessions/golden/recoms_rsc15_100k_vsknn.csv") else { return };
        let model = VsKnn::default().train(&train, &mut Training::new(0)).unwrap();
        let (mut first, mut shared, mut lists) = (0, 0, 0);
        for line in &golden[1..] {
            let cells: Vec<&str> = line.split(';').collect();
            let session = &test[&cells[0].parse().unwrap()];
            let place: usize = cells[1].parse().unwrap();
            let want: Vec<Key> =
                cells[2].split(',').take(20).map(|id| Key::Id(id.parse().unwrap())).collect();
            let got = model.best(&keys(&session[..=place]), 20).unwrap();
            first += usize::from(got.first().map(|best| &best.0) == want.first());
            shared += got.iter().filter(|(key, _)| want.contains(key)).count();
            lists += 1;
        }
        let overlap = shared as f64 / (lists * 20) as f64;
        println!("{lists} lists: first {first}, overlap {overlap:.4}");
        assert!(lists > 300 && first == lists && overlap >= 0.95);
    }

    /// Leave-one-out as published: the last event is the target, the one before it is in the history
    /// but not in training, nothing seen is ranked.
    fn leave_one_out(lists: Lists, method: &dyn Train) -> Quality {
        let (rest, cases) = Sequences::new(lists).unwrap().hold_out_last();
        let (train, _) = rest.hold_out_last();
        let model = method.train(&train, &mut Training::new(0).threads(2)).unwrap();
        let protocol = Protocol { exclude_seen: true, threads: 2 };
        cases.measure(&model, protocol).unwrap()
    }

    fn movies() -> Option<Lists> {
        let mut lists = Lists::new();
        for line in &lines("ml1m/interactions.tsv")?[1..] {
            let ids: Vec<u64> = line.split('\t').take(2).map(|id| id.parse().unwrap()).collect();
            let list = lists.entry(ids[0]).or_default();
            list.push((Key::Id(ids[1]), list.len() as i64));
        }
        Some(lists)
    }

    fn beauty() -> Option<Lists> {
        let list = |line: &String| {
            let ids: Vec<u64> = line.split(' ').map(|id| id.parse().unwrap()).collect();
            let list = ids[1..].iter().enumerate().map(|(at, id)| (Key::Id(*id), at as i64));
            (ids[0], list.collect())
        };
        Some(lines("s3rec/Beauty.txt")?.iter().map(list).collect())
    }

    /// Goal: sequential rules give the numbers of the reference script, HR@10 and NDCG@10.
    #[test]
    fn rules_reach_the_reference() {
        for (lists, want) in [(movies(), (0.2720, 0.1575)), (beauty(), (0.0791, 0.0490))] {
            let Some(lists) = lists else { continue };
            let got = leave_one_out(lists, &Rules::default());
            println!("HR@10 {:.4}, NDCG@10 {:.4}", got.hr_10, got.ndcg_10);
            let near = |got: f64, want: f64| (got - want).abs() < 0.0006;
            assert!(near(got.hr_10, want.0) && near(got.ndcg_10, want.1));
        }
    }

    /// Goal: popularity gives the numbers that are known for it.
    #[test]
    fn popularity_reaches_the_reference() {
        for (lists, want) in [(movies(), (0.0369, 0.0180)), (beauty(), (0.0115, 0.0054))] {
            let Some(lists) = lists else { continue };
            let got = leave_one_out(lists, &Popularity::default());
            println!("HR@10 {:.4}, NDCG@10 {:.4}", got.hr_10, got.ndcg_10);
            assert!((got.hr_10 - want.0).abs() < 0.0003 && (got.ndcg_10 - want.1).abs() < 0.0003);
        }
    }
}
