//! `/api/keys`: which keys there are, and whether they open what is sealed. Never a key.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::result;
use crate::{
    app::{App, keys::Rotation},
    http::{
        body::{path_text, query_flag},
        caller::Admitted,
        problem::Failure,
        time::with_offset,
    },
};

pub(super) async fn list(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    let keys: Vec<Value> = app
        .list_keys(&caller)
        .await?
        .into_iter()
        .map(|key| json!({"id": key.id, "active": key.active, "known": key.known, "values": key.values}))
        .collect();
    Ok(result(keys))
}

fn progress(rotation: &Rotation) -> Value {
    json!({
        "active": rotation.active,
        "sealing": rotation.since.is_some(),
        "since": rotation.since.map(with_offset),
        "sealed": rotation.sealed,
        "left": rotation.left,
    })
}

/// Begins; how far it is tells `rotation`.
pub(super) async fn rotate(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    Ok(result(progress(&app.rotate_keys(&caller).await?)))
}

pub(super) async fn rotation(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    Ok(result(progress(&app.rotation(&caller).await?)))
}

/// `?force=true`: although backups need it.
pub(super) async fn forget(
    app: web::Data<App>,
    caller: Admitted,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let id = path_text(&request, "id")?;
    app.forget_key(&caller, &id, query_flag(&request, "force")).await?;
    Ok(result(json!({"success": true})))
}

pub(super) async fn verify(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    let (values, bad) = app.verify_keys(&caller).await?;
    let bad: Vec<Value> = bad.iter().map(|(table, row)| json!({"table": table, "row": row})).collect();
    Ok(result(json!({"values": values, "unopenable": bad})))
}
