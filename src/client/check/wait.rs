//! Waits until a server accepts connections.

use std::time::{Duration, Instant};

use crate::client::failure::{Failure, warn};
use crate::client::target::Target;
use crate::units::format_time;

/// The time between two attempts. Chosen: a start is noticed at once for a person, and takes few attempts.
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until the server accepts a connection, for at most `time`; an attempt takes at most `patience`. Says so on
/// standard error if the first attempt fails.
///
/// # Errors
/// It does not accept one in this time; the failure has the reason of the last attempt.
pub fn until_accepting(target: &Target, time: Duration, patience: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + time;
    let mut has_waited = false;
    loop {
        let Err(error) = target.connect_before(patience, Some(deadline)) else { return Ok(()) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let reason = target.unreachable(&error);
            return Err(Failure::cannot_run(format!("no connection within {}: {reason}", format_time(time))));
        }
        if !has_waited {
            warn(&format_args!("waiting up to {} for {target}", format_time(time)));
            has_waited = true;
        }
        std::thread::sleep(INTERVAL.min(left));
    }
}
