//! `/api/sessions`, `/api/users/me/password`: what a user looks after in person.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::result;
use crate::{
    app::{App, document::Fields, users::password},
    domain::{Error, Why, session::Session},
    http::{
        body::{Json, path_text, query},
        caller::Admitted,
        problem::Failure,
        time::with_offset,
    },
};

fn wire(session: &Session) -> Value {
    json!({
        "id": session.id,
        "created_at": with_offset(session.created_at),
        "last_seen_at": with_offset(session.last_seen_at),
        "address": session.address,
        "current": session.current,
    })
}

pub(super) async fn list(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    Ok(result(app.list_sessions(&caller)?.iter().map(wire).collect::<Vec<_>>()))
}

pub(super) async fn end(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    app.end_session(&caller, &path_text(&request, "id")?).await?;
    Ok(result(json!({"success": true})))
}

/// Ends all; with `except=current` all but the one that asks.
pub(super) async fn end_all(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let keep = match query(&request, "except").as_deref() {
        None => false,
        Some("current") => true,
        Some(_) => return Err(Error::invalid("except", Why::NotOneOf(vec!["current".to_owned()])).into()),
    };
    Ok(result(json!({"ended": app.end_sessions(&caller, keep).await?})))
}

/// `{"old_password","password"}`.
pub(super) async fn change_password(
    app: web::Data<App>,
    caller: Admitted,
    body: Json<{ 16 * 1024 }>,
) -> Result<HttpResponse, Failure> {
    caller.in_person()?;
    let mut fields = Fields::of(&body.0)?;
    fields.only(&["old_password", "password"]);
    let (old, new) = (fields.need_secret("old_password"), fields.need("password", password));
    let (old, new) = fields.faults.all(old.zip(new))?;
    drop(body);
    app.change_own_password(&caller, &old, &new).await?;
    Ok(result(json!({"success": true})))
}
