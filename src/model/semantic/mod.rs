//! What is learned about semantic IDs, and what is done with them.
//!
//! | file | it owns |
//! |---|---|
//! | `next_code` | the door for decoders: how likely each code comes next |
//! | `beam`, `generate` | constrained beam search; a decoder as a retriever |
//! | `export` | handing a trie over to a decoder elsewhere |
//! | `import`, `rqvae` | indexes, and codebooks, that others have made |
//! | `figures`, `align`, `assignment` | how good IDs are; what changes with a new codebook |
//! | `fit` | codebooks from vectors, by residual k-means |
//! | `autoencoder` | codebooks behind a network that was trained for them: RQ-VAE, FSQ |
//! | `refine` | codebooks that have learned from what users do |
//! | `features`, `sub_words` | semantic IDs as features of rankers |
//! | `browse` | what is below a prefix, for people |
//! | `bucket` | in which order items come that share an ID |
//! | `new_items`, `prior` | the cold start of items: finding them, what to expect |
//! | `prefix`, `shared_prefix` | operators over prefixes: similar items, quotas, diversity, what is shared |
//! | `decoder` | NextCodes: a decoder trained in the library |
//! | `tiger` | a decoder that was trained elsewhere |

mod align;
mod assignment;
mod autoencoder;
mod beam;
mod browse;
mod bucket;
mod decoder;
mod export;
mod features;
mod figures;
mod fit;
mod generate;
mod import;
mod new_items;
mod next_code;
mod prefix;
mod prior;
mod refine;
mod rqvae;
mod shared_prefix;
mod sub_words;
mod tiger;

pub use align::align;
pub use autoencoder::{Autoencoded, Autoencoder, Fsq, RqVae};
pub use beam::{Beam, beam_search};
pub use browse::Shelf;
pub use bucket::Bucket;
pub use decoder::{CodeCard, CodeModel, CodeSequences, NextCodes};
pub use export::{Array, Catalogue, Delta, Handover};
pub use features::ClusterFeatures;
pub use figures::{Drift, Figures};
pub use fit::Fit;
pub(crate) use fit::points;
pub use generate::Generate;
pub use import::Index;
pub use new_items::NewItems;
pub use next_code::{Decoding, NextCode};
pub use prefix::{PrefixDiverse, PrefixQuota, SimilarByPrefix};
pub use prior::PrefixPrior;
pub use refine::Refine;
pub use shared_prefix::SharedPrefix;
pub use sub_words::SubWords;
pub use tiger::Tiger;

use crate::{
    artifact::Artifact,
    error::{Error, Result},
    semantic::Trie,
    store::Snapshot,
};
use std::sync::Arc;

impl crate::recommend::Allowed {
    /// The semantic IDs of what a request may return.
    ///
    /// # Errors
    /// As [`Snapshot::trie`].
    pub fn trie(&self, snapshot: &Snapshot, codebook: &str) -> Result<Trie> {
        snapshot.trie_of(codebook, self.rows())
    }
}

impl Snapshot {
    /// The active version of a decoder.
    pub(crate) fn decoder(&self, name: &str) -> Result<Arc<dyn NextCode>> {
        let active = self.artifacts().into_iter().find(|a| a.name == name && a.active);
        let kind = active.ok_or_else(|| Error::missing("active artifact", name))?.kind;
        if kind == Tiger::KIND {
            return Ok(self.kept::<Tiger>(name)?);
        }
        if kind == CodeModel::KIND {
            return Ok(self.kept::<CodeModel>(name)?);
        }
        Err(Error::invalid(format!("artifact {name}"), format!("is a {kind}, not a decoder")))
    }
}
