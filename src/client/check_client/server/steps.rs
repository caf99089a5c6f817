//! The steps of a script, one thing at a time.

use std::time::Instant;

use super::connection::Connection;
use super::{NewConnections, ScriptedServer};
use crate::client::check_client::plan::Step;
use crate::client::check_client::script::Task;
use crate::client::check_client::wire::{self, Parsed};

impl ScriptedServer {
    /// Does one thing of the script; returns whether there may be more.
    pub(super) fn step(&mut self, now: Instant) -> bool {
        self.choose_connection();
        if self.connections.is_empty() {
            return false;
        }
        let (requests, ended) = (self.requests(), self.connections[self.active].has_ended());
        let Some(task) = self.script.task(now) else { return false };
        let done = match task {
            Task::AwaitRequests(number) => requests >= *number,
            Task::PauseUntil(time) => now >= *time,
            Task::AwaitEnd => ended,
            Task::Silence => false,
            Task::Send { .. } => return self.send(),
            Task::Gather { .. } => return self.gather(requests, ended, now),
            Task::ServeAll => return self.serve(),
            Task::Close => {
                self.new_connections = NewConnections::Closed;
                self.connections.iter_mut().for_each(Connection::half_close);
                true
            }
            Task::Reset => {
                self.new_connections = NewConnections::Reset;
                self.connections.iter_mut().for_each(Connection::reset);
                true
            }
        };
        if done {
            self.script.finish_task();
        }
        done
    }

    /// Goes on with the next connection, if nothing is in progress on this one.
    fn choose_connection(&mut self) {
        let next = self.active + 1;
        let waits = matches!(
            self.script.current(),
            None | Some(Task::AwaitRequests(_) | Task::Gather { .. } | Task::AwaitEnd | Task::ServeAll)
        );
        if next < self.connections.len() && waits && self.connections[self.active].is_between_requests() {
            self.active = next;
        }
    }

    fn send(&mut self) -> bool {
        let connection = &mut self.connections[self.active];
        let Some(Task::Send { bytes, sent, .. }) = self.script.current_mut() else { return false };
        let written = connection.write(&bytes[*sent..]);
        self.sent.push(&bytes[*sent..*sent + written]);
        *sent += written;
        let done = *sent == bytes.len() || connection.is_broken();
        if done {
            self.script.finish_task();
        }
        done || written > 0
    }

    fn gather(&mut self, requests: usize, ended: bool, now: Instant) -> bool {
        let total = self.total();
        let Some(Task::Gather { replies, first, quiet, since, seen }) = self.script.current_mut() else { return false };
        let arrived = requests.saturating_sub(*first).min(replies.len());
        if *seen != total || (arrived > 0 && since.is_none()) {
            (*seen, *since) = (total, Some(now));
        }
        let is_quiet = since.is_some_and(|since| now >= since + *quiet);
        if !replies.is_empty() && (arrived == 0 || !(is_quiet || ended || arrived == replies.len())) {
            return false;
        }
        let bytes: Vec<u8> = replies.drain(..arrived).flatten().collect();
        let (rest, quiet) = (std::mem::take(replies), *quiet);
        self.script.add_requests(arrived);
        let more = (!rest.is_empty()).then(|| Step::AnswerTogether(rest.into(), quiet));
        self.script.expand_task([Step::Send(bytes)].into_iter().chain(more).collect());
        true
    }

    /// Replies to each request on each connection.
    fn serve(&mut self) -> bool {
        let protocol = self.protocol;
        let mut any = false;
        for connection in &mut self.connections {
            let sent = connection.serve(|bytes| match wire::parse(protocol, bytes) {
                Parsed::Request(request) => Some((request.size, wire::reply(protocol, &request))),
                _ => None,
            });
            self.sent.push(&sent);
            any |= !sent.is_empty();
        }
        any
    }

    /// Closes each connection that its client has ended, unless the script sends on it or wants it open.
    pub(super) fn answer_ends(&mut self) {
        let busy = matches!(self.script.current(), Some(Task::Send { .. } | Task::PauseUntil(_) | Task::Silence));
        let waits_for_replies = matches!(self.script.current(), Some(Task::Gather { since: Some(_), .. }));
        for (index, connection) in self.connections.iter_mut().enumerate() {
            let in_use = index == self.active && (busy || waits_for_replies);
            if connection.has_ended() && !in_use && !connection.has_unsent() {
                connection.half_close();
            }
        }
    }
}
