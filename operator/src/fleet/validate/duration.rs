//! Durations as the spec writes them.

use std::time::Duration;

use super::Invalid;

/// Reads a duration such as 500ms, 30s or 1m30s; not a negative one.
pub(super) fn read(field: &'static str, text: &str) -> Result<Duration, Invalid> {
    let invalid = || Invalid::Duration { field, text: text.to_owned() };
    let duration: kube::core::Duration = text.parse().map_err(|_| invalid())?;
    if duration.is_negative() {
        return Err(invalid());
    }
    Ok(duration.into())
}

/// The same in whole milliseconds.
pub(super) fn milliseconds(field: &'static str, text: &str) -> Result<u32, Invalid> {
    let duration = read(field, text)?;
    u32::try_from(duration.as_millis()).map_err(|_| Invalid::Duration { field, text: text.to_owned() })
}

/// The same in whole seconds, 1 to 3600.
pub(super) fn seconds(field: &'static str, text: &str) -> Result<u32, Invalid> {
    match u32::try_from(read(field, text)?.as_secs()) {
        Ok(seconds @ 1..=3600) => Ok(seconds),
        _ => Err(Invalid::Duration { field, text: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("30s", Some(30))]
    #[case("5m", Some(300))]
    #[case("1m30s", Some(90))]
    #[case("1h", Some(3600))]
    #[case("2h", None)]
    #[case("0s", None)]
    #[case("-5s", None)]
    #[case("30", None)]
    #[case("soon", None)]
    fn times_of_whole_seconds_are_read_or_refused(#[case] text: &str, #[case] expected: Option<u32>) {
        assert_eq!(seconds("drainTimeout", text).ok(), expected);
    }

    #[rstest]
    #[case("1500ms", Some(1500))]
    #[case("1s500ms", Some(1500))]
    #[case("9s", Some(9000))]
    #[case("-1ms", None)]
    #[case("99999h", None)]
    fn times_of_milliseconds_are_read_or_refused(#[case] text: &str, #[case] expected: Option<u32>) {
        assert_eq!(milliseconds("timeouts.total", text).ok(), expected);
    }
}
