use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Transactions by number, found by what a message says of itself.
#[derive(Debug)]
pub(super) struct Table<T> {
    entries: BTreeMap<u64, (String, T)>,
    ids: HashMap<String, u64>,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self { entries: BTreeMap::new(), ids: HashMap::new() }
    }

    pub(super) fn insert(&mut self, id: u64, key: String, entry: T) {
        self.ids.insert(key.clone(), id);
        self.entries.insert(id, (key, entry));
    }

    pub(super) fn find(&self, key: &str) -> Option<u64> {
        self.ids.get(key).copied()
    }

    pub(super) fn get(&self, id: u64) -> Option<&T> {
        self.entries.get(&id).map(|(_, entry)| entry)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        self.entries.get_mut(&id).map(|(_, entry)| entry)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let (key, entry) = self.entries.remove(&id)?;
        self.ids.remove(&key);
        Some(entry)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The numbers of those for which `wanted` says so, in order.
    pub(super) fn ids(&self, wanted: impl Fn(&T) -> bool) -> Vec<u64> {
        self.entries.iter().filter(|(_, (_, entry))| wanted(entry)).map(|(&id, _)| id).collect()
    }
}

/// How many there are of each.
#[derive(Debug)]
pub(super) struct Census<K>(HashMap<K, usize>);

impl<K: Eq + Hash> Census<K> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn count(&self, of: &K) -> usize {
        self.0.get(of).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, of: K) {
        *self.0.entry(of).or_default() += 1;
    }

    pub(super) fn remove(&mut self, of: &K) {
        match self.0.get_mut(of) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                self.0.remove(of);
            }
        }
    }
}
