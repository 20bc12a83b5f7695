//! `/api/keys`: which keys there are, and whether they open what is sealed. Never a key.

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::result;
use crate::{
    app::App,
    http::{caller::Admitted, problem::Failure},
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

pub(super) async fn verify(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    let (values, bad) = app.verify_keys(&caller).await?;
    let bad: Vec<Value> = bad.iter().map(|(table, row)| json!({"table": table, "row": row})).collect();
    Ok(result(json!({"values": values, "unopenable": bad})))
}
