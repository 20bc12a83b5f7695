//! `/api/connections`, and the same below `/api/managed_users/:id`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Value, json};

use super::customers;
use crate::{
    app::{App, document::Fields},
    domain::{
        Name, Noun, Secret, Why,
        connection::{Connection, Draft, Filter},
        customer::Key,
        value::check_text,
    },
    http::{
        body::{Json, path_id, query, query_flag},
        caller::Admitted,
        condition::{expected, tag},
        problem::Failure,
        time::with_offset,
    },
};

/// A connection on the wire.
#[derive(Serialize)]
struct Wire {
    application: String,
    provider: String,
    id: i64,
    name: String,
    description: Option<String>,
    authorized_at: Option<String>,
    authorization_status: Option<&'static str>,
    authorization_error: Option<String>,
    created_at: String,
    updated_at: String,
    external_id: Option<String>,
    folder_id: Option<i64>,
    connection_lost_at: Option<String>,
    connection_lost_reason: Option<String>,
    parent_id: Option<i64>,
    tags: [String; 0],
}

impl From<Connection> for Wire {
    fn from(connection: Connection) -> Self {
        Self {
            application: connection.provider.clone(),
            provider: connection.provider,
            id: connection.id,
            name: connection.name.to_string(),
            description: None,
            authorized_at: connection.authorized_at.map(with_offset),
            // `success`, `failed` or null: any other word breaks the vendor's command line.
            authorization_status: connection.status.map(crate::domain::connection::Status::as_str),
            authorization_error: connection.lost_reason.clone(),
            created_at: with_offset(connection.created_at),
            updated_at: with_offset(connection.updated_at),
            external_id: connection.external_id,
            folder_id: connection.folder_id,
            connection_lost_at: connection.lost_at.map(with_offset),
            connection_lost_reason: connection.lost_reason,
            parent_id: connection.parent_id,
            tags: [],
        }
    }
}

fn answer(connection: Connection) -> HttpResponse {
    HttpResponse::Ok().insert_header(tag(connection.updated_at)).json(Wire::from(connection))
}

/// The customer below whom the path lies, if it does.
fn customer(request: &HttpRequest) -> Result<Option<Key>, Failure> {
    match request.match_info().get("customer") {
        Some(_) => customers::key(request).map(Some),
        None => Ok(None),
    }
}

fn id(request: &HttpRequest) -> Result<i64, Failure> {
    path_id(request, "id", Noun::Connection)
}

fn text(most: usize) -> impl Fn(&str) -> Result<String, Why> {
    move |text| check_text(text, most).map(|()| text.to_owned())
}

/// The fields that may be given at creation and at change alike.
struct Given {
    external_id: Option<String>,
    folder_id: Option<i64>,
    parent_id: Option<i64>,
    input: Option<Secret>,
}

fn given(fields: &mut Fields<'_>) -> Given {
    let input = fields.value("input");
    if input.is_some_and(|input| !input.is_object()) {
        fields.fault("input", Why::WrongType("object"));
    }
    // A grant that came along must not be dropped in silence.
    if fields.value("oauth_token_pair").is_some() {
        fields.fault("oauth_token_pair", Why::Unknown);
    }
    Given {
        external_id: fields.may("external_id", text(255)),
        folder_id: fields.integer("folder_id"),
        parent_id: fields.integer("parent_id"),
        input: input.map(|input| Secret::new(input.to_string())),
    }
}

pub(super) async fn list(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let number = |name| query(&request, name).and_then(|text| text.parse().ok());
    let filter = Filter {
        external_id: query(&request, "external_id"),
        folder_id: number("folder_id"),
        parent_id: number("parent_id"),
        include_runtime: query_flag(&request, "include_runtime_connections"),
        ..Filter::default()
    };
    let wires = |list: Vec<Connection>| list.into_iter().map(Wire::from).collect::<Vec<_>>();
    // Bare for all, wrapped for one customer: so it is over there.
    Ok(match customer(&request)? {
        None => HttpResponse::Ok().json(wires(app.list_connections(&caller, filter).await?)),
        Some(key) => {
            let list = wires(app.list_customer_connections(&caller, key, filter).await?);
            HttpResponse::Ok().json(json!({"result": list}))
        }
    })
}

pub(super) async fn create(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Failure> {
    let customer = customer(&request)?;
    let mut fields = Fields::of(&body.0)?;
    let name = fields.need("name", Name::new);
    let provider = fields.need("provider", text(255));
    let profile_id = fields.integer("custom_oauth_profile_id");
    let owner = fields.may("owner", text(255));
    fields.boolean("shell_connection");
    let given = given(&mut fields);
    let draft = name.map(|name| Draft {
        name,
        provider,
        profile_id,
        owner,
        external_id: given.external_id,
        folder_id: given.folder_id,
        parent_id: given.parent_id,
        input: given.input,
    });
    let draft = fields.faults.all(draft)?;
    Ok(answer(app.create_connection(&caller, customer, draft).await?))
}

/// Changes what the body names.
pub(super) async fn update(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Failure> {
    let mut fields = Fields::of(&body.0)?;
    let name = fields.may("name", Name::new);
    let given = given(&mut fields);
    let cleared = ["external_id", "folder_id", "parent_id"].map(|name| fields.is_null(name));
    fields.faults.or(())?;
    let change = move |known: &Connection| {
        fn or<T: Clone>(given: Option<T>, cleared: bool, known: Option<&T>) -> Option<T> {
            if cleared { None } else { given.or_else(|| known.cloned()) }
        }
        Draft {
            name: name.unwrap_or_else(|| known.name.clone()),
            provider: None,
            profile_id: None,
            owner: None,
            external_id: or(given.external_id, cleared[0], known.external_id.as_ref()),
            folder_id: or(given.folder_id, cleared[1], known.folder_id.as_ref()),
            parent_id: or(given.parent_id, cleared[2], known.parent_id.as_ref()),
            input: given.input,
        }
    };
    Ok(answer(app.update_connection(&caller, customer(&request)?, id(&request)?, expected(&request)?, change).await?))
}

fn done() -> HttpResponse {
    HttpResponse::Ok().json(Value::from_iter([("success", true)]))
}

pub(super) async fn delete(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    app.delete_connection(&caller, customer(&request)?, id(&request)?, expected(&request)?).await?;
    Ok(done())
}

pub(super) async fn disconnect(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    app.disconnect(&caller, customer(&request)?, id(&request)?).await?;
    Ok(done())
}
