//! Places at which a test can end the process as a power cut would: `FAILPOINT=refresh-answered` in the environment of a
//! debug build. A release build has none of it.

/// Ends the process here, where the environment names this place; `FAILPOINT=name:3` at the third time.
#[cfg(debug_assertions)]
pub(super) fn reached(name: &str) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    };
    static CHOSEN: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let text = std::env::var("FAILPOINT").ok()?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU32::new(times.parse().unwrap_or(1))))
    });
    if let Some((chosen, left)) = chosen
        && chosen == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        // No destructor runs, no buffer is written: what is not on the disk is gone.
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(super) fn reached(_: &str) {}
