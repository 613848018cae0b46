//! A part of what is desired, shared between reads for as long as nothing of it was written.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A value that costs nothing to copy, and nothing to compare with a copy of itself.
#[derive(Debug, Default)]
pub struct Part<T>(Arc<T>);

impl<T> Part<T> {
    /// Whether both are one and the same, without a look at what is in them. Equal ones may be two.
    pub fn is_same(&self, other: &Part<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Part<T> {
        Part(Arc::clone(&self.0))
    }
}

impl<T> From<T> for Part<T> {
    fn from(value: T) -> Part<T> {
        Part(Arc::new(value))
    }
}

impl<T> Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Changes a copy if the value is shared, so that others keep theirs.
impl<T: Clone> DerefMut for Part<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T: PartialEq<U>, U> PartialEq<U> for Part<T> {
    fn eq(&self, other: &U) -> bool {
        *self.0 == *other
    }
}

impl<'a, T> IntoIterator for &'a Part<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (&*self.0).into_iter()
    }
}
