//! `/api/users`, `/api/setup_links`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::result;
use crate::{
    app::{
        App,
        document::Fields,
        users::{Draft, password},
    },
    domain::{
        Name, Noun, Why,
        user::{Role, User},
        value::check_email,
    },
    http::{
        body::{Json, path_id},
        caller::Admitted,
        problem::Failure,
        time::with_offset,
    },
};

/// A user on the wire.
pub(in crate::http) fn wire(user: &User) -> Value {
    json!({
        "id": user.id,
        "name": user.name.as_str(),
        "email": user.email,
        "role": user.role.as_str(),
        "created_at": with_offset(user.created_at),
        "second_factor": user.second_factor,
    })
}

fn role(word: &str) -> Result<Role, Why> {
    Role::parse(word).ok_or_else(|| Why::NotOneOf(Role::ALL.map(|role| role.as_str().to_owned()).to_vec()))
}

/// Name, e-mail address and password of somebody who is to be made; `fixed_role`, or the one in the body.
pub(in crate::http) fn draft(body: &Value, fixed_role: Option<Role>) -> Result<Draft, Failure> {
    let mut fields = Fields::of(body)?;
    let name = fields.need("name", Name::new);
    let email = fields.need("email", |email| check_email(email).map(|()| email.to_owned()));
    let role = fixed_role.or_else(|| fields.need("role", role));
    let password = fields.need("password", password);
    let draft = name.zip(email).zip(role.zip(password));
    let draft = draft.map(|((name, email), (role, password))| Draft { name, email, role, password });
    Ok(fields.faults.all(draft)?)
}

pub(super) async fn list(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    Ok(result(app.list_users(&caller)?.iter().map(wire).collect::<Vec<_>>()))
}

pub(super) async fn create(app: web::Data<App>, caller: Admitted, body: Json) -> Result<HttpResponse, Failure> {
    Ok(result(wire(&app.create_user(&caller, draft(&body.0, None)?).await?)))
}

pub(super) async fn update(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Failure> {
    let mut fields = Fields::of(&body.0)?;
    let (role, password) = (fields.may("role", role), fields.may("password", password));
    fields.faults.or(())?;
    let id = path_id(&request, "id", Noun::User)?;
    Ok(result(wire(&app.update_user(&caller, id, role, password).await?)))
}

pub(super) async fn delete(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    app.delete_user(&caller, path_id(&request, "id", Noun::User)?).await?;
    Ok(result(json!({"success": true})))
}

pub(super) async fn setup_link(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    let (url, expires_at) = app.make_setup_link(&caller).await?;
    Ok(result(json!({"url": url, "expires_at": with_offset(expires_at)})))
}
