//! Faults of the connection under an answer, and heads that are unusually large.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use grantry::simulator::{CLIENT_ID, CLIENT_SECRET, Rotation};
use serde_json::json;

use super::{Practice, text};

/// A connection that is used for several requests.
struct Kept(TcpStream);

impl Kept {
    fn new(practice: &Practice) -> Self {
        let socket = TcpStream::connect(practice.simulator.address()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(socket)
    }

    /// Sends a refresh; the whole answer, or how the connection ends.
    fn refresh(&mut self, token: &str) -> Result<String, ErrorKind> {
        let body = format!(
            "grant_type=refresh_token&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&refresh_token={token}"
        );
        let length = body.len();
        write!(
            self.0,
            "POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .map_err(|error| error.kind())?;
        let mut read = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof),
                Ok(some) => read.extend_from_slice(&buffer[..some]),
                Err(error) => return Err(error.kind()),
            }
            let answer = String::from_utf8_lossy(&read);
            let whole = answer.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let head = head.to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                length.is_some_and(|length: usize| body.len() >= length)
            });
            if whole {
                return Ok(answer.into_owned());
            }
        }
    }
}

#[tokio::test]
async fn a_request_on_a_used_connection_is_reset_and_not_processed() {
    let practice = Practice::rotating(Rotation::RetrySafe);
    let tokens = practice.tokens().await;
    let token = text(&tokens["refresh_token"]);
    let mut kept = Kept::new(&practice);
    assert!(kept.refresh(token).unwrap().starts_with("HTTP/1.1 200"), "without a rule connections are kept");
    assert!(kept.refresh(token).unwrap().starts_with("HTTP/1.1 200"));
    practice.control("faults", json!({"on": "token", "fault": "reset_reused", "times": null})).await;
    assert_eq!(kept.refresh(token), Err(ErrorKind::ConnectionReset), "also a connection from before the rule");
    for _ in 0..2 {
        let mut kept = Kept::new(&practice);
        assert!(kept.refresh(token).unwrap().starts_with("HTTP/1.1 200"));
        assert_eq!(kept.refresh(token), Err(ErrorKind::ConnectionReset));
    }
    assert_eq!(practice.grant().await["refreshes"], 4);
    // The words beside it apply to the first request.
    practice.http.delete(practice.url("/control/faults")).send().await.unwrap();
    let words = json!(["reset_reused", "answer:402:{}"]);
    practice.control("faults", json!({"on": "token", "fault": words, "times": null})).await;
    let mut kept = Kept::new(&practice);
    assert!(kept.refresh(token).unwrap().starts_with("HTTP/1.1 402"));
    assert_eq!(kept.refresh(token), Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_dropped_answer_is_closed_and_not_reset() {
    let practice = Practice::rotating(Rotation::RetrySafe);
    let tokens = practice.tokens().await;
    practice.fault("token", "drop").await;
    let mut kept = Kept::new(&practice);
    assert_eq!(kept.refresh(text(&tokens["refresh_token"])), Err(ErrorKind::UnexpectedEof));
}

#[tokio::test]
async fn an_answer_has_as_many_header_fields_as_a_rule_says() {
    let practice = Practice::rotating(Rotation::RetrySafe);
    let tokens = practice.tokens().await;
    for count in [1, 101, 10_000] {
        practice.fault("token", &format!("many_headers:{count}")).await;
        let mut kept = Kept::new(&practice);
        let answer = kept.refresh(text(&tokens["refresh_token"])).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let fields = head.to_ascii_lowercase().lines().filter(|line| line.starts_with("x-practice-")).count();
        assert_eq!(fields, count);
        assert!(body.contains("access_token"));
    }
}
