//! Amazon Chime as far as the service has to do with it, on loopback: the two calls of its voice API, a SIP media
//! application's life of a call with a gateway to `/ingest`, and a caller with an ear and a mouth.

pub mod api;
pub mod caller;
pub mod relay;
pub mod timeline;
pub mod world;

use api::Api;

use super::process::Service;

/// What the service is told of the application.
pub const APPLICATION: &str = "2f9d7c1a-6f3e-4b7d-9c55-7a1e3f0b8d21";
/// Secret of `POST /sma/events`.
pub const WEBHOOK_SECRET: &str = "webhook-4714";
/// Where the application bridges calls to.
pub const VOICE_CONNECTOR: &str = "arn:aws:chime:us-east-1:111122223333:vc/fx7q2mvbd9k3htn5wz1rgy";
/// Our number.
pub const OWN_NUMBER: &str = "+15550199002";
/// The caller's.
pub const CALLER: &str = "+15550100001";

/// The environment of a service whose SIP media application is asked at `endpoint`.
pub fn env(endpoint: &str) -> [(&'static str, &str); 9] {
    [
        ("TRUNKLINE__SMA__APPLICATION_ID", APPLICATION),
        ("TRUNKLINE__SMA__REGION", "us-east-1"),
        ("TRUNKLINE__SMA__ENDPOINT_URL", endpoint),
        ("TRUNKLINE__SMA__VOICE_CONNECTOR_ARN", VOICE_CONNECTOR),
        ("TRUNKLINE__SMA__FROM_NUMBER", OWN_NUMBER),
        ("TRUNKLINE__SMA__WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
}

/// A service with a model at `model` and a SIP media application at `api`.
pub async fn service(model: &str, api: &Api, more: &[(&str, &str)]) -> Service {
    let mut all = env(&api.url).to_vec();
    all.extend_from_slice(more);
    Service::with_model(model, &all).await
}
