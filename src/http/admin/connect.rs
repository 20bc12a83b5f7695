//! `/api/connect` and its kin: links, grants that are brought along, and a connection with all that is known of it.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::result;
use crate::{
    app::{
        App,
        connect::{ImportedGrant, Wish},
        connections::{Detail, Standing},
        document::Fields,
    },
    domain::{
        Error, Name, Noun, Secret, Timestamp, Why,
        customer::Key,
        grant::{Blame, Grant},
        value::check_text,
        warning::WarningCode,
    },
    http::{
        body::{Json, path_id},
        caller::Admitted,
        condition::set_tag,
        problem::Failure,
        time::with_offset,
        warnings,
    },
};

/// What every way to connect takes.
const FIELDS: [&str; 11] = [
    "custom_oauth_profile_id",
    "provider",
    "connection_id",
    "name",
    "owner",
    "external_id",
    "folder_id",
    "customer_id",
    "scopes",
    "variables",
    "other_account",
];

fn text(most: usize) -> impl Fn(&str) -> Result<String, Why> {
    move |text| check_text(text, most).map(|()| text.to_owned())
}

fn wish(fields: &mut Fields<'_>) -> Wish {
    let variables = fields.value("variables");
    if variables.is_some_and(|value| !value.is_object()) {
        fields.fault("variables", Why::WrongType("object"));
    }
    Wish {
        profile_id: fields.integer("custom_oauth_profile_id"),
        provider: fields.may("provider", text(255)),
        connection_id: fields.integer("connection_id"),
        name: fields.may("name", Name::new),
        owner: fields.may("owner", text(255)),
        external_id: fields.may("external_id", text(255)),
        folder_id: fields.integer("folder_id"),
        parent_id: None,
        customer: fields.integer("customer_id").map(Key::Id),
        scopes: fields.texts("scopes"),
        variables: variables.map(|value| Secret::new(value.to_string())),
        return_url: fields.may("return_url", text(2000)),
        other_account: fields.boolean("other_account").unwrap_or(false),
    }
}

/// Makes a link: `{"connection_id","url","expires_at"}`.
pub(super) async fn link(app: web::Data<App>, caller: Admitted, body: Json) -> Result<HttpResponse, Failure> {
    let mut fields = Fields::of(&body.0)?;
    let wish = wish(&mut fields);
    fields.only(&[&FIELDS[..], &["return_url"]].concat());
    fields.faults.or(())?;
    let link = app.make_link(&caller, wish).await?;
    Ok(result(json!({
        "connection_id": link.connection_id,
        "url": link.url,
        "expires_at": with_offset(link.expires_at),
        "warnings": warnings::wire(&link.warnings),
    })))
}

/// Gets a code that somebody enters elsewhere: `{"connection_id","user_code","verification_uri",…}`.
pub(super) async fn device(app: web::Data<App>, caller: Admitted, body: Json) -> Result<HttpResponse, Failure> {
    let mut fields = Fields::of(&body.0)?;
    let wish = wish(&mut fields);
    fields.only(&FIELDS);
    fields.faults.or(())?;
    let device = app.connect_device(&caller, wish).await?;
    let mut answer = json!({
        "connection_id": device.connection_id,
        "user_code": device.user_code,
        "verification_uri": device.verification_uri,
        "expires_at": with_offset(device.expires_at),
        "interval": device.interval_s,
        "warnings": warnings::wire(&device.warnings),
    });
    // As in RFC 8628 §3.2: not there where the provider has none.
    if let Some(complete) = device.verification_uri_complete {
        answer["verification_uri_complete"] = complete.into();
    }
    Ok(result(answer))
}

/// A device's code that waits, or how it ended.
fn standing(device: &Standing) -> Value {
    match &device.ended {
        None => json!({
            "status": "waiting",
            "begun_at": with_offset(device.begun_at),
            "user_code": device.user_code,
            "verification_uri": device.verification_uri,
            "verification_uri_complete": device.verification_uri_complete,
            "expires_at": with_offset(device.expires_at),
            "interval": device.interval_s,
        }),
        Some(ended) => json!({
            "status": "ended",
            "begun_at": with_offset(device.begun_at),
            "result": ended.result,
            "blame": ended.blame.map(Blame::as_str),
            "ended_at": with_offset(ended.at),
        }),
    }
}

/// Connects by the app's own credentials.
pub(super) async fn client_credentials(
    app: web::Data<App>,
    caller: Admitted,
    body: Json,
) -> Result<HttpResponse, Failure> {
    let mut fields = Fields::of(&body.0)?;
    let wish = wish(&mut fields);
    fields.only(&FIELDS);
    fields.faults.or(())?;
    let connection = app.connect_by_client_credentials(&caller, wish).await?;
    Ok(result(wire(&app.connection_detail(&caller, connection.id)?)))
}

/// Brings a grant along.
pub(in crate::http) async fn import(
    app: web::Data<App>,
    caller: Admitted,
    body: Json,
) -> Result<HttpResponse, Failure> {
    let mut fields = Fields::of(&body.0)?;
    let wish = wish(&mut fields);
    let refresh = fields.need("refresh_token", token);
    let access = fields.may("access_token", token);
    let expires_at = fields.may("expires_at", instant);
    let expires_in = fields.integer("expires_in");
    if expires_in.is_some_and(|seconds| !(0..=315_360_000).contains(&seconds)) {
        fields.fault("expires_in", Why::Malformed("a number of seconds up to ten years"));
    }
    let extra = match fields.value("extra") {
        None => Map::new(),
        Some(Value::Object(extra)) => extra.clone(),
        Some(_) => {
            fields.fault("extra", Why::WrongType("object"));
            Map::new()
        }
    };
    let scope = fields.may("scope", text(4000));
    fields.only(
        &[&FIELDS[..], &["refresh_token", "access_token", "expires_at", "expires_in", "extra", "scope"]].concat(),
    );
    let refresh = Some(fields.faults.all(refresh)?);
    let expires_at = expires_at.or_else(|| expires_in.map(|seconds| app.db().now().plus_ms(seconds * 1000)));
    let grant = ImportedGrant { refresh, access, expires_at, scope, extra };
    let connection = app.import(&caller, wish, grant).await?;
    Ok(result(wire(&app.connection_detail(&caller, connection.id)?)))
}

/// The most bytes of a token.
const MOST_TOKEN: usize = 16 * 1024;

/// A token that is brought along.
pub(in crate::http) fn token(text: &str) -> Result<Secret, Why> {
    match text {
        _ if text.trim().is_empty() => Err(Why::Blank),
        _ if text.len() > MOST_TOKEN => Err(Why::TooLong(MOST_TOKEN)),
        _ if text.chars().any(char::is_control) => Err(Why::ControlCharacter),
        _ => Ok(Secret::new(text)),
    }
}

pub(super) fn instant(text: &str) -> Result<Timestamp, Why> {
    let at = text.parse::<jiff::Timestamp>().map_err(|_| Why::Malformed("a time such as 2026-01-31T12:00:00Z"))?;
    Ok(Timestamp(at.as_millisecond()))
}

fn id(request: &HttpRequest) -> Result<i64, Failure> {
    path_id(request, "id", Noun::Connection)
}

pub(in crate::http) async fn get(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let detail = app.connection_detail(&caller, id(&request)?)?;
    let mut answer = result(wire(&detail));
    set_tag(&mut answer, detail.connection.updated_at);
    Ok(answer)
}

/// Refreshes at once, whatever failed before.
pub(super) async fn refresh(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let id = id(&request)?;
    let (_, grant) = app.refresh_now(&caller, id).await?;
    if grant.is_none() {
        let why = crate::domain::grant::NoToken::NotConnected;
        return Err(Error::NoToken { why, connect_url: None }.into());
    }
    Ok(result(wire(&app.connection_detail(&caller, id)?)))
}

/// What came of the last refresh: our reason, and beside it the provider's own words.
fn last_refresh(grant: &Grant) -> Value {
    let failure: Value = grant.failure.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    json!({
        "at": grant.last_attempt_at.map(with_offset),
        "ok": grant.last_result.as_deref().map(|result| result == "refreshed"),
        "result": grant.last_result,
        "reason": failure["reason"],
        "provider_error": failure["provider_error"],
        "provider_error_description": failure["provider_error_description"],
        "http_status": failure["http_status"],
        "media_type": failure["media_type"],
        "excerpt": failure["excerpt"],
        "detail": failure["detail"],
    })
}

/// All that is known of a connection, without a secret.
fn wire(detail: &Detail) -> Value {
    let time = |at: Option<Timestamp>| at.map(with_offset);
    let c = &detail.connection;
    let grant = detail.grant.as_ref().map(|grant| {
        json!({
            "type": grant.grant_type.as_str(),
            "scope": grant.scope,
            "granted_at": with_offset(grant.granted_at),
            "issued_at": with_offset(grant.issued_at),
            "expires_at": time(grant.expires_at),
            "refreshable": grant.renews(),
            "refresh_token_expires_at": time(grant.refresh_expires_at),
            "next_refresh_at": time(grant.due_at),
            "last_refresh": last_refresh(grant),
            "last_refreshed_at": time(grant.last_refreshed_at),
            "blame": grant.blame.map(Blame::as_str),
            "failures": grant.failures,
            "uncertain_since": time(grant.uncertain_at),
            "account_verified": detail.warnings.iter().all(|warning| warning.code != WarningCode::AccountUnverified),
            "clock_skew_ms": grant.skew_ms,
        })
    });
    let handed_out = detail.grant.as_ref();
    json!({
        "id": c.id,
        "name": c.name.as_str(),
        "provider": c.provider,
        "custom_oauth_profile_id": c.profile_id,
        "owner": c.owner,
        "customer_id": c.customer_id,
        "external_id": c.external_id,
        "folder_id": c.folder_id,
        "parent_id": c.parent_id,
        "authorization_status": c.status.map(crate::domain::connection::Status::as_str),
        "authorized_at": time(c.authorized_at),
        "connection_lost_at": time(c.lost_at),
        "connection_lost_reason": c.lost_reason,
        "account": c.account_id.as_ref().map(|id| json!({"id": id, "label": c.account_label})),
        "scopes": c.scopes,
        "created_at": with_offset(c.created_at),
        "updated_at": with_offset(c.updated_at),
        "grant": grant,
        "device": detail.device.as_ref().map(standing),
        "warnings": warnings::wire(&detail.warnings),
        "hand_outs": {
            "count": handed_out.map_or(0, |grant| grant.handed_out),
            "last_at": time(handed_out.and_then(|grant| grant.handed_out_at)),
            "by": detail.hand_outs.iter().map(|(actor, hour, count)| {
                json!({"actor": actor, "hour": with_offset(*hour), "count": count})
            }).collect::<Vec<_>>(),
        },
        "revocations": detail.revocations.iter().map(|revocation| json!({
            "token": revocation.token,
            "attempts": revocation.attempts,
            "result": revocation.result,
            "settled_at": time(revocation.settled_at),
        })).collect::<Vec<_>>(),
    })
}
