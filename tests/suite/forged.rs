//! Corruption with right checksums: what a forger would do. Answers may differ, but they come.

use crate::{
    fuzz_bodies::bodies::{attack, open_dir},
    memory_limits::peak_of,
};
use bowerbird::KeyKind;
use std::{
    panic,
    time::{Duration, Instant},
};

/// Mutations of one test; two tests make the 20,000 of each run. A deep run does 100 times as many.
const MUTATIONS: u64 = if option_env!("BOWERBIRD_DEEP").is_some() { 1_000_000 } else { 10_000 };

/// The promise of C5 for a database of this size, with its factor: what is decoded is larger than
/// the bytes it was decoded from, and the whole is held a few times over while it is merged.
fn bytes_max(keys: KeyKind) -> u64 {
    let files: usize = open_dir::sound(keys).values().map(Vec::len).sum();
    (64 << 20) + 16 * files as u64
}

/// Goal: no file contents whatever make this crate panic, hang or take memory without bound (C3, C5).
/// Method: flips, boundary values in numeric fields, longer, shorter, missing, copied and renamed
/// sections, up to four of them; then right checksums all the way up to MANIFEST; then read, verify,
/// write, flush, merge. Scores must be finite. A failure prints its number.
fn forge(seed: u64, keys: KeyKind, flags: u8) {
    let (mut opened, mut most, mut slowest) = (0, 0, Duration::ZERO);
    let bytes_max = bytes_max(keys);
    for number in 0..MUTATIONS {
        let mut input = attack::noise(seed + number, 96);
        // One change mostly, so that it is not hidden behind another.
        input[0] = flags | if number % 4 == 0 { input[0] & 0xc0 } else { 0 } | (input[0] & 4);
        let start = Instant::now();
        let (done, peak) = peak_of(|| panic::catch_unwind(|| open_dir::describe(&input)));
        let Ok(done) = done else { panic!("mutation {number} of seed {seed:#x}: {input:?}") };
        let took = start.elapsed();
        assert!(peak <= bytes_max, "mutation {number}: {peak} bytes for {done}");
        assert!(took < Duration::from_secs(20), "mutation {number}: {took:?} for {done}");
        opened += u64::from(done.starts_with("opens"));
        (most, slowest) = (most.max(peak), slowest.max(took));
    }
    println!(
        "{keys:?}: {MUTATIONS} mutations, {opened} open; at most {most} bytes and {slowest:?}"
    );
}

// checks: C3 C5 L3
#[test]
fn forged_files_are_values_or_errors_with_numbers_as_keys() {
    forge(0x5eed_0001_0000_0000, KeyKind::Id, 0);
}

// checks: C3 C5 L3
#[test]
fn forged_files_are_values_or_errors_with_names_as_keys() {
    forge(0x5eed_0002_0000_0000, KeyKind::Name, 2);
}
