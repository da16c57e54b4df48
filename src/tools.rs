//! The HTTP tools of the configuration, called for the model.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_tls::connect::Connector as TcpConnector;
use awc::error::{ConnectError, PayloadError, SendRequestError};
use awc::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING, USER_AGENT};
use awc::http::{StatusCode, Uri, Version};
use awc::{Client, ClientResponse};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use serde::de::IgnoredAny;
use trunkline_actors::call_supervisor::ToolFactory;
use trunkline_actors::ports::{ToolCall, ToolCaller};

use crate::model::{TlsSetupError, Tuned, client_config};
use crate::settings::HttpToolSettings;

/// Longest answer the model is told, in bytes. It reads all of it before it goes on speaking.
const MAX_ANSWER: usize = 16 << 10;

/// Stands at the end of an answer that was longer.
const CUT: &str = " [cut off here]";

/// What the model is told of an answer without a body: that it was one.
const EMPTY_ANSWER: &str = r#"{"ok":true}"#;

/// Longer than any tool's timeout, which covers connecting too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(600);

/// What gives each worker that asks the one caller of these tools it has.
///
/// # Errors
/// If TLS cannot be set up.
pub fn factory(settings: &[HttpToolSettings]) -> Result<ToolFactory, TlsSetupError> {
    thread_local! {
        static CALLER: RefCell<Option<Rc<HttpTools>>> = const { RefCell::new(None) };
    }
    let shared = Arc::new(Shared {
        tools: settings.iter().map(|settings| (settings.spec.name.clone(), Tool::new(settings))).collect(),
        tls: client_config(None)?,
    });
    Ok(Arc::new(move || {
        CALLER.with_borrow_mut(|caller| {
            // A second service in this process (tests) may have other tools.
            let own = caller.take().filter(|caller| Arc::ptr_eq(&caller.shared, &shared));
            let own = own.unwrap_or_else(|| Rc::new(HttpTools::new(Arc::clone(&shared))));
            Rc::clone(caller.insert(own)) as Rc<dyn ToolCaller>
        })
    }))
}

/// What every worker's caller shares.
struct Shared {
    tools: BTreeMap<String, Tool>,
    tls: Arc<rustls::ClientConfig>,
}

#[derive(Clone)]
struct Tool {
    url: Uri,
    timeout: Duration,
    authorization: Option<HeaderValue>,
}

impl Tool {
    fn new(settings: &HttpToolSettings) -> Self {
        let authorization = settings.token.as_ref().and_then(|token| {
            // The configuration has refused tokens that no header takes.
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Self { url: settings.url.expose().clone(), timeout: settings.timeout, authorization }
    }
}

/// Calls the tools from one worker.
struct HttpTools {
    client: Client,
    shared: Arc<Shared>,
}

impl HttpTools {
    fn new(shared: Arc<Shared>) -> Self {
        let connector = awc::Connector::new()
            .connector(Tuned(TcpConnector::default().service()))
            .rustls_0_23(Arc::clone(&shared.tls))
            .limit(0)
            .timeout(CONNECT_TIMEOUT)
            .handshake_timeout(CONNECT_TIMEOUT);
        // A redirect is not followed: the arguments and the token are for the address that was configured.
        let client = Client::builder().connector(connector).disable_timeout().disable_redirects().finish();
        Self { client, shared }
    }
}

impl ToolCaller for HttpTools {
    fn call(&self, call: ToolCall) -> LocalBoxFuture<'static, Result<String, String>> {
        let ToolCall { name, arguments, call_id, trace } = call;
        let Some(tool) = self.shared.tools.get(&name).cloned() else {
            return async { Err("there is no such tool".to_owned()) }.boxed_local();
        };
        let mut request = self
            .client
            .post(tool.url)
            // awc's pool keeps connections by host and port as written: with `http://host` and `https://host` a token
            // could go out on a connection without TLS. Tools are called rarely; each call has a connection of its own.
            .force_close()
            .insert_header((CONTENT_TYPE, "application/json"))
            .insert_header((USER_AGENT, concat!("trunkline/", env!("CARGO_PKG_VERSION"))))
            .insert_header(("x-trunkline-call-id", call_id.as_str()))
            .insert_header(("traceparent", trace.to_string()));
        if let Some(state) = trace.state() {
            request = request.insert_header(("tracestate", state));
        }
        if let Some(authorization) = tool.authorization {
            request = request.insert_header((AUTHORIZATION, authorization));
        }
        let answer = async move {
            let response = request.send_body(arguments).await.map_err(|error| failure(&error))?;
            read(response).await
        };
        async move {
            let in_time = tokio::time::timeout(tool.timeout, answer).await;
            in_time.unwrap_or_else(|_| Err(format!("no answer within {}", humantime::format_duration(tool.timeout))))
        }
        .boxed_local()
    }
}

/// What the model is told of a response.
async fn read<S>(mut response: ClientResponse<S>) -> Result<String, String>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    if !response.status().is_success() {
        // What else a failing service says is meant for its operators.
        return Err(format!("HTTP {}", response.status().as_u16()));
    }
    let length = announced(&response)?;
    let mut body = Vec::new();
    while body.len() <= MAX_ANSWER {
        match response.next().await {
            // awc takes a connection that closes for the end of any body.
            None if length.is_some_and(|length| length != body.len()) => return Err("the answer broke off".to_owned()),
            None => break,
            Some(Ok(part)) => body.extend_from_slice(&part),
            Some(Err(_)) => return Err("the answer broke off".to_owned()),
        }
    }
    let mut text = String::from_utf8_lossy(&body).into_owned();
    if text.trim().is_empty() {
        return Ok(EMPTY_ANSWER.to_owned());
    }
    if text.len() > MAX_ANSWER {
        text.truncate(text.floor_char_boundary(MAX_ANSWER - CUT.len()));
        text.push_str(CUT);
        return Ok(text);
    }
    // Of chunks that broke off nothing else can be seen.
    if says_json(&response) && serde_json::from_str::<IgnoredAny>(&text).is_err() {
        return Err("its answer is not the JSON that it says it is".to_owned());
    }
    Ok(text)
}

/// The body's length in bytes, where the head gives it.
///
/// A body that ends with the connection (RFC 9112, section 6.3, last rule) is legal, but awc reads it as none at all. Then
/// it is better to say so than to tell the model that all is well.
fn announced<S>(response: &ClientResponse<S>) -> Result<Option<usize>, String> {
    let headers = response.headers();
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok());
    let is_delimited = length.is_some() || headers.contains_key(TRANSFER_ENCODING);
    if is_delimited || response.version() == Version::HTTP_10 || response.status() == StatusCode::NO_CONTENT {
        return Ok(length);
    }
    Err("its answer has neither a Content-Length nor chunks".to_owned())
}

fn says_json<S>(response: &ClientResponse<S>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// In words that hold nothing of address or request.
fn failure(error: &SendRequestError) -> String {
    let what = match error {
        SendRequestError::Connect(ConnectError::Io(error)) | SendRequestError::Send(error) => {
            return broken(error);
        }
        SendRequestError::Connect(ConnectError::Resolver(_) | ConnectError::NoRecords) => "its name cannot be resolved",
        SendRequestError::Connect(ConnectError::Timeout) | SendRequestError::Timeout => "no answer in time",
        SendRequestError::Connect(ConnectError::Disconnected) => "it hung up without an answer",
        SendRequestError::Response(_) => "its answer is not HTTP",
        _ => "the request could not be made",
    };
    what.to_owned()
}

fn broken(error: &io::Error) -> String {
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return "its TLS certificate or version is not accepted".to_owned();
    }
    format!("the connection failed: {}", error.kind())
}
