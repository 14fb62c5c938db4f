//! Learned operators: models that say what comes next, trained from the events of a database.
//!
//! | room | it owns |
//! |---|---|
//! | `vocabulary`, `sequences`, `cases` | what training and judging read |
//! | `training`, `train` | the manners of all trainers, and the tools they share |
//! | `counting` | methods that count: the floor that the others must beat, and the default |
//! | `sequence` | item2vec, GRU4Rec, SASRec, BERT4Rec |
//! | `two_tower` | vectors of users, queries and items by what items have |
//! | `operate` | operators that ask a model: retrieve, score, summarize |
//! | `semantic` | codebooks that are learned, decoders, cold start, exports |
//! | `ranker` | one scorer for all surfaces, and the hook for devices |
//! | `suggest` | queries as items: drafted, validated, recommended |
//! | `classify` | the filter of bad matches: classifiers whose numbers are probabilities |
//! | `tree` | one decision tree |
//! | `flow` | what users and items do over time, as features of one event: payments and their like |
//! | `nearest` | a graph over the vectors of a large vocabulary |
//! | `weights` | models from and to PyTorch: safetensors and a manifest |
//! | `method`, `artifact`, `card`, `shelf` | what all models have in common, and how they are saved |
//!
//! A method scores all items of its vocabulary for a history of codes; keys and rows are not its
//! business.

mod artifact;
mod card;
mod cases;
pub mod classify;
mod counting;
pub mod flow;
mod method;
mod nearest;
mod operate;
pub mod ranker;
pub mod semantic;
mod sequence;
mod sequences;
mod shelf;
pub mod suggest;
mod train;
mod training;
mod tree;
mod two_tower;
mod vocabulary;
mod weights;

pub use artifact::{Grow, Model, Train};
pub use card::Card;
pub use cases::{Case, Cases, Protocol, Quality};
pub use counting::{Als, Associations, Ease, ItemKnn, Markov, Popularity, Rules, VsKnn};
pub use operate::{NextItems, NextNew, NextScore, SimilarItems, UserVector};
pub use sequence::{
    Bert4Rec, ContentSasrec, Gru4Rec, Item2Vec, Live, Loss, NewItem, Objective, Sasrec,
};
pub use sequences::{Reading, Sequences};
pub use training::{Epoch, Training};
pub use two_tower::{TowerQuery, TowerUser, Towers, TwoTower};
pub use vocabulary::Vocabulary;
