//! Certificates: read again when their files change, and nothing said to who is not verified.

use super::*;

/// An authority of certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A server that this authority vouches for, and that wants clients for whom it vouches.
    fn server(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let (certificate, key) = self.issue();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_client_cert_verifier(clients).with_single_cert(vec![certificate], key).unwrap();
        Arc::new(config)
    }

    fn write(&self, files: &Tls) {
        let (certificate, key) = self.issue();
        let write = |path: &Option<PathBuf>, pem: &str| std::fs::write(path.as_ref().unwrap(), pem).unwrap();
        write(&files.ca_file, &self.pem);
        write(&files.cert_file, &certificate);
        write(&files.key_file, &key);
    }
}

fn tls_files(folder: &Path) -> Tls {
    let file = |name: &str| Some(folder.join(name));
    Tls { ca_file: file("ca.pem"), cert_file: file("cert.pem"), key_file: file("key.pem"), insecure_skip_verify: false }
}

#[tokio::test]
async fn certificates_are_read_again_when_their_files_change() {
    let (first, second) = (Authority::new(), Authority::new());
    let config = Arc::new(Mutex::new(first.server()));
    let server = Server::listen("https", Some(Arc::clone(&config))).await;
    let folder = tempfile::tempdir().unwrap();
    let mut loki = loki(server.url.clone());
    loki.tls = tls_files(folder.path());
    let client = Client::timed(&loki, AT_ONCE).unwrap();
    let missing = push(&client, "204").await;
    assert!(missing.status == 0 && missing.body.contains("loki.tls.ca_file"), "{missing:?}");
    first.write(&loki.tls);
    assert_eq!(push(&client, "204").await.status, 204);

    *config.lock().unwrap() = second.server();
    // A fresh client knows only the first authority, and the server only the second.
    let fresh = Client::timed(&loki, AT_ONCE).unwrap();
    let stranger = push(&fresh, "204").await;
    assert!(stranger.status == 0 && stranger.body.contains("certificate"), "{stranger:?}");
    second.write(&loki.tls);
    assert_eq!(push(&fresh, "204").await.status, 204);
    assert_eq!(push(&client, "204").await.status, 204);

    std::fs::write(loki.tls.key_file.as_ref().unwrap(), "half a k").unwrap();
    assert_eq!(push(&client, "204").await.status, 204, "the last good ones are kept");
}

#[tokio::test]
async fn who_is_not_verified_is_not_told_anything_unless_asked_to() {
    let authority = Authority::new();
    let server = Server::listen("https", Some(Arc::new(Mutex::new(authority.server())))).await;
    let folder = tempfile::tempdir().unwrap();
    let mut loki = loki(server.url.clone());
    loki.tls = tls_files(folder.path());
    authority.write(&loki.tls);
    std::fs::write(loki.tls.ca_file.as_ref().unwrap(), Authority::new().pem).unwrap();
    let reply = push(&Client::timed(&loki, AT_ONCE).unwrap(), "204").await;
    assert!(reply.status == 0 && reply.body.contains("set loki.tls.ca_file"), "{reply:?}");
    assert!(server.seen.lock().unwrap().is_empty());
    loki.tls.insecure_skip_verify = true;
    assert_eq!(push(&Client::timed(&loki, AT_ONCE).unwrap(), "204").await.status, 204);
}
