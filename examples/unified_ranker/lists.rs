//! Lists of candidates with labels, by surface and by what they are for.

use crate::{
    Outcome,
    data::Data,
    shop::{HELD, Part, Shop, part_of_query},
};
use bowerbird::{model::ranker::*, recommend::*, *};
use std::{collections::BTreeSet, fmt};

/// The surfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Search,
    Similar,
    ForYou,
}

pub(crate) const TASKS: [&str; 3] = ["search", "similar", "for-you"];
const ALL: [Task; 3] = [Task::Search, Task::Similar, Task::ForYou];
/// Lists of one surface to train on, at most.
const MOST: usize = 8_000;
/// What is after this many steps still goes with a movie.
const NEAR: usize = 3;

/// For each use, the lists of all surfaces, and those of each alone.
pub(crate) struct Lists {
    pub(crate) train: Three,
    pub(crate) choose: Three,
    pub(crate) judge: Three,
    /// The same without the task.
    pub(crate) blind: [Examples; 3],
}

pub(crate) struct Three {
    pub(crate) all: Examples,
    pub(crate) each: [Examples; 3],
    /// Of the lists of all, the surface.
    pub(crate) tasks: Vec<Task>,
    /// By surface, of each list whose it is: lists of one user are no independent cases.
    pub(crate) owners: [Vec<u64>; 3],
}

impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = |three: &Three| three.each.iter().map(Examples::len).collect::<Vec<_>>();
        write!(
            f,
            "lists of search, similar, for-you: {:?} to train on, {:?} to choose by, {:?} to judge",
            sizes(&self.train),
            sizes(&self.choose),
            sizes(&self.judge)
        )
    }
}

/// What a ranker looks at.
pub(crate) fn features() -> Features {
    let mut features = Features::new()
        .user("text", 20)
        .query_or_source("text")
        .source("text")
        .item("text")
        .history("text", 20)
        .user("taste", 20)
        .source("taste")
        .item("taste")
        .tasks(TASKS);
    for role in [Role::User, Role::Source] {
        features = features.scalar(Scalar::Similarity { role, space: "taste".into() });
    }
    for role in [Role::User, Role::Query, Role::Source] {
        features = features.scalar(Scalar::Similarity { role, space: "text".into() });
    }
    for source in [
        "Search",
        "SimilarTo(text)",
        "SimilarItems(rules)",
        "NextItems(rules)",
        "NearInterests(text)",
    ] {
        features = features.scalar(Scalar::Hint { source: source.into() });
        features = features.scalar(Scalar::Place { source: source.into() });
    }
    features = features.scalar(Scalar::Model { name: "rules".into() });
    for attr in ["title", "people", "plot"] {
        features = features.scalar(Scalar::Bm25 { attr: attr.into() });
    }
    for (name, otherwise) in [("seen", 0.0), ("votes", 0.0), ("year", 1990.0)] {
        features = features.scalar(Scalar::Attr { name: name.into(), otherwise });
    }
    features.scalar(Scalar::Previous).scalar(Scalar::Experience)
}

/// Whose it is, a request, and what is right for it.
type Question = (u64, Request, BTreeSet<Key>);

impl Lists {
    /// `look` at the lists to judge, or judge by those to choose by: while settings are chosen.
    pub(crate) fn gather(shop: &Shop, data: &Data, look: bool) -> Outcome<Lists> {
        let snapshot = shop.db.snapshot();
        let recommender = shop.recommender();
        let fill = |part: Part, most: usize| -> Outcome<Three> {
            let mut all = Examples::new(features(), &snapshot)?;
            let (mut of, mut owners) = (Vec::new(), <[Vec<u64>; 3]>::default());
            for task in ALL {
                for (owner, request, right) in
                    questions_of(shop, data, part, task).into_iter().take(most)
                {
                    let label = |key: &Key| if right.contains(key) { 1.0 } else { 0.0 };
                    all.run(&recommender, &request, label)?;
                    of.push(task);
                    owners[task as usize].push(owner);
                }
            }
            let each = ALL.map(|task| all.some((0..of.len()).filter(|list| of[*list] == task)));
            Ok(Three { all, each, tasks: of, owners })
        };
        let (train, choose) = (fill(Part::Train, MOST)?, fill(Part::Choose, usize::MAX)?);
        let judge = if look { Part::Judge } else { Part::Choose };
        let judge = fill(judge, usize::MAX)?;
        let blind = |three: &Three| three.all.without_tasks();
        let blind = [blind(&train)?, blind(&choose)?, blind(&judge)?];
        Ok(Lists { train, choose, judge, blind })
    }
}

/// All questions of a surface that are for one use, in an order that has nothing to do with them.
fn questions_of(shop: &Shop, data: &Data, part: Part, task: Task) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    if task == Task::Search {
        for (at, query) in
            data.queries.iter().enumerate().filter(|(at, _)| part_of_query(*at) == part)
        {
            let request = Request::new(10, Timestamp::MAX).text(query.text.as_str());
            let request = request.query("text", query.vector.clone());
            let right = query.judged.iter().filter(|judged| judged.1);
            let right = right.map(|judged| Key::Id(judged.0)).collect();
            questions.push((at as u64, request.id(at as u64).task(TASKS[0]), right));
        }
        return questions;
    }
    for (user, _) in shop.users.iter().filter(|user| user.1 == part) {
        let list = &data.users[*user as usize];
        let known = list.len() - HELD;
        if task == Task::ForYou {
            // Earlier moments of a user, too.
            for back in 0..part.moments().min(known / HELD) {
                let cut = known - back * HELD;
                let request = Request::new(10, Timestamp(cut as i64 - 1)).user(*user);
                let right = BTreeSet::from([Key::Id(list[cut])]);
                questions.push((*user, request.task(TASKS[2]), right));
            }
            continue;
        }
        for step in 0..part.moments() {
            let at = known - 1 + step.min(HELD - 1);
            let next = &list[at + 1..(at + 1 + NEAR).min(list.len())];
            let request = Request::new(10, Timestamp::MAX).item(list[at]);
            let right = next.iter().map(|movie| Key::Id(*movie)).collect();
            questions.push((*user, request.task(TASKS[1]), right));
        }
    }
    questions
}

/// One question of each surface, to show.
pub(crate) fn questions(shop: &Shop, data: &Data) -> Vec<(Task, Request, String)> {
    let first =
        |task| Some((task, questions_of(shop, data, Part::Judge, task).into_iter().next()?));
    let said = |request: &Request| match (&request.query, &request.item, request.user) {
        (Some(_), _, _) => data.queries[request.id.unwrap_or(0) as usize].text.clone(),
        (_, Some(item), _) => data.title(item).to_owned(),
        (_, _, user) => format!("user {}", user.map_or(0, |user| user.0)),
    };
    let all = ALL.into_iter().filter_map(first);
    all.map(|(task, (_, request, _))| (task, request.clone(), said(&request))).collect()
}
