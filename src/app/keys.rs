//! The keys that seal secrets.

use super::{App, access::Caller};
use crate::{
    domain::{Result, user::Scope},
    store,
};

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
        self.db
            .scan(|read| {
                let values = store::sealed::key_ids_in_use(read)?.iter().map(|(_, _, count)| count).sum();
                let bad = store::sealed::unopenable(read)?;
                let bad = bad.into_iter().map(|(table, row)| (table.to_owned(), row)).collect();
                Ok((values, bad))
            })
            .await
    }
}
