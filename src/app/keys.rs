//! The keys that seal secrets, and how one takes the place of another while the server goes on:
//!
//! 1. the key file gets a new active key beside the old ones, in one step;
//! 2. one transaction says that the database belongs to it; from then on everything new is sealed with it;
//! 3. what is sealed with other keys is sealed anew, batch for batch, by the engine thread.
//!
//! A crash after 1 is noticed at the next start, which does 2 (`store/installation.rs`); a crash later is taken up by the
//! engine thread of the next start. Old keys stay in the file until somebody forgets them: older backups need them.

use std::path::PathBuf;

use serde_json::json;

use super::{App, access::Caller, audit, connections::of_caller, failpoint, reach};
use crate::{
    domain::{Error, Noun, Result, Timestamp, Use, Why, audit::Deed, user::Scope},
    store::{
        self,
        seal::{KeyError, KeyList},
        sealed::Place,
    },
};

/// So many values are sealed anew in one transaction: a millisecond or two for whoever waits behind it.
const BATCH: usize = 100;
/// So many names stand for all of them.
const MOST_EXAMPLES: usize = 20;

/// What is told of a key: never the key.
#[derive(Debug, Clone)]
pub struct KeyInfo {
    /// Its id.
    pub id: String,
    /// Whether it seals what is new.
    pub active: bool,
    /// Whether it is there; one that is not is needed by values all the same.
    pub known: bool,
    /// How many values it seals.
    pub values: u64,
}

/// How far a rotation is.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The active key.
    pub active: String,
    /// Since when values are being sealed anew with it; `None`: it is done.
    pub since: Option<Timestamp>,
    /// How many are sealed with other keys. Where it is done: how many did not open.
    pub left: u64,
    /// How many are sealed with the active one.
    pub sealed: u64,
}

fn key_file(error: &KeyError) -> Error {
    Error::invalid("keys", Why::KeyFile(error.to_string()))
}

impl App {
    /// The keys there are, and those that values need.
    pub async fn list_keys(&self, caller: &Caller) -> Result<Vec<KeyInfo>> {
        caller.need(Scope::Admin)?;
        let in_use = self.db.scan(store::sealed::key_ids_in_use).await?;
        let mut keys: Vec<KeyInfo> = self
            .db
            .sealer()
            .keys()
            .ids()
            .map(|(id, active)| KeyInfo { id: id.to_owned(), active, known: true, values: 0 })
            .collect();
        for (_, id, count) in in_use {
            match keys.iter_mut().find(|key| key.id == id) {
                Some(key) => key.values += count,
                None => keys.push(KeyInfo { id, active: false, known: false, values: count }),
            }
        }
        Ok(keys)
    }

    /// Opens every sealed value. Answers how many there are, and table and row of those that do not open.
    pub async fn verify_keys(&self, caller: &Caller) -> Result<(u64, Vec<(String, String)>)> {
        caller.need(Scope::Admin)?;
        let who = caller.clone();
        self.db
            .scan(move |read| {
                let values = store::sealed::key_ids_in_use(read)?.iter().map(|(_, _, count)| count).sum();
                let bad = store::sealed::unopenable(read)?.into_iter().filter(|(table, row)| match *table {
                    "profile_secrets" | "webhooks" | "second_factors" => true,
                    // What is another's connection is not told of.
                    "connections" | "grants" | "refreshes" | "device_authorizations" => {
                        row.parse().is_ok_and(|id| of_caller(read, &who, None, id).is_ok())
                    }
                    _ => reach::whole(&who).is_ok(),
                });
                let bad = bad.map(|(table, row)| (table.to_owned(), row)).collect();
                Ok((values, bad))
            })
            .await
    }

    /// Begins to seal everything with a new key, or takes up what was begun; it goes on in the background.
    ///
    /// `Invalid` where the key file is not ours to write, cannot be written, or was changed by somebody else.
    pub async fn rotate_keys(&self, caller: &Caller) -> Result<Rotation> {
        caller.need(Scope::Admin)?;
        reach::whole(caller)?;
        let path = self.own_key_file()?;
        let changing = self.changing_keys.lock().await;
        if self.db.read(store::installation::rotating_at)?.is_none() {
            let keys = self.db.sealer().keys();
            let kept = self.db.read(store::installation::key)?.0;
            let saved = tokio::task::spawn_blocking(move || -> Result<KeyList> {
                let there = KeyList::load(&path).map_err(|error| key_file(&error))?;
                if !there.has_all_of(&keys) {
                    return Err(Error::invalid("keys", Why::KeysChanged));
                }
                // A new key that is in the file already is from a rotation that got no further.
                if there.active_id() == kept {
                    let new = there.rotated()?;
                    new.save(&path).map_err(|error| key_file(&error))?;
                    return Ok(new);
                }
                Ok(there)
            });
            let new = saved.await.map_err(Error::internal)??;
            failpoint::reached("keys-written");
            let (who, active) = (caller.clone(), new.active_id().to_owned());
            self.db
                .write(move |tx| {
                    tx.take_keys(new)?;
                    store::installation::begin_rotation(tx)?;
                    audit(tx, &who, Deed::Rotated, "key", active, &json!({}))
                })
                .await?;
            failpoint::reached("keys-noted");
        }
        drop(changing);
        self.worker.wake();
        self.rotation(caller).await
    }

    /// How far the rotation is.
    pub async fn rotation(&self, caller: &Caller) -> Result<Rotation> {
        caller.need(Scope::Admin)?;
        let active = self.db.sealer().keys().active_id().to_owned();
        self.db
            .scan(move |read| {
                let since = store::installation::rotating_at(read)?;
                let (mut left, mut sealed) = (0, 0);
                for (_, id, count) in store::sealed::key_ids_in_use(read)? {
                    *(if id == active { &mut sealed } else { &mut left }) += count;
                }
                Ok(Rotation { active, since, left, sealed })
            })
            .await
    }

    /// Seals anew what is sealed with other keys than the active one, where a rotation has begun.
    pub(super) async fn seal_round(&self) -> Result<std::time::Duration> {
        if self.db.read(store::installation::rotating_at)?.is_none() {
            return Ok(std::time::Duration::MAX);
        }
        let (mut place, mut sealed, mut unopenable) = (Some(Place::default()), 0, 0);
        while let Some(here) = place {
            let stretch = self.db.write(move |tx| store::sealed::seal_anew(tx, &here, BATCH)).await?;
            if stretch.sealed > 0 {
                failpoint::reached("keys-batch");
            }
            sealed += stretch.sealed;
            unopenable += stretch.unopenable;
            place = stretch.next;
        }
        let caller = self.machine("rotation");
        let active = self.db.sealer().keys().active_id().to_owned();
        tracing::info!(key = active, values = sealed, unopenable, "everything is sealed with the active key");
        self.db
            .write(move |tx| {
                store::installation::finish_rotation(tx)?;
                audit(tx, &caller, Deed::Rotated, "key", active, &json!({"sealed": sealed, "unopenable": unopenable}))
            })
            .await?;
        failpoint::reached("keys-done");
        Ok(std::time::Duration::MAX)
    }

    /// Drops an old key that seals nothing. `InUse` while values need it, or backups do; `despite_backups`: they may go.
    pub async fn forget_key(&self, caller: &Caller, id: &str, despite_backups: bool) -> Result<()> {
        caller.need(Scope::Admin)?;
        reach::whole(caller)?;
        let path = self.own_key_file()?;
        let _changing = self.changing_keys.lock().await;
        let keys = self.db.sealer().keys();
        if keys.active_id() == id {
            return Err(Error::invalid("id", Why::ActiveKey));
        }
        let less = keys.without(id).ok_or_else(|| Error::not_found(Noun::Key, id))?;
        if !despite_backups {
            let needing: Vec<String> = self
                .list_backups(caller)
                .await?
                .backups
                .into_iter()
                .filter(|entry| {
                    entry
                        .manifest
                        .as_ref()
                        .is_ok_and(|backup| backup.key_id == id || backup.keys.iter().any(|needed| needed == id))
                })
                .map(|entry| entry.name)
                .collect();
            if !needing.is_empty() {
                return Err(in_use(Noun::Backup, needing.len() as u64, needing));
            }
        }
        let (who, gone) = (caller.clone(), id.to_owned());
        self.db
            .write(move |tx| {
                let in_use_by: Vec<_> =
                    store::sealed::key_ids_in_use(tx)?.into_iter().filter(|(_, id, _)| *id == gone).collect();
                if !in_use_by.is_empty() {
                    let count = in_use_by.iter().map(|(_, _, count)| count).sum();
                    let tables = in_use_by.into_iter().map(|(table, ..)| table.to_owned()).collect();
                    return Err(in_use(Noun::SealedValue, count, tables));
                }
                tx.take_keys(less)?;
                audit(tx, &who, Deed::Deleted, "key", gone, &json!({}))
            })
            .await?;
        let less = self.db.sealer().keys();
        let saved = tokio::task::spawn_blocking(move || less.save(&path)).await.map_err(Error::internal)?;
        if let Err(error) = saved {
            // It stays in the file: so it does here.
            let before = KeyList::clone(&keys);
            self.db.write(move |tx| tx.take_keys(before)).await?;
            return Err(key_file(&error));
        }
        Ok(())
    }

    fn own_key_file(&self) -> Result<PathBuf> {
        let path = self.settings.key_file.clone().filter(|_| self.settings.keys_can_change);
        path.ok_or_else(|| Error::invalid("keys", Why::KeysElsewhere))
    }
}

fn in_use(by: Noun, count: u64, names: Vec<String>) -> Error {
    let examples = names.into_iter().take(MOST_EXAMPLES).map(|name| (name, String::new())).collect();
    Error::InUse { what: Noun::Key, by: vec![Use { what: by, count, examples }] }
}
