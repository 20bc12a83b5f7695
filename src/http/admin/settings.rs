//! `/api/settings`: what is configured, and where it comes from.

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::result;
use crate::{
    app::App,
    http::{caller::Admitted, problem::Failure, time::with_offset},
};

pub(super) async fn get(app: web::Data<App>, caller: Admitted) -> Result<HttpResponse, Failure> {
    let told = app.describe(&caller)?;
    let settings: Vec<Value> = told
        .about
        .settings
        .iter()
        .map(|setting| {
            json!({
                "name": setting.name,
                "value": setting.value,
                "source": setting.source,
                "default": setting.default,
                "help": setting.help,
            })
        })
        .collect();
    let [oauth, flow] = told.redirect_uris;
    Ok(result(json!({
        "version": told.version,
        "sqlite": told.sqlite,
        "data": told.about.data,
        "started_at": with_offset(told.started_at),
        "public_url": told.public_url,
        "redirect_uris": {"oauth": oauth, "flow": flow},
        "key_id": told.key_id,
        "settings": settings,
    })))
}
