//! The audio path: one pass over a frame, nothing copied.

use std::borrow::Cow;

use serde::Deserialize;

use super::{EventError, ServerEvent, is_object};

/// An audio delta that borrows from its frame. The strings are copied only if the peer escaped them
/// (some write `+` as `\u002B`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioDelta<'a> {
    /// The response, empty if the frame does not say.
    pub response_id: Cow<'a, str>,
    /// The item, empty if the frame does not say.
    pub item_id: Cow<'a, str>,
    /// Base64.
    pub delta: Cow<'a, str>,
}

/// A frame from the model, the audio apart from the rest.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame<'a> {
    /// `response.output_audio.delta` or `response.audio.delta`.
    Audio(AudioDelta<'a>),
    /// Everything else.
    Event(Box<ServerEvent>),
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    response_id: Cow<'a, str>,
    #[serde(borrow, default)]
    item_id: Cow<'a, str>,
    #[serde(borrow, default)]
    delta: Cow<'a, str>,
}

impl<'a> Frame<'a> {
    /// Reads one text frame.
    ///
    /// # Errors
    /// [`EventError`] if it is not a JSON object with a text `type`.
    pub fn parse(text: &'a [u8]) -> Result<Self, EventError> {
        match serde_json::from_slice::<Head<'a>>(text) {
            Ok(head)
                if is_object(text) && matches!(&*head.kind, "response.output_audio.delta" | "response.audio.delta") =>
            {
                let Head { response_id, item_id, delta, .. } = head;
                Ok(Self::Audio(AudioDelta { response_id, item_id, delta }))
            }
            // Other events have other members under these names; they are read in full.
            _ => Ok(Self::Event(Box::new(ServerEvent::parse(text)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_audio_is_borrowed_and_escaped_audio_is_understood() {
        let plain =
            br#"{"event_id":"e","type":"response.audio.delta","item_id":"item_1","response_id":"r","delta":"AB+/"}"#;
        let Frame::Audio(delta) = Frame::parse(plain).unwrap() else { panic!("not audio") };
        assert!(matches!((&delta.delta, &delta.item_id), (Cow::Borrowed("AB+/"), Cow::Borrowed("item_1"))));

        let escaped = br#"{"type":"response.output_audio.delta","item_id":"item_1","delta":"AB\u002B\/"}"#;
        let Frame::Audio(delta) = Frame::parse(escaped).unwrap() else { panic!("not audio") };
        assert_eq!((&*delta.delta, &*delta.response_id), ("AB+/", ""));
    }

    #[test]
    fn other_shapes_fall_back_to_the_full_reader() {
        let odd = br#"{"type":"response.output_audio.delta","item_id":"item_1","delta":null}"#;
        assert!(matches!(Frame::parse(odd), Ok(Frame::Event(_))));
        let list = br#"["response.audio.delta","resp_1","item_1","AAAA"]"#;
        for shape in [b"[]".as_slice(), b"7", b"null", list] {
            assert!(matches!(Frame::parse(shape), Err(EventError::NoType)));
        }
        assert!(matches!(Frame::parse(b"{\"type\":7}"), Err(EventError::NoType)));
        assert!(matches!(Frame::parse(b"{\"type\":"), Err(EventError::NotJson(_))));
        assert!(matches!(Frame::parse(b"\xff\xfe"), Err(EventError::NotJson(_))));
    }
}
