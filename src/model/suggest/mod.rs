//! Query recommendation: leading users to queries whose items they did not know to look for.
//!
//! Queries are items of a database of their own ([`schema`]): a text, what kind of wish it is, where it came
//! from, how often it was asked, a vector, and the items that it leads to. So everything that finds and
//! ranks items finds and ranks queries, live, from their commit on.
//!
//! | file | it owns |
//! |---|---|
//! | `draft`, `drafts` | queries that might be worth suggesting, and where they come from |
//! | `template` | queries that are put together from the attributes of items |
//! | `lines` | drafts as JSON lines: what a language model, or a log, has written |
//! | `validate` | asking every draft: those that find nothing, or what others find, are dropped |
//! | `stored` | the database of queries: its schema, its items |
//! | `wanted`, `leads` | what a user seems to want, and the queries that lead there |
//! | `suggester` | the recommender to begin with |
//!
//! The parts are those of Spotify's query recommendation (Lindstrom et al., 2024): candidates from titles,
//! tags, templates and generated text, ranked for the user, with a share for exploration.

mod draft;
mod drafts;
mod leads;
mod lines;
mod stored;
mod suggester;
mod template;
mod validate;
mod wanted;

pub use draft::{Draft, Intent};
pub use drafts::Drafts;
pub use leads::LeadsTo;
pub use stored::schema;
pub use suggester::Suggest;
pub use validate::{Dropped, Validate, Validated};
pub use wanted::Wanted;
