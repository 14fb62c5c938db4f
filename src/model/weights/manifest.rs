//! The manifest beside a file of weights: which architecture it is, and which items its rows are.

use crate::{
    error::{Error, Result},
    key::Key,
    model::Vocabulary,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What `manifest.json` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// 1.
    pub(crate) format: u32,
    /// Whose code the weights are of.
    pub(crate) architecture: String,
    /// Sizes, by name.
    pub(crate) config: Map<String, Value>,
    /// [`Vocabulary::hash`] as 16 hexadecimal digits.
    pub(crate) vocabulary_hash: String,
    /// The items, ascending: numbers, or names.
    pub(crate) items: Vec<Value>,
}

impl Manifest {
    pub(crate) fn read(text: &str) -> Result<Manifest> {
        let manifest: Manifest = serde_json::from_str(text)
            .map_err(|why| Error::invalid("manifest", format!("cannot be read: {why}")))?;
        match manifest.format {
            1 => Ok(manifest),
            n => {
                let why = format!("is of format {n}; this version reads 1. Upgrade the crate.");
                Err(Error::invalid("manifest", why))
            }
        }
    }

    pub(crate) fn new(
        architecture: &str,
        config: Map<String, Value>,
        vocabulary: &Vocabulary,
    ) -> Manifest {
        let item = |key: &Key| match key {
            Key::Id(id) => Value::from(*id),
            Key::Name(name) => Value::from(&**name),
        };
        Manifest {
            format: 1,
            architecture: architecture.into(),
            config,
            vocabulary_hash: format!("{:016x}", vocabulary.hash()),
            items: vocabulary.keys().iter().map(item).collect(),
        }
    }

    pub(crate) fn write(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|why| Error::invalid("manifest", why.to_string()))
    }

    /// A size of the configuration, at least 1.
    pub(crate) fn size(&self, name: &str) -> Result<usize> {
        let value =
            self.config.get(name).ok_or_else(|| Error::missing("size in the config", name))?;
        match value.as_u64().filter(|n| (1..=u64::from(u32::MAX)).contains(n)) {
            Some(n) => Ok(n as usize),
            None => Err(Error::invalid(format!("{name} in the config"), format!("is {value}"))),
        }
    }

    /// The items, if they are those that the hash was made of.
    pub(crate) fn vocabulary(&self) -> Result<Vocabulary> {
        let key = |(at, item): (usize, &Value)| match item {
            Value::Number(n) if n.is_u64() => Ok(Key::Id(n.as_u64().unwrap_or(0))),
            Value::String(name) => Ok(Key::from(name.as_str())),
            other => {
                let why = format!("is {other}; items are whole numbers or names");
                Err(Error::invalid(format!("item {at} of the manifest"), why))
            }
        };
        let keys = self.items.iter().enumerate().map(key).collect::<Result<Vec<Key>>>()?;
        if !keys.windows(2).all(|pair| pair[0] < pair[1]) {
            let why = "must ascend, and each must be there once";
            return Err(Error::invalid("items of the manifest", why));
        }
        let vocabulary = Vocabulary::new(keys)?;
        let hash = format!("{:016x}", vocabulary.hash());
        if hash != self.vocabulary_hash {
            let why = format!(
                "has hash {hash}, but {} was written. The weights go with another list of items.",
                self.vocabulary_hash
            );
            return Err(Error::invalid("vocabulary of the manifest", why));
        }
        Ok(vocabulary)
    }
}
