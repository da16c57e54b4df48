//! Who we are to AWS and where it is: the SDK's standard chain, under what the configuration says.

use std::sync::LazyLock;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_sqs::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use base64_simd::STANDARD;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::settings::{EventSettings, SmaSettings};

/// Signs requests to an endpoint that is not AWS's own where nothing else names a region. Such a stand-in does not mind.
const STAND_IN_REGION: &str = "us-east-1";

/// AWS cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum AwsSetupError {
    /// Nobody names a region.
    #[error("{key} is empty and neither AWS_REGION nor the AWS profile names a region")]
    NoRegion {
        /// The configuration key that could.
        key: &'static str,
    },
    /// The HTTPS client cannot be built.
    #[error("https: {0}")]
    Https(String),
}

/// Where a service of AWS is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The configuration key of the region, for the error without one.
    region_key: &'static str,
    region: Option<String>,
    endpoint_url: Option<String>,
}

impl Target {
    /// SQS, for the queue of `events.queue_url`: the address of a queue that is not on AWS is an endpoint too, and that of
    /// one which is names its region.
    #[must_use]
    pub fn queue(events: &EventSettings) -> Self {
        let queue = events.queue_url.as_deref().and_then(Address::parse);
        let of_queue = queue.filter(|queue| !queue.is_of_aws()).map(|queue| queue.origin.to_owned());
        Self::new("events.region", &events.region, events.endpoint_url.clone().or(of_queue), queue)
    }

    /// The telephone side of Chime (chime-sdk-voice), for the application of `sma.application_id`.
    #[must_use]
    pub fn voice(sma: &SmaSettings) -> Self {
        Self::new("sma.region", &sma.region, sma.endpoint_url.clone(), None)
    }

    /// The telephone side of Chime where only events are configured: in the events' region.
    #[must_use]
    pub fn voice_of_events(events: &EventSettings) -> Self {
        let region = Self::queue(events).region;
        Self { region_key: "events.region", region, endpoint_url: None }
    }

    #[cfg(test)]
    pub(super) fn at(endpoint_url: &str, region: &str) -> Self {
        Self { region_key: "region", region: Some(region.to_owned()), endpoint_url: Some(endpoint_url.to_owned()) }
    }

    fn new(
        region_key: &'static str,
        region: &Option<String>,
        endpoint_url: Option<String>,
        queue: Option<Address<'_>>,
    ) -> Self {
        let of_endpoint = || endpoint_url.as_deref().and_then(Address::parse)?.region();
        let region = region.clone().or_else(of_endpoint).or_else(|| queue?.region());
        Self { region_key, region, endpoint_url }
    }

    /// The SDK's configuration. Credentials come from the standard chain (environment, profile, web identity, container,
    /// instance), the first time they are needed.
    ///
    /// # Errors
    /// [`AwsSetupError`].
    pub async fn load(&self) -> Result<SdkConfig, AwsSetupError> {
        // Some 10 KiB of state for a few lines of text: not on every caller's stack.
        let config = Box::pin(self.loader()?.load()).await;
        if config.region().is_none() {
            return Err(AwsSetupError::NoRegion { key: self.region_key });
        }
        Ok(config)
    }

    /// [`load`](Self::load) before it looks into environment and files.
    pub(super) fn loader(&self) -> Result<ConfigLoader, AwsSetupError> {
        // Retries are ours: the consumer's, the quota queue's, and a call that was placed is never placed again.
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(https_client()?)
            .retry_config(RetryConfig::disabled());
        let loader = match (&self.region, &self.endpoint_url) {
            (Some(region), _) => loader.region(Region::new(region.clone())),
            (None, Some(_)) => {
                let environment = EnvironmentVariableRegionProvider::new();
                loader.region(RegionProviderChain::first_try(environment).or_else(STAND_IN_REGION))
            }
            (None, None) => loader,
        };
        Ok(match &self.endpoint_url {
            Some(url) => loader.endpoint_url(url),
            None => loader,
        })
    }
}

/// One client for everything asked of AWS. It speaks plain HTTP to an address of `http://`.
fn https_client() -> Result<SharedHttpClient, AwsSetupError> {
    let trust = TlsContext::builder().with_trust_store(trust_store()).build();
    let trust = trust.map_err(|error| AwsSetupError::Https(error.to_string()))?;
    Ok(Builder::new().tls_provider(Provider::rustls(CryptoMode::Ring)).tls_context(trust).build_https())
}

/// The public authorities, compiled in: the image has none of its own. `SSL_CERT_FILE` and `SSL_CERT_DIR` add others, for
/// proxies that look inside.
fn trust_store() -> TrustStore {
    let own = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    TrustStore::empty().with_native_roots(own).with_pem_certificate(PUBLIC_AUTHORITIES.as_bytes())
}

static PUBLIC_AUTHORITIES: LazyLock<String> = LazyLock::new(|| {
    let pem = |der: &[u8]| {
        let body = STANDARD.encode_to_string(der);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    };
    TLS_SERVER_ROOT_CERTS.iter().map(|certificate| pem(certificate)).collect()
});

/// An address of `http://` or `https://`, split.
#[derive(Clone, Copy, Debug)]
struct Address<'a> {
    /// Scheme, host and port.
    origin: &'a str,
    host: &'a str,
}

impl<'a> Address<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let origin = url.get(..scheme.len() + "://".len() + authority.len())?;
        Some(Self { origin, host: authority.split(':').next()? })
    }

    fn is_of_aws(&self) -> bool {
        [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|suffix| self.host.ends_with(suffix))
    }

    /// The label that looks like `us-east-1` or `us-gov-west-1`, in a name of AWS's.
    fn region(&self) -> Option<String> {
        let is_region = |label: &&str| {
            let mut parts = label.split('-');
            let is_word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
            let number = parts.next_back().is_some_and(|part| matches!(part.as_bytes(), [b'0'..=b'9']));
            number && label.matches('-').count() >= 2 && parts.all(is_word)
        };
        self.host.split('.').find(is_region).filter(|_| self.is_of_aws()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn queue(queue_url: &str, region: &str, endpoint_url: &str) -> (Option<String>, Option<String>) {
        let set = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let events = EventSettings {
            queue_url: set(queue_url),
            region: set(region),
            endpoint_url: set(endpoint_url),
            ..Settings::embedded().unwrap().events
        };
        let target = Target::queue(&events);
        (target.region, target.endpoint_url)
    }

    #[test]
    fn the_queues_address_tells_region_or_endpoint() {
        let some = |text: &str| Some(text.to_owned());
        let aws = "https://sqs.eu-central-1.amazonaws.com/111122223333/vc-events";
        assert_eq!(queue(aws, "", ""), (some("eu-central-1"), None));
        assert_eq!(queue(aws, "eu-west-1", ""), (some("eu-west-1"), None));
        let legacy = "https://us-west-2.queue.amazonaws.com/111122223333/vc-events";
        assert_eq!(queue(legacy, "", ""), (some("us-west-2"), None));
        let private = "https://vpce-0a1b-2c3d.sqs.us-east-1.vpce.amazonaws.com";
        assert_eq!(queue(aws, "", private), (some("us-east-1"), some(private)));
        let local = "http://127.0.0.1:4566/000000000000/vc-events";
        assert_eq!(queue(local, "", ""), (None, some("http://127.0.0.1:4566")));
        assert_eq!(queue(local, "", "http://127.0.0.1:5000"), (None, some("http://127.0.0.1:5000")));
        assert_eq!(queue("https://sqs.us-east-1.example.com/1/q", "", "").0, None, "a name of somebody else's");
        assert_eq!(queue("", "", ""), (None, None));
    }

    #[actix_rt::test]
    async fn a_stand_in_needs_no_region() {
        let target = Target { region_key: "k", region: None, endpoint_url: Some("http://127.0.0.1:1".to_owned()) };
        let config = target.load().await.unwrap();
        assert!(config.region().is_some());
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:1"));
    }

    #[test]
    fn the_public_authorities_are_there() {
        assert!(PUBLIC_AUTHORITIES.matches("BEGIN CERTIFICATE").count() > 100);
        // Amazon's own roots are among them, read as the client will read them.
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject as _;
        let read: Vec<_> = CertificateDer::pem_slice_iter(PUBLIC_AUTHORITIES.as_bytes()).collect();
        assert_eq!(read.len(), TLS_SERVER_ROOT_CERTS.len());
        assert!(read.iter().all(Result::is_ok));
        assert!(TLS_SERVER_ROOT_CERTS.iter().any(|der| der.windows(16).any(|part| part == b"Amazon Root CA 1")));
    }
}
