//! Properties of the whole, one file each.
#![allow(unreachable_pub)] // Modules of one binary: there is nobody to reach them from outside.

mod crash;
mod eval;
mod format;
mod laws;
mod oracle;
