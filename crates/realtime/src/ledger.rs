//! The conversation so far, kept outside the sessions that carry it.

mod replay;

use std::collections::VecDeque;

use crate::Played;
use crate::event::Item;

/// More than a new session is ever told.
const KEPT: usize = 64;

/// Longest text kept of one item, in bytes: some twenty minutes of speech.
const MAX_WORDS: usize = 16_384;

/// Text is spoken at about this many characters a second; used only where the length of an item's audio is unknown.
const CHARS_PER_SECOND: u64 = 15;

/// One item of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// What the caller said or keyed.
    Caller {
        /// Item id.
        id: String,
        /// The words; `None` as long as (or because) nobody wrote them down.
        text: Option<String>,
    },
    /// What the model said.
    Model {
        /// Item id.
        id: String,
        /// The transcript so far.
        text: String,
        /// Milliseconds of audio there are.
        total_ms: u64,
        /// Milliseconds that were heard, where playing was cut short.
        heard_ms: Option<u64>,
        /// Whether the model finished the item; otherwise `total_ms` is only what has come so far.
        ended: bool,
    },
    /// A tool the model called.
    Tool {
        /// Item id of the call.
        id: String,
        /// Ties call and output together.
        call_id: String,
        /// The tool.
        name: String,
        /// JSON text.
        arguments: String,
        /// What it answered, once it has.
        output: Option<String>,
    },
}

/// As much of it as is kept.
fn bounded(words: &str) -> &str {
    words.get(..words.floor_char_boundary(MAX_WORDS)).unwrap_or_default()
}

impl Entry {
    /// The item id.
    #[must_use]
    pub fn id(&self) -> &str {
        let (Self::Caller { id, .. } | Self::Model { id, .. } | Self::Tool { id, .. }) = self;
        id
    }

    /// Of something said: the words, as far as they were heard.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Caller { text, .. } => text.as_deref(),
            Self::Model { total_ms: 0, .. } => Some(""),
            Self::Model { text, total_ms, heard_ms, ended, .. } => {
                let chars = text.chars().count() as u64;
                let guess = if *ended { 0 } else { chars * 1_000 / CHARS_PER_SECOND };
                let total = (*total_ms).max(guess);
                let heard = heard_ms.unwrap_or(*total_ms).min(total);
                Some(if heard >= total { text } else { cut(text, chars * heard / total) })
            }
            Self::Tool { .. } => None,
        }
    }
}

/// The first `chars` characters, back to the end of the last whole word.
fn cut(text: &str, chars: u64) -> &str {
    let chars = usize::try_from(chars).unwrap_or(usize::MAX);
    let end = text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    let (head, tail) = text.split_at_checked(end).unwrap_or((text, ""));
    if tail.is_empty() || tail.starts_with(char::is_whitespace) {
        return head.trim_end();
    }
    head.rfind(char::is_whitespace).and_then(|at| head.get(..at)).unwrap_or_default().trim_end()
}

/// The conversation so far. It survives sessions: taken from the lost one, given to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    entries: VecDeque<Entry>,
    waiting: bool,
    next_id: u64,
}

impl Ledger {
    /// Whether nothing has been said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the caller (or a tool's output) is owed an answer that was not finished.
    #[must_use]
    pub fn waiting_for_answer(&self) -> bool {
        self.waiting
    }

    /// What was said and done, oldest first; the last few dozen items.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// Keys that were pressed while no session could be told. The next one is, and answers.
    pub fn caller_wrote(&mut self, text: &str) {
        let id = self.fresh_id();
        self.caller_text(&id, text);
        self.waiting = true;
    }

    /// What a tool answered while no session could be told. With `respond` the next one answers.
    pub fn tool_answered(&mut self, call_id: &str, output: &str, respond: bool) {
        if self.answer_tool(call_id, output) && respond {
            self.waiting = true;
        }
    }

    /// Whether a tool that was called since the caller's last turn has no answer yet.
    pub(crate) fn waits_for_tool(&self) -> bool {
        let since_turn = self.entries.iter().rev().take_while(|entry| !matches!(entry, Entry::Caller { .. }));
        since_turn.into_iter().any(|entry| matches!(entry, Entry::Tool { output: None, .. }))
    }

    /// What was heard of items that were cleared while no session could be told: so much the next one is told of them.
    pub fn cleared(&mut self, played: &[Played]) {
        for Played { item, played_ms } in played {
            self.heard(item.as_str(), *played_ms);
        }
    }

    /// An item id of ours, unique over the call.
    pub(crate) fn fresh_id(&mut self) -> String {
        self.next_id += 1;
        format!("item_trunkline{:04}", self.next_id)
    }

    pub(crate) fn set_waiting(&mut self, waiting: bool) {
        self.waiting = waiting;
    }

    /// The caller's turn is complete; the words may follow.
    pub(crate) fn caller_turn(&mut self, id: &str) {
        if self.find(id).is_none() {
            self.push(Entry::Caller { id: id.to_owned(), text: None });
        }
    }

    /// The words of a caller's turn.
    pub(crate) fn caller_text(&mut self, id: &str, words: &str) {
        self.caller_turn(id);
        if let Some(Entry::Caller { text, .. }) = self.find(id) {
            *text = Some(bounded(words).to_owned()).filter(|words| !words.trim().is_empty());
        }
    }

    /// A further piece of what the model says.
    pub(crate) fn model_text(&mut self, id: &str, piece: &str) {
        if let Some(text) = self.model(id).map(|entry| entry.text) {
            text.push_str(bounded(piece));
            text.truncate(bounded(text).len());
        }
    }

    /// The whole of what the model said.
    pub(crate) fn model_words(&mut self, id: &str, words: &str) {
        if let Some(text) = self.model(id).map(|entry| entry.text) {
            bounded(words).clone_into(text);
        }
    }

    /// How much audio the item has by now.
    pub(crate) fn model_audio(&mut self, id: &str, total: u64) {
        if let Some(entry) = self.model(id) {
            *entry.total_ms = total;
        }
    }

    /// The model finished the item.
    pub(crate) fn model_ended(&mut self, id: &str) {
        if let Some(Entry::Model { ended, .. }) = self.find(id) {
            *ended = true;
        }
    }

    /// How much of an item was heard; nothing heard forgets it.
    pub(crate) fn heard(&mut self, id: &str, ms: u64) {
        if ms == 0 {
            self.entries.retain(|entry| entry.id() != id || !matches!(entry, Entry::Model { .. }));
        } else if let Some(Entry::Model { heard_ms, .. }) = self.find(id) {
            *heard_ms = Some(ms);
        }
    }

    /// The words of an item as far as they were heard.
    pub(crate) fn words(&self, id: &str) -> Option<&str> {
        self.entries.iter().rev().find(|entry| entry.id() == id)?.words()
    }

    pub(crate) fn tool_called(&mut self, id: &str, call_id: &str, name: &str, arguments: &str) {
        if !self.entries.iter().any(|entry| matches!(entry, Entry::Tool { call_id: known, .. } if known == call_id)) {
            let id = if id.is_empty() { self.fresh_id() } else { id.to_owned() };
            let (call_id, name, arguments) = (call_id.to_owned(), name.to_owned(), arguments.to_owned());
            self.push(Entry::Tool { id, call_id, name, arguments, output: None });
        }
    }

    /// Whether that call was open.
    pub(crate) fn answer_tool(&mut self, call: &str, answer: &str) -> bool {
        let open = self.entries.iter_mut().rev().find_map(|entry| match entry {
            Entry::Tool { call_id, output, .. } if call_id == call && output.is_none() => Some(output),
            _ => None,
        });
        open.map(|output| *output = Some(answer.to_owned())).is_some()
    }

    /// A call without an output, as an item.
    pub(crate) fn open_call(&self, call: &str) -> Option<Item> {
        self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Tool { id, call_id, name, arguments, output: None } if call_id == call => {
                Some(Item::function_call(id, call_id, name, arguments))
            }
            _ => None,
        })
    }

    fn find(&mut self, id: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().rev().find(|entry| entry.id() == id)
    }

    fn model(&mut self, id: &str) -> Option<ModelEntry<'_>> {
        if self.find(id).is_none() {
            let (id, text) = (id.to_owned(), String::new());
            self.push(Entry::Model { id, text, total_ms: 0, heard_ms: None, ended: false });
        }
        match self.find(id) {
            Some(Entry::Model { text, total_ms, .. }) => Some(ModelEntry { text, total_ms }),
            _ => None,
        }
    }

    fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        if self.entries.len() > KEPT {
            self.entries.pop_front();
        }
    }
}

struct ModelEntry<'a> {
    text: &'a mut String,
    total_ms: &'a mut u64,
}
