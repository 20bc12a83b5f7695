//! A webhook: an address that wants to hear of events, and what is on its way there.

use super::{Timestamp, event::EventKind};

/// A webhook. What its deliveries are signed with is kept apart.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// From 1.
    pub id: i64,
    /// Where to deliver to. The path of such an address is often a secret of its own: it is for administrators alone.
    pub url: String,
    /// What it wants to hear of; empty: everything.
    pub kinds: Vec<EventKind>,
    /// Whether anything is delivered. What waits goes on waiting while it is not; what happens meanwhile is not queued.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// How many deliveries wait.
    pub waiting: u64,
    /// How many were given up.
    pub dead: u64,
}

/// What is asked for when a webhook is made or changed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where to deliver to.
    pub url: String,
    /// What it wants to hear of; empty: everything.
    pub kinds: Vec<EventKind>,
    /// Whether anything is delivered.
    pub enabled: bool,
}

/// One event on its way to one webhook.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// From 1.
    pub id: i64,
    /// The event.
    pub event_id: i64,
    /// Its kind.
    pub kind: EventKind,
    /// How it stands.
    pub status: DeliveryStatus,
    /// How often it was tried, since the last time that somebody asked for it again.
    pub attempts: u32,
    /// When it is to be tried next; `None`: not any more.
    pub next_at: Option<Timestamp>,
    /// What came of the last attempt: the status of the answer, `timeout`, or a reason; `None`: not tried yet.
    pub result: Option<String>,
    /// When it arrived or was given up.
    pub settled_at: Option<Timestamp>,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// It will be tried.
    Waiting,
    /// It arrived.
    Delivered,
    /// It was tried often enough; somebody may ask for it again.
    Dead,
}

impl DeliveryStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Dead];

    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// The status of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// A delivery is tried so often before it is given up. With [`delay_ms`] that takes two days.
pub const MOST_ATTEMPTS: u32 = 14;
const FIRST_DELAY_MS: i64 = 5 * 1000;
const LONGEST_DELAY_MS: i64 = 6 * 60 * 60 * 1000;
/// The longest that [`delay_ms`] answers.
pub const MOST_DELAY_MS: i64 = LONGEST_DELAY_MS / 5 * 6;

/// How long to wait after the attempt of this number (from 1) has failed; `None`: that was the last one.
///
/// 5 s, 25 s, 2 min, 10 min, 52 min, 4 h, then 6 h each time, and up to a fifth more: `jitter` is any number, so that
/// what failed together does not come back together.
pub fn delay_ms(attempt: u32, jitter: u16) -> Option<i64> {
    if attempt >= MOST_ATTEMPTS {
        return None;
    }
    let delay = FIRST_DELAY_MS.saturating_mul(5_i64.saturating_pow(attempt.saturating_sub(1))).min(LONGEST_DELAY_MS);
    Some(delay + delay * i64::from(jitter % 201) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_tried_for_two_days() {
        let delays: Vec<i64> = (1..).map_while(|attempt| delay_ms(attempt, 0)).collect();
        assert_eq!(delays[..4], [5_000, 25_000, 125_000, 625_000]);
        assert_eq!(delays.len() + 1, MOST_ATTEMPTS as usize);
        let hours = delays.iter().sum::<i64>() / 3_600_000;
        assert!((46..=50).contains(&hours), "{hours}");
        assert!(delays.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(delay_ms(1, 200), Some(6_000));
        assert_eq!(delay_ms(1, 201), Some(5_000));
        assert!((0..u16::MAX).all(|jitter| delay_ms(13, jitter) <= Some(MOST_DELAY_MS)));
    }
}
