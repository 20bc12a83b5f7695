//! The audit trail, for those who may read it.

use std::collections::HashMap;

use super::{App, access::Caller, audit as note};
use crate::{
    domain::{
        Error, Result, Timestamp,
        audit::{Deed, Entry, Filter},
        error::Beyond,
        user::Scope,
    },
    store::{self, Read, Tx},
};

/// The most entries of one answer.
pub const MOST: usize = 200;
/// Entries of one piece of an export.
const PIECE: usize = 1000;
/// So many entries are looked at for one answer: a filter that hardly any meets holds nobody up, and goes on.
const EXAMINED: usize = 20_000;
const HOUR_MS: i64 = 60 * 60 * 1000;

impl App {
    /// Up to `limit` entries (at most [`MOST`]), newest first, and the id behind which it goes on; `before`: only those behind
    /// that one. There may be fewer, or none, and still more to come.
    pub async fn list_audit(
        &self,
        caller: &Caller,
        filter: Filter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<i64>)> {
        may_read(caller)?;
        self.db
            .scan(move |read| {
                let part = store::audit::list(read, &filter, before, limit.clamp(1, MOST), EXAMINED)?;
                Ok((named(read, part.entries)?, part.next))
            })
            .await
    }

    /// Notes that somebody takes the trail away as a file.
    pub async fn begin_audit_export(&self, caller: &Caller, form: &'static str) -> Result<()> {
        may_read(caller)?;
        let caller = caller.clone();
        self.db
            .write(move |tx| note(tx, &caller, Deed::Exported, "audit", "", &serde_json::json!({"format": form})))
            .await
    }

    /// One piece of an export, as [`App::list_audit`], but longer.
    pub async fn export_audit(
        &self,
        caller: &Caller,
        filter: &Filter,
        before: Option<i64>,
    ) -> Result<(Vec<Entry>, Option<i64>)> {
        may_read(caller)?;
        let filter = filter.clone();
        self.db
            .scan(move |read| {
                let part = store::audit::list(read, &filter, before, PIECE, EXAMINED)?;
                Ok((named(read, part.entries)?, part.next))
            })
            .await
    }
}

/// The trail tells of every connection: a caller that is limited to some does not read it.
fn may_read(caller: &Caller) -> Result<()> {
    caller.need(Scope::AuditRead)?;
    if caller.reach().is_everything() { Ok(()) } else { Err(Error::OutOfReach(Beyond::All)) }
}

/// The entries with what their actors are called now.
fn named(read: &Read<'_>, mut entries: Vec<Entry>) -> Result<Vec<Entry>> {
    let mut known: HashMap<String, Option<String>> = HashMap::new();
    for entry in &mut entries {
        if let Some(name) = known.get(&entry.actor) {
            entry.actor_name.clone_from(name);
            continue;
        }
        entry.actor_name = store::audit::actor_name(read, &entry.actor)?;
        known.insert(entry.actor.clone(), entry.actor_name.clone());
    }
    Ok(entries)
}

/// Writes the audit entry of a deed that programs do many times: the first of an hour, for each caller and address.
pub(super) fn note_hourly(
    tx: &Tx<'_>,
    caller: &Caller,
    deed: Deed,
    noun: &str,
    noun_id: &str,
    detail: &serde_json::Value,
) -> Result<()> {
    let entry = store::audit::Entry {
        actor: &caller.actor(),
        deed,
        noun,
        noun_id,
        detail: &detail.to_string(),
        request_id: &caller.origin().request_id,
        address: &caller.origin().address.to_string(),
    };
    let hour = Timestamp(tx.now().0 - tx.now().0.rem_euclid(HOUR_MS));
    if store::audit::is_noted(tx, &entry, hour)? {
        return Ok(());
    }
    store::audit::insert(tx, &entry)
}
