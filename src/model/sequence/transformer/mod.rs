//! Transformers over items: SASRec looks back, BERT4Rec both ways.
//!
//! | file | it owns |
//! |---|---|
//! | `architecture` | which transformer it is, and where each of its numbers lies |
//! | `layer`, `attention` | the pieces, forwards and back |
//! | `pass` | a whole network, forwards and back |
//! | `trained` | one with its numbers: saved, opened, and asked for scores |
//! | `fit` | training: batches, groups, threads |
//! | `shape` | what follows from the data where options do not say |
//! | `sasrec`, `bert4rec` | the two methods: their options and what they predict |
//! | `content`, `blend` | rows made of content: of an item that is new, and while they are learned |
//! | `content_sasrec` | SASRec with such rows |

mod architecture;
mod attention;
mod bert4rec;
mod blend;
mod content;
mod content_sasrec;
mod fit;
#[cfg(test)]
mod gradients;
mod layer;
mod pass;
mod sasrec;
mod shape;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing;
mod trained;

pub(crate) use architecture::{
    Activation, Architecture, Dense, Layout, Norm, Order, Padding, Parts, Place, Tag, number,
};
pub(crate) use attention::Tokens;
pub use bert4rec::Bert4Rec;
pub(crate) use content::Content;
pub use content_sasrec::ContentSasrec;
pub(crate) use layer::Drop;
pub(crate) use pass::{Net, Trace};
pub use sasrec::{Loss, Sasrec};
pub(crate) use trained::{BERT4REC, SASREC, START, Transformer};
