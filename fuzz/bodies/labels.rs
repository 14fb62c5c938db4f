//! Labels as JSON lines, and the bytes of classifiers, gates and labels: refused, or good for all that is
//! done with them.

use super::attack::Choices;
use bowerbird::{
    model::{Training, classify::*},
    *,
};
use std::sync::OnceLock;

const LINES: &str = r#"{"user":7,"item":42,"label":"yes","by":{"person":"ann"},"at":1700000000000}
{"query":{"text":"bees"},"item":8,"label":0.2,"by":{"model":"llm","prompt":"9f86"},"confidence":0.7,"at":5}
{"query":{"space":"text","vector":[0.5,-1.25]},"source":"x","item":"y","label":false,"by":{"person":"bob"},"at":-1}
"#;

/// The bytes of an artifact of a kind, as they are.
struct Raw<const LABELS: bool>(Vec<u8>);

impl<const LABELS: bool> Artifact for Raw<LABELS> {
    const KIND: &'static str = if LABELS { "labels" } else { "classifier" };
    const FORMAT: u16 = 1;

    fn save(&self, out: &mut Saved) -> Result<()> {
        out.section(0, &self.0)
    }

    fn open(from: &Opened) -> Result<Raw<LABELS>> {
        Ok(Raw(from.section(0)?.to_vec()))
    }
}

/// The first byte chooses what is read, and whether the rest is all of it or says what changes.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let what = choices.byte();
    let sound: &[u8] = match what % 3 {
        0 => LINES.as_bytes(),
        1 => sound().0.as_slice(),
        _ => sound().1.as_slice(),
    };
    let bytes = if what >= 192 { choices.0.to_vec() } else { changed(sound, &mut choices) };
    match what % 3 {
        0 => lines(&bytes),
        1 => classifier(bytes),
        _ => labels(bytes),
    }
}

/// The bytes of a classifier and of labels.
fn sound() -> &'static (Vec<u8>, Vec<u8>) {
    static SOUND: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let values: Vec<f32> = (0..160).map(|at| (at % 11) as f32).collect();
        let labels: Vec<f32> = (0..80).map(|at| f32::from(u8::from(at % 2 == 0))).collect();
        let rows = Rows::new(["a", "b"], values, labels).expect("they fit");
        let fit = FitClassifier { calibrate: Calibrate::Isotonic, ..FitClassifier::logistic() };
        let classifier = fit.train(&rows, &mut Training::new(1)).expect("there are enough");
        let labels = Labels::read(LINES).expect("they are labels");
        let db = Db::in_memory(Schema::new()).expect("it is empty");
        publish(&db, &classifier).expect("it can be saved");
        let one = db.snapshot().artifact::<Raw<false>>("it").expect("it is there").0;
        publish(&db, &labels).expect("they can be saved");
        (one, db.snapshot().artifact::<Raw<true>>("it").expect("they are there").0)
    })
}

fn publish<A: Artifact>(db: &Db, artifact: &A) -> Result<()> {
    let version = db.publish("it", artifact, Provenance::default())?;
    db.activate("it", version)
}

fn lines(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(labels) = Labels::read(text) else { return };
    let again = Labels::read(&labels.write()).expect("what was written can be read");
    assert_eq!(again, labels);
    used(&labels);
}

fn used(labels: &Labels) {
    let report = labels.report();
    assert!(report.pairs <= report.labels && report.labels == labels.len());
    let verdicts = labels.verdicts(|_| 1.0).expect("trust is fine");
    assert!(verdicts.iter().all(|verdict| (0.0..=1.0).contains(&verdict.label)));
    for agreement in Agreement::all(labels) {
        assert!(agreement.kappa().is_none_or(|kappa| kappa <= 1.0 + 1e-9), "{agreement}");
    }
    let mut twice = labels.clone();
    twice.merge(labels.clone()).expect("they are few");
}

fn classifier(bytes: Vec<u8>) {
    let db = Db::in_memory(Schema::new()).expect("it is empty");
    publish(&db, &Raw::<false>(bytes)).expect("bytes can be saved");
    let Ok(classifier) = db.snapshot().artifact::<Classifier>("it") else { return };
    for number in [0.0, -1.5, 3.0, f32::NAN, f32::MAX] {
        let row = vec![number; classifier.names().len()];
        let chance = classifier.probability(&row).expect("it is as wide as it says");
        assert!((0.0..=1.0).contains(&chance), "{number} gives {chance}");
        classifier.explain(&row).expect("it is as wide as it says");
    }
    classifier.importance();
}

fn labels(bytes: Vec<u8>) {
    let db = Db::in_memory(Schema::new()).expect("it is empty");
    publish(&db, &Raw::<true>(bytes)).expect("bytes can be saved");
    if let Ok(labels) = db.snapshot().artifact::<Labels>("it") {
        used(&labels);
    }
}

/// Bytes set, left out or doubled.
fn changed(sound: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..1 + choices.byte() % 4 {
        if bytes.is_empty() {
            break;
        }
        let at = choices.below(bytes.len());
        match choices.byte() % 5 {
            0 => bytes[at] = choices.byte(),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, choices.byte()),
            3 => bytes.truncate(at.max(1)),
            _ => {
                let end = (at + choices.below(100)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}
