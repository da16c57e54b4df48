//! The conversation's items as the client changes them.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Out, SimSession};
use crate::conversation::{Content, Item, Place};
use crate::refusal::Refusal;
use crate::shapes;

const NOT_TRUNCATABLE: &str = "Only model output audio messages can be truncated";

fn text_of<'a>(event: &'a Value, key: &str) -> Result<&'a str, Refusal> {
    match event.get(key) {
        None | Some(Value::Null) => Err(Refusal::missing(key)),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(Refusal::kind_of(key, other, "a string")),
    }
}

impl SimSession {
    /// A message item in the session's dialect.
    pub(super) fn message(&self, id: &str, role: &str, status: &str, content: Value) -> Value {
        self.own(json!({"id": id, "type": "message", "status": status, "role": role, "content": content}))
    }

    /// Adds what the older dialects say of every item.
    pub(super) fn own(&self, mut item: Value) -> Value {
        if !self.dialect.is_ga() {
            shapes::set(&mut item, "object", "realtime.item".into());
        }
        item
    }

    pub(super) fn create_item(&mut self, event: &Value, out: &mut Vec<Out>) -> Result<(), Refusal> {
        let given = event.get("item").filter(|item| !item.is_null()).ok_or_else(|| Refusal::missing("item"))?;
        let id = match given.get("id").and_then(Value::as_str) {
            Some(id) => id.to_owned(),
            None => self.ids.id("item"),
        };
        let item = self.read_item(given, id)?;
        let place = match event.get("previous_item_id").and_then(Value::as_str) {
            None => Place::End,
            Some("root") => Place::Front,
            Some(id) => Place::After(id),
        };
        let json = item.json.clone();
        let is_audio = matches!(item.content, Content::CallerAudio { .. });
        let Some(previous) = self.conversation.insert(item, place) else {
            let gone = event.get("previous_item_id").and_then(Value::as_str).unwrap_or_default();
            let message = format!("Error adding item: the previous item with id '{gone}' does not exist.");
            return Err(Refusal::new("item_create_invalid_previous_item_id", message));
        };
        self.tell_item(&previous, &json, is_audio, out);
        Ok(())
    }

    fn read_item(&mut self, given: &Value, id: String) -> Result<Item, Refusal> {
        let kind = given.get("type").ok_or_else(|| Refusal::missing("item.type"))?;
        let string = |key: &str| match given.get(key) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) if !other.is_null() => Err(Refusal::kind_of(&format!("item.{key}"), other, "a string")),
            _ => Err(Refusal::missing(&format!("item.{key}"))),
        };
        match kind.as_str() {
            Some("message") => self.read_message(given, id),
            Some("function_call") => {
                let call_id = string("call_id").unwrap_or_else(|_| self.ids.call_id());
                let (name, arguments) = (string("name")?, string("arguments")?);
                let json = json!({
                    "id": id, "type": "function_call", "status": "completed", "name": name, "call_id": call_id,
                    "arguments": arguments,
                });
                Ok(Item { id, json: self.own(json), content: Content::Other })
            }
            Some("function_call_output") => {
                let (call_id, output) = (string("call_id")?, string("output")?);
                let json = json!({"id": id, "type": "function_call_output", "call_id": call_id, "output": output});
                Ok(Item { id, json: self.own(json), content: Content::CallOutput(output) })
            }
            _ => {
                let allowed = "Supported values are: 'message', 'function_call', and 'function_call_output'.";
                Err(Refusal::value("item.type", kind, allowed))
            }
        }
    }

    fn read_message(&mut self, given: &Value, id: String) -> Result<Item, Refusal> {
        let role = given.get("role").and_then(Value::as_str).ok_or_else(|| Refusal::missing("item.role"))?;
        let answer_text = self.dialect.text_content();
        let allowed: &[&str] = match role {
            "user" => &["input_text", "input_audio", "input_image"],
            "system" => &["input_text"],
            "assistant" => &[answer_text],
            _ => {
                let got = given.get("role").unwrap_or(&Value::Null);
                return Err(Refusal::value(
                    "item.role",
                    got,
                    "Supported values are: 'user', 'assistant', and 'system'.",
                ));
            }
        };
        let parts = given.get("content").and_then(Value::as_array).ok_or_else(|| Refusal::missing("item.content"))?;
        let mut content = Vec::new();
        let mut said = String::new();
        let mut spoken = None;
        for (index, part) in parts.iter().enumerate() {
            let at = format!("item.content[{index}]");
            let kind =
                part.get("type").and_then(Value::as_str).ok_or_else(|| Refusal::missing(&format!("{at}.type")))?;
            let text = part.get("text").and_then(Value::as_str);
            match (kind, text) {
                ("input_audio", _) if role == "user" => {
                    let audio = part.get("audio").and_then(Value::as_str).unwrap_or_default();
                    let bytes = base64_simd::STANDARD.decode_to_vec(audio.as_bytes());
                    let bytes =
                        bytes.map_err(|_| Refusal::new("invalid_value", "Invalid audio.").at(format!("{at}.audio")))?;
                    spoken = Some(bytes);
                    content.push(json!({"type": kind, "transcript": part.get("transcript")}));
                }
                ("input_image", _) if role == "user" => content.push(part.clone()),
                // An assistant's audio cannot be made by the client: whatever its type says, its text is missing.
                (_, None) => return Err(Refusal::missing(&format!("{at}.text"))),
                (kind, Some(_)) if !allowed.contains(&kind) => {
                    let got = part.get("type").unwrap_or(&Value::Null);
                    let allowed = format!("Supported values are: '{}'.", allowed.join("', '"));
                    return Err(Refusal::value(&format!("{at}.type"), got, &allowed));
                }
                (kind, Some(text)) => {
                    said.push_str(text);
                    content.push(json!({"type": kind, "text": text}));
                }
            }
        }
        let format = self.settings.input;
        let content_is = match (role, spoken) {
            ("user", Some(bytes)) => {
                let ms = (bytes.len() / format.bytes_per_ms()) as u64;
                Content::CallerAudio { turn: 0, ms, format, bytes }
            }
            ("user", None) => Content::CallerText(said),
            ("assistant", _) => Content::AnswerText,
            _ => Content::Other,
        };
        let json = self.message(&id, role, "completed", Value::from(content));
        Ok(Item { id, json, content: content_is })
    }

    pub(super) fn retrieve_item(&mut self, event: &Value, out: &mut Vec<Out>) -> Result<(), Refusal> {
        let id = text_of(event, "item_id")?;
        let item = self.conversation.get(id).map(|item| item.json.clone());
        let item = item.ok_or_else(|| Refusal::no_item("retrieving", "item_retrieve_invalid_item_id", id))?;
        self.say("conversation.item.retrieved", json!({"item": item}), out);
        Ok(())
    }

    pub(super) fn delete_item(&mut self, event: &Value, out: &mut Vec<Out>) -> Result<(), Refusal> {
        let id = text_of(event, "item_id")?;
        if self.conversation.remove(id).is_none() {
            return Err(Refusal::no_item("deleting", "item_delete_invalid_item_id", id));
        }
        self.records.counters.deletes.add(1);
        self.say("conversation.item.deleted", json!({"item_id": id}), out);
        Ok(())
    }

    pub(super) fn truncate_item(&mut self, event: &Value, out: &mut Vec<Out>) -> Result<(), Refusal> {
        let id = text_of(event, "item_id")?.to_owned();
        let end = match event.get("audio_end_ms") {
            None | Some(Value::Null) => return Err(Refusal::missing("audio_end_ms")),
            Some(value) => {
                value.as_u64().ok_or_else(|| Refusal::kind_of("audio_end_ms", value, "an integer of at least 0"))?
            }
        };
        let index = event.get("content_index").ok_or_else(|| Refusal::missing("content_index"))?;
        let Some(item) = self.conversation.get(&id) else {
            return Err(Refusal::no_item("truncating", "item_truncate_invalid_item_id", &id));
        };
        let Content::AnswerAudio { bytes, bytes_per_ms, .. } = item.content else {
            return Err(Refusal::without_code(NOT_TRUNCATABLE));
        };
        if index.as_u64() != Some(0) {
            return Err(Refusal::value("content_index", index, "The item has one content part."));
        }
        if end * bytes_per_ms > bytes {
            let message = format!("Audio content of {}ms is already shorter than {end}ms", bytes / bytes_per_ms);
            return Err(Refusal::new("invalid_value", message));
        }
        self.truncate(&id, end, out);
        Ok(())
    }

    /// Audio after the mark and all of the transcript leave the conversation.
    fn truncate(&mut self, id: &str, end_ms: u64, out: &mut Vec<Out>) {
        if let Some(item) = self.conversation.get_mut(id) {
            if let Content::AnswerAudio { bytes, bytes_per_ms, truncated, .. } = &mut item.content {
                (*bytes, *truncated) = (end_ms * *bytes_per_ms, true);
            }
            if let Some(transcript) = item.json.pointer_mut("/content/0/transcript") {
                *transcript = Value::from("");
            }
        }
        self.records.counters.truncates.add(1);
        let fields = json!({"item_id": id, "content_index": 0, "audio_end_ms": end_ms});
        self.say("conversation.item.truncated", fields, out);
    }

    /// Voice Live with `auto_truncate`: takes it that audio is played in real time from when it was sent.
    pub(super) fn truncate_what_plays(&mut self, now: Instant, out: &mut Vec<Out>) {
        let Some(item) = self.conversation.last_spoken() else { return };
        let Content::AnswerAudio { bytes, bytes_per_ms, since: Some(since), truncated: false } = item.content else {
            return;
        };
        let played = now.saturating_duration_since(since).as_millis() as u64;
        if played * bytes_per_ms < bytes {
            let id = item.id.clone();
            self.truncate(&id, played, out);
        }
    }
}
