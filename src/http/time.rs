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

/// `2023-01-15T11:50:32.986Z`: milliseconds, UTC (RFC 3339).
pub fn utc_milliseconds(at: Timestamp) -> String {
    format(at, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

/// `2023-05-08T12:37:28Z`: whole seconds.
pub fn whole_seconds(at: Timestamp) -> String {
    format(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// `2026-11-25`: the day, UTC.
pub fn day(at: Timestamp) -> String {
    format(at, "%Y-%m-%d")
}

/// Which end of a day stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Where it begins.
    Beginning,
    /// Where the next one begins.
    End,
}

/// A time of RFC 3339, or a day of UTC.
pub fn instant(text: &str, edge: Edge) -> Option<Timestamp> {
    if let Ok(day) = text.parse::<jiff::civil::Date>()
        && text.len() == "2026-11-25".len()
    {
        let day = if edge == Edge::End { day.tomorrow().ok()? } else { day };
        return Some(Timestamp(day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond()));
    }
    // In a query the plus sign of an offset is a space, unless somebody thought of it.
    let text = text.replace(' ', "+");
    let at: jiff::Timestamp = text.parse().ok()?;
    text.contains(['T', 't']).then(|| Timestamp(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_form_of_their_dialect() {
        let at = Timestamp(1_673_808_632_900);
        assert_eq!(with_offset(at), "2023-01-15T18:50:32.900+00:00");
        assert_eq!(utc_milliseconds(at), "2023-01-15T18:50:32.900Z");
        assert_eq!(whole_seconds(at), "2023-01-15T18:50:32Z");
        assert_eq!(day(at), "2023-01-15");
        assert_eq!(with_offset(Timestamp(0)), "1970-01-01T00:00:00.000+00:00");
    }

    #[test]
    fn a_time_is_read_as_it_is_written_and_a_day_has_two_ends() {
        let at = Timestamp(1_673_808_632_900);
        for text in ["2023-01-15T18:50:32.900+00:00", "2023-01-15T18:50:32.900 00:00", "2023-01-15T19:50:32.900+01:00"]
        {
            assert_eq!(instant(text, Edge::End), Some(at), "{text}");
        }
        assert_eq!(instant("2023-01-15", Edge::Beginning), Some(Timestamp(1_673_740_800_000)));
        assert_eq!(instant("2023-01-15", Edge::End), Some(Timestamp(1_673_827_200_000)));
        for bad in
            ["", "yesterday", "2023-02-30", "2023-01-15T18:50", "15.01.2023", "2023-01-15T18:50:32", "1673808632"]
        {
            assert_eq!(instant(bad, Edge::Beginning), None, "{bad}");
        }
        assert_eq!(instant("9999-12-31", Edge::End), None);
    }
}
