//! A target that must fail: it shows that failing works.

/// Panics on one input that a fuzzer finds in seconds.
pub fn run(data: &[u8]) {
    assert!(!data.starts_with(b"bow"), "the canary sings");
}
