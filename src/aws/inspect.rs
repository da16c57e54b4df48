//! Looks at what is set up on AWS, changing nothing, for `trunkline doctor`.

use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::types::QueueAttributeName;

use super::failure::{AwsFailure, within};

/// Longest time one look takes.
const LIMIT: Duration = Duration::from_secs(5);
/// The port of a route that names none.
const SIP_PORT: u16 = 5_060;

/// A queue, as far as the way from EventBridge goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueSeen {
    /// `arn:aws:sqs:REGION:ACCOUNT:NAME`
    pub arn: String,
    /// Who may do what with it, a policy document.
    pub policy: Option<String>,
    /// Where messages go that were received too often, a JSON object.
    pub redrive_policy: Option<String>,
    /// Key of KMS that its messages are encrypted with, if that is not SQS's own.
    pub kms_key: Option<String>,
}

/// A Voice Connector. Each part is looked at by itself, for each wants a permission of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorSeen {
    /// Its id.
    pub id: String,
    /// Its streaming, which the events are about.
    pub streaming: Result<StreamingSeen, AwsFailure>,
    /// Where it sends calls.
    pub origination: Result<OriginationSeen, AwsFailure>,
    /// Whether signalling and media have to be encrypted (TLS and SRTP).
    pub requires_encryption: Result<bool, AwsFailure>,
}

/// The streaming of a Voice Connector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamingSeen {
    /// Whether calls are streamed at all.
    pub enabled: bool,
    /// Who is told: `EventBridge`, `SNS`, `SQS`.
    pub targets: Vec<String>,
}

/// Where a Voice Connector sends calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginationSeen {
    /// Whether it sends any.
    pub enabled: bool,
    /// To which hosts.
    pub routes: Vec<RouteSeen>,
}

/// One host that a Voice Connector sends calls to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSeen {
    /// Name or address.
    pub host: String,
    /// Port; AWS takes 5060 where none is given.
    pub port: u16,
    /// `UDP` or `TCP`; with encryption TLS over the latter.
    pub protocol: String,
}

impl fmt::Display for RouteSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, protocol } = self;
        write!(f, "{host}:{port} {protocol}")
    }
}

/// A SIP media application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplicationSeen {
    /// Its name.
    pub name: String,
    /// ARNs of its Lambda functions; AWS takes exactly one.
    pub lambdas: Vec<String>,
}

/// The queue at `queue_url` (GetQueueAttributes).
///
/// # Errors
/// [`AwsFailure`].
pub async fn queue(config: &SdkConfig, queue_url: &str) -> Result<QueueSeen, AwsFailure> {
    use QueueAttributeName::{KmsMasterKeyId, Policy, QueueArn, RedrivePolicy};
    let wanted = vec![QueueArn, Policy, RedrivePolicy, KmsMasterKeyId];
    let client = aws_sdk_sqs::Client::new(config);
    let request = client.get_queue_attributes().queue_url(queue_url).set_attribute_names(Some(wanted));
    let mut attributes = within(LIMIT, request.send()).await?.attributes.unwrap_or_default();
    Ok(QueueSeen {
        arn: attributes.remove(&QueueArn).unwrap_or_default(),
        policy: attributes.remove(&Policy).filter(|policy| !policy.is_empty()),
        redrive_policy: attributes.remove(&RedrivePolicy).filter(|policy| !policy.is_empty()),
        kms_key: attributes.remove(&KmsMasterKeyId).filter(|key| !key.is_empty()),
    })
}

/// The telephone side of Chime.
#[derive(Clone, Debug)]
pub struct VoiceInspector {
    client: aws_sdk_chimesdkvoice::Client,
}

impl VoiceInspector {
    /// Looks by this configuration.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: aws_sdk_chimesdkvoice::Client::new(config) }
    }

    /// Ids of the account's Voice Connectors in this region, the first hundred (ListVoiceConnectors).
    ///
    /// # Errors
    /// [`AwsFailure`].
    pub async fn connector_ids(&self) -> Result<Vec<String>, AwsFailure> {
        let listed = within(LIMIT, self.client.list_voice_connectors().max_results(99).send()).await?;
        let connectors = listed.voice_connectors.unwrap_or_default();
        Ok(connectors.into_iter().filter_map(|connector| connector.voice_connector_id).collect())
    }

    /// One Voice Connector (GetVoiceConnectorStreamingConfiguration, GetVoiceConnectorOrigination, GetVoiceConnector).
    pub async fn connector(&self, id: &str) -> ConnectorSeen {
        let looks = futures_util::future::join3(self.streaming(id), self.origination(id), self.requires_encryption(id));
        let (streaming, origination, requires_encryption) = looks.await;
        ConnectorSeen { id: id.to_owned(), streaming, origination, requires_encryption }
    }

    async fn requires_encryption(&self, id: &str) -> Result<bool, AwsFailure> {
        let request = self.client.get_voice_connector().voice_connector_id(id);
        let found = within(LIMIT, request.send()).await?.voice_connector;
        Ok(found.and_then(|connector| connector.require_encryption).unwrap_or_default())
    }

    async fn streaming(&self, id: &str) -> Result<StreamingSeen, AwsFailure> {
        let request = self.client.get_voice_connector_streaming_configuration().voice_connector_id(id);
        let Some(found) = within(LIMIT, request.send()).await?.streaming_configuration else {
            return Ok(StreamingSeen::default());
        };
        let targets = found.streaming_notification_targets.unwrap_or_default();
        let targets = targets.into_iter().filter_map(|target| Some(target.notification_target?.as_str().to_owned()));
        Ok(StreamingSeen { enabled: !found.disabled, targets: targets.collect() })
    }

    async fn origination(&self, id: &str) -> Result<OriginationSeen, AwsFailure> {
        let request = self.client.get_voice_connector_origination().voice_connector_id(id);
        let Some(found) = within(LIMIT, request.send()).await?.origination else {
            return Ok(OriginationSeen::default());
        };
        let routes = found.routes.unwrap_or_default().into_iter().map(|route| RouteSeen {
            host: route.host.unwrap_or_default(),
            port: route.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0).unwrap_or(SIP_PORT),
            protocol: route.protocol.map(|protocol| protocol.as_str().to_owned()).unwrap_or_default(),
        });
        Ok(OriginationSeen { enabled: found.disabled != Some(true), routes: routes.collect() })
    }

    /// A SIP media application (GetSipMediaApplication).
    ///
    /// # Errors
    /// [`AwsFailure`].
    pub async fn application(&self, id: &str) -> Result<ApplicationSeen, AwsFailure> {
        let request = self.client.get_sip_media_application().sip_media_application_id(id);
        let Some(found) = within(LIMIT, request.send()).await?.sip_media_application else {
            return Ok(ApplicationSeen::default());
        };
        let lambdas = found.endpoints.unwrap_or_default().into_iter().filter_map(|endpoint| endpoint.lambda_arn);
        Ok(ApplicationSeen { name: found.name.unwrap_or_default(), lambdas: lambdas.collect() })
    }
}
