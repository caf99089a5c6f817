//! The memory of connections: what all may hold together, the buffers that hold it, and the pool that keeps buffers.

mod budget;
mod buffer;
mod headroom;
mod pool;

pub use budget::{Budget, Charge, Demand};
pub use buffer::{Buffer, MIN_DEFERRED_FREE, Retired};
pub use headroom::{has_headroom, keep_headroom};
pub use pool::{POOL_CAPACITY, Pool};
