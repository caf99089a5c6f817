//! The timeouts of `send`, `ping` and `bench`.

use std::time::Duration;

use clap::Args;

use crate::units::positive_time;

/// The most time that each kind of wait may take.
#[derive(Args, Clone, Debug)]
pub struct Timeouts {
    /// Maximum time to wait for a connection
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = positive_time, help_heading = "Connection")]
    pub connect_timeout: Duration,
    /// Maximum time to wait for a reply; `send` waits a second longer for each 16 KiB of it that have arrived; a later
    /// reply is lost for `ping`, and an error for `bench`
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = positive_time, help_heading = "Connection")]
    pub read_timeout: Duration,
    /// Maximum time to wait for a server that accepts no bytes
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = positive_time, help_heading = "Connection")]
    pub write_timeout: Duration,
}
