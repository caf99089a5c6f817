//! What the predecessor writes and the successor reads. A change of anything here needs another version.

use serde::{Deserialize, Serialize};

pub use crate::server::CONNECTIONS;
use crate::server::SavedServer;
use crate::sys::FileId;

/// The name of the descriptor that carries all others (`FDNAME=` in `sd_notify(3)`, `LISTEN_FDNAMES`).
pub const NAME: &str = "hand-over";

/// The payload of the first message: what it is, and the version of the format.
pub const STATE: &[u8] = b"state 2\n";
/// The payload of messages with sockets that the daemon has bound, in every version of the format.
pub const LISTENERS: &[u8] = b"listeners";
/// The payload of messages with sockets that a service manager has passed, in every version of the format.
pub const INHERITED: &[u8] = b"inherited";

/// The longest header, in bytes: longer ones are neither written nor read. Derived: the totals of a protocol take below
/// 2 KiB, and the rest has room for 4,000 listeners of 250 bytes each, with the longest path of a Unix socket; or for
/// 1,400 that are impaired, which takes up to 500 bytes more.
pub const MAX_HEADER: u64 = 1 << 20;

/// The first line of the state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The state of the server.
    pub server: SavedServer,
    /// The listeners that are handed over.
    pub listeners: Vec<ListenerRecord>,
}

/// A listener that is handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerRecord {
    /// Identifies its socket (`SO_COOKIE`, socket(7)).
    pub cookie: u64,
    /// What it is for.
    pub origin: ListenerOrigin,
    /// The file of a Unix socket that the daemon has bound, if it has one.
    pub file: Option<FileRecord>,
}

/// What a listener is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum ListenerOrigin {
    /// The daemon has bound it.
    Own {
        /// The name of its service.
        service: String,
        /// Its address, as it is written in the settings.
        address: String,
        /// The number of listeners before it with the same service and address.
        ordinal: usize,
    },
    /// The service manager has passed it to a predecessor, under this name.
    Inherited {
        /// The name of the descriptor, with options.
        name: String,
    },
}

/// The file of a Unix socket, and its lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Device and inode of the file of the socket.
    pub socket: (u64, u64),
    /// Device and inode of the lock file, whose descriptor is among those of the listeners.
    pub lock: (u64, u64),
}

impl ListenerOrigin {
    /// The payload of messages with such listeners.
    #[must_use]
    pub fn payload(&self) -> &'static [u8] {
        match self {
            Self::Own { .. } => LISTENERS,
            Self::Inherited { .. } => INHERITED,
        }
    }
}

/// A file as it is written.
#[must_use]
pub fn numbers_of(id: FileId) -> (u64, u64) {
    (id.device, id.inode)
}

/// A file as it was written.
#[must_use]
pub fn file_of((device, inode): (u64, u64)) -> FileId {
    FileId { device, inode }
}
