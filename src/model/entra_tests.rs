//! The credential chain against a token endpoint on loopback.

use actix_web::{App, HttpResponse, HttpServer, web};
use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::{AccessToken, TokenRequestOptions};

use super::*;
use crate::model::test_peer::soon;

#[derive(Debug)]
struct Fake(Result<&'static str, &'static str>);

#[async_trait]
impl TokenCredential for Fake {
    async fn get_token(&self, scopes: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, [SCOPE]);
        let expires = azure_core::time::OffsetDateTime::now_utc() + azure_core::time::Duration::hours(1);
        match self.0 {
            Ok("never") => std::future::pending().await,
            Ok(token) => Ok(AccessToken::new(token, expires)),
            Err(why) => Err(Error::with_message(ErrorKind::Credential, why)),
        }
    }
}

fn chain(sources: Vec<Fake>) -> EntraTokens {
    EntraTokens::new(sources.into_iter().map(|fake| Arc::new(fake) as Arc<dyn TokenCredential>).collect())
}

#[tokio::test(start_paused = true)]
async fn the_first_source_that_answers_is_kept() {
    let tokens = chain(vec![Fake(Ok("never")), Fake(Err("signed out")), Fake(Ok("third"))]);
    let begun = tokio::time::Instant::now();
    assert_eq!(tokens.token().await.as_deref(), Ok("third"));
    assert_eq!(begun.elapsed(), SOURCE_LIMIT);
    assert_eq!(tokens.token().await.as_deref(), Ok("third"));
    assert_eq!(begun.elapsed(), SOURCE_LIMIT, "the silent one is not asked again");
}

#[tokio::test(start_paused = true)]
async fn without_any_the_reason_is_one_line() {
    let tokens = chain(vec![Fake(Ok("never")), Fake(Err("signed out\nTo troubleshoot, visit"))]);
    assert_eq!(tokens.token().await, Err(TokenError("signed out".to_owned())));
}

#[actix_rt::test]
async fn the_environment_chooses_the_source() {
    let pick = |set: &[(&str, &str)]| {
        let options = client_options(tls::client_config(None).unwrap());
        let found =
            sources(options, |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()));
        found.map(|sources| sources.iter().map(|source| format!("{source:?}")).collect::<Vec<_>>())
    };
    let principal = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "hush")];
    let principal = pick(&principal).unwrap();
    assert!(principal.len() == 1 && principal[0].contains("ClientSecretCredential"), "{principal:?}");
    assert!(!principal[0].contains("hush"));
    assert!(pick(&[("AZURE_CLIENT_SECRET", "hush")]).is_err(), "no tenant");
    let machine = pick(&[]).unwrap();
    assert!(machine.len() == 2 && machine[1].contains("DeveloperToolsCredential"), "{machine:?}");
}

/// A service principal's whole way: azure_identity, our HTTP client, TLS, a token endpoint.
#[actix_rt::test]
async fn a_service_principal_gets_its_token_over_tls() {
    async fn endpoint(form: web::Form<std::collections::BTreeMap<String, String>>) -> HttpResponse {
        let field = |name: &str| form.get(name).map(String::as_str);
        if field("client_secret") != Some("hush") || field("scope") != Some(SCOPE) {
            return HttpResponse::Unauthorized()
                .json(serde_json::json!({"error_codes": [7000215], "error_description": "invalid client secret"}));
        }
        HttpResponse::Ok().json(serde_json::json!({"token_type": "Bearer", "expires_in": 3600, "access_token": "tok"}))
    }
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let ca_file = std::env::temp_dir().join(format!("trunkline-entra-{}.pem", std::process::id()));
    std::fs::write(&ca_file, signed.cert.pem()).unwrap();
    let tls = tls::client_config(Some(&ca_file)).unwrap();
    std::fs::remove_file(&ca_file).unwrap();
    let server_tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let server = HttpServer::new(|| App::new().route("/tenant/oauth2/v2.0/token", web::post().to(endpoint)))
        .workers(1)
        .disable_signals()
        .bind_rustls_0_23("127.0.0.1:0", server_tls)
        .unwrap();
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host = format!("https://localhost:{}", server.addrs()[0].port());
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);

    let cloud = Arc::new(cloud.into());
    for (secret, expected) in [("hush", Ok("tok")), ("guess", Err(()))] {
        let options = ClientOptions { cloud: Some(Arc::clone(&cloud)), ..client_options(Arc::clone(&tls)) };
        let env = |name: &str| match name {
            "AZURE_TENANT_ID" => Some("tenant".to_owned()),
            "AZURE_CLIENT_ID" => Some("client".to_owned()),
            "AZURE_CLIENT_SECRET" => Some(secret.to_owned()),
            _ => None,
        };
        let tokens = EntraTokens::new(sources(options, env).unwrap());
        let token = soon(tokens.token()).await;
        if let Err(error) = &token {
            assert!(error.to_string().contains("invalid client secret"), "{error}");
        }
        assert_eq!(token.as_deref().map_err(|_| ()), expected);
    }
    handle.stop(false).await;
}
