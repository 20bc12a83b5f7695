//! The TCP connection under a request: how many requests it has carried, and how it is reset.

use std::{
    any::Any,
    net::TcpStream,
    os::fd::AsFd as _,
    sync::atomic::{AtomicU64, Ordering},
};

use actix_web::{HttpRequest, dev::Extensions};
use tokio::net::TcpSocket;

/// A mark on a response: the connection is to be reset in place of sending it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reset;

/// What is kept beside a connection.
#[derive(Debug)]
pub(super) struct Connection {
    requests: AtomicU64,
    /// A second handle of the socket: the server does not give its own away.
    socket: Option<TcpSocket>,
}

impl Connection {
    /// Keeps it for a connection that has come in.
    pub(super) fn attach(io: &dyn Any, data: &mut Extensions) {
        let stream = io.downcast_ref::<tokio::net::TcpStream>();
        let copy = stream.and_then(|stream| stream.as_fd().try_clone_to_owned().ok());
        let socket = copy.map(|copy| TcpSocket::from_std_stream(TcpStream::from(copy)));
        data.insert(Self { requests: AtomicU64::new(0), socket });
    }

    /// Counts a request.
    pub(super) fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Has the connection end with a reset (RST) when it is closed. What was not sent is lost.
    pub(super) fn reset(&self) {
        if let Some(socket) = &self.socket {
            // If it fails, the connection is closed all the same.
            let _ = socket.set_zero_linger();
        }
    }
}

/// Whether a request is not the first on its connection.
pub(super) fn is_reused(request: &HttpRequest) -> bool {
    request.conn_data::<Connection>().is_some_and(|connection| connection.requests.load(Ordering::Relaxed) > 1)
}
