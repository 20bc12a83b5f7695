//! Dialect 3: client applications, as in the REST API for Documents 1.2 of Oracle Content Management.
//!
//! Every scalar in a body is a string, the keys of an object stand in alphabetical order, and every body, errors
//! included, comes as JSON or XML, in English or Japanese.
//!
//! # Where we differ or decide
//!
//! - A list is in the order of creation. `limit` (1 to 1000) and `offset` are taken, anything else in them is 400, and
//!   `hasMore` tells the truth. With `links=true` the list has links and so has each item.
//! - XML has a root element `clientApplication`, `clientApplications` or `error`, the JSON keys as child elements,
//!   `items` and `links` repeated.
//! - PUT with another `name`, and PUT that changes nothing, are 400. An unknown id is 404 before anything of a body is
//!   read.
//! - Keys of `metadata` that nobody knows are ignored, but not `isenabled` and its like: a flag that is misspelt is 400.
//! - Of the uploaded file's name the last part of a path is kept (RFC 7578 §4.2); a file without a name is 400. What the
//!   heads of parts say of their length is not looked at.
//! - In `errorKey`, `,`, `!` and `\` of a name or an id have a `\` before them. `isEnabled` of a 409 is `1` or `0`.
//! - What the original documents no code for has `errorCode` `-1`.
//! - `/data` comes as `application/json` only: to `Accept: application/xml` it is 406, while its errors are XML.

mod messages;
mod upload;

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap},
    },
    web,
};
use serde_json::{Value, json};

use super::{
    Surface,
    accept::{media_type, wants_japanese},
    body::{path_text, query},
    caller::{Admitted, Needs},
    download,
    problem::{Asked, Failure, Kind},
    routes::Routes,
    time::whole_seconds,
    xml,
};
use crate::{
    app::{App, client_applications::Change},
    domain::{Error, Fault, Faults, Noun, Page, Why, client_application::ClientApplication, user::Scope},
};
use upload::Upload;

const PREFIX: &str = "/documents/api/1.2";
const BASE: &str = "/config/clientApplications";
const JSON: &str = "application/json";
const XML: &str = "application/xml";
/// What each error has as its `type`.
const TYPE: &str = "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html";
/// How many items a list has, and how many it may be asked for.
const LIMIT: u32 = 100;
const MOST_LIMIT: u32 = 1000;

/// The routes of this dialect.
pub fn routes() -> Routes {
    const READ: Needs = Needs::Scope(Scope::ApplicationsRead);
    const WRITE: Needs = Needs::Scope(Scope::ApplicationsWrite);
    let base = || [(Method::GET, READ, web::to(list)), (Method::POST, WRITE, web::to(create))];
    Routes::below(PREFIX)
        .at(BASE, base())
        .at(&format!("{BASE}/"), base())
        .at(
            &format!("{BASE}/{{id}}"),
            [
                (Method::GET, READ, web::to(get)),
                (Method::PUT, WRITE, web::to(update)),
                (Method::DELETE, WRITE, web::to(delete)),
            ],
        )
        .at(&format!("{BASE}/{{id}}/data"), [(Method::GET, READ, web::to(data))])
}

/// The errors of this dialect.
pub fn dress(failure: &Failure, asked: &Asked) -> HttpResponse {
    let japanese = wants_japanese(&asked.headers);
    let message = messages::sentence(failure, japanese);
    let mut body = BTreeMap::from([
        ("errorCode", Value::from("-1")),
        ("errorMessage", message.clone().into()),
        ("title", message.into()),
        ("type", TYPE.into()),
    ]);
    match &failure.kind {
        Kind::Domain(Error::Conflict { name, .. }) => {
            let escaped = escaped(name);
            let key = format!("!csAFUnableToPerformActionForApp,create,{escaped}!csAFAppAlreadyExist,{escaped}");
            body.extend([("errorCode", "-17".into()), ("errorKey", key.into()), ("name", name.clone().into())]);
        }
        Kind::Domain(Error::NotFound { what: Noun::ClientApplication, key }) => {
            let key = format!("!csAFAppDoesNotExist,{}", escaped(key));
            body.extend([("errorCode", "-16".into()), ("errorKey", key.into())]);
        }
        Kind::Domain(Error::Forbidden(_) | Error::OutOfReach(_)) => drop(body.insert("errorCode", "-20".into())),
        _ => {}
    }
    body.extend(failure.facts.iter().map(|(name, value)| (name.as_str(), value.clone())));
    // To a caller that takes neither form the refusal itself comes as JSON.
    let form = media_type(&asked.headers, &[JSON, XML]).unwrap_or(JSON);
    let mut answer = written(form, failure.status(), "error", &json!(body));
    let language = header::HeaderValue::from_static(if japanese { "ja" } else { "en" });
    answer.headers_mut().insert(header::CONTENT_LANGUAGE, language);
    answer
}

/// A text within an `errorKey`, whose own commas and exclamation marks separate its parts.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(',', "\\,").replace('!', "\\!")
}

fn written(form: &str, status: StatusCode, root: &str, body: &Value) -> HttpResponse {
    let mut answer = HttpResponse::build(status);
    answer.insert_header((header::VARY, "Accept, Accept-Language"));
    if form == XML {
        answer.content_type("application/xml; charset=utf-8").body(xml::document(root, body))
    } else {
        answer.json(body)
    }
}

/// The form in which the caller wants its answer; asked before anything is done.
fn form(headers: &HeaderMap) -> Result<&'static str, Failure> {
    media_type(headers, &[JSON, XML]).ok_or_else(|| Kind::Accept("application/json and application/xml").into())
}

fn url(request: &HttpRequest, below: &str) -> String {
    let public_url = request.app_data::<web::Data<Surface>>().map_or("", |surface| surface.public_url.as_str());
    format!("{public_url}{PREFIX}{BASE}{below}")
}

/// Links to a resource, where the request asks for them with just these words.
fn links(request: &HttpRequest, below: &str) -> Option<Value> {
    if query(request, "links").as_deref() != Some("true") {
        return None;
    }
    let href = format!("{}?{}", url(request, below), request.query_string());
    Some(json!([{"rel": "self", "href": href}, {"rel": "canonical", "href": href}]))
}

fn object(application: &ClientApplication, links: Option<Value>) -> BTreeMap<&'static str, Value> {
    let mut object = BTreeMap::from([
        ("createdTime", whole_seconds(application.created_at).into()),
        ("errorCode", "0".into()),
        ("id", application.id.as_str().into()),
        ("isEnabled", application.enabled.to_string().into()),
        ("modifiedTime", whole_seconds(application.modified_at).into()),
        ("name", application.name.as_str().into()),
    ]);
    if let Some(links) = links {
        object.insert("links", links);
    }
    object
}

fn id(request: &HttpRequest) -> Result<String, Failure> {
    path_text(request, "id")
}

/// What the error of a missing application has beside the sentence; that of `/data` has not.
fn missing(id: &str) -> impl Fn(Error) -> Failure {
    move |error| match error {
        Error::NotFound { what: Noun::ClientApplication, .. } => {
            Failure::from(error).with("errorType", "clientApplication").with("id", id)
        }
        other => other.into(),
    }
}

async fn list(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let form = form(request.headers())?;
    let page = page(&request)?;
    let (applications, total) = app.list_client_applications(&caller, page).await?;
    let items: Vec<Value> = applications
        .iter()
        .map(|application| {
            let mut item = object(application, links(&request, &format!("/{}", application.id)));
            item.remove("errorCode");
            json!(item)
        })
        .collect();
    let has_more = page.offset.saturating_add(items.len() as u64) < total && !items.is_empty();
    let mut body = BTreeMap::from([
        ("count", items.len().to_string().into()),
        ("errorCode", "0".into()),
        ("hasMore", if has_more { "1" } else { "0" }.into()),
        ("items", Value::Array(items)),
        ("limit", page.limit.to_string().into()),
        ("offset", page.offset.to_string().into()),
        ("totalResults", total.to_string().into()),
    ]);
    if let Some(links) = links(&request, "") {
        body.insert("links", links);
    }
    Ok(written(form, StatusCode::OK, "clientApplications", &json!(body)))
}

fn page(request: &HttpRequest) -> Result<Page, Failure> {
    let mut faults = Faults::default();
    let limit = match query(request, "limit").map(|text| text.parse::<u32>()) {
        None => LIMIT,
        Some(Ok(limit)) if (1..=MOST_LIMIT).contains(&limit) => limit,
        Some(_) => {
            faults.add("limit", Why::Malformed(messages::A_LIMIT));
            LIMIT
        }
    };
    let offset = match query(request, "offset").map(|text| text.parse::<u64>()) {
        None => 0,
        Some(Ok(offset)) => offset,
        Some(Err(_)) => {
            faults.add("offset", Why::Malformed(messages::AN_OFFSET));
            0
        }
    };
    Ok(faults.or(Page { offset, limit })?)
}

async fn get(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let (form, id) = (form(request.headers())?, id(&request)?);
    let application = app.get_client_application(&caller, &id).map_err(missing(&id))?;
    let object = object(&application, links(&request, &format!("/{}", application.id)));
    Ok(written(form, StatusCode::OK, "clientApplication", &json!(object)))
}

async fn create(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let form = form(request.headers())?;
    let Upload { metadata, file, mut faults, place } = upload::read(&app, &request, payload).await?;
    if metadata.is_none() {
        faults.add("metadata", Why::Missing);
    }
    let metadata = metadata.unwrap_or_default();
    if metadata.is_read && metadata.name.is_none() && !faults_at(&faults, "name") {
        faults.add("name", Why::Missing);
    }
    if file.is_none() && !faults_at(&faults, "file") {
        faults.add("file", Why::Missing);
    }
    let enabled = metadata.enabled.unwrap_or(true);
    let given = faults.or(metadata.name.zip(file))?;
    let (name, file) = given.ok_or_else(|| Error::internal("an upload without faults"))?;
    let created = app.create_client_application(&caller, name, enabled, file).await;
    drop(place);
    let application = created.map_err(|error| match error {
        Error::Conflict { .. } => Failure::from(error).with("isEnabled", if enabled { "1" } else { "0" }),
        other => other.into(),
    })?;
    let mut answer = written(form, StatusCode::CREATED, "clientApplication", &json!(object(&application, None)));
    let location = header::HeaderValue::from_str(&url(&request, &format!("/{}", application.id)));
    answer
        .headers_mut()
        .insert(header::LOCATION, location.map_err(|_| Error::internal("a public URL that is no header"))?);
    Ok(answer)
}

fn faults_at(faults: &Faults, path: &str) -> bool {
    faults.iter().any(|fault: &Fault| fault.path == path)
}

async fn update(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let (form, id) = (form(request.headers())?, id(&request)?);
    app.expect_client_application(&caller, &id).map_err(missing(&id))?;
    let Upload { metadata, file, faults, place } = upload::read(&app, &request, payload).await?;
    let metadata = faults.or(metadata.unwrap_or_default())?;
    let change = Change { name: metadata.name, enabled: metadata.enabled, file };
    let updated = app.update_client_application(&caller, &id, change).await;
    drop(place);
    let application = updated.map_err(missing(&id))?;
    Ok(written(form, StatusCode::OK, "clientApplication", &json!(object(&application, None))))
}

async fn delete(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let (form, id) = (form(request.headers())?, id(&request)?);
    app.delete_client_application(&caller, &id).await.map_err(missing(&id))?;
    let body = json!({"errorCode": "0", "id": id, "type": "clientApplication"});
    Ok(written(form, StatusCode::OK, "clientApplication", &body))
}

async fn data(app: web::Data<App>, caller: Admitted, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let (file, digest) = app.client_application_file(&caller, &id(&request)?).await?;
    media_type(request.headers(), &[JSON]).ok_or(Kind::Accept(JSON))?;
    Ok(download::file(&request, file, &digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_error_key_stay_apart() {
        assert_eq!(escaped("testapp"), "testapp");
        assert_eq!(escaped("a,b!c\\"), "a\\,b\\!c\\\\");
    }
}
