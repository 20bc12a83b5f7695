//! `/api/connections`, and the same below `/api/managed_users/:id`.

use actix_web::{
    HttpRequest, HttpResponse,
    body::BodyStream,
    http::Method,
    web::{self, Bytes},
};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::{Value, json};

use super::customers;
use crate::{
    app::{
        App,
        connect::{ImportedGrant, RuntimeWish, Wish},
        document::Fields,
    },
    domain::{
        Error, Name, Noun, Secret, Why,
        connection::{Connection, Draft, Filter},
        customer::Key,
        value::check_text,
    },
    http::{
        admin::connect::token,
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
    // Bare for all, wrapped for one customer: so it is over there.
    let (mut pieces, frame) = match customer(&request)? {
        None => (app.list_connections(&caller, filter).await?, ["[", "]"]),
        Some(key) => (app.list_customer_connections(&caller, key, filter).await?, ["{\"result\":[", "]}"]),
    };
    let first = pieces.next().await.transpose()?.unwrap_or_default();
    let mut text = frame[0].as_bytes().to_vec();
    append(&mut text, first, true)?;
    let mut answer = HttpResponse::Ok();
    answer.content_type("application/json");
    // What goes wrong before anything is sent is told as it should be.
    let Some(second) = pieces.next().await.transpose()? else {
        text.extend_from_slice(frame[1].as_bytes());
        return Ok(answer.body(text));
    };
    append(&mut text, second, false)?;
    let rest = stream::unfold((pieces, false), move |(mut pieces, over)| async move {
        if over {
            return None;
        }
        let mut text = Vec::new();
        let (text, over) = match pieces.next().await {
            None => (Ok(Bytes::from_static(frame[1].as_bytes())), true),
            Some(piece) => match piece.map_err(Failure::from).and_then(|piece| append(&mut text, piece, false)) {
                Ok(()) => (Ok(Bytes::from(text)), false),
                Err(failure) => {
                    // Cut off, so that nobody takes half a list for a whole one.
                    tracing::warn!(error = %failure, "a list was cut off");
                    (Err(std::io::Error::other("cut off")), true)
                }
            },
        };
        Some((text, (pieces, over)))
    });
    // A HEAD tells of a body that does not come.
    let most = if *request.method() == Method::HEAD { 0 } else { usize::MAX };
    let begun = stream::once(std::future::ready(Ok(Bytes::from(text))));
    Ok(answer.body(BodyStream::new(begun.chain(rest).take(most).boxed_local())))
}

/// Appends connections to the text of a list; `first`: nothing stands there yet.
fn append(text: &mut Vec<u8>, connections: Vec<Connection>, first: bool) -> Result<(), Failure> {
    for (n, connection) in connections.into_iter().enumerate() {
        if !first || n > 0 {
            text.push(b',');
        }
        serde_json::to_writer(&mut *text, &Wire::from(connection)).map_err(Error::internal)?;
    }
    Ok(())
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
    let shell = fields.boolean("shell_connection").unwrap_or(false);
    let pair = token_pair(&mut fields);
    if shell && pair.is_some() {
        // One of the two is a mistake, and a grant is not to be dropped in silence.
        fields.fault("shell_connection", Why::Malformed("false where oauth_token_pair is given"));
    }
    let given = given(&mut fields);
    if let Some(pair) = pair {
        let wish = Wish {
            profile_id,
            provider,
            name,
            owner,
            external_id: given.external_id,
            folder_id: given.folder_id,
            parent_id: given.parent_id,
            customer,
            variables: given.input,
            ..Wish::default()
        };
        fields.faults.or(())?;
        return Ok(answer(app.import(&caller, wish, pair).await?));
    }
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

/// A grant that is brought along: `{"access_token","refresh_token"}`, one of them at least.
fn token_pair(fields: &mut Fields<'_>) -> Option<ImportedGrant> {
    let mut part = fields.object("oauth_token_pair", "oauth_token_pair.")?;
    let (access, refresh) = (part.may("access_token", token), part.may("refresh_token", token));
    part.only(&["access_token", "refresh_token"]);
    if access.is_none() && refresh.is_none() && part.faults.is_empty() {
        part.fault("refresh_token", Why::Missing);
    }
    fields.join(part);
    Some(ImportedGrant { refresh, access, expires_at: None, scope: None, extra: serde_json::Map::new() })
}

/// A link by which somebody authorises a connection that is there: `{"data":{"url"}}`.
pub(super) async fn oauth_url(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let (customer, connection_id) = (customer(&request)?, Some(id(&request)?));
    let link = app.make_link(&caller, Wish { connection_id, customer, ..Wish::default() }).await?;
    Ok(HttpResponse::Ok().json(json!({"data": {"url": link.url}})))
}

/// A link by which an end user connects an account of their own: `{"data":{"id","url"}}`.
pub(super) async fn runtime_connection(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    body: Json,
) -> Result<HttpResponse, Failure> {
    let customer = customer(&request)?;
    let mut fields = Fields::of(&body.0)?;
    let parent_id = fields.integer("parent_id");
    if fields.value("parent_id").is_none() {
        fields.fault("parent_id", Why::Missing);
    }
    // Clients always send one. Nothing here calls anybody: whoever wants to hear of it has a webhook.
    fields.may("callback_url", text(2000));
    let (external_id, folder_id) = (fields.may("external_id", text(255)), fields.integer("folder_id"));
    let (name, return_url) = (fields.may("name", Name::new), fields.may("redirect_url", text(2000)));
    let wish = parent_id.map(|parent_id| RuntimeWish { parent_id, external_id, folder_id, name, return_url });
    let wish = fields.faults.all(wish)?;
    let link = app.make_runtime_link(&caller, customer, wish).await?;
    Ok(HttpResponse::Ok().json(json!({"data": {"id": link.connection_id, "url": link.url}})))
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
    // A grant that came along must not be dropped in silence.
    if fields.value("oauth_token_pair").is_some() {
        fields.fault("oauth_token_pair", Why::Unknown);
    }
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
