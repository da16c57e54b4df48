//! The short-lived token of `/ingest?token=EXPIRY.HMAC`.

/// The text whose HMAC-SHA256 (lower-case hex, keyed with the ingest secret) is the token's second half:
/// `callId|role|EXPIRY`, with `expiry` in Unix seconds.
///
/// Neither a call id nor a role can hold a `|`, so two different requests never share a text.
#[must_use]
pub fn mac_input(call_id: &str, role: &str, expiry: u64) -> String {
    format!("{call_id}|{role}|{expiry}")
}

#[cfg(test)]
mod tests {
    use super::mac_input;

    #[test]
    fn joins_the_three_parts() {
        assert_eq!(mac_input("call-1", "media", 1_790_000_000), "call-1|media|1790000000");
    }
}
