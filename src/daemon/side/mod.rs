//! Services beside the workers: metrics and health by HTTP, and the agent-check of haproxy.
//!
//! | file | content |
//! |---|---|
//! | `families` | the table of the metrics |

pub mod families;
