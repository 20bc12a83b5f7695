//! The expiry radar: what comes to its end soon, so that nobody finds out when a job has failed.

use std::{collections::HashMap, time::Duration};

use super::{App, access::Caller, providers};
use crate::{
    domain::{
        Result,
        expiring::{Expiring, RefreshLife},
        user::Scope,
    },
    store::{self, Read},
};

/// More is not listed: who has so much to renew looks at a shorter time.
pub const MOST: usize = 1000;
/// Nobody looks further ahead.
pub const FURTHEST: Duration = Duration::from_hours(400 * 24);

impl App {
    /// What ends within so long a time, or has ended and is still in its place: at most [`MOST`], the first first; and
    /// whether there is more. API tokens are for administrators alone, connections for whom they are in reach of.
    pub async fn list_expiring(&self, caller: &Caller, within: Duration) -> Result<(Vec<Expiring>, bool)> {
        caller.need(Scope::ProfilesRead)?;
        caller.need(Scope::ConnectionsRead)?;
        let with_tokens = caller.need(Scope::Admin).is_ok();
        let reach = caller.reach().clone();
        let within = i64::try_from(within.min(FURTHEST).as_millis()).unwrap_or(i64::MAX);
        let mut found = self
            .db
            .scan(move |read| {
                let until = read.now().plus_ms(within);
                let mut found = First::default();
                found.extend(store::expiring::client_secrets(read, until, MOST + 1)?);
                if with_tokens {
                    found.extend(store::expiring::api_tokens(read, until, MOST + 1)?);
                }
                found.extend(store::expiring::access_tokens(read, &reach, until, MOST + 1)?);
                let lives = lives(read)?;
                let limiting: Vec<&str> =
                    lives.iter().filter(|(_, life)| life.is_limited()).map(|(slug, _)| slug.as_str()).collect();
                store::expiring::each_refresh_token(read, &reach, until, &limiting, |provider, times, what| {
                    let life = lives.get(provider).copied().unwrap_or_default();
                    if let Some((expires_at, why)) = times.end(life).filter(|(at, _)| *at <= until) {
                        found.extend([Expiring { what: what()?, why, expires_at }]);
                    }
                    Ok(())
                })?;
                Ok(found.sorted())
            })
            .await?;
        let more = found.len() > MOST;
        found.truncate(MOST);
        Ok((found, more))
    }
}

/// How long each provider that is in use lets its refresh tokens live.
fn lives(read: &Read<'_>) -> Result<HashMap<String, RefreshLife>> {
    let ms = |seconds: Option<u64>| seconds.map(|s| i64::try_from(s.saturating_mul(1000)).unwrap_or(i64::MAX));
    let mut lives = HashMap::new();
    for slug in store::expiring::providers(read)? {
        if let Some((entry, _)) = providers::find(read, &slug)? {
            let life =
                RefreshLife { absolute_ms: ms(entry.refresh_token_max_s), idle_ms: ms(entry.refresh_token_idle_s) };
            lives.insert(slug, life);
        }
    }
    Ok(lives)
}

/// The first of many, without holding them all.
#[derive(Default)]
struct First(Vec<Expiring>);

impl First {
    fn extend(&mut self, items: impl IntoIterator<Item = Expiring>) {
        self.0.extend(items);
        if self.0.len() > 4 * MOST {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.0.sort_by_key(|item| item.expires_at);
        self.0.truncate(MOST + 1);
    }

    fn sorted(mut self) -> Vec<Expiring> {
        self.cut();
        self.0
    }
}
