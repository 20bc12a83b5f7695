//! Times as they are written on the wire. Inside, a time is a number of milliseconds.

use jiff::tz::TimeZone;

use crate::domain::Timestamp;

fn format(at: Timestamp, form: &str) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|at| at.to_zoned(TimeZone::UTC).strftime(form).to_string())
        .unwrap_or_default()
}

/// `2023-01-15T11:50:32.986+00:00`: milliseconds, a numeric offset, never `Z`.
pub fn with_offset(at: Timestamp) -> String {
    format(at, "%Y-%m-%dT%H:%M:%S%.3f+00:00")
}

/// `2023-05-08T12:37:28Z`: whole seconds.
pub fn whole_seconds(at: Timestamp) -> String {
    format(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// `2026-11-19`: the day, UTC.
pub fn day(at: Timestamp) -> String {
    format(at, "%Y-%m-%d")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_form_of_their_dialect() {
        let at = Timestamp(1_673_808_632_900);
        assert_eq!(with_offset(at), "2023-01-15T18:50:32.900+00:00");
        assert_eq!(whole_seconds(at), "2023-01-15T18:50:32Z");
        assert_eq!(day(at), "2023-01-15");
        assert_eq!(with_offset(Timestamp(0)), "1970-01-01T00:00:00.000+00:00");
    }
}
