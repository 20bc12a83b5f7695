//! TLS by a certificate and a key in files.

use std::{fs, path::Path};

use crate::support::{Server, cli};

/// Writes a certificate for localhost with its key, and answers the certificate.
fn renew(dir: &Path) -> reqwest::Certificate {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
}

/// Somebody who trusts one certificate and keeps no connection.
fn trusting(certificate: reqwest::Certificate) -> reqwest::Client {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).tls_certs_only([certificate]).build().unwrap()
}

#[tokio::test]
async fn a_certificate_is_served_renewed_and_told_when_it_is_wrong() {
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let first = renew(files.path());
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let server = Server::with(&["--tls-cert", &cert, "--tls-key", &key]).await;
    let printed = server.printed();
    let address = printed.split_whitespace().find(|word| word.starts_with("https://127.0.0.1")).unwrap().to_owned();
    let live = format!("{address}/livez");
    let before = trusting(first.clone());
    assert_eq!(before.get(&live).send().await.unwrap().status(), 200);
    assert!(server.printed().contains(&format!("{address}/#/setup/")), "the setup link speaks TLS too");
    // The command line finds its own way in.
    assert!(server.cli_ok(&["keys", "list"]).contains("true"));
    let log_in = before.post(format!("{address}/session")).body("{}").header("content-type", "application/json");
    assert_eq!(log_in.send().await.unwrap().status(), 400);

    let after = trusting(renew(files.path()));
    assert_eq!(after.get(&live).send().await.unwrap().status(), 200);
    // Not the same client: its TLS session would be taken up again, without a look at the certificate.
    assert!(trusting(first).get(&live).send().await.is_err(), "the old one is gone");
    // In the middle of a renewal the last good pair stays.
    fs::write(&key, "not a key").unwrap();
    assert_eq!(after.get(&live).send().await.unwrap().status(), 200);
    assert!(server.log().contains("the certificate was not read again"));
    drop(server);

    let data = files.path().join("data");
    let refused = |args: &[&str]| {
        let output = cli(&data, args);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let serve = ["serve", "--listen", "127.0.0.1:0", "--tls-cert", &cert];
    assert!(refused(&serve).contains("tls-cert needs tls-key beside it"));
    assert!(refused(&[&serve[..], &["--tls-key", &key]].concat()).contains("key.pem"));
    assert!(refused(&[&serve[..], &["--tls-key", &cert]].concat()).contains("cert.pem"));
}
