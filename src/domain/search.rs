//! What is looked for in long lists, and what is found there.

use super::{Timestamp, Why, connection::Status, grant::Blame};

/// More characters nobody looks for: no name has as many.
pub const MOST_TEXT: usize = 1000;
/// The most items of one page.
pub const MOST_ITEMS: usize = 200;

/// A text that is looked for, without regard to case. It has no signs with a meaning of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    folded: String,
    id: Option<i64>,
}

/// Letter by letter, so that what surrounds a letter does not count (a Greek word may end in another sigma).
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

impl Needle {
    /// White space around a text is not looked for; `None`: nothing is left.
    pub fn new(text: &str) -> Result<Option<Self>, Why> {
        let text = text.trim();
        if text.chars().count() > MOST_TEXT {
            return Err(Why::TooLong(MOST_TEXT));
        }
        let id = text.parse().ok().filter(|id: &i64| id.to_string() == text);
        Ok((!text.is_empty()).then(|| Self { folded: fold(text), id }))
    }

    /// The number that the text is: an id is looked for as a whole.
    pub fn id(&self) -> Option<i64> {
        self.id
    }

    /// Whether it stands somewhere in a text, given as its bytes: half a million are looked through for one page.
    pub fn is_in(&self, text: &[u8]) -> bool {
        if !text.is_ascii() {
            return std::str::from_utf8(text).is_ok_and(|text| fold(text).contains(&self.folded));
        }
        // Most texts, and nothing is copied for them.
        let needle = self.folded.as_bytes();
        let Some((first, rest)) = needle.split_first() else { return true };
        let Some(last_start) = text.len().checked_sub(needle.len()) else { return false };
        let (lower, upper) = (*first, first.to_ascii_uppercase());
        text[..=last_start].iter().enumerate().any(|(at, byte)| {
            (*byte == lower || *byte == upper) && text[at + 1..at + needle.len()].eq_ignore_ascii_case(rest)
        })
    }
}

/// What is looked for, and which part of it is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The text; `None`: any.
    pub text: Option<Needle>,
    /// Only what stands behind this one.
    pub after: Option<i64>,
    /// How many at most: 1 to [`MOST_ITEMS`].
    pub limit: usize,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Found<T> {
    /// The part that was wanted.
    pub items: Vec<T>,
    /// What to go on after; `None`: that was all.
    pub next: Option<i64>,
    /// How many there are in all, before and behind this part.
    pub total: u64,
    /// Whether there may be more: nobody counts for ever.
    pub total_is_at_least: bool,
}

/// Something with an id and a name, where no more is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// From 1.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// The slug of its provider.
    pub provider: String,
}

/// Which profiles.
#[derive(Debug, Clone, Default)]
pub struct ProfileFilter {
    /// Of this provider.
    pub provider: Option<String>,
    /// In this state.
    pub state: Option<ProfileState>,
}

/// A state in which a profile wants somebody to look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileState {
    /// The provider turns its client id or secret down.
    Rejected,
    /// A secret of it ends within 30 days, or has ended.
    Expiring,
}

impl ProfileState {
    /// All states.
    pub const ALL: [Self; 2] = [Self::Rejected, Self::Expiring];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expiring => "expiring",
        }
    }

    /// The state of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A profile in a list.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of a profile and its secret")]
pub struct ProfileItem {
    pub id: i64,
    pub name: String,
    pub provider: String,
    pub client_id: String,
    pub callback: String,
    pub connections: u64,
    pub customers: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub secret_since: Timestamp,
    pub secret_used_at: Option<Timestamp>,
    pub secret_expires_at: Option<Timestamp>,
    pub has_next_secret: bool,
    pub rejected_at: Option<Timestamp>,
    pub rejected_why: Option<String>,
    pub owner: Option<String>,
}

/// Which connections.
#[derive(Debug, Clone, Default)]
pub struct ConnectionFilter {
    /// Of this provider.
    pub provider: Option<String>,
    /// Of this profile.
    pub profile_id: Option<i64>,
    /// Of this owner.
    pub owner: Option<String>,
    /// Of this customer.
    pub customer_id: Option<i64>,
    /// In this state.
    pub state: Option<ConnectionState>,
}

/// How a connection fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// It is authorised, and its last refresh worked.
    Ok,
    /// Nobody has authorised it yet.
    Never,
    /// Its grant is gone.
    Lost,
    /// The provider turns its profile's client id or secret down, or our own settings are not enough.
    App,
    /// Its last refresh failed through the provider.
    Provider,
    /// Its last refresh failed on the way there.
    Network,
    /// It is not known whether our refresh token is the last one.
    Uncertain,
    /// Whatever is not [`Self::Ok`].
    Wrong,
}

impl ConnectionState {
    /// All states.
    pub const ALL: [Self; 8] =
        [Self::Ok, Self::Never, Self::Lost, Self::App, Self::Provider, Self::Network, Self::Uncertain, Self::Wrong];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Never => "never",
            Self::Lost => "lost",
            Self::App => "app",
            Self::Provider => "provider",
            Self::Network => "network",
            Self::Uncertain => "uncertain",
            Self::Wrong => "wrong",
        }
    }

    /// The state of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A connection in a list, with how its grant fares.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of a connection and its grant")]
pub struct ConnectionItem {
    pub id: i64,
    pub name: String,
    pub provider: String,
    pub profile_id: i64,
    pub profile_name: String,
    pub owner: Option<String>,
    pub customer_id: Option<i64>,
    pub customer_name: Option<String>,
    pub external_id: Option<String>,
    pub account_id: Option<String>,
    pub account_label: Option<String>,
    pub status: Option<Status>,
    pub lost_at: Option<Timestamp>,
    pub lost_reason: Option<String>,
    pub blame: Option<Blame>,
    pub uncertain_since: Option<Timestamp>,
    pub failures: u32,
    pub last_attempt_at: Option<Timestamp>,
    pub last_result: Option<String>,
    pub next_refresh_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A customer in a list, with its profiles.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of a customer")]
pub struct CustomerItem {
    pub id: i64,
    pub name: String,
    pub notification_email: String,
    pub external_id: Option<String>,
    pub connections: u64,
    pub profiles: Vec<Named>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A client application in a list.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of a client application")]
pub struct ApplicationItem {
    pub id: String,
    pub name: String,
    pub enabled: bool,
    pub scopes: String,
    pub secrets: u64,
    pub file_name: String,
    pub size: u64,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_without_regard_to_case_and_by_nothing_else() {
        let found =
            |needle: &str, text: &str| Needle::new(needle).expect("short").expect("a text").is_in(text.as_bytes());
        for (needle, text) in [
            ("acme", "The ACME shop"),
            (" Sales ", "sales"),
            ("größe", "GRÖSSE, Größe"),
            ("ΟΔΟΣ", "οδοσ"),
            ("%", "100 %"),
            ("_", "a_b"),
            ("🜁", "air 🜁"),
            ("\u{202e}gpj", "\u{202e}GPJ.exe"),
            ("\u{212a}elvin", "KELVIN"),
            ("p", "shop"),
        ] {
            assert!(found(needle, text), "{needle} in {text}");
        }
        for (needle, text) in [("%", "abc"), ("a_c", "abc"), ("acmee", "acme"), ("é", "e"), ("a", ""), ("[a-z]", "b")]
        {
            assert!(!found(needle, text), "{needle} in {text}");
        }
        assert_eq!(Needle::new(" \t"), Ok(None));
        assert_eq!(Needle::new(&"é".repeat(1001)), Err(Why::TooLong(1000)));
        let id = |text: &str| Needle::new(text).expect("short").expect("a text").id();
        assert_eq!(["17", "+17", "017", "1x"].map(id), [Some(17), None, None, None]);
    }
}
