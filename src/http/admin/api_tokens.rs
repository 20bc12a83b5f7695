//! `/api/api_tokens`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{reach, result};
use crate::{
    app::{
        App,
        api_tokens::{DEFAULT_DAYS, Draft},
        document::Fields,
    },
    domain::{
        Name, Noun, Why,
        api_token::ApiToken,
        reach::Reach,
        user::{Scope, Scopes},
    },
    http::{
        body::{Json, path_id},
        caller::Admitted,
        problem::Failure,
        time::with_offset,
    },
};

/// A token lives at most ten years, or for ever.
const MOST_DAYS: i64 = 3650;

fn wire(token: &ApiToken) -> Value {
    let wire = json!({
        "id": token.id,
        "name": token.name.as_str(),
        "user_id": token.user_id,
        "scopes": token.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(),
        "addresses": token.addresses,
        "created_at": with_offset(token.created_at),
        "expires_at": token.expires_at.map(with_offset),
        "last_used_at": token.last_used_at.map(with_offset),
    });
    reach::with(wire, &token.reach)
}

/// The scopes of a list of words.
pub(in crate::http) fn scopes(fields: &mut Fields<'_>) -> Option<Scopes> {
    let words = fields.texts("scopes")?;
    let parsed: Option<Vec<Scope>> = words.iter().map(|word| Scope::parse(word)).collect();
    if parsed.is_none() {
        let all = Scope::ALL.map(|scope| scope.as_str().to_owned()).to_vec();
        fields.fault("scopes", Why::NotOneOf(all));
    }
    parsed.map(|scopes| Scopes::of(&scopes))
}

pub(super) async fn list(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    Ok(result(app.list_api_tokens(&caller)?.iter().map(wire).collect::<Vec<_>>()))
}

/// `{"name", "scopes": […], "days"?, "addresses"?: […], "connections"?: […], "owner"?, "user_id"?}`; the answer has the
/// `token`, this once.
pub(super) async fn create(app: web::Data<App>, caller: Admitted, body: Json) -> Result<HttpResponse, Failure> {
    let mut fields = Fields::of(&body.0)?;
    fields.only(&[&["name", "scopes", "days", "addresses", "user_id"][..], &reach::FIELDS].concat());
    let name = fields.need("name", Name::new);
    if fields.value("scopes").is_none() {
        fields.fault("scopes", Why::Missing);
    }
    let scopes = scopes(&mut fields);
    let days = fields.integer("days").unwrap_or(DEFAULT_DAYS.into());
    if !(0..=MOST_DAYS).contains(&days) {
        fields.fault("days", Why::Malformed("a number of days from 1 to 3650, or 0 for ever"));
    }
    let addresses = fields.texts("addresses").unwrap_or_default();
    let user_id = fields.integer("user_id");
    let reach = Reach::default().changed(reach::changes(&mut fields));
    let draft = name.zip(scopes).map(|(name, scopes)| Draft {
        name,
        scopes,
        days: u32::try_from(days).unwrap_or(DEFAULT_DAYS),
        addresses,
        reach,
        user_id,
    });
    let draft = fields.faults.all(draft)?;
    let (token, text) = app.create_api_token(&caller, draft).await?;
    let mut wire = wire(&token);
    wire["token"] = text.expose().into();
    Ok(result(wire))
}

pub(super) async fn delete(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    app.delete_api_token(&caller, path_id(&request, "id", Noun::ApiToken)?).await?;
    Ok(result(json!({"success": true})))
}
