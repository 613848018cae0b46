//! `repo:*`: what is kept of an app beside its releases.

mod purge_cache;

pub use purge_cache::PurgeCache;
