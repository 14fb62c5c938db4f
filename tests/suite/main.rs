//! Properties of the whole, one file each.

mod corruption;
mod forged;
mod fuzz_bodies;
mod hostile;
mod memory_limits;
mod swaps;
