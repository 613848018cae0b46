//! mini.
