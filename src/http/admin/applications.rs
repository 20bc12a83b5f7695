//! `/api/client_applications`: what makes client applications useful. Their files are a matter of dialect 3.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{api_tokens::scopes, reach, result};
use crate::{
    app::{App, document::Fields},
    domain::{
        Noun, Page, Why,
        client_application::{ClientApplication, IssuedSecret},
        profile::Change,
        user::Scope,
    },
    http::{
        body::{Json, path_id, path_text, query},
        caller::Admitted,
        download,
        problem::Failure,
        time::with_offset,
    },
};

fn wire(application: &ClientApplication) -> Value {
    let wire = json!({
        "id": application.id,
        "name": application.name.as_str(),
        "enabled": application.enabled,
        "file_name": application.file_name,
        "scopes": words(application),
        "created_at": with_offset(application.created_at),
        "modified_at": with_offset(application.modified_at),
    });
    reach::with(wire, &application.reach)
}

fn words(application: &ClientApplication) -> Vec<&'static str> {
    application.scopes.iter().map(Scope::as_str).collect()
}

fn secret_wire(secret: &IssuedSecret) -> Value {
    json!({
        "id": secret.id,
        "created_at": with_offset(secret.created_at),
        "last_used_at": secret.last_used_at.map(with_offset),
    })
}

fn id(request: &HttpRequest) -> Result<String, Failure> {
    path_text(request, "id")
}

/// `page` and `per_page` (at most 1000), clamped as those of dialect 1 are; `count` is how many there are in all.
pub(super) async fn list(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let number = |name: &str| query(&request, name).and_then(|text| text.parse::<u64>().ok());
    let page = number("page").unwrap_or(1).max(1);
    let size = u32::try_from(number("per_page").unwrap_or(100).clamp(1, 1000)).unwrap_or(100);
    let (applications, count) = app.list_client_applications(&caller, Page::number(page, size)).await?;
    let applications: Vec<Value> = applications.iter().map(wire).collect();
    Ok(HttpResponse::Ok().json(json!({"result": applications, "count": count, "page": page, "per_page": size})))
}

/// The file of the application whose token this is.
pub(super) async fn own_data(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let (file, digest) = app.own_client_application_file(&caller).await?;
    Ok(download::file(&request, file, &digest))
}

pub(super) async fn get_scopes(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let application = app.get_client_application(&caller, &id(&request)?)?;
    Ok(result(reach::with(json!({"scopes": words(&application)}), &application.reach)))
}

/// `{"scopes": […], "connections": […], "owner"}`: what the application's tokens may do from now on, and to which
/// connections. What is absent stays, `null` lifts a limit; other scopes stop the tokens that are out.
pub(super) async fn grant_scopes(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Failure> {
    let mut fields = Fields::of(&body.0)?;
    fields.only(&[&["scopes"][..], &reach::FIELDS].concat());
    let scopes = scopes(&mut fields);
    let changes = reach::changes(&mut fields);
    let nothing = scopes.is_none() && matches!(changes, (Change::Keep, Change::Keep));
    if nothing && fields.faults.is_empty() {
        fields.fault("scopes", Why::Missing);
    }
    fields.faults.or(())?;
    Ok(result(wire(&app.grant(&caller, &id(&request)?, scopes, changes).await?)))
}

/// Credentials for the application; the secret is shown this once.
pub(super) async fn issue_secret(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let id = id(&request)?;
    let (issued, secret) = app.issue_client_application_secret(&caller, &id).await?;
    Ok(HttpResponse::Ok().json(json!({"client_id": id, "client_secret": secret.expose(), "id": issued.id})))
}

pub(super) async fn list_secrets(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let secrets = app.list_client_application_secrets(&caller, &id(&request)?)?;
    Ok(result(secrets.iter().map(secret_wire).collect::<Vec<_>>()))
}

pub(super) async fn revoke_secret(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let secret = path_id(&request, "secret", Noun::ClientApplicationSecret)?;
    app.revoke_client_application_secret(&caller, &id(&request)?, secret).await?;
    Ok(result(json!({"success": true})))
}
