//! Properties of the whole, one file each.
#![allow(unreachable_pub)] // Modules of one binary: there is nobody to reach them from outside.

mod architecture;
mod crash;
mod defects;
mod derived;
mod erase;
mod eval;
mod format;
mod io_errors;
mod kill;
mod laws;
mod live;
mod oracle;
