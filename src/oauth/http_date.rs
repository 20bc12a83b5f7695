//! Dates in header fields (RFC 9110 §5.6.7).

use jiff::{
    civil::DateTime,
    fmt::{rfc2822::DateTimeParser, strtime},
    tz::TimeZone,
};

use crate::domain::Timestamp;

/// IMF-fixdate, and what RFC 5322 allows beyond it: other time zones, one digit for the day, no weekday.
static IMF_FIXDATE: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// Parses a date in one of the three forms that RFC 9110 §5.6.7 requires recipients to accept: IMF-fixdate, RFC 850
/// and asctime. The weekday is not compared with the date. `None`: none of the three.
///
/// `now` gives an RFC 850 date its century: of the years with these two digits, the one from 49 years ago to 50 years
/// ahead.
pub(super) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    let at = match IMF_FIXDATE.parse_timestamp(text) {
        Ok(at) => at,
        Err(_) => rfc_850(text, now).or_else(|| asctime(text))?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
    };
    Some(Timestamp(at.as_millisecond()))
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`; with four digits for the year as well, as in the first cookies.
fn rfc_850(text: &str, now: Timestamp) -> Option<DateTime> {
    let (_, text) = text.split_once(',')?;
    let (_, year) = text.rsplit_once('-')?;
    if year.bytes().take_while(u8::is_ascii_digit).count() > 2 {
        return strtime::parse("%d-%b-%Y %H:%M:%S GMT", text).ok()?.to_datetime().ok();
    }
    let mut parsed = strtime::parse("%d-%b-%y %H:%M:%S GMT", text).ok()?;
    let this_year = jiff::Timestamp::from_millisecond(now.0).ok()?.to_zoned(TimeZone::UTC).year();
    let first = this_year - 49;
    parsed.set_year(Some(first + (parsed.year()? - first).rem_euclid(100))).ok()?;
    parsed.to_datetime().ok()
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<DateTime> {
    let (_, text) = text.split_once(' ')?;
    strtime::parse("%b %e %H:%M:%S %Y", text).ok()?.to_datetime().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-01T00:00:00Z.
    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    fn parsed(text: &str) -> Option<String> {
        let at = jiff::Timestamp::from_millisecond(parse(text, NOW)?.0).expect("in range");
        Some(at.to_string())
    }

    #[test]
    fn all_three_date_forms_are_parsed() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            // Not of the standard, but seen.
            " Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 09:49:37 +0100",
            "06 Nov 1994 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Monday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov 06 08:49:37 1994",
        ] {
            assert_eq!(parsed(text).as_deref(), Some("1994-11-06T08:49:37Z"), "{text}");
        }
    }

    #[test]
    fn two_digit_years_are_at_most_fifty_years_ahead() {
        for (digits, year) in [("26", "2026"), ("76", "2076"), ("77", "1977"), ("99", "1999"), ("00", "2000")] {
            let at = parsed(&format!("Sunday, 06-Nov-{digits} 08:49:37 GMT"));
            assert_eq!(at, Some(format!("{year}-11-06T08:49:37Z")), "{digits}");
        }
        let at = |now: &str| {
            let now = now.parse::<jiff::Timestamp>().expect("a date").as_millisecond();
            let at = parse("Sunday, 06-Nov-01 08:49:37 GMT", Timestamp(now)).expect("a date");
            jiff::Timestamp::from_millisecond(at.0).expect("in range").to_string()
        };
        assert_eq!(at("1950-01-01T00:00:00Z"), "1901-11-06T08:49:37Z");
        assert_eq!(at("2050-12-31T00:00:00Z"), "2001-11-06T08:49:37Z");
        assert_eq!(at("2051-01-01T00:00:00Z"), "2101-11-06T08:49:37Z");
    }

    #[test]
    fn other_texts_are_not_dates() {
        for text in [
            "",
            " ",
            "soon",
            "2026-01-01T00:00:00Z",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "Sunday, 31-Feb-94 08:49:37 GMT",
            "Sunday, 06-Nov-94",
            "Sunday, 06-Nov-94 08:49:37 PST",
            "Sun Feb 31 08:49:37 1994",
            "Sun Nov  6 08:49:37 99999999",
            "Sun, 06-Nov-999999 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT and more",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_date_is_read_the_same_in_all_forms(seconds in -2_000_000_000_i64..4_000_000_000) {
            let at = jiff::Timestamp::from_second(seconds).expect("in range").to_zoned(TimeZone::UTC);
            for form in ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"] {
                let text = at.strftime(form).to_string();
                // Two digits stand for a hundred years around `now`.
                let now = Timestamp(seconds * 1000);
                prop_assert_eq!(parse(&text, now), Some(now), "{}", text);
            }
        }

        #[test]
        fn no_text_panics(
            text in "[A-Za-z]{0,9},? ?[0-9+-]{0,6}[ -]?[A-Za-z]{0,4}[ -]?[0-9-]{0,20} [0-9:.]{0,20} ?[A-Z0-9+-]{0,6}",
            any in any::<String>(),
            now in any::<i64>(),
        ) {
            for text in [text, any] {
                let at = parse(&text, Timestamp(now));
                prop_assert!(at.is_none_or(|at| jiff::Timestamp::from_millisecond(at.0).is_ok()));
            }
        }
    }
}
