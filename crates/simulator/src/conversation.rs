//! The items of one conversation, in order.

use std::time::Instant;

use serde_json::Value;

use crate::format::WireFormat;

/// What an item is to the simulator, beside its JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// A spoken turn. Only the newest keeps its bytes: a call lasts for hours.
    CallerAudio {
        turn: u32,
        ms: u64,
        format: WireFormat,
        bytes: Vec<u8>,
    },
    CallerText(String),
    /// A spoken answer of which `bytes` were sent since a moment, or kept by a truncation.
    AnswerAudio {
        bytes: u64,
        bytes_per_ms: u64,
        since: Option<Instant>,
        truncated: bool,
    },
    AnswerText,
    CallOutput(String),
    /// System items, function calls: nothing to answer.
    Other,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub id: String,
    pub json: Value,
    pub content: Content,
}

/// Where a new item goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    End,
    Front,
    After(&'a str),
}

#[derive(Debug, Default)]
pub(crate) struct Conversation {
    items: Vec<Item>,
}

impl Conversation {
    /// Returns the id of the item before the new one, or `None` in the inner option at the front.
    /// The outer option is `None` if the named item does not exist.
    pub(crate) fn insert(&mut self, item: Item, place: Place<'_>) -> Option<Option<String>> {
        let index = match place {
            Place::End => self.items.len(),
            Place::Front => 0,
            Place::After(id) => self.items.iter().position(|item| item.id == id)? + 1,
        };
        if matches!(item.content, Content::CallerAudio { .. }) {
            for older in &mut self.items {
                if let Content::CallerAudio { bytes, .. } = &mut older.content {
                    *bytes = Vec::new();
                }
            }
        }
        self.items.insert(index.min(self.items.len()), item);
        Some(self.before(index))
    }

    fn before(&self, index: usize) -> Option<String> {
        index.checked_sub(1).and_then(|index| self.items.get(index)).map(|item| item.id.clone())
    }

    /// Id of the item before this one.
    pub(crate) fn previous(&self, id: &str) -> Option<String> {
        self.before(self.items.iter().position(|item| item.id == id)?)
    }

    pub(crate) fn last_id(&self) -> Option<String> {
        self.items.last().map(|item| item.id.clone())
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.id == id)
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Item> {
        let index = self.items.iter().position(|item| item.id == id)?;
        Some(self.items.remove(index))
    }

    /// What waits for an answer: the last turn, text or tool output that no answer follows.
    pub(crate) fn unanswered(&self) -> Option<&Item> {
        self.items.iter().rev().find(|item| item.content != Content::Other).filter(|item| {
            matches!(item.content, Content::CallerAudio { .. } | Content::CallerText(_) | Content::CallOutput(_))
        })
    }

    /// The newest spoken answer.
    pub(crate) fn last_spoken(&self) -> Option<&Item> {
        self.items.iter().rev().find(|item| matches!(item.content, Content::AnswerAudio { .. }))
    }

    pub(crate) fn has_spoken(&self) -> bool {
        self.items.iter().any(|item| matches!(item.content, Content::AnswerAudio { since: Some(_), .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, content: Content) -> Item {
        Item { id: id.into(), json: Value::Null, content }
    }

    #[test]
    fn places() {
        let mut conversation = Conversation::default();
        assert_eq!(conversation.insert(item("a", Content::Other), Place::End), Some(None));
        assert_eq!(conversation.insert(item("c", Content::Other), Place::End), Some(Some("a".into())));
        assert_eq!(conversation.insert(item("b", Content::Other), Place::After("a")), Some(Some("a".into())));
        assert_eq!(conversation.insert(item("0", Content::Other), Place::Front), Some(None));
        assert_eq!(conversation.insert(item("x", Content::Other), Place::After("gone")), None);
        assert_eq!(conversation.previous("c"), Some("b".into()));
        assert_eq!(conversation.last_id(), Some("c".into()));
        assert!(conversation.remove("b").is_some() && conversation.get("b").is_none());
    }

    #[test]
    fn an_answer_answers_and_a_system_item_does_not() {
        let mut conversation = Conversation::default();
        conversation.insert(item("t", Content::CallerText("hello".into())), Place::End);
        conversation.insert(item("s", Content::Other), Place::End);
        assert_eq!(conversation.unanswered().unwrap().id, "t");
        conversation.insert(item("a", Content::AnswerText), Place::End);
        assert_eq!(conversation.unanswered(), None);
    }
}
