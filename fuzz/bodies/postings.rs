//! Any bitmap where a segment or a list of dead rows has one, under right checksums.

use super::{attack::Choices, event_log};

/// PRESENT, TRUE, POSTING_STARTS, POSTINGS, SORTED, CODES, LISTS, DEAD_ROWS, DEAD_EVENTS.
const KINDS: [u16; 9] = [17, 20, 25, 26, 19, 21, 22, 50, 51];

/// Each change: which section, how, and with which bytes.
pub fn run(data: &[u8]) {
    event_log::change(&mut Choices(data), &KINDS);
}
