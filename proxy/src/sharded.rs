//! A map whose copies share what they have in common, so that a copy with one change costs next to nothing.
//!
//! Keys are spread over a fixed number of shards, each behind an `Arc`. A copy shares all of them; a change
//! copies the one it falls into. With 10,000 keys that is some 150 entries instead of all.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Few enough that copying a small map costs nothing, enough that a shard of 100,000 keys is copied in
/// some tens of microseconds.
const SHARDS: usize = 64;

/// A map that is cheap to copy and cheap to compare with a copy of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sharded<K: Hash + Eq, V> {
    shards: Vec<Arc<HashMap<K, V>>>,
}

impl<K: Hash + Eq, V> Default for Sharded<K, V> {
    fn default() -> Sharded<K, V> {
        Sharded {
            shards: vec![Arc::default(); SHARDS],
        }
    }
}

/// The shard a key falls into: the same in every map, for maps are compared shard by shard.
fn shard_of<Q: Hash + ?Sized>(key: &Q) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    // The remainder is below 64: it fits.
    (hasher.finish() % SHARDS as u64) as usize
}

impl<K: Hash + Eq, V> Sharded<K, V> {
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.shards.get(shard_of(key))?.get(key)
    }

    pub(crate) fn get_key_value<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.shards.get(shard_of(key))?.get_key_value(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.is_empty())
    }

    /// Whether both share everything: equal without a look at any entry.
    pub(crate) fn is_shared_with(&self, other: &Sharded<K, V>) -> bool {
        let mut pairs = self.shards.iter().zip(&other.shards);
        pairs.all(|(mine, others)| Arc::ptr_eq(mine, others))
    }

    /// The entries of `old` that may have changed or gone since, each with its present value if it has one.
    ///
    /// Looks only into shards that are not shared.
    pub(crate) fn changed_since<'a>(
        &'a self,
        old: &'a Sharded<K, V>,
    ) -> impl Iterator<Item = (&'a K, &'a V, Option<&'a V>)> {
        let pairs = old.shards.iter().zip(&self.shards);
        pairs
            .filter(|(old, new)| !Arc::ptr_eq(old, new))
            .flat_map(|(old, new)| old.iter().map(|(key, value)| (key, value, new.get(key))))
    }
}

impl<K: Hash + Eq + Clone, V: Clone + PartialEq> Sharded<K, V> {
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let shard = self.shards.get_mut(shard_of(&key))?;
        Arc::make_mut(shard).insert(key, value)
    }

    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let shard = self.shards.get_mut(shard_of(key))?;
        if shard.contains_key(key) {
            Arc::make_mut(shard).remove(key)
        } else {
            None
        }
    }

    /// Takes from `old` what is equal there, so that both share it from now on.
    pub(crate) fn share_with(&mut self, old: &Sharded<K, V>) {
        for (mine, old) in self.shards.iter_mut().zip(&old.shards) {
            if Arc::ptr_eq(mine, old) {
                continue;
            }
            if mine == old {
                *mine = Arc::clone(old);
                continue;
            }
            for (key, value) in Arc::make_mut(mine) {
                if let Some(known) = old.get(key)
                    && known == value
                {
                    *value = known.clone();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sharded;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn it_is_a_map(changes in proptest::collection::vec((0u8..40, any::<Option<u8>>()), 0..200)) {
            let (mut sharded, mut plain) = (Sharded::default(), HashMap::new());
            for (key, value) in changes {
                let before = match value {
                    Some(value) => (sharded.insert(key, value), plain.insert(key, value)),
                    None => (sharded.remove(&key), plain.remove(&key)),
                };
                prop_assert_eq!(before.0, before.1);
                prop_assert_eq!(sharded.get(&key), plain.get(&key));
            }
            prop_assert_eq!(sharded.len(), plain.len());
            prop_assert_eq!(sharded.is_empty(), plain.is_empty());
            let all: HashMap<u8, u8> = sharded.iter().map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(all, plain);
        }

        #[test]
        fn copies_share_what_is_equal_and_tell_what_is_not(
            old in proptest::collection::hash_map(0u8..40, 0u8..3, 0..40),
            new in proptest::collection::hash_map(0u8..40, 0u8..3, 0..40),
        ) {
            let build = |from: &HashMap<u8, u8>| {
                let mut map = Sharded::default();
                for (key, value) in from {
                    map.insert(*key, *value);
                }
                map
            };
            let (before, mut after) = (build(&old), build(&new));
            after.share_with(&before);
            prop_assert_eq!(&after, &build(&new), "sharing changes nothing");
            prop_assert_eq!(after.is_shared_with(&before), old == new);
            let told: HashMap<u8, Option<u8>> = after
                .changed_since(&before)
                .map(|(key, _, now)| (*key, now.copied()))
                .collect();
            for (key, value) in &old {
                let now = new.get(key).copied();
                prop_assert!(told.get(key) == Some(&now) || (!told.contains_key(key) && now == Some(*value)));
            }
        }
    }
}
