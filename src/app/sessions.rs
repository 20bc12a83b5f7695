//! The sessions of a user: which there are, and their end.

use super::{
    App,
    access::{Caller, SESSION_IDLE_MS, SESSION_LIFE_MS},
    audit,
};
use crate::{
    domain::{Error, Noun, Result, audit::Deed, session::Session},
    store,
};

impl App {
    /// The caller's own sessions that are alive, the last used first.
    pub fn list_sessions(&self, caller: &Caller) -> Result<Vec<Session>> {
        let user = caller.in_person()?;
        self.db.read(|read| {
            let (begun, seen) = (read.now().plus_ms(-SESSION_LIFE_MS), read.now().plus_ms(-SESSION_IDLE_MS));
            store::sessions::of_user(read, user.id, begun, seen, caller.session())
        })
    }

    /// Ends one of the caller's own sessions. Another's is one that does not exist.
    pub async fn end_session(&self, caller: &Caller, id: &str) -> Result<()> {
        let user_id = caller.in_person()?.id;
        let (caller, id) = (caller.clone(), id.to_owned());
        self.db
            .write(move |tx| {
                if !store::sessions::delete_by_id(tx, user_id, &id)? {
                    return Err(Error::not_found(Noun::Session, id));
                }
                audit(tx, &caller, Deed::SessionEnded, "user", user_id, &serde_json::json!({"session": id}))
            })
            .await
    }

    /// Ends all of the caller's own sessions, or all but the one that asks; answers how many.
    pub async fn end_sessions(&self, caller: &Caller, keep_current: bool) -> Result<usize> {
        let user_id = caller.in_person()?.id;
        let caller = caller.clone();
        self.db
            .write(move |tx| {
                let ended = store::sessions::delete_others(tx, user_id, caller.session().filter(|_| keep_current))?;
                audit(tx, &caller, Deed::SessionEnded, "user", user_id, &serde_json::json!({"sessions": ended}))?;
                Ok(ended)
            })
            .await
    }
}
