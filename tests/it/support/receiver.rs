//! Somebody who takes what webhooks deliver, or does not.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What the receiver does with a request.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    /// Answers with this status.
    Status(u16),
    /// Never answers.
    Hang,
    /// Closes the connection.
    Cut,
    /// Begins to answer with 200, and never comes to an end of the body.
    Endless,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Received {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Whether the signature is right, as a receiver works it out from the documentation: nothing of ours is used.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let signature = self.header("grantry-signature");
        let (time, proof) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let mut key = [0_u8; 64];
        if secret.len() > key.len() {
            key[..32].copy_from_slice(&Sha256::digest(secret));
        } else {
            key[..secret.len()].copy_from_slice(secret.as_bytes());
        }
        let inner = Sha256::new().chain_update(key.map(|b| b ^ 0x36)).chain_update(time).chain_update(".");
        let inner = inner.chain_update(&self.body).finalize();
        let outer = Sha256::new().chain_update(key.map(|b| b ^ 0x5c)).chain_update(inner).finalize();
        proof == grantry::app::credential::hex(&outer)
    }
}

struct Shared {
    /// What to do with the next requests, and with all after them.
    replies: Mutex<(VecDeque<Reply>, Reply)>,
    received: Mutex<Vec<Received>>,
}

/// A receiver on a port of its own.
pub struct Receiver {
    pub url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
        if !std::thread::panicking() {
            for Received { headers, body } in self.received() {
                if let Some(found) = super::find_secret(format!("{headers:?} {body}").as_bytes(), &[]) {
                    panic!("a secret in what was delivered: {found}");
                }
            }
        }
    }
}

impl Receiver {
    /// One that does this with every request.
    pub async fn start(always: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?key=of_the_receiver", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { replies: Mutex::new((VecDeque::new(), always)), received: Mutex::default() });
        let sharing = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                tokio::spawn(serve(stream, Arc::clone(&sharing)));
            }
        });
        Self { url, shared, task }
    }

    /// Does these things first, one for each request.
    pub fn first(&self, replies: &[Reply]) {
        self.shared.replies.lock().unwrap().0.extend(replies);
    }

    /// Does this from now on.
    pub fn always(&self, reply: Reply) {
        *self.shared.replies.lock().unwrap() = (VecDeque::new(), reply);
    }

    /// What has come so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits until so many requests have come; all of them.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> impl Future<Output = Vec<Received>> {
        let place = std::panic::Location::caller();
        async move {
            let begun = Instant::now();
            loop {
                let received = self.received();
                if received.len() >= count {
                    return received;
                }
                let late = begun.elapsed() > Duration::from_secs(20);
                assert!(!late, "{place}: {} of {count} requests came", received.len());
                // Another process sends them: there is nothing to wait on.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let Some(received) = read(&mut stream).await else { return };
    let reply = {
        let mut replies = shared.replies.lock().unwrap();
        let always = replies.1;
        replies.0.pop_front().unwrap_or(always)
    };
    shared.received.lock().unwrap().push(received);
    let head = |status: u16, more: &str| {
        format!("HTTP/1.1 {status} What\r\nlocation: http://127.0.0.1:1/\r\nconnection: close\r\n{more}\r\n")
    };
    match reply {
        Reply::Status(status) => {
            // What a receiver says is nobody's business.
            let body = "PLANTED_by_the_receiver";
            let more = format!("content-length: {}\r\n", body.len());
            let _ = stream.write_all(format!("{}{body}", head(status, &more)).as_bytes()).await;
        }
        Reply::Endless => {
            let _ =
                stream.write_all(format!("{}1\r\nx\r\n", head(200, "transfer-encoding: chunked\r\n")).as_bytes()).await;
            wait_for_the_end(&mut stream).await;
        }
        Reply::Hang => wait_for_the_end(&mut stream).await,
        Reply::Cut => {}
    }
}

async fn wait_for_the_end(stream: &mut TcpStream) {
    let mut rest = [0; 64];
    let end = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    let _ = tokio::time::timeout(Duration::from_mins(1), end).await;
}

/// A request with a body of a known length; `None` when it is none.
async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut headers = BTreeMap::new();
    let mut end = None;
    loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&part[..read]);
        if end.is_none() {
            end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            let head = std::str::from_utf8(&bytes[..end.unwrap_or_default()]).ok()?;
            for line in head.lines().skip(1) {
                let (name, value) = line.split_once(": ")?;
                assert!(headers.insert(name.to_lowercase(), value.to_owned()).is_none(), "twice: {name}");
            }
        }
        if let Some(end) = end {
            let length: usize = headers.get("content-length")?.parse().ok()?;
            if bytes.len() >= end + 4 + length {
                return Some(Received { headers, body: String::from_utf8(bytes.split_off(end + 4)).ok()? });
            }
        }
    }
}
