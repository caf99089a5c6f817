//! The memory of connections: what all may hold together, and the buffers that hold it.

pub mod budget;
pub mod buffer;
