//! The command line's side of the HTTP API.

use std::{net::TcpListener, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    Failed,
    open::{RunFile, open},
};
use crate::{
    app::App,
    config::Config,
    domain::Secret,
    http::{self, Listeners},
    store::Hold,
};

/// A way to a server: the one that holds the data folder, or one of our own for as long as the command needs.
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    token: Secret,
    own: Option<(http::Stop, Arc<App>)>,
}

/// How long a request may take. A load of thousands of new secrets hashes each of them.
const PATIENCE: Duration = Duration::from_hours(1);

impl Client {
    /// Finds the server of the data folder, or starts one.
    pub(super) async fn connect(config: &Config) -> Result<Self, Failed> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .tls_certs_only(std::iter::empty::<reqwest::Certificate>());
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = http.build().map_err(Failed::new)?;
        if config.data.is_dir()
            && Hold::take(&config.data).is_err()
            && let Some((url, token)) = RunFile::read(&config.data)
        {
            return Ok(Self { http, url, token, own: None });
        }
        let opened = open(config)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        // One command is no server: it makes no backup by itself.
        let config = Config { backup_every: None, ..config.clone() };
        let (app, surface) = opened.start(&config, config.listen, false)?;
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let served = http::serve(
            Arc::clone(&app),
            surface,
            Listeners { plain: vec![listener], tls: None, metrics: None },
            1,
            Duration::from_secs(1),
            move |stop| {
                let _ = ready.send(stop);
            },
        );
        http::spawn(async move { drop(served.await) });
        let stop = is_ready.await.map_err(|_| Failed::new("the database could not be served"))?;
        Ok(Self { http, url: format!("http://{address}"), token: opened.run.text().clone(), own: Some((stop, app)) })
    }

    /// Whether the server is one of our own, for this command alone.
    pub(super) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Ends a server of our own.
    pub(super) async fn close(self) {
        if let Some((stop, app)) = self.own {
            stop.stop().await;
            // A refresh that the command began is not left to the next start.
            app.finish(Duration::from_secs(10)).await;
        }
    }

    /// A request to `path`, with the credential on it.
    pub(super) fn request(&self, method: &str, path: &str) -> Result<reqwest::RequestBuilder, Failed> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(Failed::new)?;
        Ok(self.http.request(method, format!("{}{path}", self.url)).bearer_auth(self.token.expose()))
    }

    /// Sends a request and answers its JSON; a refusal becomes the sentence in it.
    pub(super) async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, Failed> {
        let answer = request.send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let body = answer.text().await.map_err(|error| unreachable(&error))?;
        let value: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        if status.is_success() { Ok(value) } else { Err(refusal(status.as_u16(), &value)) }
    }

    /// GET.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failed> {
        self.send(self.request("GET", path)?).await
    }

    /// GET of bytes that are passed on as they are.
    pub(super) async fn download(&self, path: &str) -> Result<Vec<u8>, Failed> {
        let answer = self.request("GET", path)?.send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| unreachable(&error))?;
        if status.is_success() {
            return Ok(body.to_vec());
        }
        Err(refusal(status.as_u16(), &serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// GET of bytes that are passed on as they come.
    pub(super) async fn pour(&self, path: &str, out: &mut impl std::io::Write) -> Result<(), Failed> {
        let mut answer = self.request("GET", path)?.send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        if !status.is_success() {
            let body = answer.bytes().await.map_err(|error| unreachable(&error))?;
            return Err(refusal(status.as_u16(), &serde_json::from_slice(&body).unwrap_or(Value::Null)));
        }
        while let Some(bytes) = answer.chunk().await.map_err(|error| unreachable(&error))? {
            match out.write_all(&bytes) {
                // Whoever reads has read enough.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                written => written?,
            }
        }
        Ok(out.flush()?)
    }

    /// DELETE.
    pub(super) async fn delete(&self, path: &str) -> Result<Value, Failed> {
        self.send(self.request("DELETE", path)?).await
    }

    /// A JSON body.
    pub(super) async fn send_json(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failed> {
        self.send(self.request(method, path)?.json(body)).await
    }
}

/// The sentence of a refusal, in whichever dialect it came.
pub(super) fn refusal(status: u16, body: &Value) -> Failed {
    let sentence = ["message", "errorMessage", "error_description"].iter().find_map(|key| body[*key].as_str());
    match sentence {
        Some("Not found") => Failed::new("there is no such thing: look at the id or name you gave"),
        Some(sentence) => Failed::new(sentence),
        None => Failed::new(format_args!("the server answered {status}")),
    }
}

/// The sentence for a server that does not answer.
pub(super) fn unreachable(error: &reqwest::Error) -> Failed {
    Failed::new(format_args!(
        "the server that holds this data folder does not answer ({}); if it is just starting or stopping, try again",
        if error.is_timeout() { "too slow" } else { "connection failed" }
    ))
}

/// A segment of a path.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
