//! The rest: the admin page with its sessions, and what tells whether the server lives.

mod files;
mod session;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode, header::HeaderName},
    web,
};
use serde_json::{Map, json};

use super::{
    accept::{media_type, wants_japanese},
    caller::Needs,
    connect,
    problem::{Asked, Failure, Kind, by_field, sentence},
    routes::Routes,
    security,
};
use crate::{
    app::{
        App,
        checks::{PROBE_HEADER, SEEN_HOST_HEADER},
    },
    domain::{Error, Fault, Rejection, Why},
};

/// The routes outside of every dialect.
pub fn routes() -> Routes {
    let routes = Routes::below("")
        .at("/livez", [(Method::GET, Needs::Nothing, web::to(livez))])
        .at("/readyz", [(Method::GET, Needs::Nothing, web::to(readyz))])
        .at(
            "/session",
            [
                (Method::GET, Needs::Caller, web::to(session::get)),
                (Method::POST, Needs::Nothing, web::to(session::log_in)),
                (Method::DELETE, Needs::Nothing, web::to(session::log_out)),
            ],
        )
        .at("/setup", [(Method::POST, Needs::Nothing, web::to(session::set_up))]);
    files::routes(connect::routes(routes))
}

/// `{"message":"…"}`, with `errors` by field, as our own calls have it; a small page for a person who typed an address.
pub fn dress(failure: &Failure, asked: &Asked) -> HttpResponse {
    if media_type(&asked.headers, &["application/json", "text/html"]) == Some("text/html") {
        return page(failure, wants_japanese(&asked.headers));
    }
    let mut body = Map::from_iter([("message".to_owned(), sentence(failure).into())]);
    match &failure.kind {
        Kind::Domain(Error::Conflict { .. }) => {
            body.insert("errors".to_owned(), by_field(&[Fault::new("name", Why::Taken)]));
        }
        Kind::Domain(Error::Invalid(faults)) => {
            body.insert("errors".to_owned(), by_field(faults));
        }
        Kind::Domain(Error::Unauthenticated(Rejection::CodeMissing)) => {
            body.insert("errors".to_owned(), by_field(&[Fault::new("code", Why::Missing)]));
        }
        Kind::Domain(Error::Unauthenticated(Rejection::CodeWrong)) => {
            body.insert("errors".to_owned(), by_field(&[Fault::new("code", Why::NotRight)]));
        }
        Kind::Domain(Error::Internal(_)) => {
            body.insert("id".to_owned(), asked.request_id.clone().into());
        }
        _ => {}
    }
    HttpResponse::build(failure.status()).json(body)
}

fn page(failure: &Failure, japanese: bool) -> HttpResponse {
    let (language, words, home) = match (failure.status(), japanese) {
        (StatusCode::NOT_FOUND, true) => ("ja", "このページはありません。".to_owned(), "最初のページへ"),
        (StatusCode::NOT_FOUND, false) => ("en", "There is no such page.".to_owned(), "To the first page"),
        _ => ("en", sentence(failure), "To the first page"),
    };
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let status = failure.status().as_u16();
    HttpResponse::build(failure.status()).content_type("text/html; charset=utf-8").body(format!(
        "<!doctype html><html lang=\"{language}\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{status} · Grantry</title>\
         <link rel=\"icon\" href=\"/icon.svg\"><link rel=\"stylesheet\" href=\"/admin.css\">\
         <main class=\"narrow\"><h1>{status}</h1><p>{words}</p><p><a href=\"/\">{home}</a></p></main></html>\n"
    ))
}

/// The process answers. A setup check hears under which host it was asked.
async fn livez(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    let probe = request.headers().get(PROBE_HEADER).and_then(|number| number.to_str().ok());
    if probe.is_some_and(|number| app.is_own_probe(number))
        && let Some(host) = security::seen_host(&request)
    {
        answer.insert_header((HeaderName::from_static(SEEN_HOST_HEADER), host));
    }
    answer.json(json!({"status": "ok"}))
}

/// The server can do its work: the database takes a write, the background is at work.
async fn readyz(app: web::Data<App>) -> Result<HttpResponse, Failure> {
    app.check_ready().await?;
    Ok(HttpResponse::Ok().json(json!({"status": "ok"})))
}
