//! Sessions of the admin page.

use super::value::Timestamp;

/// A session that is alive. What the browser shows for it is nowhere in here.
#[derive(Debug, Clone)]
pub struct Session {
    /// 16 hexadecimal digits that name it, and open nothing.
    pub id: String,
    /// When the user logged in.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// Where the user logged in from; `None`: it is older than that this is kept.
    pub address: Option<String>,
    /// Whether it is the one that asks.
    pub current: bool,
}
