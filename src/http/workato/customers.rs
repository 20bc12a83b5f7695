//! `/api/managed_users`: customers, and the profiles assigned to them.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{limit::Limited, page, profiles::Wire, success};
use crate::{
    app::{App, document::Fields},
    domain::{
        Error, Name, Noun,
        customer::{Customer, Draft, Key},
        value::check_email,
    },
    http::{
        body::{Json, path_id, path_text, query_flag},
        caller::Admitted,
        condition::{expected, tag},
        problem::Failure,
        time::with_offset,
    },
};

fn wire(customer: &Customer) -> Value {
    json!({
        "id": customer.id,
        "external_id": customer.external_id.as_ref().map(Name::as_str),
        "name": customer.name.as_str(),
        "notification_email": customer.notification_email,
        "created_at": with_offset(customer.created_at),
        "updated_at": with_offset(customer.updated_at),
    })
}

fn answer(customer: &Customer) -> HttpResponse {
    HttpResponse::Ok().insert_header(tag(customer.updated_at)).json(wire(customer))
}

/// The customer that the path names: an id, or `E` and an external id.
pub(super) fn key(request: &HttpRequest) -> Result<Key, Failure> {
    let segment = path_text(request, "customer")?;
    Key::parse(&segment).map_err(|_| Error::not_found(Noun::Customer, segment).into())
}

pub(super) async fn list(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let (page, number, size) = page(&request);
    let (customers, count) = app.list_customers(&caller, page).await?;
    let customers: Vec<Value> = customers.iter().map(wire).collect();
    Ok(HttpResponse::Ok().json(json!({"result": customers, "count": count, "page": number, "per_page": size})))
}

pub(super) async fn get(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    Ok(answer(&app.get_customer(&caller, &key(&request)?)?))
}

pub(super) async fn create(app: web::Data<App>, caller: Admitted, body: Json) -> Result<HttpResponse, Failure> {
    let mut fields = Fields::of(&body.0)?;
    let name = fields.need("name", Name::new);
    let email = fields.need("notification_email", |email| check_email(email).map(|()| email.to_owned()));
    let external_id = fields.may("external_id", Name::new);
    let draft = name.zip(email).map(|(name, notification_email)| Draft { name, notification_email, external_id });
    let draft = fields.faults.all(draft)?;
    Ok(answer(&app.create_customer(&caller, draft).await?))
}

/// Changes what the body names; a `null` external id takes it away.
pub(super) async fn update(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Failure> {
    let key = key(&request)?;
    let mut fields = Fields::of(&body.0)?;
    let name = fields.may("name", Name::new);
    let email = fields.may("notification_email", |email| check_email(email).map(|()| email.to_owned()));
    let external_id = fields.may("external_id", Name::new);
    let no_external_id = fields.is_null("external_id");
    fields.faults.or(())?;
    let change = move |known: &Customer| Draft {
        name: name.unwrap_or_else(|| known.name.clone()),
        notification_email: email.unwrap_or_else(|| known.notification_email.clone()),
        external_id: if no_external_id { None } else { external_id.or_else(|| known.external_id.clone()) },
    };
    Ok(answer(&app.update_customer(&caller, key, expected(&request)?, change).await?))
}

pub(super) async fn delete(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    app.delete_customer(&caller, key(&request)?, expected(&request)?).await?;
    Ok(success())
}

/// The profiles that a customer has.
pub(super) async fn list_profiles(
    app: web::Data<App>,
    caller: Limited,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let (page, number, size) = page(&request);
    let (profiles, count) = app.list_customer_profiles(&caller, key(&request)?, page).await?;
    let profiles: Vec<Wire> = profiles.into_iter().map(Wire::from).collect();
    Ok(HttpResponse::Ok().json(json!({"result": profiles, "count": count, "page": number, "per_page": size})))
}

pub(super) async fn assign(
    app: web::Data<App>,
    caller: Limited,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    app.assign_profile(&caller, key(&request)?, path_id(&request, "id", Noun::Profile)?).await?;
    Ok(success())
}

pub(super) async fn unassign(
    app: web::Data<App>,
    caller: Limited,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let (key, id, force) = (key(&request)?, path_id(&request, "id", Noun::Profile)?, query_flag(&request, "force"));
    app.unassign_profile(&caller, key, id, force).await?;
    Ok(success())
}
