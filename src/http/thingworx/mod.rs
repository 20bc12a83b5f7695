//! Dialect 2: the OAuth configuration services of ThingWorx Flow's WorkflowSubsystem.
//!
//! `POST /Thingworx/Subsystems/WorkflowSubsystem/Services/<Service>` with a JSON object of parameters. A service
//! answers with a message in an *infotable*; an error of the deed is such a message too, with status 200. Every
//! service stands in `SERVICES`, once.
//!
//! # Where we differ or decide
//!
//! - The page lost two headings: `DeleteOAuthAccessTokens` and `ValidateConnector` are names of ours.
//! - `GetOAuthConfiguration` answers the bare document, no infotable: `{"google_gmail":["Gmail-1","Gmail-2"]}`,
//!   sorted.
//! - `Accept` may ask for `application/json` or `text/xml`; `*/*`, `text/html` or none gets JSON, anything else 406.
//!   In XML an infotable has the same fields as in JSON, a row each in `rows`; the configurations are
//!   `<configurations><connector><name/><provider/>…</connector>…</configurations>`, as a name need not be an
//!   element's.
//! - Every answer has the header `Grantry-Outcome: ok|error`; an error has a second field, `code`, in its row. With
//!   `?strict=true` errors of the deed are 4xx with the same body.
//! - Of the deed are: a fault of the document or of a value, a configuration in use or unknown, nothing to delete,
//!   findings of a check. All else keeps its status: 400 for a body that is no JSON object, for a parameter of another
//!   type, for one that is not the service's (a misspelt `User Name` must not mean everybody) and for both spellings
//!   of a name with different values; 401; 403 for a missing right and for a wrong content type; 404 for an unknown
//!   service and for a missing required parameter; 405, 406, 413, 429, 500, 503. Their bodies are infotables too.
//! - A parameter that is `null` is missing where it is required. `User Name` is everybody only where it is absent:
//!   `null` and blank are errors. Deleting tokens where there are none is an error (`nothing_to_delete`), as it may be
//!   a typing error.
//! - A provider name that several connectors carry hits all of them, and the message names them. Tokens are revoked at
//!   the provider in the background; the message says of how many grants, and of how many that is impossible.
//! - A refusal to delete names the connections with their owners, and the customers.
//! - `oauthConfigurations` is a JSON object, or a string that holds one, with lines and columns of its own; a file may
//!   be uploaded instead (`multipart/form-data`, one part `file`, no other). A body has at most 16 MiB.
//! - `ValidateConnector` knocks at the token and authorization endpoints, tries client id and secret of each
//!   configuration with a made-up code (`app/provider_check`), and looks after the connections. What nobody can tell is
//!   said, and is no error.
//! - `ValidateFlowSetup` has the page's codes with sentences of ours, one line each; `code` has all codes, with a
//!   space between. Where the dialect is switched off it still reports, and the others answer `FLOW-CONFIG-01`.
//! - `x-thingworx-session` and `X-XSRF-TOKEN` are ignored. A compressed body is 415.

mod parameters;
mod services;

use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    web,
};
use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};

use super::{
    accept,
    body::query_flag,
    caller::{Admitted, Needs},
    connect,
    problem::{Asked, Failure, Kind, fault_phrase, sentence},
    routes::Routes,
    xml,
};
use crate::{
    app::App,
    domain::{Error, Noun, user::Scope},
};
use parameters::{Given, Parameter, Type};

const PREFIX: &str = "/Thingworx";
/// Where providers send browsers back to whose apps were registered for that product.
const RETURN: &str = "/Oauths/oauth/return";
const FOLDER: &str = "/Subsystems/WorkflowSubsystem/Services";
/// In every answer: whether it tells of an error, for scripts that see status 200 either way.
const OUTCOME: HeaderName = HeaderName::from_static("grantry-outcome");
const JSON: &str = "application/json";
const XML: &str = "text/xml";
/// The fact of a failure that says that a required parameter is missing.
const MISSING: &str = "missing";

/// A service.
struct Service {
    /// Its name, in the path.
    name: &'static str,
    /// What it takes.
    parameters: &'static [Parameter],
    /// Whether its first parameter may come as an uploaded file.
    takes_file: bool,
    /// Whether it does its work where the dialect is switched off.
    always: bool,
    /// What it does.
    run: fn(Call) -> LocalBoxFuture<'static, Result<Outcome, Failure>>,
}

const CONFIGURATIONS: Parameter =
    Parameter { printed: "oauthConfigurations", plain: "oauthConfigurations", required: true, of: Type::Json };
const CONNECTOR: Parameter =
    Parameter { printed: "Connector config name", plain: "connectorConfigName", required: true, of: Type::Text };
const PROVIDER: Parameter =
    Parameter { printed: "OAuth provider", plain: "oauthProvider", required: true, of: Type::Text };
const USER: Parameter = Parameter { printed: "User Name", plain: "userName", required: false, of: Type::Text };
const CHECKED: Parameter =
    Parameter { printed: "connectorName", plain: "connectorName", required: true, of: Type::Text };

/// Every service there is.
static SERVICES: [Service; 6] = [
    Service {
        name: "LoadOAuthConfiguration",
        parameters: &[CONFIGURATIONS],
        takes_file: true,
        always: false,
        run: |call| Box::pin(services::load(call)),
    },
    Service {
        name: "DeleteOAuthConfiguration",
        parameters: &[CONNECTOR, PROVIDER],
        takes_file: false,
        always: false,
        run: |call| Box::pin(services::delete(call)),
    },
    Service {
        name: "GetOAuthConfiguration",
        parameters: &[],
        takes_file: false,
        always: false,
        run: |call| Box::pin(services::names(call)),
    },
    Service {
        name: "DeleteOAuthAccessTokens",
        parameters: &[PROVIDER, USER],
        takes_file: false,
        always: false,
        run: |call| Box::pin(services::delete_tokens(call)),
    },
    Service {
        name: "ValidateConnector",
        parameters: &[CHECKED],
        takes_file: false,
        always: false,
        run: |call| Box::pin(services::check_connector(call)),
    },
    Service {
        name: "ValidateFlowSetup",
        parameters: &[],
        takes_file: false,
        always: true,
        run: |call| Box::pin(services::check_setup(call)),
    },
];

/// The routes of this dialect: one for each service.
pub fn routes() -> Routes {
    let routes = Routes::below(PREFIX).at(RETURN, [(Method::GET, Needs::Nothing, web::to(connect::flow_callback))]);
    SERVICES.iter().fold(routes, |routes, service| {
        let handler = move |app: web::Data<App>, caller: Admitted, request: HttpRequest, payload: web::Payload| {
            serve(service, app, caller, request, payload)
        };
        let path = format!("{FOLDER}/{}", service.name);
        routes.at(&path, [(Method::POST, Needs::Scope(Scope::Admin), web::to(handler))])
    })
}

/// A call of a service, ready to be done.
struct Call {
    app: web::Data<App>,
    caller: Admitted,
    given: Given,
}

/// What a service answers.
struct Outcome {
    body: Body,
    refusal: Option<Refusal>,
}

enum Body {
    Message(String),
    /// Connectors, each with its OAuth providers.
    Names(Vec<(String, Vec<String>)>),
}

/// An error of the deed.
struct Refusal {
    code: String,
    /// The status that says it where the caller wants to hear it so.
    strict: StatusCode,
}

impl Outcome {
    fn done(text: impl Into<String>) -> Self {
        Self { body: Body::Message(text.into()), refusal: None }
    }

    fn refused(code: impl Into<String>, strict: StatusCode, text: impl Into<String>) -> Self {
        Self { body: Body::Message(text.into()), refusal: Some(Refusal { code: code.into(), strict }) }
    }
}

async fn serve(
    service: &'static Service,
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    // Before the deed: an answer that nobody can read must not follow something done.
    let form = Form::asked(request.headers()).ok_or(Kind::Accept("application/json, text/xml"))?;
    let outcome = if service.always || app.settings().flow_services {
        let mut payload: Payload = payload.into_inner();
        let given = parameters::read(service, &request, &mut payload).await?;
        (service.run)(Call { app, caller, given }).await?
    } else {
        services::switched_off()
    };
    let status = match &outcome.refusal {
        None => StatusCode::OK,
        Some(refusal) => {
            tracing::info!(service = service.name, code = refusal.code, "deed refused");
            if query_flag(&request, "strict") { refusal.strict } else { StatusCode::OK }
        }
    };
    Ok(match (outcome.body, outcome.refusal) {
        (Body::Message(text), refusal) => form.message(status, &text, refusal.as_ref().map(|r| r.code.as_str())),
        (Body::Names(names), _) => form.names(&names),
    })
}

/// The form of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Xml,
}

impl Form {
    /// What `Accept` asks for; `None`: something else. A browser, which asks for a page, gets JSON.
    fn asked(headers: &HeaderMap) -> Option<Self> {
        match accept::media_type(headers, &[JSON, XML, "text/html"])? {
            XML => Some(Self::Xml),
            _ => Some(Self::Json),
        }
    }

    fn message(self, status: StatusCode, text: &str, code: Option<&str>) -> HttpResponse {
        self.answer(status, "infotable", &infotable(text, code), code.is_none())
    }

    fn names(self, names: &[(String, Vec<String>)]) -> HttpResponse {
        let value = match self {
            Self::Json => names.iter().map(|(connector, providers)| (connector.clone(), json!(providers))).collect(),
            Self::Xml => {
                let connector =
                    |(name, providers): &(String, Vec<String>)| json!({"name": name, "provider": providers});
                json!({"connector": names.iter().map(connector).collect::<Value>()})
            }
        };
        self.answer(StatusCode::OK, "configurations", &value, true)
    }

    fn answer(self, status: StatusCode, root: &str, value: &Value, fine: bool) -> HttpResponse {
        let mut answer = match self {
            Self::Json => HttpResponse::build(status).json(value),
            Self::Xml => {
                HttpResponse::build(status).content_type("text/xml; charset=utf-8").body(xml::document(root, value))
            }
        };
        let headers = answer.headers_mut();
        headers.insert(OUTCOME, HeaderValue::from_static(if fine { "ok" } else { "error" }));
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        answer
    }
}

/// A table of one row: a message, and on error its code.
fn infotable(text: &str, code: Option<&str>) -> Value {
    let field = |name: &str, ordinal: u32| {
        // The shape is the vendor's, empty fields and all.
        json!({"name": name, "baseType": "STRING", "description": "", "aspects": {}, "ordinal": ordinal})
    };
    let mut table = json!({
        "dataShape": {"fieldDefinitions": {"result": field("result", 0)}},
        "rows": [{"result": text}],
    });
    if let Some(code) = code {
        table["dataShape"]["fieldDefinitions"]["code"] = field("code", 1);
        table["rows"][0]["code"] = code.into();
    }
    table
}

/// The failures of this dialect: an infotable with the sentence and its code.
pub fn dress(failure: &Failure, asked: &Asked) -> HttpResponse {
    let status = match &failure.kind {
        // A compressed body is of the right content type; `Accept-Encoding` goes with 415.
        Kind::MediaType(expected) if *expected != "identity" => StatusCode::FORBIDDEN,
        _ if failure.facts.contains_key(MISSING) => StatusCode::NOT_FOUND,
        _ => failure.status(),
    };
    let text = match &failure.kind {
        Kind::Domain(Error::NotFound { what: Noun::Path, .. }) => {
            format!("There is no such entity or service; the services are those below {PREFIX}{FOLDER}/")
        }
        Kind::Domain(Error::Invalid(faults)) if failure.facts.contains_key(MISSING) => {
            let names: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
            format!("Required and missing: {}", names.join(", "))
        }
        Kind::Domain(Error::Invalid(faults)) => faults.iter().map(fault_phrase).collect::<Vec<_>>().join("\n"),
        Kind::Domain(Error::Internal(_)) => format!("Server error; the log has it as request {}", asked.request_id),
        _ => sentence(failure),
    };
    let code = if failure.facts.contains_key(MISSING) { MISSING } else { failure.name() };
    Form::asked(&asked.headers).unwrap_or(Form::Json).message(status, &text, Some(code))
}
