//! Long lists, handed over piece by piece while one snapshot is read: the memory that a list takes does not grow with it.
//!
//! A snapshot keeps the log from being written back whole, so who reads has a limit in time, for each piece and in all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::mpsc};

use super::{Db, Read, TURN};
use crate::domain::{Error, Outage, Result};

/// So many items are handed over together.
const PIECE: usize = 256;
/// So many pieces wait for whoever reads them.
const WAITING: usize = 2;
/// So many lists that do not fit into these are read at once; fewer than a worker has threads for such work.
pub(super) const MOST_STREAMS: usize = 3;

/// How long a list may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For whoever reads to take one piece.
    pub piece: Duration,
    /// In all.
    pub whole: Duration,
}

/// What somebody on the other side of a network may take.
pub const LIMITS: Limits = Limits { piece: Duration::from_secs(15), whole: Duration::from_mins(2) };

/// The pieces of a list as they come.
pub struct Pieces<T> {
    way: mpsc::Receiver<Result<Vec<T>>>,
    whole: Arc<AtomicBool>,
    over: bool,
}

impl<T> Pieces<T> {
    /// The next piece, never an empty one. `None`: that was all of it. Behind an error there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Vec<T>>> {
        if self.over {
            return None;
        }
        let piece = match self.way.recv().await {
            // Half a list must not pass for a whole one.
            None if !self.whole.load(Ordering::SeqCst) => Some(Err(Error::unavailable(Outage::Readers))),
            piece => piece,
        };
        self.over = !matches!(piece, Some(Ok(_)));
        piece
    }
}

/// Where the items go.
pub struct Out<T> {
    piece: Vec<T>,
    way: mpsc::Sender<Result<Vec<T>>>,
    handle: Handle,
    until: Instant,
    limits: Limits,
}

impl<T> Out<T> {
    /// Hands an item over. An error: nobody takes it any more, and the rest need not be read.
    pub fn put(&mut self, item: T) -> Result<()> {
        self.piece.push(item);
        if self.piece.len() < PIECE { Ok(()) } else { self.hand_over() }
    }

    fn hand_over(&mut self) -> Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.send(Ok(piece))
    }

    fn send(&self, piece: Result<Vec<T>>) -> Result<()> {
        let left = self.until.saturating_duration_since(Instant::now()).min(self.limits.piece);
        let sent = self.handle.block_on(async { tokio::time::timeout(left, self.way.send(piece)).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::unavailable(Outage::Readers)),
        }
    }
}

impl Db {
    /// Runs `f` over one snapshot on the blocking pool, and hands over what it puts out as it comes.
    pub async fn stream<T: Send + 'static>(
        &self,
        limits: Limits,
        f: impl FnOnce(&Read<'_>, &mut Out<T>) -> Result<()> + Send + 'static,
    ) -> Result<Pieces<T>> {
        let turns = async {
            let own = Arc::clone(&self.inner.streams).acquire_owned().await;
            let scan = Arc::clone(&self.inner.scans).acquire_owned().await;
            Ok::<_, Error>((own.map_err(Error::internal)?, scan.map_err(Error::internal)?))
        };
        let turns = tokio::time::timeout(TURN, turns).await.map_err(|_| Error::unavailable(Outage::Readers))??;
        let (way, taken) = mpsc::channel(WAITING);
        let whole = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&whole);
        let (db, handle) = (self.clone(), Handle::current());
        drop(tokio::task::spawn_blocking(move || {
            // Given back when the work is done, whether or not somebody still reads.
            let _turns = turns;
            let mut out =
                Out { piece: Vec::with_capacity(PIECE), way, handle, until: Instant::now() + limits.whole, limits };
            match db.read(|read| f(read, &mut out)).and_then(|()| out.hand_over()) {
                Ok(()) => done.store(true, Ordering::SeqCst),
                // Where nobody takes it, nobody learns of it.
                Err(error) => drop(out.send(Err(error))),
            }
        }));
        Ok(Pieces { way: taken, whole, over: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        Hold,
        seal::{KeyList, Sealer},
        system_clock,
    };

    fn open(dir: &std::path::Path) -> Db {
        let sealer = Sealer::new(KeyList::generate().expect("keys")).expect("a sealer");
        Db::open(dir, Hold::take(dir).expect("held"), sealer, system_clock()).expect("opens")
    }

    const SHORT: Limits = Limits { piece: Duration::from_millis(50), whole: Duration::from_secs(5) };

    fn many(_: &Read<'_>, out: &mut Out<usize>) -> Result<()> {
        (0..10_000).try_for_each(|n| out.put(n))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_list_comes_whole_and_in_order() {
        let dir = tempfile::tempdir().expect("a folder");
        let db = open(dir.path());
        let mut pieces = db.stream(LIMITS, many).await.expect("begins");
        let mut all = Vec::new();
        while let Some(piece) = pieces.next().await {
            all.extend(piece.expect("a piece"));
        }
        assert!(all.into_iter().eq(0..10_000));
        let mut none = db.stream(LIMITS, |_, _: &mut Out<usize>| Ok(())).await.expect("begins");
        assert!(none.next().await.is_none());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_takes_nothing_holds_no_snapshot_for_ever_and_half_a_list_is_an_error() {
        let dir = tempfile::tempdir().expect("a folder");
        let db = open(dir.path());
        // More of them than there is room for: each makes room in its time.
        for _ in 0..3 * MOST_STREAMS {
            let mut hung = db.stream(SHORT, many).await.expect("there is room again");
            // Somebody who takes a while to begin: longer than is allowed.
            tokio::time::sleep(SHORT.piece * 3).await;
            let mut taken = 0;
            let end = loop {
                match hung.next().await {
                    Some(Ok(piece)) => taken += piece.len(),
                    other => break other,
                }
            };
            assert!(matches!(end, Some(Err(Error::Unavailable { why: Outage::Readers, .. }))), "{taken} of 10,000");
            assert!(taken < 10_000 && hung.next().await.is_none());
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_error_in_the_middle_ends_a_list() {
        let dir = tempfile::tempdir().expect("a folder");
        let db = open(dir.path());
        let broken = |read: &Read<'_>, out: &mut Out<usize>| {
            many(read, out)?;
            Err(Error::internal("in the middle"))
        };
        let mut pieces = db.stream(LIMITS, broken).await.expect("begins");
        let mut last = None;
        while let Some(piece) = pieces.next().await {
            last = Some(piece);
        }
        assert!(matches!(last, Some(Err(Error::Internal(_)))));
    }
}
