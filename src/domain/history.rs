//! What has become of refreshes: of one connection, and day by day.

use super::{Timestamp, event::Event, grant::Blame};

/// What came of one refresh of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshResult {
    /// From 1 for each connection, ascending.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Who is to blame, and what it came to, in a word; `None`: it worked.
    pub failed: Option<(Blame, String)>,
}

/// The refreshes of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshDay {
    /// When it began, UTC.
    pub begins_at: Timestamp,
    /// How many worked.
    pub ok: u64,
    /// How many failed through the app, the grant, the provider, the network.
    pub failed: [u64; 4],
}

/// One line in the history of a connection.
#[derive(Debug, Clone)]
pub enum Moment {
    /// It was refreshed, or was to be.
    Refresh(RefreshResult),
    /// Something happened to it.
    Event(Event),
}

/// Where a line stands in a history: by time, and of the same time events behind refreshes, since they follow from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When.
    pub at: Timestamp,
    /// Whether it is an event.
    pub is_event: bool,
    /// The number among its kind.
    pub number: i64,
}

impl Moment {
    /// Where it stands.
    pub fn place(&self) -> Place {
        match self {
            Self::Refresh(result) => Place { at: result.at, is_event: false, number: result.seq },
            Self::Event(event) => Place { at: event.at, is_event: true, number: event.id },
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.at.0, u8::from(self.is_event), self.number)
    }
}

impl Place {
    /// The place that is written so; `None`: none is.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse::<i64>().ok());
        let (at, is_event, number) = (parts.next()??, parts.next()??, parts.next()??);
        let place = Self { at: Timestamp(at), is_event: is_event == 1, number };
        // One place, one way to write it.
        (place.to_string() == text).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_what_it_writes() {
        for place in [
            Place { at: Timestamp(1_764_041_917_000), is_event: false, number: 12 },
            Place { at: Timestamp(0), is_event: true, number: i64::MAX },
        ] {
            assert_eq!(Place::parse(&place.to_string()), Some(place));
        }
        for bad in ["", "-", "1", "1-0", "1-2-3", "+1-0-3", "1-0-03", "1-0-3-4", "a-0-1", "99999999999999999999-0-1"] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }
}
