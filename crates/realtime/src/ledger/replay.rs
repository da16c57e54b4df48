//! What a new session is told of the old one.

use super::{Entry, Ledger};
use crate::event::Item;
use crate::profile::Api;

/// About the last this many items are told; more costs time and money and helps nobody.
const TOLD: usize = 20;

const RENEWED: &str = "The connection was renewed. Carry on; do not greet again.";
const LOST_WORDS: &str = " The caller's last words were lost: ask for them again.";

impl Ledger {
    /// The conversation as text items, oldest first, tool calls only together with their outputs, and a last word from
    /// the system. Assistant audio cannot be given to a session, so what was spoken is told as text, as far as it was heard.
    pub(crate) fn replay(&mut self, api: Api, resume: bool) -> Vec<Item> {
        let assistant_part = if api == Api::Ga { "output_text" } else { "text" };
        let mut groups: Vec<Vec<Item>> = Vec::new();
        for entry in &self.entries {
            let words = entry.words().filter(|words| !words.trim().is_empty());
            match (entry, words) {
                (Entry::Caller { id, .. }, Some(words)) => {
                    groups.push(vec![Item::message(id, "user", "input_text", words)]);
                }
                (Entry::Model { id, .. }, Some(words)) => {
                    groups.push(vec![Item::message(id, "assistant", assistant_part, words)]);
                }
                (Entry::Tool { id, call_id, name, arguments, output: Some(output) }, _) => groups.push(vec![
                    Item::function_call(id, call_id, name, arguments),
                    Item::function_call_output(&format!("{id}_out"), call_id, output),
                ]),
                _ => {}
            }
        }
        let mut told = 0;
        let from = groups
            .iter()
            .rposition(|group| {
                told += group.len();
                told > TOLD
            })
            .map_or(0, |last_left_out| last_left_out + 1);
        let mut items: Vec<Item> = groups.into_iter().skip(from).flatten().collect();
        let mut renewed = RENEWED.to_owned();
        // A tool's call after them shows that they were understood.
        if resume && self.waiting && matches!(self.entries.back(), Some(Entry::Caller { text: None, .. })) {
            renewed.push_str(LOST_WORDS);
        }
        let id = self.fresh_id();
        items.push(Item::message(&id, "system", "input_text", &renewed));
        items
    }
}
