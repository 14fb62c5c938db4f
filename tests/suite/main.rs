//! Properties of the whole, one file each.
