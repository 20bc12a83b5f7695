//! The first start on a database that was put back from a backup.
//!
//! Every grant that refreshes came back uncertain (`store/backup/restore.rs`). Those whose provider changes nothing at a
//! refresh are as good as ever. The others keep their access token for as long as it lives; then the refresh token is looked
//! at without using it (RFC 7662) where that can be done, and sent only when there is no other way (`refresh/flight`).

use serde_json::json;

use super::{App, audit, refresh::flight::LAST_MOMENT_MS, registration::Registration};
use crate::{
    domain::{Result, Timestamp, audit::Deed},
    oauth::catalogue::Replay,
    store::{self, Read},
};

/// So many grants share a transaction.
const BATCH: usize = 200;

/// What is to become of an uncertain grant.
enum Judged {
    /// Its provider does not change refresh tokens.
    Fine(i64),
    /// It may be used up; to be refreshed then.
    Uncertain(i64, Option<Timestamp>),
}

impl App {
    /// Looks at the grants of a database that was put back; nothing where none was.
    pub(super) async fn settle_restored(&self) -> Result<()> {
        let Some(restored) = self.db.read(store::installation::restored_at)? else { return Ok(()) };
        let (mut fine, mut uncertain, mut after) = (0_u64, 0_u64, 0);
        loop {
            let judged = self.db.scan(move |read| judge(read, restored, after)).await?;
            let Some(last) = judged.last() else { break };
            after = match last {
                Judged::Fine(id) | Judged::Uncertain(id, _) => *id,
            };
            let many = judged.iter().filter(|one| matches!(one, Judged::Fine(_))).count() as u64;
            fine += many;
            uncertain += judged.len() as u64 - many;
            self.db
                .write(move |tx| {
                    for one in judged {
                        match one {
                            Judged::Fine(id) => store::grants::trust(tx, id)?,
                            Judged::Uncertain(id, due_at) => {
                                store::refreshes::finish_unanswered(tx, id)?;
                                store::grants::doubt(tx, id, restored, due_at)?;
                            }
                        }
                    }
                    Ok(())
                })
                .await?;
        }
        let caller = self.machine("restore");
        self.db
            .write(move |tx| {
                store::installation::settle_restored(tx)?;
                let detail = json!({"certain": fine, "uncertain": uncertain});
                audit(tx, &caller, Deed::Restored, "database", restored.0, &detail)
            })
            .await?;
        tracing::warn!(
            certain = fine,
            uncertain,
            "this database was put back from a backup: uncertain grants may have been refreshed since it was made"
        );
        Ok(())
    }
}

fn judge(read: &Read<'_>, restored: Timestamp, after: i64) -> Result<Vec<Judged>> {
    let now = read.now();
    let mut judged = Vec::new();
    for grant in store::grants::doubted(read, restored, after, BATCH)? {
        let connection = store::connections::get(read, grant.connection_id)?;
        let observed = store::profiles::rotation(read, connection.profile_id)?.map(|(rotation, _)| rotation);
        // A provider whose definition is missing now may rotate.
        let may_rotate = Registration::provider_of(read, &connection)
            .map_or(true, |provider| provider.replay(observed) != Replay::Any);
        judged.push(if may_rotate {
            let last_moment = |end: Timestamp| end.plus_ms(-LAST_MOMENT_MS).max(now);
            let due_at = grant.due_at.map(|due| grant.expires_at.map_or(due, last_moment));
            Judged::Uncertain(grant.connection_id, due_at)
        } else {
            Judged::Fine(grant.connection_id)
        });
    }
    Ok(judged)
}
