//! The history of a connection: what came of its refreshes, and what happened to it, in one list.

use super::{App, access::Caller, connections::of_caller};
use crate::{
    domain::{
        Result,
        history::{Moment, Place},
        user::Scope,
    },
    store,
};

/// The most lines of one answer.
pub const MOST_MOMENTS: usize = 200;
/// So many events of a connection are looked at: each is an episode, and episodes are rare.
const MOST_EVENTS: u32 = 500;

impl App {
    /// Up to `limit` lines (at most [`MOST_MOMENTS`]), newest first; `before`: only what stands before that place. Where
    /// more are left, the place to go on from is with them.
    pub async fn connection_history(
        &self,
        caller: &Caller,
        id: i64,
        before: Option<Place>,
        limit: usize,
    ) -> Result<(Vec<Moment>, Option<Place>)> {
        caller.need(Scope::ConnectionsRead)?;
        let caller = caller.clone();
        self.db
            .scan(move |read| {
                of_caller(read, &caller, None, id)?;
                let refreshes = store::refresh_results::of_connection(read, id)?.into_iter().map(Moment::Refresh);
                let events = store::events::of_connection(read, id, MOST_EVENTS)?.into_iter().map(Moment::Event);
                let mut moments: Vec<Moment> = refreshes
                    .chain(events)
                    .filter(|moment| before.is_none_or(|before| moment.place() < before))
                    .collect();
                moments.sort_by_key(|moment| std::cmp::Reverse(moment.place()));
                let more = moments.len() > limit.clamp(1, MOST_MOMENTS);
                moments.truncate(limit.clamp(1, MOST_MOMENTS));
                let next = moments.last().filter(|_| more).map(Moment::place);
                Ok((moments, next))
            })
            .await
    }
}
