//! The worked example of FORMAT.md, made again and compared to the byte.

use bowerbird::{io::fault::Fault, *};
use std::{fs, path::PathBuf, sync::Arc};

fn manual() -> Options {
    Options::default().maintenance(Maintenance::Manual)
}

/// A tiny database: the same bytes every time.
fn tiny() -> Vec<(String, Vec<u8>)> {
    let schema = Schema::new()
        .space("text", 2, Metric::Dot)
        .attr("genre", AttrType::Tag)
        .attr("year", AttrType::Int)
        .event("view");
    let dir = Fault::new();
    let db = Db::create_in(Arc::new(dir.clone()), schema, manual()).unwrap();
    let mut batch = db.batch();
    batch.put(Item::new(7u64).vector("text", [1.0, 2.0]).attr("genre", "jazz").attr("year", 1959));
    batch.put(Item::new(9u64).vector("text", [0.5, -1.0]).attr("genre", "rock"));
    batch.event(Event::new(3, 7u64, "view", Timestamp(1_000)).value(4.5));
    batch.commit().unwrap();
    db.flush().unwrap();
    db.batch().delete(9u64).commit().unwrap();
    dir.files().into_iter().filter(|(path, _)| path != "LOCK").collect()
}

/// One line of an annotation: so many bytes, and what they are.
type Notes = Vec<(usize, String)>;

fn notes(table: &[(usize, &str)]) -> Notes {
    table.iter().map(|(len, what)| (*len, (*what).to_owned())).collect()
}

fn header_notes(kind: &str, id: &str) -> Notes {
    let mut all = notes(&[(8, "magic")]);
    all.push((2, kind.to_owned()));
    all.extend(notes(&[
        (2, "format 1"),
        (12, "features: incompat, ro_compat, compat"),
        (16, "database"),
    ]));
    all.push((8, id.to_owned()));
    all.extend(notes(&[(8, "nonce"), (4, "zeros"), (4, "CRC-32C of the 60 bytes before")]));
    all
}

/// Footer and tail of a file with these sections, in order.
fn footer_notes(sections: &[&str]) -> Notes {
    let mut all = notes(&[(4, "number of sections"), (4, "zeros")]);
    all.extend(sections.iter().map(|name| (32, format!("{name}: kind, field, offset, length"))));
    all.extend(sections.iter().map(|name| (4, format!("CRC-32C of the block of {name}"))));
    all.extend(notes(&[
        (8, "where the footer begins"),
        (8, "its length"),
        (4, "its CRC-32C"),
        (4, "zeros"),
        (8, "magic"),
    ]));
    all
}

/// A section: its parts, and zeros up to 64 bytes.
fn section_notes(name: &str, parts: &[(usize, &str)]) -> Notes {
    let len: usize = parts.iter().map(|(len, _)| len).sum();
    let mut all: Notes = parts.iter().map(|(n, what)| (*n, format!("{name}: {what}"))).collect();
    all.push((len.next_multiple_of(64) - len, "zeros up to 64 bytes".to_owned()));
    all
}

const FILE_REF: [(usize, &str); 4] =
    [(8, "segment: id 3"), (8, "length"), (8, "nonce"), (4, "CRC-32C of its footer")];

fn manifest_notes() -> Notes {
    let mut parts = vec![
        (8, "generation"),
        (8, "flushed"),
        (8, "synced"),
        (8, "next_id"),
        (4, "keys: 0, numbers"),
        (8, "1 space"),
        (2, "id 0"),
        (12, "\"text\""),
        (4, "dim 2"),
        (4, "metric 0, dot"),
        (4, "encoding 0, f32"),
        (8, "2 attributes"),
        (2, "id 1"),
        (13, "\"genre\""),
        (4, "type 4, tag"),
        (2, "id 2"),
        (12, "\"year\""),
        (4, "type 1, int"),
        (8, "1 kind of event"),
        (12, "\"view\""),
        (2, "next_field"),
        (8, "1 part"),
    ];
    parts.extend(FILE_REF);
    parts.extend([
        (1, "no dead rows"),
        (1, "not erasing"),
        (8, "1 WAL"),
        (8, "its id"),
        (8, "nonce"),
    ]);
    parts.extend([(8, "first_lsn"), (1, "not sealed"), (8, "no artifacts")]);
    let mut all = header_notes("kind 1: MANIFEST", "id: the generation");
    all.extend(section_notes("MANIFEST", &parts));
    all.extend(footer_notes(&["MANIFEST"]));
    all
}

fn wal_notes() -> Notes {
    let mut all = header_notes("kind 2: WAL", "id 2");
    all.extend(notes(&[(8, "first_lsn"), (52, "zeros"), (4, "CRC-32C of the 124 bytes before")]));
    let record = [
        (4, "magic"),
        (4, "length of the payload"),
        (8, "lsn"),
        (8, "durable_lsn"),
        (1, "kind of record: 1 BATCH, 2 SEAL"),
        (7, "zeros"),
        (4, "CRC-32C of place, header, payload"),
        (4, "zeros"),
    ];
    all.extend(notes(&record));
    all.extend(notes(&[
        (8, "1 operation"),
        (4, "variant 1, Delete"),
        (4, "key: variant 0, a number"),
        (8, "9"),
    ]));
    all.extend(notes(&record));
    all
}

fn segment_notes() -> Notes {
    let sections: &[(&str, &[(usize, &str)])] = &[
        ("KEYS", &[(8, "7"), (8, "9")]),
        ("VECTORS of field 0", &[(8, "row 0: 1.0, 2.0"), (8, "row 1: 0.5, -1.0")]),
        ("CODES of field 1", &[(4, "row 0: term 0"), (4, "row 1: term 1")]),
        ("TERM_STARTS of field 1", &[(8, "0"), (8, "4"), (8, "8")]),
        ("TERM_BYTES of field 1", &[(4, "\"jazz\""), (4, "\"rock\"")]),
        ("POSTING_STARTS of field 1", &[(8, "0"), (8, "18"), (8, "36")]),
        (
            "POSTINGS of field 1",
            &[
                (4, "cookie"),
                (4, "1 container"),
                (4, "key 0, 1 row"),
                (4, "it begins at 16"),
                (2, "row 0"),
                (4, "cookie"),
                (4, "1 container"),
                (4, "key 0, 1 row"),
                (4, "it begins at 16"),
                (2, "row 1"),
            ],
        ),
        ("VALUES of field 2", &[(8, "row 0: 1959"), (8, "row 1: missing")]),
        ("SORTED of field 2", &[(4, "row 0")]),
        (
            "PRESENT of field 2",
            &[
                (4, "cookie"),
                (4, "1 container"),
                (4, "key 0, 1 row"),
                (4, "it begins at 16"),
                (2, "row 0"),
            ],
        ),
        ("EVENT_USERS", &[(8, "3")]),
        ("EVENT_STARTS", &[(4, "0"), (4, "1")]),
        ("EVENT_ITEMS", &[(4, "0")]),
        ("EVENT_KINDS", &[(1, "0, view")]),
        ("EVENT_AT", &[(8, "1000")]),
        ("EVENT_RECORDED", &[(8, "1000")]),
        ("EVENT_FLAGS", &[(1, "1, has a value")]),
        ("EVENT_VALUES", &[(4, "4.5")]),
        ("ITEM_KEYS", &[(8, "7")]),
        (
            "META",
            &[
                (12, "field 0: type 0 (f32), dim 2, 2 rows"),
                (12, "field 1: type 20 (tag), 2 rows"),
                (12, "field 2: type 17 (int), 1 row"),
                (4, "zeros up to 8 bytes"),
                (8, "first_seq"),
                (8, "last_seq"),
                (8, "clock_min"),
                (8, "clock_max"),
                (4, "rows"),
                (4, "events"),
                (4, "users"),
                (4, "event_items"),
                (4, "key_kind"),
                (4, "fields: -92 bytes from here"),
                (4, "3 of them"),
                (4, "zeros"),
            ],
        ),
    ];
    let mut all = header_notes("kind 3: segment", "id 3");
    sections.iter().for_each(|(name, parts)| all.extend(section_notes(name, parts)));
    all.extend(footer_notes(&sections.iter().map(|(name, _)| *name).collect::<Vec<_>>()));
    all
}

/// A hexdump with a line per note; notes must account for every byte.
fn annotated(path: &str, bytes: &[u8], notes: &Notes) -> String {
    let mut text = format!("{path}, {} bytes\n\n", bytes.len());
    let mut at = 0;
    for (len, what) in notes {
        let piece = &bytes[at..at + len];
        if what.starts_with("zeros") {
            assert!(piece.iter().all(|b| *b == 0), "{path}, byte {at}: {what}");
            text += &format!("{at:04x}  {:<48}  {what}\n", format!("00, {len} times"));
        } else {
            for (i, line) in piece.chunks(16).enumerate() {
                let hex: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
                let what = if i == 0 { what } else { "" };
                let line = format!("{:04x}  {:<48}  {what}", at + i * 16, hex.join(" "));
                text += &format!("{}\n", line.trim_end());
            }
        }
        at += len;
    }
    assert_eq!(at, bytes.len(), "{path}: bytes without a note");
    text
}

/// Goal: the worked example of FORMAT.md, chapter 14, is true to the byte. Method: make the database
/// again, write the same hexdump, and compare it with the chapter.
// checks: F1 F2
#[test]
fn the_worked_example_is_what_we_write() {
    let mut dump = Vec::new();
    for (path, bytes) in tiny() {
        let notes = match path.split('.').next_back() {
            Some("wal") => wal_notes(),
            Some("seg") => segment_notes(),
            _ => manifest_notes(),
        };
        dump.push(annotated(&path, &bytes, &notes));
    }
    let dump = format!("```text\n{}```\n", dump.join("\n"));
    let (begin, end) = ("<!-- example -->\n", "<!-- end of example -->");
    let chapters = include_str!("../../FORMAT.md");
    let inner = chapters.split_once(begin).and_then(|(_, rest)| rest.split_once(end));
    let written = inner.map_or("", |(inner, _)| inner);
    if written != dump {
        let copy = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("example.md");
        // A file for the one who reads the message, not of a database.
        #[allow(clippy::disallowed_methods)]
        fs::write(&copy, &dump).unwrap();
        panic!(
            "FORMAT.md, chapter 14, is not what we write. If the format was meant to change, put {} \
             between the two markers there, and see chapter 12.",
            copy.display()
        );
    }
}
