use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use thiserror::Error;

use super::shown;

/// Longest callId, in bytes.
pub const MAX_CALL_ID_LEN: usize = 128;

/// Longest route, in bytes.
pub const MAX_ROUTE_LEN: usize = 64;

/// Longest metadata, in bytes of JSON: as base64url it has to fit into the 2,048 characters that all SIP headers of a
/// bridge share, with room for every other header at its longest.
pub const MAX_METADATA_LEN: usize = 1024;

const CALL_ID: &str = "callId";
const ROUTE: &str = "route";
const METADATA: &str = "metadata";

/// What is known of a call that the service places, and has to come back with it when its media attaches, perhaps at
/// another instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundCall {
    /// The id under which the service answered the request. 1 to [`MAX_CALL_ID_LEN`] visible ASCII characters.
    pub call_id: String,
    /// The route that was asked for. 1 to [`MAX_ROUTE_LEN`] visible ASCII characters.
    pub route: Option<String>,
    /// Compact JSON, at most [`MAX_METADATA_LEN`] bytes.
    pub metadata: Option<String>,
}

/// A call that cannot be sent along.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadOutboundCall {
    /// Absent, too long, or with other characters.
    #[error("{key:?} = {value:?} must be 1 to {max} visible ASCII characters")]
    Word {
        /// `callId` or `route`.
        key: &'static str,
        /// What was given, cut.
        value: String,
        /// Most characters.
        max: usize,
    },
    /// Metadata is too long. It is not shown: it may hold anything.
    #[error("\"metadata\" has {len} bytes of JSON, at most {MAX_METADATA_LEN} are allowed")]
    MetadataTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Metadata is not JSON. It is not shown: it may hold anything.
    #[error("\"metadata\" is not JSON")]
    MetadataNotJson,
}

impl OutboundCall {
    /// The map to send.
    ///
    /// # Errors
    ///
    /// [`BadOutboundCall`]: something that would not arrive.
    pub fn to_arguments(&self) -> Result<BTreeMap<String, String>, BadOutboundCall> {
        self.check()?;
        let mut map = BTreeMap::from([(CALL_ID.to_owned(), self.call_id.clone())]);
        map.extend(self.route.clone().map(|route| (ROUTE.to_owned(), route)));
        map.extend(self.metadata.clone().map(|metadata| (METADATA.to_owned(), metadata)));
        Ok(map)
    }

    /// Reads a map, ignoring other keys: a call placed by somebody else is none of these.
    ///
    /// # Errors
    ///
    /// [`BadOutboundCall`]: no `callId`, or something that [`OutboundCall::to_arguments`] would not have sent.
    pub fn from_arguments(map: &BTreeMap<String, String>) -> Result<Self, BadOutboundCall> {
        let call = Self {
            call_id: map.get(CALL_ID).cloned().unwrap_or_default(),
            route: map.get(ROUTE).cloned(),
            metadata: map.get(METADATA).cloned(),
        };
        call.check()?;
        Ok(call)
    }

    fn check(&self) -> Result<(), BadOutboundCall> {
        word(CALL_ID, &self.call_id, MAX_CALL_ID_LEN)?;
        if let Some(route) = &self.route {
            word(ROUTE, route, MAX_ROUTE_LEN)?;
        }
        match self.metadata.as_deref() {
            Some(json) if json.len() > MAX_METADATA_LEN => Err(BadOutboundCall::MetadataTooLong { len: json.len() }),
            Some(json) if serde_json::from_str::<IgnoredAny>(json).is_err() => Err(BadOutboundCall::MetadataNotJson),
            _ => Ok(()),
        }
    }
}

fn word(key: &'static str, value: &str, max: usize) -> Result<(), BadOutboundCall> {
    if (1..=max).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(BadOutboundCall::Word { key, value: shown(value), max })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> OutboundCall {
        OutboundCall {
            call_id: "out-1".to_owned(),
            route: Some("support".to_owned()),
            metadata: Some(r#"{"job":17}"#.to_owned()),
        }
    }

    #[test]
    fn a_call_is_read_back_as_it_was_sent() {
        let plain = OutboundCall { route: None, metadata: None, ..call() };
        for call in [call(), plain] {
            assert_eq!(OutboundCall::from_arguments(&call.to_arguments().unwrap()), Ok(call));
        }
    }

    #[test]
    fn what_would_not_arrive_is_refused_on_both_sides() {
        let cases = [
            (
                OutboundCall { call_id: String::new(), ..call() },
                "\"callId\" = \"\" must be 1 to 128 visible ASCII characters",
            ),
            (
                OutboundCall { call_id: "a\r\nb".to_owned(), ..call() },
                "\"callId\" = \"a\\r\\nb\" must be 1 to 128 visible ASCII characters",
            ),
            (
                OutboundCall { route: Some("vertrieb süd".to_owned()), ..call() },
                "\"route\" = \"vertrieb süd\" must be 1 to 64 visible ASCII characters",
            ),
            (
                OutboundCall { metadata: Some(format!("\"{}\"", "x".repeat(1023))), ..call() },
                "\"metadata\" has 1025 bytes of JSON, at most 1024 are allowed",
            ),
            (OutboundCall { metadata: Some("{".to_owned()), ..call() }, "\"metadata\" is not JSON"),
        ];
        for (call, message) in cases {
            assert_eq!(call.to_arguments().unwrap_err().to_string(), message);
            let mut map = BTreeMap::from([(CALL_ID.to_owned(), call.call_id)]);
            map.extend(call.route.map(|route| (ROUTE.to_owned(), route)));
            map.extend(call.metadata.map(|metadata| (METADATA.to_owned(), metadata)));
            assert_eq!(OutboundCall::from_arguments(&map).unwrap_err().to_string(), message);
        }
        // Somebody else's call.
        let map = BTreeMap::from([("purpose".to_owned(), "reminder".to_owned())]);
        assert!(OutboundCall::from_arguments(&map).is_err());
    }
}
