//! The model's addresses, tried in turn.

use std::collections::HashSet;
use std::sync::Arc;

/// Where one call looks for its model.
pub struct Endpoints {
    urls: Vec<Arc<str>>,
    at: usize,
    /// Those that will never let us in.
    refused: HashSet<usize>,
}

impl Endpoints {
    /// Starts with the first.
    pub fn new(urls: Vec<Arc<str>>) -> Self {
        Self { urls, at: 0, refused: HashSet::new() }
    }

    /// The one to try now.
    pub fn current(&self) -> Option<Arc<str>> {
        self.urls.get(self.at).cloned()
    }

    /// No session came from the current one: the next is tried, one that refused for good only if all did.
    /// True if trying on is of no use.
    pub fn failed(&mut self, permanent: bool) -> bool {
        if permanent {
            self.refused.insert(self.at);
        }
        let count = self.urls.len();
        for _ in 0..count {
            self.at = (self.at + 1) % count;
            if !self.refused.contains(&self.at) {
                return false;
            }
        }
        true
    }

    /// The current one gave a session; the others may have changed their minds.
    pub fn succeeded(&mut self) {
        self.refused.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Endpoints {
        Endpoints::new(["a", "b", "c"].map(Arc::from).to_vec())
    }

    #[test]
    fn each_is_tried_in_turn() {
        let mut endpoints = three();
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(endpoints.current().unwrap().to_string());
            assert!(!endpoints.failed(false));
        }
        assert_eq!(seen, ["a", "b", "c", "a"]);
    }

    #[test]
    fn a_refusal_for_good_counts_when_all_refuse() {
        let mut endpoints = three();
        assert!(!endpoints.failed(true));
        assert!(!endpoints.failed(false));
        assert!(!endpoints.failed(false));
        assert_eq!(endpoints.current().as_deref(), Some("b"), "a is passed over");
        assert!(!endpoints.failed(true));
        assert!(endpoints.failed(true));
        endpoints.succeeded();
        assert!(!endpoints.failed(true));
        assert!(Endpoints::new(Vec::new()).failed(false), "none at all");
    }
}
