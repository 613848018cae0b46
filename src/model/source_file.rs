//! A file of what is built.

/// A file or link of what is built. What it holds is read elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative to what is built, with `/` between its parts.
    pub path: String,
    /// What it is.
    pub kind: SourceFileKind,
    /// Bytes; of a link those of its target.
    pub size_bytes: u64,
    /// When it was changed, seconds since 1970.
    pub modified_at: u64,
}

/// What a [`SourceFile`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFileKind {
    /// Mode 0644.
    Plain,
    /// Mode 0755.
    Executable,
    /// A link to this target.
    Symlink(String),
}
