//! Tokens from Microsoft Entra ID, by azure_identity over the same awc and rustls as everything else.
//!
//! azure_identity's own HTTP client would bring reqwest and a second crypto library into the build.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, ClientOptions, HttpClient, Method, Request, RetryOptions, Transport};
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions, DeveloperToolsCredential,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use futures_util::future::BoxFuture;
use rustls::ClientConfig;

use super::auth::{TokenError, TokenProvider};
use super::tls::{self, TlsSetupError};

/// What the token is for (Azure AI services).
const SCOPE: &str = "https://ai.azure.com/.default";

/// How long one source of tokens may take: the metadata address answers at once or, outside Azure, never.
const SOURCE_LIMIT: Duration = Duration::from_secs(3);

/// Longest answer of a token endpoint taken, in bytes.
const MAX_ANSWER: usize = 256 << 10;

/// No source of tokens could be set up.
#[derive(Debug, thiserror::Error)]
pub enum EntraSetupError {
    /// The additional certificate authorities cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// What the environment says does not make a credential.
    #[error("entra: {0}")]
    Credential(String),
}

/// The Azure credential chain: a service principal if `AZURE_CLIENT_SECRET` is set, else a workload identity if
/// `AZURE_FEDERATED_TOKEN_FILE` is set, else the managed identity of the machine (`AZURE_CLIENT_ID` chooses one), else
/// whoever is signed in to `az` or `azd`. Tokens are kept until shortly before they expire.
pub struct EntraTokens {
    sources: Arc<[Arc<dyn TokenCredential>]>,
    /// The source that gave the last token; asked first.
    last: Arc<AtomicUsize>,
}

impl EntraTokens {
    /// Reads the `AZURE_…` environment. `ca_file` as for the model's own connections.
    ///
    /// # Errors
    /// [`EntraSetupError`] if a file or variable cannot be used; without network access.
    pub fn from_environment(ca_file: Option<&Path>) -> Result<Self, EntraSetupError> {
        let options = client_options(tls::client_config(ca_file)?);
        let sources = sources(options, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            .map_err(|error| EntraSetupError::Credential(first_line(&error.to_string())))?;
        Ok(Self::new(sources))
    }

    fn new(sources: Vec<Arc<dyn TokenCredential>>) -> Self {
        Self { sources: sources.into(), last: Arc::default() }
    }
}

impl TokenProvider for EntraTokens {
    fn token(&self) -> BoxFuture<'static, Result<String, TokenError>> {
        let (sources, last) = (Arc::clone(&self.sources), Arc::clone(&self.last));
        Box::pin(async move {
            let first = last.load(Ordering::Relaxed);
            let (tried, preferred) = sources.split_at(first.min(sources.len()));
            let mut why = String::from("no credential");
            for (index, source) in (first..).zip(preferred).chain((0..).zip(tried)) {
                match tokio::time::timeout(SOURCE_LIMIT, source.get_token(&[SCOPE], None)).await {
                    Ok(Ok(token)) => {
                        last.store(index, Ordering::Relaxed);
                        return Ok(token.token.secret().to_owned());
                    }
                    Ok(Err(error)) => why = first_line(&error.to_string()),
                    Err(_) => why = format!("a token source gave no answer within {SOURCE_LIMIT:?}"),
                }
            }
            Err(TokenError(why))
        })
    }
}

fn sources(
    options: ClientOptions,
    env: impl Fn(&str) -> Option<String>,
) -> azure_core::Result<Vec<Arc<dyn TokenCredential>>> {
    let client_id = env("AZURE_CLIENT_ID");
    if let Some(secret) = env("AZURE_CLIENT_SECRET") {
        let tenant = env("AZURE_TENANT_ID").unwrap_or_default();
        let options = ClientSecretCredentialOptions { client_options: options };
        let credential =
            ClientSecretCredential::new(&tenant, client_id.unwrap_or_default(), Secret::from(secret), Some(options))?;
        return Ok(vec![credential]);
    }
    if env("AZURE_FEDERATED_TOKEN_FILE").is_some() {
        let options = WorkloadIdentityCredentialOptions {
            credential_options: ClientAssertionCredentialOptions { client_options: options },
            ..Default::default()
        };
        return Ok(vec![WorkloadIdentityCredential::new(Some(options))?]);
    }
    let options = ManagedIdentityCredentialOptions {
        user_assigned_id: client_id.map(UserAssignedId::ClientId),
        client_options: options,
    };
    Ok(vec![ManagedIdentityCredential::new(Some(options))?, DeveloperToolsCredential::new(None)?])
}

/// Without retries: whoever waits for the token has a schedule of its own.
fn client_options(tls: Arc<ClientConfig>) -> ClientOptions {
    ClientOptions {
        transport: Some(Transport::new(Arc::new(AwcHttp { tls }))),
        retry: RetryOptions::none(),
        ..Default::default()
    }
}

/// azure_identity adds paragraphs of advice to its errors.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

/// azure_core's port to HTTP. Its futures must be `Send` and awc's are not, so each request runs as a task of its own on
/// the worker that asks. Requests are rare (one per token), so each has its own client.
#[derive(Debug)]
struct AwcHttp {
    tls: Arc<ClientConfig>,
}

#[async_trait]
impl HttpClient for AwcHttp {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let Body::Bytes(body) = request.body().clone() else {
            return Err(Error::with_message(ErrorKind::Other, "streamed request bodies are not supported"));
        };
        let outgoing = HttpRequest {
            method: request.method(),
            url: request.url().to_string(),
            headers: request.headers().iter().map(|(n, v)| (n.as_str().to_owned(), v.as_str().to_owned())).collect(),
            body,
            tls: Arc::clone(&self.tls),
        };
        let (answer, answered) = tokio::sync::oneshot::channel();
        let task = AbortOnDrop(actix_rt::spawn(async move {
            // Whoever asked may have gone.
            let _ = answer.send(outgoing.send().await);
        }));
        let result = answered.await.map_err(|_| Error::with_message(ErrorKind::Io, "the request was dropped"))?;
        drop(task);
        result.map_err(|what| Error::with_message(ErrorKind::Io, what))
    }
}

struct AbortOnDrop(actix_rt::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct HttpRequest {
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
    body: bytes::Bytes,
    tls: Arc<ClientConfig>,
}

impl HttpRequest {
    async fn send(self) -> Result<AsyncRawResponse, String> {
        let connector = awc::Connector::new().rustls_0_23(self.tls).timeout(SOURCE_LIMIT);
        let client = awc::Client::builder().connector(connector).disable_redirects().timeout(SOURCE_LIMIT).finish();
        let method = match self.method {
            Method::Get => awc::http::Method::GET,
            Method::Post => awc::http::Method::POST,
            other => return Err(format!("{other} is not a request for a token")),
        };
        let mut request = client.request(method, &self.url);
        for header in self.headers {
            request = request.insert_header(header);
        }
        let mut response = request.send_body(self.body).await.map_err(|error| error.to_string())?;
        let body = response.body().limit(MAX_ANSWER).await.map_err(|error| error.to_string())?;
        let mut headers = Headers::new();
        for (name, value) in response.headers() {
            if let Ok(value) = value.to_str() {
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(AsyncRawResponse::from_bytes(response.status().as_u16().into(), headers, body))
    }
}

#[cfg(test)]
#[path = "entra_tests.rs"]
mod tests;
