//! Timing for all benches: medians of repeated runs, and two things compared in turns.

#![allow(dead_code, unreachable_pub)] // Each bench includes this file and uses what it needs.

use std::time::{Duration, Instant};

/// The median time of `runs` calls.
pub fn median(runs: usize, mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..runs).map(|_| once(&mut work)).collect();
    times.sort_unstable();
    times[runs / 2]
}

/// The median times of two things, run in turns so that both see the same machine.
pub fn pair(runs: usize, mut a: impl FnMut(), mut b: impl FnMut()) -> (Duration, Duration) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        left.push(once(&mut a));
        right.push(once(&mut b));
    }
    left.sort_unstable();
    right.sort_unstable();
    (left[runs / 2], right[runs / 2])
}

/// The time of one call.
pub fn once(work: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Gigabytes per second.
pub fn gbps(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64() / 1e9
}

/// The same numbers for the same seed, everywhere (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in -1..1.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// A word of a vocabulary of 200,000, common ones more often, as in texts (Zipf with exponent 1). Words
    /// share beginnings.
    pub fn word(&mut self) -> String {
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        let mut rank = (share * 200_000f64.ln()).exp() as u64;
        let mut word = String::new();
        let letters = ["stbcmpadfhlrngeiowkvjuyqxz", "aeioulrnty", "nrstlmdcaeiou"];
        for (letters, at) in letters.iter().cycle().zip(0..) {
            let count = letters.len() as u64;
            word.push(char::from(letters.as_bytes()[(rank % count) as usize]));
            rank /= count;
            if rank == 0 && at > 0 {
                break;
            }
        }
        word
    }

    pub fn vector(&mut self, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| self.unit()).collect()
    }
}

/// Whether a short run was asked for: `cargo bench -- --quick`.
pub fn quick() -> bool {
    std::env::args().any(|arg| arg == "--quick" || arg == "--test")
}
