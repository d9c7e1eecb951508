//! TLS and HTTP/2 with a certificate authority of our own, as behind a company's proxy.

use std::sync::Arc;

use bytes::Bytes;
use llm::{CancellationToken, Client, ErrorKind, Event, Provider, Stop};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::server::{
    ORDINARY_TEXT, PATIENCE, UNTIL_CLOSE, ask, ordinary, outcome, request, text_frame, usage,
};

struct Authority {
    pem: Vec<u8>,
    acceptor: TlsAcceptor,
}

fn authority(alpn: &[u8]) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem().into_bytes();
    let issuer = Issuer::new(params, key);
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&leaf_key, &issuer)
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::try_from(leaf_key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    Authority { pem, acceptor: TlsAcceptor::from(Arc::new(config)) }
}

async fn listening() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("https://localhost:{port}/v1"))
}

async fn accept(listener: &TcpListener, acceptor: &TlsAcceptor) -> TlsStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    acceptor.accept(stream).await.unwrap()
}

/// Both sides to their ends; one that waits for the other in vain fails the test.
async fn both<A, B>(client: impl Future<Output = A>, server: impl Future<Output = B>) -> (A, B) {
    let sides = async { tokio::join!(client, server) };
    tokio::time::timeout(PATIENCE, sides).await.expect("one side waited for the other in vain")
}

#[tokio::test]
async fn a_private_authority_is_trusted_once_it_is_given() {
    let Authority { pem, acceptor } = authority(b"http/1.1");
    let (listener, base_url) = listening().await;
    let provider = Provider { extra_ca_pem: Some(pem), ..Provider::openai("private", base_url) };
    let serve = async {
        let mut stream = accept(&listener, &acceptor).await;
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let body = format!("{UNTIL_CLOSE}{}", ordinary().concat());
        stream.write_all(body.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let mut answer = ask(provider);
    let (outcome, ()) = both(Box::pin(outcome(&mut answer)), Box::pin(serve)).await;
    assert_eq!(outcome.text, ORDINARY_TEXT);
    assert_eq!(outcome.end.unwrap(), (Stop::End, Some(usage())));
}

#[tokio::test]
async fn an_unknown_authority_is_refused_with_a_reason() {
    let Authority { acceptor, .. } = authority(b"http/1.1");
    let (listener, base_url) = listening().await;
    let mut answer = ask(Provider::openai("private", base_url));
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(stream).await.is_err(), "the client must not go on");
    };
    let (outcome, ()) = both(Box::pin(outcome(&mut answer)), Box::pin(serve)).await;
    let error = outcome.error();
    assert_eq!(*error.kind(), ErrorKind::Transport);
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_can_and_a_dropped_answer_resets_its_stream() {
    let Authority { pem, acceptor } = authority(b"h2");
    let (listener, base_url) = listening().await;
    let provider = Provider { extra_ca_pem: Some(pem), ..Provider::openai("private", base_url) };
    let serve = async {
        let stream = accept(&listener, &acceptor).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        assert_eq!(request.uri().path(), "/v1/chat/completions");
        let head =
            http::Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
        let mut body = respond.send_response(head, false).unwrap();
        body.send_data(Bytes::from(text_frame("a")), false).unwrap();
        tokio::select! {
            reason = std::future::poll_fn(|cx| body.poll_reset(cx)) => reason.unwrap(),
            _ = connection.accept() => panic!("the connection ended before the stream was reset"),
        }
    };
    // Kept, so that only the stream ends and not the connection with it.
    let client = Client::new(provider).unwrap();
    let mut answer = client.stream(&request(), &CancellationToken::new());
    let talk = async {
        assert_eq!(answer.next().await.unwrap().unwrap(), Event::Text("a".into()));
        drop(answer);
    };
    let (reason, ()) = both(Box::pin(serve), Box::pin(talk)).await;
    assert_eq!(reason, h2::Reason::CANCEL);
}
