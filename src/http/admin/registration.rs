//! `/api/custom_oauth_profiles/:id/registration`: what the first dialect's form has no room for.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{connect::instant, result};
use crate::{
    app::{
        App,
        connect::Callback,
        document::Fields,
        profile_registration::{Changes, Registered, RotationFacts},
    },
    domain::{
        Noun, Secret, Timestamp, Why,
        profile::{Change, RefreshScope, client_secret},
    },
    http::{
        body::{Json, path_id},
        caller::Admitted,
        problem::Failure,
        time::with_offset,
    },
};

fn answer(registered: &Registered) -> HttpResponse {
    let time = |at: Option<Timestamp>| at.map(with_offset);
    let profile = &registered.profile;
    let secrets: Vec<Value> = registered
        .secrets
        .iter()
        .map(|secret| {
            json!({
                "kind": secret.kind.as_str(),
                "created_at": with_offset(secret.created_at),
                "last_used_at": time(secret.last_used_at),
                "expires_at": time(secret.expires_at),
                "usable": secret.usable,
            })
        })
        .collect();
    let rejected = registered.rejected.as_ref();
    result(json!({
        "id": profile.id,
        "name": profile.name.as_str(),
        "provider": profile.provider,
        "client_id": profile.client_id.as_str(),
        "callback": registered.callback,
        "redirect_uri": registered.redirect_uri,
        "secrets": secrets,
        "rejected": rejected.map(|rejected| {
            json!({"at": with_offset(rejected.at), "why": rejected.why, "until": time(rejected.until)})
        }),
        "takes_token": registered.takes_token,
        "has_token": registered.has_token,
        "parameters": registered.parameters,
        "rotation": rotation(registered.rotation),
        "refresh_scope": registered.refresh_scope.map(RefreshScope::as_str),
    }))
}

/// What is known of refresh tokens: `declared` (true, false, null), `observed` (`rotates`, `stays`, null) with its time, and
/// `assumed`, which counts.
pub(in crate::http) fn rotation(facts: RotationFacts) -> Value {
    json!({
        "declared": facts.declared,
        "observed": facts.observed.map(|(rotation, _)| rotation.as_str()),
        "observed_at": facts.observed.map(|(_, at)| with_offset(at)),
        "assumed": facts.is_assumed(),
    })
}

fn refresh_scope(text: &str) -> Result<RefreshScope, Why> {
    let words = || RefreshScope::ALL.map(|scope| scope.as_str().to_owned()).to_vec();
    RefreshScope::parse(text).ok_or_else(|| Why::NotOneOf(words()))
}

fn id(request: &HttpRequest) -> Result<i64, Failure> {
    path_id(request, "id", Noun::Profile)
}

pub(super) async fn get(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    Ok(answer(&app.registration(&caller, id(&request)?)?))
}

/// A field that `null` takes away, and that stays where it is absent.
fn change<'a, T>(fields: &mut Fields<'a>, name: &str, rule: impl FnOnce(&'a str) -> Result<T, Why>) -> Change<T> {
    if fields.is_null(name) {
        return Change::Clear;
    }
    fields.may(name, rule).map_or(Change::Keep, Change::Set)
}

fn callback(text: &str) -> Result<Callback, Why> {
    let all = [Callback::OAuth, Callback::Flow];
    let words = || all.iter().map(|callback| callback.as_str().to_owned()).collect();
    all.into_iter().find(|callback| callback.as_str() == text).ok_or_else(|| Why::NotOneOf(words()))
}

fn next(text: &str) -> Result<Secret, Why> {
    client_secret(text.to_owned())
}

/// Any of `callback`, `client_secret_expires_at`, `next_client_secret`, `next_client_secret_expires_at`, `refresh_scope`.
pub(super) async fn change_registration(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Failure> {
    let mut fields = Fields::of(&body.0)?;
    fields.only(&[
        "callback",
        "client_secret_expires_at",
        "next_client_secret",
        "next_client_secret_expires_at",
        "refresh_scope",
    ]);
    if fields.is_null("callback") {
        fields.fault("callback", Why::Blank);
    }
    let changes = Changes {
        callback: fields.may("callback", callback),
        expires_at: change(&mut fields, "client_secret_expires_at", instant),
        next: change(&mut fields, "next_client_secret", next),
        next_expires_at: change(&mut fields, "next_client_secret_expires_at", instant),
        refresh_scope: change(&mut fields, "refresh_scope", refresh_scope),
    };
    let changes = fields.faults.or(changes)?;
    Ok(answer(&app.change_registration(&caller, id(&request)?, changes).await?))
}

pub(super) async fn promote(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    Ok(answer(&app.promote_secret(&caller, id(&request)?).await?))
}
