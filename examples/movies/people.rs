//! Recommending: for three people, with reasons; and what changes when one of them likes a movie.

use crate::{
    Outcome,
    search::{Answer, title, titles},
};
use bowerbird::{
    Db, Event, HistoryQuery, Key, Snapshot, Timestamp, UserId, days, ms,
    recommend::{
        Clustered, CoVisited, Diverse, Fate, NearInterests, Popular, Recommender, Request, Rrf,
        Seen,
    },
};
use std::time::{Duration, Instant};

/// One who likes to be frightened, one who likes to fall in love, one who likes the future.
const PEOPLE: [u64; 3] = [533, 143, 95];
/// One of them, and a movie unlike those they like: The Good, the Bad and the Ugly.
const CHANGES: (u64, u64) = (143, 1201);

/// A user, what they liked last, and what is recommended and why.
pub(crate) struct Person {
    pub(crate) user: u64,
    pub(crate) liked: Vec<String>,
    pub(crate) slate: Vec<(String, String)>,
}

/// What one new event did.
pub(crate) struct Change {
    pub(crate) answers: Vec<Answer>,
    /// How many of the items are new.
    pub(crate) new: usize,
    /// From before the commit until the new slate was there.
    pub(crate) took: Duration,
}

/// Several interests of each user, what goes with what they liked, and what is popular lately; the
/// first places of each count most, and what is much alike is kept apart.
pub(crate) fn for_you() -> Recommender {
    Recommender::new()
        .summarize(Clustered::new("text", 4, days(90)))
        .filter(Seen::new([]))
        .retrieve(CoVisited::new(["liked"], 100).reach(20))
        .retrieve(NearInterests::new("text", 100))
        .retrieve(Popular::new(["liked"], days(90), 100))
        .score(Rrf { k: 10.0, ..Rrf::default() })
        .select(Diverse::new("text", 0.1))
}

/// Three users as of a time.
pub(crate) fn people(snapshot: &Snapshot, now: Timestamp) -> Outcome<Vec<Person>> {
    PEOPLE.iter().map(|user| person(snapshot, *user, now)).collect()
}

fn person(snapshot: &Snapshot, user: u64, now: Timestamp) -> Outcome<Person> {
    let (for_you, request) = (for_you(), Request::new(5, now).user(user));
    let liked = HistoryQuery::default().as_of(now).kinds(["liked"]).limit(4);
    let liked = snapshot.history(UserId(user), &liked)?;
    let liked: Vec<Key> = liked.deeds.into_iter().rev().map(|deed| deed.item).collect();
    let mut slate = Vec::new();
    for item in for_you.run(snapshot, &request)?.items {
        slate.push((title(snapshot, &item.key)?, why(snapshot, &for_you, &request, &item.key)?));
    }
    assert_eq!(slate.len(), 5, "user {user} gets a full slate");
    // And the other way round: why is this not here?
    let known = for_you.explain(snapshot, &request, &liked[0])?;
    assert!(matches!(known.fate, Fate::Filtered { .. }), "what was seen is filtered: {known}");
    Ok(Person { user, liked: titles(snapshot, &liked)?, slate })
}

/// Which retrievers found an item, and where in their lists.
fn why(
    snapshot: &Snapshot,
    for_you: &Recommender,
    request: &Request,
    key: &Key,
) -> Outcome<String> {
    let why = for_you.explain(snapshot, request, key)?;
    assert!(matches!(why.fate, Fate::Chosen { .. }), "it is in the slate: {why}");
    let reason = |(source, rank, _): &(String, u32, f32)| {
        let words = match source.split('(').next() {
            Some("CoVisited") => "liked by those who like the same",
            Some("NearInterests") => "about the same things",
            Some("Popular") => "popular lately",
            _ => source.as_str(),
        };
        format!("{words} (number {})", rank + 1)
    };
    Ok(why.found.iter().map(reason).collect::<Vec<_>>().join(", "))
}

/// One event is committed; the next answer knows it, and an older snapshot does not.
pub(crate) fn change(db: &Db, now: Timestamp) -> Outcome<Change> {
    let (user, movie) = CHANGES;
    let (for_you, before) = (for_you(), db.snapshot());
    let request = |now| Request::new(5, now).user(user);
    let keys = |snapshot: &Snapshot, now| -> Outcome<Vec<Key>> {
        let slate = for_you.run(snapshot, &request(now))?;
        Ok(slate.items.into_iter().map(|item| item.key).collect())
    };
    let old = keys(&before, now)?;
    let later = now.plus(ms(1000));
    let begin = Instant::now();
    db.batch().event(Event::new(user, movie, "liked", later).value(5.0)).commit()?;
    let after = db.snapshot();
    let new = keys(&after, later)?;
    let took = begin.elapsed();

    assert_eq!(keys(&before, now)?, old, "a snapshot never changes");
    assert_eq!(keys(&after, now)?, old, "and the past is still the past");
    assert_ne!(new, old, "one event changes the answer");
    let name = title(&after, &Key::Id(movie))?;
    let (was, is) = (format!("user {user} before"), format!("user {user} after liking {name}"));
    let count = new.iter().filter(|key| !old.contains(key)).count();
    let answers = vec![
        Answer { question: was, titles: titles(&before, &old)? },
        Answer { question: is, titles: titles(&after, &new)? },
    ];
    Ok(Change { answers, new: count, took })
}
