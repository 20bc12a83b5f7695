//! `/api/v1/profiles`: client registrations at providers.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::NoInput;
use crate::{
    app::{App, profile_registration::RotationFacts},
    domain::{Noun, profile::Rotation},
    http::{body::path_id, caller::Admitted, problem::Failure, time::utc_milliseconds},
};

/// Whether refreshing changes the refresh tokens of a profile's connections.
#[derive(Debug, Serialize)]
struct RotationState {
    /// What the provider's definition declares; `null`: nothing.
    declared: Option<bool>,
    /// What refreshes did: `rotates` or `stays`; `null`: none was observed.
    observed: Option<&'static str>,
    /// When that was first observed.
    observed_at: Option<String>,
    /// Whether refresh tokens are treated as changing with each refresh.
    assumed: bool,
}

impl From<RotationFacts> for RotationState {
    fn from(facts: RotationFacts) -> Self {
        Self {
            declared: facts.declared,
            observed: facts.observed.map(|(rotation, _)| Rotation::as_str(rotation)),
            observed_at: facts.observed.map(|(_, at)| utc_milliseconds(at)),
            assumed: facts.is_assumed(),
        }
    }
}

/// The rotation of one profile.
#[derive(Debug, Serialize)]
struct ProfileRotation {
    id: i64,
    rotation: RotationState,
}

/// Discards what was observed about the rotation of refresh tokens; the next refresh observes it again.
pub(super) async fn reset_rotation(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    _: NoInput,
) -> Result<HttpResponse, Failure> {
    let id = path_id(&request, "id", Noun::Profile)?;
    let detail = app.reset_rotation(&caller, id).await?;
    Ok(HttpResponse::Ok().json(ProfileRotation { id, rotation: detail.rotation.into() }))
}
