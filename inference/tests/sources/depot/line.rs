//! A way to a server that counts what comes through and breaks when told to.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
};

/// What happens when the bytes that were allowed have come.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    /// The connection ends; later ones are whole.
    Cut,
    /// Nothing more comes before [`Line::mend`].
    Stall,
}

struct Shared {
    /// Bytes from the server to the client.
    sent: AtomicU64,
    /// Where it breaks; `u64::MAX` if nowhere.
    allowed: AtomicU64,
    breaks: AtomicU64,
    mended: Notify,
    end: End,
}

pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Line {
    /// A sound one, until it is told to break.
    pub(crate) async fn to(server: SocketAddr, end: End) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Shared {
            sent: AtomicU64::new(0),
            allowed: AtomicU64::new(u64::MAX),
            breaks: AtomicU64::new(0),
            mended: Notify::new(),
            end,
        });
        let line = Self { address, shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((client, _)) = socket.accept().await {
                let Ok(server) = TcpStream::connect(server).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(upward(from_client, to_server));
                tokio::spawn(downward(from_server, to_client, Arc::clone(&shared)));
            }
        });
        line
    }

    /// Breaks once, after that many bytes more.
    pub(crate) fn break_after(&self, bytes: u64) {
        self.shared.allowed.store(self.sent() + bytes, SeqCst);
    }

    pub(crate) fn mend(&self) {
        self.shared.allowed.store(u64::MAX, SeqCst);
        self.shared.mended.notify_waiters();
    }

    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(SeqCst)
    }

    pub(crate) fn breaks(&self) -> u64 {
        self.shared.breaks.load(SeqCst)
    }
}

async fn upward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn downward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: Arc<Shared>) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let allowed = shared.allowed.load(SeqCst).saturating_sub(shared.sent.load(SeqCst));
        let passes = read.min(usize::try_from(allowed).unwrap_or(usize::MAX));
        shared.sent.fetch_add(passes as u64, SeqCst);
        if to.write_all(&piece[..passes]).await.is_err() {
            return;
        }
        if passes < read {
            shared.breaks.fetch_add(1, SeqCst);
            match shared.end {
                End::Cut => {
                    shared.allowed.store(u64::MAX, SeqCst);
                    return;
                }
                End::Stall => shared.mended.notified().await,
            }
            return;
        }
    }
}
