//! A TCP connection that sends nothing while the fence is closed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::engine::client::Fenced;
use crate::engine::lease::Fence;

/// The fence is asked immediately before each system call that sends. What is refused ends the
/// connection, so that a request is sent to its end or never understood by the server.
pub(super) struct FencedStream {
    tcp: TcpStream,
    fence: Fence,
}

impl FencedStream {
    pub(super) fn new(tcp: TcpStream, fence: Fence) -> Self {
        Self { tcp, fence }
    }

    /// The connection, for sending.
    fn open(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if self.fence.permit() { Ok(Pin::new(&mut self.tcp)) } else { Err(io::Error::other(Fenced)) }
    }
}

impl AsyncRead for FencedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for FencedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.open()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl Connection for FencedStream {
    fn connected(&self) -> Connected {
        self.tcp.connected()
    }
}
