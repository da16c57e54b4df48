//! The SIP headers by which a bridged call tells what it is, for both ends.
//!
//! Compare names in any case: what stands between changes their capitals.

use std::collections::BTreeMap;

use super::event::SmaEvent;
use super::state::{CallState, Phase};

/// The SMA's TransactionId, by which the service asks for prompts, keys, transfer and hang-up.
pub const TRANSACTION: &str = "X-Trunkline-Transaction";
/// The callId of a call that the service placed.
pub const CALL_ID: &str = "X-Trunkline-Call-Id";
/// The route of a call that the service placed.
pub const ROUTE: &str = "X-Trunkline-Route";
/// The metadata of a call that the service placed: see [`decode_metadata`].
pub const METADATA: &str = "X-Trunkline-Metadata";
/// Present from the first bridge after a lost one: its count from 1.
pub const ATTEMPT: &str = "X-Trunkline-Attempt";
/// `failed`: the caller is back from a transfer that did not get through.
pub const TRANSFER: &str = "X-Trunkline-Transfer";
/// The number that calls, as leg A tells it; the SIP headers may show another.
pub const FROM: &str = "X-Trunkline-From";
/// The number that is called, as leg A tells it.
pub const TO: &str = "X-Trunkline-To";

/// Longest number or name in [`FROM`] and [`TO`], in bytes.
const MAX_NUMBER_LEN: usize = 64;

/// Metadata as it stands in [`METADATA`]: base64url (RFC 4648 section 5) without padding, for JSON may hold what a SIP
/// header cannot.
#[must_use]
pub fn encode_metadata(json: &str) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(json)
}

/// The JSON text in [`METADATA`]; `None` if it is none of ours.
#[must_use]
pub fn decode_metadata(value: &str) -> Option<String> {
    let json = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(value.trim()).ok()?;
    String::from_utf8(json).ok()
}

/// The headers of a bridge. All at their longest are within AWS's 2,048 characters.
pub(super) fn of_bridge(event: &SmaEvent, state: &CallState) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let mut put = |name: &str, value: String| {
        if !value.is_empty() {
            headers.insert(name.to_owned(), value);
        }
    };
    put(TRANSACTION, safe(&event.transaction_id));
    if state.attempt > 0 {
        put(ATTEMPT, state.attempt.to_string());
    }
    if state.phase == Phase::Returning {
        put(TRANSFER, "failed".to_owned());
    }
    if state.plain {
        return headers;
    }
    if let Some(call) = &state.outbound {
        put(CALL_ID, call.call_id.clone());
        put(ROUTE, call.route.clone().unwrap_or_default());
        put(METADATA, call.metadata.as_deref().map(encode_metadata).unwrap_or_default());
    }
    if let Some(caller) = event.caller() {
        put(FROM, number(&caller.from));
        put(TO, number(&caller.to));
    }
    headers
}

/// A number or name as AWS tells it, if it can stand in a header.
pub(super) fn number(value: &str) -> String {
    let mut number = safe(value);
    number.truncate(MAX_NUMBER_LEN);
    number
}

/// Without what would end or hide a header.
fn safe(value: &str) -> String {
    value.chars().filter(char::is_ascii_graphic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_survives_a_header() {
        for json in ["{}", r#"{"name":"Jürgen","note":"a, b; \"c\"\n"}"#, r#"{"x":"??>>~~"}"#] {
            let value = encode_metadata(json);
            assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')), "{value}");
            assert_eq!(decode_metadata(&format!(" {value} ")).as_deref(), Some(json));
        }
        for bad in ["e30=", "{}", "_w", "e3 0"] {
            assert_eq!(decode_metadata(bad), None, "{bad}");
        }
    }
}
