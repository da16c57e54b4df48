//! Calls of the SIP media application, by the Amazon Chime SDK's voice API.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_chimesdkvoice::Client;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use trunkline_actors::ports::{CallControl, ControlError, OutgoingCall};

use super::failure::{AwsFailure, FailureClass, within};

/// A prompt that is accepted later than this has lost its moment.
const UPDATE_LIMIT: Duration = Duration::from_secs(2);
/// A call is placed once and never again, so it is worth waiting for the answer.
const CREATE_LIMIT: Duration = Duration::from_secs(10);

/// The application `sma.application_id`. Nothing is sent twice: updates are retried by those who queue them, and of a call
/// that was asked for nobody knows whether it rings.
#[derive(Clone, Debug)]
pub struct ChimeVoice {
    client: Client,
    application_id: String,
}

impl ChimeVoice {
    /// `config` must not retry by itself ([`Target::load`](super::Target::load)'s does not).
    #[must_use]
    pub fn new(config: &SdkConfig, application_id: &str) -> Self {
        Self { client: Client::new(config), application_id: application_id.to_owned() }
    }
}

impl CallControl for ChimeVoice {
    fn update(
        &self,
        transaction_id: &str,
        arguments: BTreeMap<String, String>,
    ) -> LocalBoxFuture<'static, Result<(), ControlError>> {
        let request = self
            .client
            .update_sip_media_application_call()
            .sip_media_application_id(&self.application_id)
            .transaction_id(transaction_id)
            .set_arguments(Some(arguments.into_iter().collect()));
        async move {
            match within(UPDATE_LIMIT, request.send()).await {
                Ok(_) => Ok(()),
                Err(failure) if was_taken(&failure) => Ok(()),
                Err(failure) if failure.class == FailureClass::NotFound => Err(ControlError::Gone),
                Err(failure) => Err(control_error(failure)),
            }
        }
        .boxed_local()
    }

    fn create(&self, call: OutgoingCall) -> LocalBoxFuture<'static, Result<String, ControlError>> {
        let request = self
            .client
            .create_sip_media_application_call()
            .sip_media_application_id(&self.application_id)
            .from_phone_number(call.from)
            .to_phone_number(call.to)
            .set_arguments_map(Some(call.arguments.into_iter().collect()));
        async move {
            let nameless = || ControlError::Unavailable("the call was taken without a transaction id".to_owned());
            match within(CREATE_LIMIT, request.send()).await {
                Ok(answer) => {
                    answer.sip_media_application_call.and_then(|call| call.transaction_id).ok_or_else(nameless)
                }
                Err(failure) if was_taken(&failure) => Err(nameless()),
                Err(failure) => Err(control_error(failure)),
            }
        }
        .boxed_local()
    }
}

/// Any 2xx is a yes, whatever stands in its body.
fn was_taken(failure: &AwsFailure) -> bool {
    failure.status.is_some_and(|status| (200..300).contains(&status))
}

fn control_error(failure: AwsFailure) -> ControlError {
    match failure.class {
        FailureClass::Throttled => ControlError::Throttled,
        FailureClass::Unavailable | FailureClass::NoCredentials => ControlError::Unavailable(failure.text),
        FailureClass::NotFound | FailureClass::Unidentified | FailureClass::Denied | FailureClass::Refused => {
            ControlError::Refused(failure.text)
        }
    }
}
