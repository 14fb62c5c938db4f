//! Which words the parts have: made once for each part and text attribute, and kept.
//!
//! A part on disk with many texts gets a file for each text attribute, written by housekeeping; of
//! any other part the lists are made in memory when somebody asks, and kept while the part lives.
//! Derived: losing them costs time, and no answer depends on where they come from (V6).

use crate::{
    error::{Error, Result},
    format::{
        envelope::{OpenMode, Sections},
        names,
    },
    io::Dir,
    options::Options,
    progress::Progress,
    schema::{Attr, AttrType, Schema},
    search::words::{RECIPE, Words, build},
    segment::Segment,
    store::{
        Store, origin,
        snapshot::Snapshot,
        version::{Part, Version},
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// Fewer texts than this are read faster than a file is opened.
pub(crate) const TEXTS_MIN: u32 = 1000;

/// The recipe in the file's ORIGIN. Attributes are alike in all but their number, so that is in it.
fn recipe(attr: u16) -> String {
    format!("{RECIPE} of {attr}")
}

fn texts(schema: &Schema) -> impl Iterator<Item = &Attr> {
    schema.attrs().iter().filter(|attr| attr.ty == AttrType::Text)
}

/// Opens the words of a segment in an attribute, if they are there and fit.
pub(crate) fn adopt(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    (segment, attr): (&Segment, u16),
    rebuild: bool,
) -> Result<Option<Arc<Words>>> {
    let path = names::words(segment.uid, attr);
    let open = |mode: &OpenMode| {
        let sections: Option<Sections> =
            origin::open(dir, mode, db, segment, (&path, &[recipe(attr)]))?;
        sections.map(|sections| Words::open(sections, attr, segment.rows())).transpose()
    };
    Ok(origin::adopt(mode, rebuild, open)?.map(Arc::new))
}

/// Opens all words of a part that are there and that the part has not got; says whether any were.
pub(crate) fn adopt_all(
    dir: &dyn Dir,
    mode: &OpenMode,
    db: &[u8; 16],
    (part, schema): (&mut Part, &Schema),
    options: &Options,
) -> Result<bool> {
    let mut found = BTreeMap::new();
    for attr in texts(schema).filter(|attr| part.lacks_words_of(attr.id)) {
        let what = (&*part.segment, attr.id);
        let words = adopt(dir, mode, db, what, options.rebuild_derived)?;
        found.extend(words.map(|words| (attr.id, words)));
    }
    let any = !found.is_empty();
    if any {
        Arc::make_mut(&mut part.words).extend(found);
        // What was made in memory meanwhile has had its day.
        part.texts = Arc::default();
    }
    Ok(any)
}

impl Part {
    /// How many rows have an attribute here, dead ones among them.
    fn texts_of(&self, attr: u16) -> u32 {
        self.vectors(attr)
    }

    fn lacks_words_of(&self, attr: u16) -> bool {
        let many = self.texts_of(attr) >= TEXTS_MIN;
        !self.on_heap() && many && !self.words.contains_key(&attr)
    }

    /// Whether a file of words would be worth its while and is not there.
    pub(crate) fn lacks_words(&self, schema: &Schema) -> bool {
        texts(schema).any(|attr| self.lacks_words_of(attr.id))
    }

    /// The words of an attribute: from its file, or made now and kept; `None` where no row has one.
    pub(crate) fn words(&self, attr: u16) -> Result<Option<Arc<Words>>> {
        if let Some(words) = self.words.get(&attr) {
            return Ok(Some(words.clone()));
        }
        match self.texts_of(attr) {
            0 => Ok(None),
            _ => Ok(Some(self.make_words(attr, &mut Progress::silent())?)),
        }
    }

    fn make_words(&self, attr: u16, progress: &mut Progress<'_>) -> Result<Arc<Words>> {
        self.texts.get_weighed(&format!("words of {attr}"), Words::weight, || {
            let built = build::build(&self.segment, attr, progress)?;
            built.into_words(attr, self.segment.rows())
        })
    }

    /// Removes the words of attributes that the schema has not got; says which files they were.
    pub(crate) fn drop_words(&mut self, schema: &Schema) -> Vec<String> {
        let known = |id: u16| texts(schema).any(|attr| attr.id == id);
        let gone: Vec<u16> = self.words.keys().copied().filter(|id| !known(*id)).collect();
        if !gone.is_empty() {
            Arc::make_mut(&mut self.words).retain(|id, _| known(*id));
        }
        gone.into_iter().map(|id| names::words(self.segment.uid, id)).collect()
    }

    /// The files of its words.
    pub(crate) fn word_files(&self) -> impl Iterator<Item = String> {
        self.words.keys().map(|attr| names::words(self.segment.uid, *attr))
    }
}

impl Store {
    /// Writes the words of the first part that lacks some; says whether there was one.
    pub(crate) fn derive_words(&self, progress: &mut Progress<'_>) -> Result<bool> {
        let version = self.current();
        let lacking = version.parts.iter().find_map(|part| {
            let attr = texts(&version.schema).find(|attr| part.lacks_words_of(attr.id))?;
            Some((part, attr.id))
        });
        let Some((part, attr)) = lacking else { return Ok(false) };
        // The long work, while others flush and merge.
        let words = part.make_words(attr, progress)?;
        self.chore(|| {
            let same = |other: &Part| other.segment.uid == part.segment.uid;
            let Some(file) = part.segment.file() else { return Ok(true) };
            if !self.current().parts.iter().any(same) {
                return Ok(true);
            }
            let path = names::words(part.segment.uid, attr);
            let from = (path.as_str(), &*recipe(attr));
            origin::publish(&*self.dir, self.db, file, from, |sink| words.save(sink))?;
            self.published(path);
            let _writer = self.writer.lock();
            let now = self.current();
            let (mut parts, schema) = (now.parts.clone(), &now.schema);
            for part in parts.iter_mut().filter(|other| same(other)) {
                adopt_all(&*self.dir, &self.mode, &self.db, (part, schema), &self.options)?;
            }
            self.swap(Version { parts, ..(*now).clone() });
            Ok(true)
        })
    }
}

impl Snapshot {
    /// The number of a text attribute.
    pub(crate) fn text_attr(&self, name: &str) -> Result<u16> {
        let attr = self.schema().find_attr(name)?;
        match attr.ty {
            AttrType::Text => Ok(attr.id),
            ty => {
                let why = format!("is a {ty:?}; only a Text has words to look for");
                Err(Error::invalid(format!("attribute {name:?}"), why))
            }
        }
    }
}
