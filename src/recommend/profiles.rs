//! Profiles: several recommenders by name, each for a share of the users, and which did better.

use crate::{
    error::{Error, Result},
    key::{UserId, fnv},
    limits::{LIMIT_MAX, NAME_BYTES_MAX},
    recommend::{
        Recommender, Request, Slate,
        policy::{Estimate, ratio_of},
    },
    store::{HistoryQuery, Snapshot},
    vector::rotate::splitmix,
};
use std::{collections::BTreeSet, fmt};

/// Recommenders by name, each for a share of the users.
///
/// A user is in one of 10,000 buckets by a hash of the salt and the user's number, the same on every
/// machine and in every version; a bucket belongs to one profile. The first profile, the control, has
/// all buckets that no other was given. [`share`](Profiles::share) gives a profile the lowest buckets of
/// the control, and takes back from it those that it was given last; so growing or shrinking moves only
/// the users that have to move, and only from or to the control, whatever others do. As long as profiles
/// were given their shares one after the other, it is enough to write down the last; where one was
/// changed after another had come, write both changes down in their order: the list of calls is the record.
/// Another salt shuffles everybody, for the next experiment.
///
/// What is recorded: [`run`](Profiles::run) puts the name into the [trace](crate::recommend::Trace::profile)
/// and the profile's place into the highest byte of the request's number, which impressions and all other
/// events of the request name. So [`profile_of`](Profiles::profile_of) knows it after a restart, and after
/// shares have changed, and files need no field for it. Do not reorder profiles that have run: add new ones at
/// the end.
///
/// ```
/// use bowerbird::{recommend::*, *};
/// # fn main() -> Result<()> {
/// let db = Db::in_memory(Schema::new().event("impression").event("click"))?;
/// db.batch().put(Item::new(1u64)).event(Event::new(9, 1u64, "click", Timestamp(1))).commit()?;
/// let popular = || Recommender::new().retrieve(Popular::ever(["click"], 10));
/// let profiles = Profiles::new("2026-11", "plain", popular())?
///     .profile("varied", popular().select(Top))?
///     .share("varied", 2_500)?;
/// let request = Request::new(5, Timestamp(10)).user(7).id(99);
/// let (request, slate) = profiles.run(&db.snapshot(), &request)?;
/// let name = profiles.of_user(UserId(7));
/// assert_eq!(slate.trace.profile.as_deref(), Some(name));
/// assert_eq!(profiles.profile_of(request.id.unwrap()), Some(name));
/// # Ok(()) }
/// ```
pub struct Profiles {
    salt: String,
    names: Vec<String>,
    recommenders: Vec<Recommender>,
    /// The profile of each bucket.
    owners: Vec<u8>,
    /// The buckets that each profile was given, the latest last.
    given: Vec<Vec<u16>>,
}

/// How many parts the users are in.
const BUCKETS: usize = 10_000;
/// Most profiles: one byte of a request's number, of which 0 is none.
const PROFILES_MAX: usize = 255;
/// Where that byte begins; what is below is the caller's.
const SHIFT: u32 = 56;

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares = self.names.iter().map(|name| (name, self.buckets_of(name).len()));
        f.debug_map().entries(shares).finish()
    }
}

impl Profiles {
    /// With a salt, and the control, which has everybody.
    ///
    /// # Errors
    /// `Invalid` for a name or a salt that is empty or longer than 64 bytes.
    pub fn new(salt: &str, control: &str, recommender: Recommender) -> Result<Profiles> {
        check_name("salt", salt)?;
        let (names, recommenders, given) = (Vec::new(), Vec::new(), Vec::new());
        let owners = vec![0; BUCKETS];
        let none = Profiles { salt: salt.into(), names, recommenders, owners, given };
        none.profile(control, recommender)
    }

    /// Adds a profile, for nobody yet.
    ///
    /// # Errors
    /// `Invalid` for a name that is there already, is empty or is longer than 64 bytes, and for more than
    /// 255 profiles.
    pub fn profile(mut self, name: &str, recommender: Recommender) -> Result<Profiles> {
        check_name("name of a profile", name)?;
        if self.names.iter().any(|other| other == name) || self.names.len() == PROFILES_MAX {
            let why = "is there already, or there are 255 others";
            return Err(Error::invalid(format!("profile {name:?}"), why));
        }
        self.names.push(name.into());
        self.recommenders.push(recommender);
        self.given.push(Vec::new());
        Ok(self)
    }

    /// Gives a profile so many of the 10,000 buckets, from the control or back to it.
    ///
    /// # Errors
    /// `NotFound` for an unknown profile; `Invalid` for the control, or if it has not enough to give:
    /// shrink another one first.
    pub fn share(mut self, name: &str, buckets: usize) -> Result<Profiles> {
        let profile = self.number(name)?;
        let free = self.owners.iter().filter(|owner| **owner == 0).count();
        let wrong = |why: String| Err(Error::invalid(format!("share of profile {name:?}"), why));
        if profile == 0 {
            return wrong("is what the others leave: it is the control".into());
        }
        let has = self.given[profile].len();
        if buckets > has + free {
            return wrong(format!("is {buckets} of {BUCKETS}; the control has {free} to give"));
        }
        while self.given[profile].len() > buckets {
            if let Some(bucket) = self.given[profile].pop() {
                self.owners[usize::from(bucket)] = 0;
            }
        }
        let lowest = (0..BUCKETS).filter(|bucket| self.owners[*bucket] == 0);
        let more: Vec<usize> = lowest.take(buckets.saturating_sub(has)).collect();
        for bucket in more {
            self.owners[bucket] = profile as u8;
            self.given[profile].push(bucket as u16);
        }
        Ok(self)
    }

    /// The bucket of a user, 0 to 9,999.
    pub fn bucket(&self, user: UserId) -> usize {
        // The salt and its end, then a mix of all bits with the user's number.
        let mut state = fnv(self.salt.bytes().chain([0xff]));
        let mut state = splitmix(&mut state) ^ user.0;
        ((u128::from(splitmix(&mut state)) * BUCKETS as u128) >> 64) as usize
    }

    /// The name of a user's profile.
    pub fn of_user(&self, user: UserId) -> &str {
        &self.names[usize::from(self.owners[self.bucket(user)])]
    }

    /// The buckets of a profile, ascending; none for an unknown one.
    pub fn buckets_of(&self, name: &str) -> Vec<usize> {
        let number = self.names.iter().position(|other| other == name);
        let owned = |bucket: &usize| Some(usize::from(self.owners[*bucket])) == number;
        (0..BUCKETS).filter(owned).collect()
    }

    /// The name of the profile that answered a request, by its number; `None` if none did.
    pub fn profile_of(&self, request: u64) -> Option<&str> {
        let place = (request >> SHIFT).checked_sub(1)?;
        self.names.get(place as usize).map(String::as_str)
    }

    /// Answers a request by the recommender of its user; nobody's by the control. Returns the request with
    /// its number marked, to log impressions and outcomes by, and the slate.
    ///
    /// # Errors
    /// `Invalid` if the request has no number, or one of 2^56 or more; and those of the recommender.
    pub fn run(&self, snapshot: &Snapshot, request: &Request) -> Result<(Request, Slate)> {
        let Some(id) = request.id.filter(|id| id >> SHIFT == 0) else {
            let why = "needs a number below 2^56, set with `id`: by it the profile is recorded";
            return Err(Error::invalid("request for a profile", why));
        };
        let bucket = request.user.map(|user| self.bucket(user));
        let profile = bucket.map_or(0, |bucket| usize::from(self.owners[bucket]));
        let marked = request.clone().id((profile as u64 + 1) << SHIFT | id);
        let mut slate = self.recommenders[profile].run(snapshot, &marked)?;
        slate.trace.profile = Some(self.names[profile].clone());
        Ok((marked, slate))
    }

    /// How each profile did: the share of impressions of a kind that a reward came of, by the events that
    /// were known at a time. Users are what was divided, so intervals are over users. An item counts once
    /// for a request, and impressions of no profile are passed over.
    ///
    /// # Errors
    /// `NotFound` for unknown kinds of events.
    pub fn compare<'k>(
        &self,
        snapshot: &Snapshot,
        kind: &str,
        rewards: impl IntoIterator<Item = &'k str>,
        query: &HistoryQuery,
    ) -> Result<Vec<Comparison>> {
        let schema = snapshot.schema();
        let kind = schema.find_event(kind)?;
        let rewards: Vec<u8> =
            rewards.into_iter().map(|kind| schema.find_event(kind)).collect::<Result<_>>()?;
        let query = HistoryQuery { limit: LIMIT_MAX, kinds: Vec::new(), ..query.clone() };
        let mut groups: Vec<Vec<(f64, f64)>> = vec![Vec::new(); self.names.len()];
        let mut requests = vec![0; self.names.len()];
        for user in snapshot.users()? {
            let deeds = snapshot.history(user, &query)?.deeds;
            let mut shown = vec![BTreeSet::new(); self.names.len()];
            let mut won = shown.clone();
            for deed in &deeds {
                let place = deed.request.and_then(|id| (id >> SHIFT).checked_sub(1));
                let Some(place) = place.filter(|place| (*place as usize) < self.names.len()) else {
                    continue;
                };
                let pair = (deed.request, &deed.item);
                if deed.kind == kind {
                    shown[place as usize].insert(pair);
                }
                if rewards.contains(&deed.kind) {
                    won[place as usize].insert(pair);
                }
            }
            for (at, shown) in shown.iter().enumerate().filter(|(_, shown)| !shown.is_empty()) {
                let rewarded = shown.intersection(&won[at]).count();
                groups[at].push((rewarded as f64, shown.len() as f64));
                requests[at] += shown.iter().map(|pair| pair.0).collect::<BTreeSet<_>>().len();
            }
        }
        Ok((0..self.names.len()).map(|at| self.comparison(at, requests[at], &groups)).collect())
    }

    fn comparison(&self, at: usize, requests: usize, groups: &[Vec<(f64, f64)>]) -> Comparison {
        let (control, own) = (ratio_of(&groups[0]), ratio_of(&groups[at]));
        let value = own.value - control.value;
        let wide = (own.high - own.value).hypot(control.high - control.value);
        let impressions = groups[at].iter().map(|user| user.1).sum::<f64>() as usize;
        Comparison {
            profile: self.names[at].clone(),
            users: groups[at].len(),
            requests,
            impressions,
            rewards: groups[at].iter().map(|user| user.0).sum::<f64>() as usize,
            rate: own,
            lift: (at > 0).then_some(Estimate { value, low: value - wide, high: value + wide }),
        }
    }

    fn number(&self, name: &str) -> Result<usize> {
        let number = self.names.iter().position(|other| other == name);
        number.ok_or_else(|| Error::missing("profile", name))
    }
}

fn check_name(what: &str, name: &str) -> Result<()> {
    match (1..=NAME_BYTES_MAX).contains(&name.len()) {
        true => Ok(()),
        false => Err(Error::invalid(what, format!("must have 1 to {NAME_BYTES_MAX} bytes"))),
    }
}

/// How one profile did. See [`Profiles::compare`].
///
/// ```
/// use bowerbird::recommend::Comparison;
/// fn better(one: &Comparison) -> bool {
///     one.lift.is_some_and(|lift| lift.low > 0.0)
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// Its name.
    pub profile: String,
    /// Users that it has shown something.
    pub users: usize,
    /// Requests that it has answered with something that was shown.
    pub requests: usize,
    /// Items that it has shown, each once for a request.
    pub impressions: usize,
    /// Those that a reward came of.
    pub rewards: usize,
    /// Rewards over impressions.
    pub rate: Estimate,
    /// The rate less that of the control; `None` for the control.
    pub lift: Option<Estimate>,
}
