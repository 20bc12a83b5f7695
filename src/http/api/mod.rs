//! `/api/v1`: our own API. Answers are the resources themselves; failures are problem documents (`http/render`).

mod profiles;
mod providers;

use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::Method, web};

use super::{
    body::{is_json, read},
    caller::Needs,
    problem::{Failure, Kind},
    render::pointer,
    routes::Routes,
};
use crate::{
    app::document,
    domain::{Error, Faults, Why, user::Scope},
};

/// The path of this surface.
pub const PREFIX: &str = "/api/v1";

/// Largest body of an action, in bytes.
const MAX_ACTION_BODY: usize = 16 * 1024;

/// The routes of this surface.
pub fn routes() -> Routes {
    const ADMIN: Needs = Needs::Scope(Scope::Admin);
    Routes::below(PREFIX)
        .at("/profiles/{id}/reset-rotation", [(Method::POST, ADMIN, web::to(profiles::reset_rotation))])
        .at("/providers/{slug}/confirm-origins", [(Method::POST, ADMIN, web::to(providers::confirm_origins))])
}

/// The body of an action without input: no body, or an empty JSON object.
struct NoInput;

impl FromRequest for NoInput {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Failure>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (declared, mut payload) = (is_json(request), payload.take());
        Box::pin(async move {
            let body = read(&mut payload, MAX_ACTION_BODY).await?;
            if body.is_empty() {
                return Ok(Self);
            }
            if !declared {
                return Err(Kind::MediaType("application/json").into());
            }
            let value = document::parse(&body)?;
            let members = value.as_object().ok_or_else(|| Error::invalid("", Why::WrongType("object")))?;
            let mut faults = Faults::default();
            for name in members.keys() {
                faults.add(pointer(name), Why::Unknown);
            }
            Ok(faults.or(Self)?)
        })
    }
}
