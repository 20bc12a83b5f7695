//! Who was handed which token, how often: counted in memory, written about once a second, so that a read stays a read.
//!
//! A power cut may lose the last second's counts. The audit trail gets one entry for each caller, connection and hour.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{App, access::Caller, audit};
use crate::{
    domain::{Result, Timestamp, audit::Deed},
    store,
};

const HOUR_MS: i64 = 60 * 60 * 1000;
/// More pairs of caller and connection than these are written at once instead of waiting for their second.
const MOST_WAITING: usize = 10_000;

/// What has not been written yet.
#[derive(Default)]
pub(super) struct HandOuts(Mutex<HashMap<(i64, String), Count>>);

struct Count {
    caller: Caller,
    times: u64,
    last: Timestamp,
}

impl HandOuts {
    /// Counts one; answers whether there is something to write now.
    fn add(&self, caller: &Caller, connection_id: i64, now: Timestamp) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = all.is_empty();
        let count = all.entry((connection_id, caller.actor())).or_insert_with(|| Count {
            caller: caller.clone(),
            times: 0,
            last: now,
        });
        count.times += 1;
        count.last = now;
        begun || all.len() == MOST_WAITING
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl App {
    /// Counts a hand-out.
    pub(super) fn count_hand_out(&self, caller: &Caller, connection_id: i64) {
        if self.hand_outs.add(caller, connection_id, self.db.now()) {
            self.worker.wake();
        }
    }

    /// Writes what was counted. What the database does not take is kept for the next time.
    pub(super) async fn write_hand_outs(&self) -> Result<()> {
        let counted = std::mem::take(&mut *self.hand_outs.0.lock().unwrap_or_else(PoisonError::into_inner));
        if counted.is_empty() {
            return Ok(());
        }
        let counted = std::sync::Arc::new(counted);
        let work = std::sync::Arc::clone(&counted);
        let written = self
            .db
            .write(move |tx| {
                for ((id, actor), count) in work.iter() {
                    let hour = Timestamp(count.last.0 - count.last.0.rem_euclid(HOUR_MS));
                    if store::hand_outs::add(tx, *id, actor, hour, count.times, count.last)? {
                        let detail = serde_json::json!({});
                        audit(tx, &count.caller, Deed::TokenHandedOut, "connection", id, &detail)?;
                    }
                }
                Ok(())
            })
            .await;
        if written.is_err()
            && let Some(counted) = std::sync::Arc::into_inner(counted)
        {
            let mut all = self.hand_outs.0.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, count) in counted {
                match all.get_mut(&key) {
                    Some(newer) => newer.times += count.times,
                    None => drop(all.insert(key, count)),
                }
            }
        }
        written
    }
}
