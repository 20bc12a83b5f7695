//! Somebody with a browser that has no screen: it follows redirects, keeps cookies, and sends forms.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use reqwest::{RequestBuilder, header};
use url::Url;

use super::{Answer, Server, Transcript};

/// How many redirects in a row are followed.
const MOST_REDIRECTS: usize = 10;

/// A person at a browser. Cookies know paths, but no ports (RFC 6265 §8.5): whatever runs on this machine shares them.
pub struct Person {
    http: reqwest::Client,
    /// By name and path.
    cookies: Mutex<BTreeMap<(String, String), String>>,
    server: String,
    transcript: Arc<Transcript>,
}

/// Where a way of redirects ended.
pub struct Page {
    pub url: String,
    pub answer: Answer,
}

impl Page {
    /// The value of a hidden field.
    #[track_caller]
    pub fn hidden(&self, name: &str) -> String {
        let text = self.answer.text();
        let (_, rest) = text.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{text}"));
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Person {
    /// Somebody with an empty browser. What this server shows them is searched for secrets as its other answers are.
    pub fn before(server: &Server) -> Self {
        Self {
            http: server.http.clone(),
            cookies: Mutex::default(),
            server: server.url.clone(),
            transcript: Arc::clone(&server.transcript),
        }
    }

    /// Opens a link and follows where it leads.
    pub async fn open(&self, url: &str) -> Page {
        self.follow(url, self.http.get(url)).await
    }

    /// Sends a form and follows where it leads.
    pub async fn submit(&self, url: &str, form: &[(&str, &str)]) -> Page {
        self.follow(url, self.http.post(url).form(form)).await
    }

    async fn follow(&self, url: &str, request: RequestBuilder) -> Page {
        let mut url = Url::parse(url).unwrap();
        let mut request = request;
        for _ in 0..=MOST_REDIRECTS {
            let answer = Answer::of(request.header(header::COOKIE, self.shown(&url)).send().await.unwrap()).await;
            self.keep(&url, &answer);
            if url.as_str().starts_with(&self.server) {
                self.transcript.note_answer(&answer);
            }
            if !(300..400).contains(&answer.status) {
                return Page { url: url.into(), answer };
            }
            url = url.join(answer.header("location")).unwrap();
            request = self.http.get(url.clone());
        }
        panic!("too many redirects, the last to {url}");
    }

    /// The cookies for an address (RFC 6265 §5.4).
    fn shown(&self, url: &Url) -> String {
        let cookies = self.cookies.lock().unwrap();
        let fits = |path: &str| {
            url.path()
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with('/'))
        };
        let fitting = cookies.iter().filter(|((_, path), _)| fits(path));
        fitting.map(|((name, _), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Keeps what an answer sets, and forgets what it takes back. Every test is shorter than the life of a cookie that has
    /// not ended yet.
    fn keep(&self, url: &Url, answer: &Answer) {
        let mut cookies = self.cookies.lock().unwrap();
        for line in answer.headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            let mut parts = line.split(';').map(str::trim);
            let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).unwrap();
            let attributes: BTreeMap<String, &str> = parts
                .map(|part| part.split_once('=').unwrap_or((part, "")))
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect();
            let default =
                url.path().rsplit_once('/').map_or("/", |(folder, _)| if folder.is_empty() { "/" } else { folder });
            let path = attributes.get("path").copied().unwrap_or(default);
            let key = (name.to_owned(), path.to_owned());
            let over = attributes.get("max-age").is_some_and(|age| *age == "0")
                || attributes.get("expires").is_some_and(|at| at.contains("1970"));
            if over { drop(cookies.remove(&key)) } else { drop(cookies.insert(key, value.to_owned())) }
        }
    }
}
