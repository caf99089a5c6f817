//! System calls behind safe functions: the only module that names nix or libc outside of tests, and the only one with
//! unsafe code.
//!
//! Knows nothing about the rest of the crate; the daemon, the server and the client use it. Guarantees: every function
//! is safe to call, every descriptor that is opened here is closed on exec, and nothing is logged. Functions whose
//! callers match or print the error number return [`Errno`], the others [`std::io::Error`], into which `?` converts it.
//!
//! | file | system calls |
//! |---|---|
//! | `poller.rs` | epoll(7): many descriptors |
//! | `interest.rs` | what a descriptor is watched for |
//! | `poll.rs` | poll(2): a few descriptors |
//! | `event_fd.rs`, `timer_fd.rs` | eventfd(2) and `timerfd_create(2)`, to wake a poller |
//! | `signals.rs` | sigaction(2): signals of the daemon |
//! | `signal_fd.rs` | signalfd(2): signals of the client |
//! | `socket_address.rs` | addresses of stream sockets, and how they are written |
//! | `socket.rs` | socket(2), bind(2), listen(2), connect(2) |
//! | `stream_socket.rs` | accept4(2), send(2), recv(2), shutdown(2), getsockname(2): listeners and connections |
//! | `user_namespace.rs` | which users and groups this process knows (`user_namespaces(7)`) |
//! | `socket_options.rs` | setsockopt(2), and reading back what was set |
//! | `syn_filter.rs` | setsockopt(2): the filter of a listener that is about to be closed |
//! | `socket_file.rs` | fchmod(2), fchmodat(2), umask(2), unlink(2): the files of Unix sockets |
//! | `lock_file.rs` | flock(2), unlink(2): lock files |
//! | `socket_info.rs` | kind, addresses and queues of a socket |
//! | `inherited.rs` | descriptors that came through execve(2) |
//! | `execute.rs` | execve(2) |
//! | `pipe.rs` | pipe(2), splice(2): bytes that move between sockets without a copy |
//! | `passed_descriptors.rs` | sendmsg(2) with `SCM_RIGHTS` |
//! | `descriptor_socket.rs` | socketpair(2), recvmsg(2): a socket that carries descriptors |
//! | `memory_file.rs` | `memfd_create(2)`, and its seals |
//! | `file.rs` | open(2), fstat(2), lstat(2), write(2) |
//! | `resource_limits.rs` | getrlimit(2), setrlimit(2), fcntl(2): the table of descriptors |
//! | `resource_usage.rs` | getrusage(2) |
//! | `memory.rs` | sysinfo(2), madvise(2), prctl(2), `malloc_trim(3)` |
//! | `host.rs` | gethostname(2) |
//! | `process_group.rs` | waitid(2), kill(2): a child and its process group |
//! | `clock.rs` | `clock_gettime(2)` |
//! | `thread.rs` | setpriority(2) |

mod clock;
mod descriptor_socket;
mod event_fd;
mod execute;
mod file;
mod host;
mod inherited;
mod interest;
mod lock_file;
mod memory;
mod memory_file;
mod passed_descriptors;
mod pipe;
mod poll;
mod poller;
mod process_group;
mod resource_limits;
mod resource_usage;
mod signal_fd;
mod signals;
mod socket;
mod socket_address;
mod socket_file;
mod socket_info;
mod socket_options;
mod standard;
mod stream_socket;
mod syn_filter;
mod tcp_info;
#[cfg(test)]
pub mod test_process;
mod thread;
mod timer_fd;
mod user_namespace;

pub use clock::{monotonic_nanoseconds, unix_time};
pub use descriptor_socket::{DescriptorReceiver, DescriptorSender, MAX_DESCRIPTORS, Received, descriptor_pair};
pub use event_fd::EventFd;
pub use execute::execute;
pub use file::{FileId, file_id, id_of, open_without_waiting, write};
pub use host::host_name;
pub use inherited::{FIRST_INHERITED, close_inherited_on_exec, inherited_flags, take_inherited};
pub use interest::Interest;
pub use memory::{disable_huge_pages, machine_memory, memory_left, release_pages, trim_heap};
pub use memory_file::{memory_file, seal, sealed_file};
pub use nix::errno::Errno;
pub use nix::sys::signal::Signal;
pub use passed_descriptors::send_with_descriptors;
pub use pipe::Pipe;
pub use poll::{is_readable, wait_any_ready, wait_readable, wait_ready, wait_writable};
pub use poller::{Event, Key, Poller};
pub use process_group::{await_exit, kill_group};
pub use resource_limits::{
    address_space_limit, data_limit, descriptor_limit, raise_descriptor_limit, reserve_descriptors,
};
pub use resource_usage::cpu_time;
pub use signal_fd::Interrupts;
pub use signals::{
    Arrivals, block_all_signals, block_signals, catch_signals, caught, ignore_signal, send_to_this_process,
};
pub use socket::{bind, close_with_reset, connect_unix, is_broadcast, listen, start_connect, stream_socket};
pub use socket_address::{SocketAddress, SocketFamily, UnixAddress, VsockAddress};
pub use socket_file::{BindError, SocketFile};
pub use socket_info::{
    SocketKind, is_connected, is_listening, queued_connections, socket_cookie, socket_kind, unacknowledged,
};
pub use socket_options::{
    enable_address_reuse, enable_dual_stack, enable_keepalive, enable_nodelay, is_ipv6_only, receive_buffer,
    send_buffer, set_keepalive_idle, set_keepalive_interval, set_keepalive_probes, set_receive_buffer, set_send_buffer,
    set_user_timeout,
};
pub use standard::{replace_standard_error, replace_standard_input_and_output};
pub use stream_socket::{Credentials, StreamListener, StreamSocket, local_address, set_nonblocking};
pub use syn_filter::drop_new_connections;
pub use tcp_info::{TcpInfo, tcp_info};
pub use thread::lower_priority;
pub use timer_fd::TimerFd;
