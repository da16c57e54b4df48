//! The shapes of the protocol a session can speak, and which address leads to which.

use std::collections::HashMap;

/// Which wire shape a session has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Azure OpenAI `/openai/v1/realtime`: GA, repeats `part` as `content`, no `rate_limits.updated`.
    AzureGa,
    /// OpenAI `/v1/realtime`: GA with `rate_limits.updated`.
    OpenAiGa,
    /// Azure OpenAI `/openai/realtime?api-version=`: the preview shape.
    Preview,
    /// Azure Voice Live.
    VoiceLive,
}

impl Dialect {
    /// True for the two shapes of today's protocol.
    #[must_use]
    pub fn is_ga(self) -> bool {
        matches!(self, Self::AzureGa | Self::OpenAiGa)
    }

    /// The name of a server event in this dialect; names are written in GA form everywhere else.
    pub(crate) fn event_name(self, ga: &'static str) -> &'static str {
        if self.is_ga() {
            return ga;
        }
        match ga {
            "conversation.item.added" => "conversation.item.created",
            "response.output_audio.delta" => "response.audio.delta",
            "response.output_audio.done" => "response.audio.done",
            "response.output_audio_transcript.delta" => "response.audio_transcript.delta",
            "response.output_audio_transcript.done" => "response.audio_transcript.done",
            "response.output_text.delta" => "response.text.delta",
            "response.output_text.done" => "response.text.done",
            same => same,
        }
    }

    /// Content type of spoken answers inside items.
    pub(crate) fn audio_content(self) -> &'static str {
        if self.is_ga() { "output_audio" } else { "audio" }
    }

    /// Content type of written answers inside items.
    pub(crate) fn text_content(self) -> &'static str {
        if self.is_ga() { "output_text" } else { "text" }
    }
}

/// Where a request leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Session {
        dialect: Dialect,
        model: String,
    },
    /// A wrong path, or parameters of one API on the path of another.
    NotFound,
    /// The right path without what it needs.
    BadRequest(&'static str),
}

pub(crate) fn destination(path: &str, query: &HashMap<String, String>) -> Destination {
    let has = |key: &str| query.contains_key(key);
    let (dialect, name) = match path {
        "/openai/v1/realtime" | "/v1/realtime" if has("api-version") || has("deployment") => {
            return Destination::NotFound;
        }
        "/openai/v1/realtime" => (Dialect::AzureGa, "model"),
        "/v1/realtime" => (Dialect::OpenAiGa, "model"),
        "/openai/realtime" if !has("api-version") => return Destination::NotFound,
        "/openai/realtime" => (Dialect::Preview, "deployment"),
        "/voice-live/realtime" if !has("api-version") => return Destination::BadRequest("api-version"),
        "/voice-live/realtime" => (Dialect::VoiceLive, "model"),
        _ => return Destination::NotFound,
    };
    match query.get(name).filter(|model| !model.is_empty()) {
        Some(model) => Destination::Session { dialect, model: model.clone() },
        None => Destination::BadRequest(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, query: &[(&str, &str)]) -> Destination {
        destination(path, &query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn addresses_lead_to_their_shape_and_mixtures_nowhere() {
        let session = |dialect| Destination::Session { dialect, model: "m".into() };
        assert_eq!(at("/openai/v1/realtime", &[("model", "m")]), session(Dialect::AzureGa));
        assert_eq!(at("/v1/realtime", &[("model", "m")]), session(Dialect::OpenAiGa));
        let preview = [("api-version", "2025-04-01-preview"), ("deployment", "m")];
        assert_eq!(at("/openai/realtime", &preview), session(Dialect::Preview));
        assert_eq!(
            at("/voice-live/realtime", &[("api-version", "2026-07-15"), ("model", "m")]),
            session(Dialect::VoiceLive)
        );
        assert_eq!(at("/openai/v1/realtime", &[("model", "m"), ("api-version", "x")]), Destination::NotFound);
        assert_eq!(at("/openai/v1/realtime", &preview), Destination::NotFound);
        assert_eq!(at("/openai/realtime", &[("model", "m")]), Destination::NotFound);
        assert_eq!(at("/realtime", &[("model", "m")]), Destination::NotFound);
        assert_eq!(at("/v1/realtime", &[]), Destination::BadRequest("model"));
    }
}
