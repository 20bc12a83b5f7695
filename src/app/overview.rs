//! What wants somebody's attention, and how much there is of everything: the first thing that an administrator sees.

use std::time::Duration;

use super::{App, access::Caller, backups, providers};
use crate::{
    domain::{
        Result, Timestamp,
        overview::{Counts, Overview},
        user::Scope,
    },
    store,
};

/// It looks so far ahead.
const AHEAD: Duration = Duration::from_hours(30 * 24);
/// So many days of refreshes are shown.
const DAYS: i64 = 7;
/// A backup that is older is an old one.
pub const BACKUP_OLD_MS: i64 = 7 * 24 * 60 * 60 * 1000;

impl App {
    /// What wants attention, with numbers. What is for administrators is left out for others, and connections out of the
    /// caller's reach are neither shown nor counted.
    pub async fn overview(&self, caller: &Caller) -> Result<Overview> {
        caller.need(Scope::ProfilesRead)?;
        caller.need(Scope::ConnectionsRead)?;
        let sees_applications = caller.need(Scope::ApplicationsRead).is_ok();
        let is_admin = caller.need(Scope::Admin).is_ok();
        let (expiring, more_expiring) = self.list_expiring(caller, AHEAD).await?;
        let (reach, backup_dir) = (caller.reach().clone(), self.settings.backups.dir.clone());
        self.db
            .scan(move |read| {
                let (profiles, customers, applications) = store::overview::marked(read)?;
                let mut counts = Counts {
                    profiles,
                    customers,
                    connections: store::overview::connections(read, &reach)?,
                    providers: providers::slugs(read)?.len() as u64,
                    client_applications: sees_applications.then_some(applications),
                    ..Counts::default()
                };
                let mut dead = Vec::new();
                if is_admin {
                    let (api_tokens, webhooks, users) = store::overview::administrative(read)?;
                    counts.api_tokens = Some(api_tokens);
                    counts.webhooks = Some(webhooks);
                    counts.users = Some(users);
                    dead = store::overview::dead_deliveries(read)?;
                }
                Ok(Overview {
                    at: read.now(),
                    rejected: store::overview::rejected(read)?,
                    lost: store::overview::lost(read, &reach)?,
                    uncertain: store::overview::uncertain(read, &reach)?,
                    expiring,
                    more_expiring,
                    dead,
                    counts,
                    // Days are not counted by connection, and what is out of reach is not counted for anybody.
                    refreshes: if reach.is_everything() {
                        store::refresh_results::days(read, DAYS)?
                    } else {
                        Vec::new()
                    },
                    last_backup_at: backups::last_in(read, &backup_dir)?.map(|backup| Timestamp(backup.created_at)),
                })
            })
            .await
    }
}
