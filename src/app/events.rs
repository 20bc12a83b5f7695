//! What happened, for those who want to hear of it: read here, or carried to webhooks (`deliveries.rs`).

use serde_json::{Value, json};

use super::{App, access::Caller};
use crate::{
    domain::{Error, Result, Timestamp, event::Event, user::Scope},
    store,
};

/// The most events of one answer.
pub const MOST_EVENTS: u32 = 100;

impl App {
    /// Up to `limit` events (at most [`MOST_EVENTS`]), newest first; `before`: only those with a smaller id. Those about
    /// connections out of the caller's reach are not among them.
    pub async fn list_events(&self, caller: &Caller, before: Option<i64>, limit: u32) -> Result<Vec<Event>> {
        caller.need(Scope::ConnectionsRead)?;
        let reach = caller.reach().clone();
        self.db.scan(move |read| store::events::list(read, before, limit.min(MOST_EVENTS), &reach)).await
    }
}

/// An event as it is told, in a list and to webhooks alike. A connection or profile that is gone has its id alone.
pub fn to_json(event: &Event) -> Result<Value> {
    let detail: Value = serde_json::from_str(&event.detail).map_err(Error::internal)?;
    let connection = event.connection.as_ref().map(|connection| {
        json!({
            "id": connection.id,
            "name": connection.name,
            "owner": connection.owner,
            "external_id": connection.external_id,
            "provider": connection.provider,
        })
    });
    let profile = event
        .profile
        .as_ref()
        .map(|profile| json!({"id": profile.id, "name": profile.name, "provider": profile.provider}));
    Ok(json!({
        "id": event.id,
        "type": event.kind.as_str(),
        "at": time(event.at),
        "connection": connection,
        "profile": profile,
        "detail": detail,
    }))
}

/// `2026-01-15T11:50:32.986+00:00`. What is signed is written here, and it must be the same wherever it is read.
pub(super) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string())
        .unwrap_or_default()
}
