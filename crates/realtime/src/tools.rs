//! Tool calls of one session: each is acted on once, and each gets its output.

use std::collections::VecDeque;

/// Call ids remembered against repetition.
const REMEMBERED: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct Tools {
    /// Calls whose names came ahead of their arguments: item id, name.
    announced: VecDeque<(String, String)>,
    /// Calls acted on, newest last.
    known: VecDeque<String>,
    /// Calls without an output: call id, response id.
    open: Vec<(String, String)>,
    /// Whether an output of the present round asked for a response, and of which response it was.
    respond: Option<String>,
}

impl Tools {
    pub fn announce(&mut self, item_id: &str, name: &str) {
        self.announced.push_back((item_id.to_owned(), name.to_owned()));
        if self.announced.len() > REMEMBERED {
            self.announced.pop_front();
        }
    }

    /// The preview's `arguments.done` does not name the tool; `output_item.added` did.
    pub fn announced_name(&self, item_id: &str) -> Option<&str> {
        self.announced.iter().rev().find(|(id, _)| id == item_id).map(|(_, name)| name.as_str())
    }

    /// Whether this call is new; it is open from now on.
    pub fn open(&mut self, call_id: &str, response_id: &str) -> bool {
        if self.known.iter().any(|known| known == call_id) {
            return false;
        }
        self.known.push_back(call_id.to_owned());
        if self.known.len() > REMEMBERED {
            self.known.pop_front();
        }
        self.open.push((call_id.to_owned(), response_id.to_owned()));
        true
    }

    /// Whether this call was open; it is closed now.
    pub fn close(&mut self, call_id: &str, respond: bool) -> bool {
        let Some(at) = self.open.iter().position(|(open, _)| open == call_id) else { return false };
        let (_, response_id) = self.open.swap_remove(at);
        if respond {
            self.respond = Some(response_id);
        }
        true
    }

    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Once all outputs are in: the response whose tools asked for a further one.
    pub fn take_respond(&mut self) -> Option<String> {
        if self.open.is_empty() { self.respond.take() } else { None }
    }
}
