//! `/api/custom_oauth_profiles`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Value, json};

use super::{limit::Limited, page, success};
use crate::{
    app::{App, document::Fields},
    domain::{
        Name, Noun, Secret,
        profile::{Change, ClientId, Draft, Profile, client_secret},
    },
    http::{
        body::{Json, path_id},
        condition::{expected, tag},
        problem::Failure,
        time::with_offset,
    },
};

/// A profile on the wire: just these keys, in this order.
#[derive(Serialize)]
pub(super) struct Wire {
    id: i64,
    user_id: i64,
    name: String,
    provider: String,
    data: Data,
    shared_accounts_count: u64,
    oem_customers_count: u64,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct Data {
    client_id: String,
}

impl From<Profile> for Wire {
    fn from(profile: Profile) -> Self {
        Self {
            id: profile.id,
            user_id: profile.created_by.unwrap_or(0),
            name: profile.name.to_string(),
            provider: profile.provider,
            data: Data { client_id: profile.client_id.as_str().to_owned() },
            shared_accounts_count: profile.connections,
            oem_customers_count: profile.customers,
            created_at: with_offset(profile.created_at),
            updated_at: with_offset(profile.updated_at),
        }
    }
}

fn answer(profile: Profile) -> HttpResponse {
    HttpResponse::Ok().insert_header(tag(profile.updated_at)).json(json!({"result": Wire::from(profile)}))
}

fn id(request: &HttpRequest) -> Result<i64, Failure> {
    path_id(request, "id", Noun::Profile)
}

/// Name, provider and data of a body; every fault of it at once.
fn draft(body: &Value) -> Result<Draft, Failure> {
    let mut fields = Fields::of(body)?;
    let name = fields.need("name", Name::new);
    let provider = fields.need("provider", |slug| Ok(slug.to_owned()));
    if fields.value("data").is_none() {
        for path in ["data.client_id", "data.client_secret"] {
            fields.fault(path, crate::domain::Why::Missing);
        }
    }
    let (mut client_id, mut secret, mut token) = (None, None, Change::Keep);
    if let Some(mut data) = fields.object("data", "data.") {
        client_id = data.need("client_id", ClientId::new);
        secret = data.need("client_secret", |text| client_secret(text.to_owned()));
        if data.is_null("token") {
            token = Change::Clear;
        } else if let Some(given) = data.may("token", Secret::given) {
            token = Change::Set(given);
        }
        fields.join(data);
    }
    let all = name.zip(provider).zip(client_id.zip(secret));
    let draft = all.map(|((name, provider), (client_id, client_secret))| Draft {
        name,
        provider,
        client_id,
        client_secret,
        token,
        parameters: Change::Keep,
    });
    Ok(fields.faults.all(draft)?)
}

pub(super) async fn list(app: web::Data<App>, caller: Limited, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let profiles = app.list_profiles(&caller, page(&request).0).await?;
    let profiles: Vec<Wire> = profiles.into_iter().map(Wire::from).collect();
    Ok(HttpResponse::Ok().json(json!({"result": profiles})))
}

pub(super) async fn get(app: web::Data<App>, caller: Limited, request: HttpRequest) -> Result<HttpResponse, Failure> {
    Ok(answer(app.get_profile(&caller, id(&request)?)?))
}

pub(super) async fn create(app: web::Data<App>, caller: Limited, body: Json) -> Result<HttpResponse, Failure> {
    Ok(answer(app.create_profile(&caller, draft(&body.0)?).await?))
}

pub(super) async fn replace(
    app: web::Data<App>,
    caller: Limited,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Failure> {
    Ok(answer(app.replace_profile(&caller, id(&request)?, &expected(&request)?, draft(&body.0)?).await?))
}

pub(super) async fn delete(
    app: web::Data<App>,
    caller: Limited,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    app.delete_profile(&caller, id(&request)?, expected(&request)?).await?;
    Ok(success())
}

/// Ours: whether a secret is the one that is kept.
pub(super) async fn verify_secret(
    app: web::Data<App>,
    caller: Limited,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Failure> {
    let mut fields = Fields::of(&body.0)?;
    let secret = fields.need_secret("client_secret");
    let secret = fields.faults.all(secret)?;
    let matches = app.verify_secret(&caller, id(&request)?, &secret).await?;
    Ok(HttpResponse::Ok().json(json!({"result": {"matches": matches}})))
}
