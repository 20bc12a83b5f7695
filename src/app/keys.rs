//! The keys that seal secrets.

use super::{App, access::Caller, connections::of_caller};
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
        let in_use = self.db.scan(store::installation::key_ids_in_use).await?;
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
                let values = store::installation::key_ids_in_use(read)?.iter().map(|(_, _, count)| count).sum();
                let mut bad: Vec<(String, String)> = store::profiles::unopenable(read)?
                    .into_iter()
                    .map(|(id, kind)| ("profile_secrets".to_owned(), format!("{id}/{kind}")))
                    .collect();
                let mut inputs = store::connections::unopenable(read)?;
                inputs.retain(|id| of_caller(read, &who, None, *id).is_ok());
                bad.extend(inputs.into_iter().map(|id| ("connections".to_owned(), id.to_string())));
                let webhooks = store::webhooks::unopenable(read)?;
                bad.extend(webhooks.into_iter().map(|id| ("webhooks".to_owned(), id.to_string())));
                let factors = store::second_factors::unopenable(read)?;
                bad.extend(factors.into_iter().map(|id| ("second_factors".to_owned(), id.to_string())));
                Ok((values, bad))
            })
            .await
    }
}
