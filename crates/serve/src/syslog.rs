//! Syslog over UDP, TCP and TLS (RFC 5426, RFC 6587, RFC 5425): messages are delivered in groups.
//!
//! A stream is not read on while a group waits for its answer, so that the sender is slowed down and
//! keeps what is not stored. Over UDP nobody can be slowed down: what is not taken is counted.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use vigie_model::{Delivery, Refusal, Tenant};

use crate::ingest::deliver;
use crate::service::{Inner, Shared, TlsFiles};
use crate::syslog_message::{Frame, Framer, record};

/// Connections of one listener at once; more are closed.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// Messages of a group.
const GROUP_MESSAGES_MAX: usize = 1000;
/// Bytes after which a group is full.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Milliseconds that the first message of a group waits for others.
const GROUP_WAIT_MILLIS: u64 = 200;
/// Groups over UDP that wait for their answer; of more, the messages are dropped.
const UDP_GROUPS_MAX: u32 = 8;
/// Bytes of a datagram.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;
/// Bytes read from a stream at a time.
const STREAM_BYTES: usize = 64 * 1024;
/// Seconds that a client gets to shake hands.
const HANDSHAKE_SECONDS_MAX: u64 = 10;
/// Milliseconds before a refused group is delivered again, or a listener that failed is asked again.
const RETRY_MILLIS: u64 = 1000;

/// Messages that are delivered together.
#[derive(Debug, Default)]
struct Group {
    body: Vec<u8>,
    messages: usize,
    due: Option<Instant>,
}

impl Group {
    fn add(&mut self, frame: &Frame, transport: &str) {
        self.body.extend_from_slice(record(&frame.bytes, transport, frame.is_cut).as_bytes());
        self.body.push(b'\n');
        self.messages += 1;
        self.due.get_or_insert_with(|| Instant::now() + Duration::from_millis(GROUP_WAIT_MILLIS));
    }

    fn is_full(&self) -> bool {
        self.messages >= GROUP_MESSAGES_MAX || self.body.len() >= GROUP_BYTES_MAX
    }

    /// Waits until it is time; forever while there is nothing.
    async fn wait(due: Option<Instant>) {
        match due {
            Some(due) => sleep_until(due).await,
            None => pending().await,
        }
    }
}

fn delivery(tenant: &Tenant, transport: &str, body: Vec<u8>) -> Delivery {
    Delivery { tenant: tenant.clone(), log: None, source: format!("syslog/{transport}"), number: None, body }
}

/// Reads a certificate and its key.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, String> {
    let certificate = files.certificate.display();
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(|sections| sections.collect::<Result<Vec<CertificateDer<'static>>, _>>())
        .map_err(|error| format!("cannot read the certificate `{certificate}`: {error}"))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| format!("cannot read the key `{}`: {error}", files.key.display()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| format!("cannot use the certificate `{certificate}` and its key: {error}"))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Takes messages from connections, through TLS when there is an acceptor, until the stop.
pub(crate) async fn tcp(
    shared: Shared,
    tenant: Tenant,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.changed() => break,
        };
        let Ok((stream, _)) = accepted else {
            sleep(Duration::from_millis(RETRY_MILLIS)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
            continue;
        };
        let (shared, tenant, tls, stop) = (Arc::clone(&shared), tenant.clone(), tls.clone(), stop.clone());
        connections.spawn(async move {
            match tls {
                None => stream_of(&shared, &tenant, "tcp", stream, stop).await,
                Some(tls) => {
                    let shaken = timeout(Duration::from_secs(HANDSHAKE_SECONDS_MAX), tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        stream_of(&shared, &tenant, "tls", stream, stop).await;
                    }
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Takes messages from one connection until it ends or the stop.
async fn stream_of<S: AsyncRead + Unpin>(
    shared: &Inner,
    tenant: &Tenant,
    transport: &str,
    mut stream: S,
    mut stop: watch::Receiver<bool>,
) {
    let (mut framer, mut group, mut frames) = (Framer::new(), Group::default(), Vec::new());
    let mut buffer = vec![0; STREAM_BYTES];
    let mut is_over = false;
    while !is_over {
        let is_due = tokio::select! {
            read = stream.read(&mut buffer) => {
                let count = read.unwrap_or(0);
                is_over = count == 0;
                framer.push(buffer.get(..count).unwrap_or_default(), &mut frames);
                false
            }
            () = Group::wait(group.due) => true,
            _ = stop.changed() => {
                is_over = true;
                false
            }
        };
        if is_over {
            framer.finish(&mut frames);
        }
        for frame in frames.drain(..) {
            group.add(&frame, transport);
            if group.is_full() && !flush(shared, tenant, transport, &mut group, &stop).await {
                return;
            }
        }
        if (is_due || is_over) && !flush(shared, tenant, transport, &mut group, &stop).await {
            return;
        }
    }
}

/// Delivers a group, again and again while it is refused; false when it is given up, at the stop.
async fn flush(shared: &Inner, tenant: &Tenant, transport: &str, group: &mut Group, stop: &watch::Receiver<bool>) -> bool {
    let body = std::mem::take(group).body;
    loop {
        let outcome = deliver(shared, "syslog", delivery(tenant, transport, body.clone())).await;
        let is_stopping = *stop.borrow();
        match outcome {
            Ok(_) => return true,
            // Neither comes: no log type is named, and a group is shorter than a delivery may be.
            Err(Refusal::UnknownLog(_) | Refusal::TooLarge { .. }) => return true,
            Err(_) if is_stopping => return false,
            Err(_) => sleep(Duration::from_millis(RETRY_MILLIS)).await,
        }
    }
}

/// Takes messages from datagrams until the stop.
pub(crate) async fn udp(shared: Shared, tenant: Tenant, socket: UdpSocket, mut stop: watch::Receiver<bool>) {
    let free = Arc::new(Semaphore::new(UDP_GROUPS_MAX as usize));
    let mut group = Group::default();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let mut is_over = false;
    while !is_over {
        let is_due = tokio::select! {
            read = socket.recv_from(&mut buffer) => {
                let bytes = read.ok().and_then(|(count, _)| buffer.get(..count)).unwrap_or_default();
                if !bytes.trim_ascii().is_empty() {
                    group.add(&Frame { bytes: bytes.to_vec(), is_cut: false }, "udp");
                }
                group.is_full()
            }
            () = Group::wait(group.due) => true,
            _ = stop.changed() => {
                is_over = true;
                true
            }
        };
        if is_due {
            send(&shared, &tenant, std::mem::take(&mut group), &free);
        }
    }
    // All permits are back when no group waits any more.
    drop(free.acquire_many(UDP_GROUPS_MAX).await);
}

/// Delivers a group of datagrams aside; when that is not possible its messages are dropped and counted.
fn send(shared: &Shared, tenant: &Tenant, group: Group, free: &Arc<Semaphore>) {
    let dropped = group.messages as u64;
    let Ok(permit) = Arc::clone(free).try_acquire_owned() else {
        return shared.metrics.udp_dropped(dropped);
    };
    let (shared, delivery) = (Arc::clone(shared), delivery(tenant, "udp", group.body));
    tokio::spawn(async move {
        if deliver(&shared, "syslog", delivery).await.is_err() {
            shared.metrics.udp_dropped(dropped);
        }
        drop(permit);
    });
}
