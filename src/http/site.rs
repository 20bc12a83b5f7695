//! The rest: the admin page with its sessions, and what tells whether the server lives.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header::HeaderName},
    web,
};
use serde_json::json;

use super::{
    caller::Needs,
    problem::{Asked, Failure, sentence},
    routes::Routes,
    security,
};
use crate::app::{
    App,
    checks::{PROBE_HEADER, SEEN_HOST_HEADER},
};

/// The routes outside of every dialect.
pub fn routes() -> Routes {
    Routes::below("")
        .at("/livez", [(Method::GET, Needs::Nothing, web::to(livez))])
        .at("/readyz", [(Method::GET, Needs::Nothing, web::to(readyz))])
}

/// `{"message":"…"}`, as our own calls have it.
pub fn dress(failure: &Failure, _: &Asked) -> HttpResponse {
    HttpResponse::build(failure.status()).json(json!({"message": sentence(failure)}))
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
