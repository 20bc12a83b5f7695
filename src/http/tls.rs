//! TLS by a certificate and a key in PEM files, read again when they change: a renewed certificate needs no restart.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Why the files cannot be used. Printed at start, for people; never says what is in the key.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct TlsError {
    path: String,
    what: String,
}

/// Reads both files and makes of them what the server listens with.
pub fn server_config(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
    let current = RwLock::new((files.changed(), Arc::new(files.read()?)));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| files.wrong(&files.certificate, error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Renewed { files, current }));
    Ok(config)
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

type Changed = [Option<SystemTime>; 2];

impl Files {
    fn wrong(&self, path: &Path, what: impl std::fmt::Display) -> TlsError {
        debug_assert!(path == self.certificate || path == self.key);
        TlsError { path: path.display().to_string(), what: what.to_string() }
    }

    /// When each file was last changed.
    fn changed(&self) -> Changed {
        [&self.certificate, &self.key].map(|path| std::fs::metadata(path).and_then(|data| data.modified()).ok())
    }

    fn read(&self) -> Result<CertifiedKey, TlsError> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| self.wrong(&self.certificate, error))?;
        if chain.is_empty() {
            return Err(self.wrong(&self.certificate, "there is no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| self.wrong(&self.key, error))?;
        let key = ring::sign::any_supported_type(&key).map_err(|error| self.wrong(&self.key, error))?;
        let pair = CertifiedKey::new(chain, key);
        pair.keys_match().map_err(|_| self.wrong(&self.key, "it is not the key of the certificate"))?;
        Ok(pair)
    }
}

/// Hands out the pair, read again when one of the files is newer. Files that do not fit each other, as in the middle of a
/// renewal, leave the pair as it is; the next handshake looks again.
#[derive(Debug)]
struct Renewed {
    files: Files,
    current: RwLock<(Changed, Arc<CertifiedKey>)>,
}

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let changed = self.files.changed();
        {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            if current.0 == changed {
                return Some(Arc::clone(&current.1));
            }
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        match self.files.read() {
            Ok(pair) => {
                tracing::info!("the certificate was read again");
                *current = (changed, Arc::new(pair));
            }
            Err(error) => tracing::warn!(%error, "the certificate was not read again"),
        }
        Some(Arc::clone(&current.1))
    }
}
