//! Somebody who sends requests.

use std::sync::Arc;

use reqwest::{
    Method, RequestBuilder,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use super::{Answer, Transcript};

/// A caller: where to, and what it shows.
#[derive(Clone)]
pub struct Caller {
    url: String,
    http: reqwest::Client,
    headers: HeaderMap,
    transcript: Arc<Transcript>,
}

impl Caller {
    pub fn new(url: &str, http: reqwest::Client, transcript: Arc<Transcript>) -> Self {
        Self { url: url.to_owned(), http, headers: HeaderMap::new(), transcript }
    }

    /// The same caller with a header more on each request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
        self
    }

    /// The same caller with a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// The same caller with name and password.
    pub fn basic(self, name: &str, password: &str) -> Self {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let pair = STANDARD.encode(format!("{name}:{password}"));
        self.header("authorization", &format!("Basic {pair}"))
    }

    /// The same caller at another server, or at the same one after a restart.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// The token that this caller shows.
    pub fn token(&self) -> String {
        self.headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned()
    }

    /// A request to be filled by hand; send it with [`Caller::send`].
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, format!("{}{path}", self.url)).headers(self.headers.clone())
    }

    /// Sends a request and keeps what comes back.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = Answer::of(request.send().await.unwrap()).await;
        self.transcript.note_answer(&answer);
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("POST", path).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("PUT", path).json(body)).await
    }

    /// A body as it is, declared as this media type.
    pub async fn send_text(
        &self,
        method: &str,
        path: &str,
        media_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        self.send(self.request(method, path).header("content-type", media_type).body(body)).await
    }
}
