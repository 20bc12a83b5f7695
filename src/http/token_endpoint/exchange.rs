//! Token exchange (RFC 8693) at the token endpoint: a token of ours for a provider's.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value};

use super::{Parameters, credentials, invalid_request, refused, uncached};
use crate::{
    app::{
        App,
        exchange::{Exchange, Refusal},
    },
    domain::{Error, Secret, Why},
    http::{Surface, admin::tokens::min_ttl_ms, caller, problem::Failure},
};

/// The grant type (RFC 8693 §2.1).
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The one type of token that is taken and given (RFC 8693 §3).
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn invalid_target(path: &str, why: Why) -> Failure {
    Failure::from(Error::invalid(path, why)).with("error", "invalid_target")
}

/// Whose token is wanted: `audience=connection:7`, or `resource` with the address of the connection here.
fn target(parameters: &Parameters, public_url: &str) -> Result<i64, Failure> {
    let mut found: Option<i64> = None;
    for (name, beginning) in
        [("audience", "connection:".to_owned()), ("resource", format!("{public_url}/api/connections/"))]
    {
        if parameters.is_repeated(name) {
            return Err(invalid_target(name, Why::Duplicate));
        }
        let Some(text) = parameters.get(name) else { continue };
        // One connection, one way to write it.
        let id = text.strip_prefix(beginning.as_str());
        let id = id.and_then(|text| text.parse().ok().filter(|id: &i64| id.to_string() == text));
        let id = id.ok_or_else(|| invalid_target(name, Why::Unknown))?;
        if found.is_some_and(|other| other != id) {
            return Err(invalid_target(name, Why::Differs));
        }
        found = Some(id);
    }
    found.ok_or_else(|| invalid_target("audience", Why::Missing))
}

/// Answers as RFC 8693 §2.2.1 has it.
pub(super) async fn exchange(
    app: &App,
    surface: &Surface,
    request: &HttpRequest,
    parameters: &Parameters,
) -> Result<HttpResponse, Failure> {
    let origin = caller::origin(request)?;
    let shows_secret = request.headers().contains_key("authorization") || parameters.get("client_secret").is_some();
    let client = if shows_secret {
        let shown = credentials(request, parameters)?;
        Some(app.application_caller(&shown.id, &shown.secret, origin.clone()).await.map_err(refused)?)
    } else {
        None
    };
    for actor in ["actor_token", "actor_token_type"] {
        if parameters.get(actor).is_some() {
            // Who acts for whom is not ours to say.
            return Err(invalid_request(actor, Why::Unknown));
        }
    }
    let subject = Secret::new(parameters.need("subject_token")?);
    let types = [
        parameters.need("subject_token_type").map(|text| ("subject_token_type", Some(text)))?,
        ("requested_token_type", parameters.get("requested_token_type")),
    ];
    for (name, text) in types {
        if text.is_some_and(|text| text != ACCESS_TOKEN) {
            return Err(invalid_request(name, Why::NotOneOf(vec![ACCESS_TOKEN.to_owned()])));
        }
    }
    let asked = Exchange {
        subject: &subject,
        client: client.as_ref(),
        client_id: parameters.get("client_id"),
        connection: target(parameters, &surface.public_url)?,
        scope: parameters.get("scope"),
        min_ttl_ms: min_ttl_ms(parameters.get("min_ttl"))?,
    };
    let exchanged = app.exchange(asked, origin).await.map_err(not_exchanged)?;
    let given = exchanged.given;
    let mut body = Map::from_iter([
        ("access_token".to_owned(), Value::from(given.access_token.expose())),
        ("issued_token_type".to_owned(), ACCESS_TOKEN.into()),
        ("token_type".to_owned(), if exchanged.is_bearer { "Bearer" } else { "N_A" }.into()),
    ]);
    if let Some(seconds) = given.expires_in_s {
        body.insert("expires_in".to_owned(), seconds.into());
    }
    if let Some(scopes) = exchanged.scopes {
        body.insert("scope".to_owned(), scopes.join(" ").into());
    }
    Ok(uncached(HttpResponse::Ok()).json(body))
}

fn not_exchanged(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Subject => invalid_request("subject_token", Why::Unknown),
        Refusal::Lacks(scope) => invalid_request(&format!("{scope} of subject_token"), Why::NotGranted),
        Refusal::Target => invalid_target("the connection", Why::Unknown),
        Refusal::Scope(scope) => refused(crate::app::client_applications::Refusal::InvalidScope(scope)),
        Refusal::Other(error) => error.into(),
    }
}
