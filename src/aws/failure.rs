//! What came of a request that AWS did not do.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

/// Longest text kept of what AWS says, in characters.
const MAX_TEXT: usize = 200;
/// A run of more digits than this may be a telephone number or an account.
const MAX_DIGITS: usize = 5;

/// What can be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The account's quota is used up: worth another try later.
    Throttled,
    /// No answer, or a fault over there: worth another try.
    Unavailable,
    /// No credentials could be had to ask with: worth another try where a container or instance gives them.
    NoCredentials,
    /// There is no such thing.
    NotFound,
    /// The credentials are wrong or too old.
    Unidentified,
    /// Whom the credentials belong to may not do this.
    Denied,
    /// The request is wrong.
    Refused,
}

/// A request to AWS that was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct AwsFailure {
    /// What can be done about it.
    pub class: FailureClass,
    /// HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// What AWS or the system says: cut, escaped, without long numbers.
    pub text: String,
}

impl AwsFailure {
    /// No answer within `limit`.
    #[must_use]
    pub fn timed_out(limit: Duration) -> Self {
        Self { class: FailureClass::Unavailable, status: None, text: format!("no answer within {limit:?}") }
    }
}

/// The answer to a request, or the failure after `limit` without one. The SDK's futures are some 10 KiB large: boxed.
pub(super) fn within<T, E>(
    limit: Duration,
    request: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, AwsFailure>>
where
    AwsFailure: From<E>,
{
    let request = Box::pin(request);
    async move {
        match tokio::time::timeout(limit, request).await {
            Ok(answer) => answer.map_err(AwsFailure::from),
            Err(_) => Err(AwsFailure::timed_out(limit)),
        }
    }
}

impl<E> From<SdkError<E, HttpResponse>> for AwsFailure
where
    E: Error + ProvideErrorMetadata + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let status = error.raw_response().map(|raw| raw.status().as_u16());
        let class = match &error {
            SdkError::ServiceError(answer) => class_of(status.unwrap_or_default(), answer.err().code()),
            // An answer that is none of the service's: a proxy's, or half of one.
            SdkError::ResponseError(_) => class_of(status.unwrap_or_default(), None),
            other if lacks_credentials(other) => FailureClass::NoCredentials,
            SdkError::ConstructionFailure(_) => FailureClass::Refused,
            _ => FailureClass::Unavailable,
        };
        let text = match &error {
            SdkError::ServiceError(answer) => {
                let code = answer.err().code().map_or_else(|| format!("HTTP {}", status.unwrap_or_default()), harmless);
                match answer.err().message() {
                    Some(message) => format!("{code}: {}", harmless(message)),
                    None => code,
                }
            }
            other => harmless(&chain(other)),
        };
        Self { class, status, text }
    }
}

fn class_of(status: u16, code: Option<&str>) -> FailureClass {
    // SQS answers most of it with 400: there the code tells.
    match (status, code.unwrap_or_default()) {
        (429, _) => FailureClass::Throttled,
        (_, code) if code.contains("Throttl") || code.contains("TooManyRequests") || code == "OverLimit" => {
            FailureClass::Throttled
        }
        (404, _) => FailureClass::NotFound,
        (_, code) if code.contains("QueueDoesNotExist") || code.contains("NonExistentQueue") => FailureClass::NotFound,
        (_, code) if is_about_identity(code) => FailureClass::Unidentified,
        (401 | 403, _) => FailureClass::Denied,
        (_, code) if code.contains("AccessDenied") => FailureClass::Denied,
        (400..=499, _) => FailureClass::Refused,
        _ => FailureClass::Unavailable,
    }
}

/// Codes of the signature's check, which come with 400 or 403 depending on the service's protocol.
fn is_about_identity(code: &str) -> bool {
    let codes = ["InvalidClientTokenId", "UnrecognizedClient", "SignatureDoesNotMatch", "ExpiredToken"];
    codes.iter().any(|known| code.contains(known))
}

fn lacks_credentials(error: &dyn Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<CredentialsError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error with its causes, each told once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// Fit for a log line: escaped, cut, and of long numbers only the last four digits, for they may be a caller's.
fn harmless(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        if digits > MAX_DIGITS {
            out.push_str("***");
            out.extend(number.chars().skip(digits - 4));
        } else {
            out.push_str(number);
        }
        let words = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (words, after) = after.split_at(words);
        for c in words.chars() {
            if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
        }
        rest = after;
    }
    match out.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => {
            out.truncate(end);
            out.push('…');
            out
        }
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_done_is_told_by_status_and_code() {
        let table = [
            (429, None, FailureClass::Throttled),
            (400, Some("RequestThrottled"), FailureClass::Throttled),
            (400, Some("ThrottlingException"), FailureClass::Throttled),
            (404, Some("NotFoundException"), FailureClass::NotFound),
            (400, Some("QueueDoesNotExist"), FailureClass::NotFound),
            (400, Some("AWS.SimpleQueueService.NonExistentQueue"), FailureClass::NotFound),
            (401, Some("UnauthorizedClientException"), FailureClass::Denied),
            (403, Some("ForbiddenException"), FailureClass::Denied),
            (400, Some("AccessDeniedException"), FailureClass::Denied),
            (400, Some("InvalidClientTokenId"), FailureClass::Unidentified),
            (403, Some("SignatureDoesNotMatch"), FailureClass::Unidentified),
            (400, Some("BadRequestException"), FailureClass::Refused),
            (400, Some("ResourceLimitExceededException"), FailureClass::Refused),
            (500, Some("ServiceFailureException"), FailureClass::Unavailable),
            (503, None, FailureClass::Unavailable),
            (0, None, FailureClass::Unavailable),
        ];
        for (status, code, class) in table {
            assert_eq!(class_of(status, code), class, "{status} {code:?}");
        }
    }

    #[test]
    fn what_aws_says_is_cut_escaped_and_without_numbers() {
        assert_eq!(harmless("Caller Id +15550100042 is not valid"), "Caller Id +***0042 is not valid");
        assert_eq!(harmless("line 12345\nforged"), "line 12345\\nforged");
        assert_eq!(harmless("arn:aws:sqs:us-east-1:111122223333:q"), "arn:aws:sqs:us-east-1:***3333:q");
        let long = harmless(&"x".repeat(500));
        assert_eq!(long.chars().count(), MAX_TEXT + 1);
        assert!(long.ends_with('…'));
        assert_eq!(harmless("ends with 15550100042"), "ends with ***0042");
    }
}
