//! Relays between real sockets, and inside tunnels.

use super::join::{Joined, join};
use super::side::Side;
use super::tally::Tally;
use crate::upstream::Wire;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use stitch_net::conn::{ConnIo, Ending, Handle, Socket, Timers, Watch};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A client and a service with a relay in between.
struct Relayed {
    client: TcpStream,
    service: TcpStream,
    handle: Handle,
    relay: JoinHandle<(Joined, Tally)>,
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

async fn relayed(handle: Handle) -> Relayed {
    let ((client, near), (far, service)) = (pair().await, pair().await);
    let (mut near, mut far) =
        (ConnIo::new(near, handle.clone()), Wire::from(stitch_net::conn::Socket::from(far)));
    let told = handle.clone();
    let relay = tokio::spawn(async move {
        let mut tally = Tally::default();
        (join(&mut near, &mut far, Some(&told), &mut tally).await, tally)
    });
    Relayed { client, service, handle, relay }
}

async fn read_all(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.map(|_| bytes)
}

fn watch(stream: Duration) -> Watch {
    let long = Duration::from_secs(60);
    let watch = Watch::new(Timers { header: long, idle: long, stream });
    tokio::spawn(watch.clone().keep());
    watch
}

#[tokio::test]
async fn one_end_leaves_the_other_direction_open() {
    let Relayed { mut client, mut service, relay, .. } = relayed(Handle::default()).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut service).await.unwrap(), b"question");
    service.write_all(b"a long answer").await.unwrap();
    drop(service);
    assert_eq!(read_all(&mut client).await.unwrap(), b"a long answer");
    let (joined, tally) = relay.await.unwrap();
    assert!(matches!(joined, Joined::Closed), "{joined:?}");
    assert_eq!((tally.bytes_in, tally.bytes_out), (8, 13));
}

#[tokio::test]
async fn a_side_that_does_not_read_holds_up_the_other_and_loses_nothing() {
    const MUCH: usize = 32 << 20;
    let Relayed { mut client, mut service, relay, .. } = relayed(Handle::default()).await;
    let sent: Vec<u8> = (0..MUCH).map(|at| (at % 251) as u8).collect();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        client
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!writing.is_finished(), "the relay takes in more than it can pass on");
    assert!(read_all(&mut service).await.unwrap() == expected);
    drop(service);
    drop(writing.await.unwrap());
    let (joined, tally) = relay.await.unwrap();
    assert!(matches!(joined, Joined::Closed), "{joined:?}");
    assert_eq!(tally.bytes_in, MUCH as u64);
}

#[tokio::test]
async fn many_bytes_and_then_few_both_ways_at_once() {
    const MUCH: usize = 8 << 20;
    let Relayed { client, service, relay, .. } = relayed(Handle::default()).await;
    let echo = tokio::spawn(async move {
        let (mut from, mut to) = service.into_split();
        tokio::io::copy(&mut from, &mut to).await.unwrap();
    });
    let sent: Vec<u8> = (0..MUCH).map(|at| (at % 253) as u8).collect();
    let (mut from, mut to) = client.into_split();
    let question = sent.clone();
    let writing = tokio::spawn(async move {
        to.write_all(&question).await.unwrap();
        to
    });
    let mut heard = vec![0; MUCH];
    from.read_exact(&mut heard).await.unwrap();
    assert!(heard == sent);
    let mut to = writing.await.unwrap();
    for small in [&b"a"[..], b"few", b"words"] {
        to.write_all(small).await.unwrap();
        let mut heard = vec![0; small.len()];
        from.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, small);
    }
    to.shutdown().await.unwrap();
    assert_eq!(from.read(&mut [0]).await.unwrap(), 0);
    echo.await.unwrap();
    let (joined, tally) = relay.await.unwrap();
    assert!(matches!(joined, Joined::Closed), "{joined:?}");
    assert_eq!((tally.bytes_in, tally.bytes_out), (MUCH as u64 + 9, MUCH as u64 + 9));
}

#[tokio::test]
async fn a_reset_amid_many_bytes_is_passed_on() {
    let Relayed { client, mut service, relay, .. } = relayed(Handle::default()).await;
    let writing =
        tokio::spawn(async move { while service.write_all(&[7; 100_000]).await.is_ok() {} });
    let mut seen = 0;
    let mut bytes = vec![0; 65536];
    let mut client = client;
    while seen < 4 << 20 {
        seen += client.read(&mut bytes).await.unwrap();
    }
    client.set_zero_linger().unwrap();
    drop(client);
    let (joined, tally) = relay.await.unwrap();
    assert!(matches!(joined, Joined::Client(_)), "{joined:?}");
    assert!(tally.bytes_out >= seen as u64);
    writing.await.unwrap();
}

#[tokio::test]
async fn bytes_that_pass_within_the_kernel_keep_the_timer_going() {
    let handle = watch(Duration::from_secs(60)).open(None);
    // A multiple of the pauses, which a busy machine makes longer; together they exceed it.
    handle.wait_at_most(Duration::from_secs(2));
    let Relayed { mut client, mut service, relay, .. } = relayed(handle).await;
    service.write_all(&vec![1; 200_000]).await.unwrap();
    client.read_exact(&mut vec![0; 200_000]).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        service.write_all(b".").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
    }
    assert!(read_all(&mut client).await.unwrap().is_empty());
    assert!(matches!(relay.await.unwrap().0, Joined::Idle));
}

#[tokio::test]
async fn a_reset_is_passed_on_as_one() {
    let Relayed { mut client, service, relay, .. } = relayed(Handle::default()).await;
    service.set_zero_linger().unwrap();
    drop(service);
    let error = read_all(&mut client).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(matches!(relay.await.unwrap().0, Joined::Upstream(_)));

    let Relayed { client, mut service, relay, .. } = relayed(Handle::default()).await;
    client.set_zero_linger().unwrap();
    drop(client);
    let error = read_all(&mut service).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(matches!(relay.await.unwrap().0, Joined::Client(_)));
}

#[tokio::test]
async fn a_reset_that_is_met_by_writing_is_passed_on_as_one() {
    let (near, mut client) = pair().await;
    let (far, service) = pair().await;
    // Both the reset and what is to be written are there when the relay begins, and it writes first.
    service.set_zero_linger().unwrap();
    drop(service);
    client.write_all(b"question").await.unwrap();
    near.readable().await.unwrap();
    far.ready(tokio::io::Interest::ERROR).await.unwrap();
    let (mut near, mut far) = (Wire::from(Socket::from(near)), Wire::from(Socket::from(far)));
    let joined = join(&mut near, &mut far, None, &mut Tally::default()).await;
    assert!(
        matches!(&joined, Joined::Upstream(error) if error.kind() == io::ErrorKind::ConnectionReset)
    );
    drop((near, far));
    assert_eq!(read_all(&mut client).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_answer_arrives_although_the_question_is_not_wanted() {
    let Relayed { mut client, mut service, relay, .. } = relayed(Handle::default()).await;
    client.write_all(b"hello").await.unwrap();
    service.read_exact(&mut [0; 5]).await.unwrap();
    service.write_all(b"go away").await.unwrap();
    drop(service);
    assert_eq!(read_all(&mut client).await.unwrap(), b"go away");
    while client.write_all(b"more and more").await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(relay.await.unwrap().0, Joined::Upstream(_)));
}

#[tokio::test]
async fn silence_ends_it_and_bytes_either_way_do_not() {
    let handle = watch(Duration::from_secs(60)).open(None);
    handle.wait_at_most(Duration::from_secs(2));
    let Relayed { mut client, mut service, relay, .. } = relayed(handle).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        service.write_all(b".").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
    }
    assert!(read_all(&mut client).await.unwrap().is_empty());
    assert!(read_all(&mut service).await.unwrap().is_empty());
    let (joined, tally) = relay.await.unwrap();
    assert!(matches!(joined, Joined::Idle), "{joined:?}");
    assert_eq!(tally.bytes_out, 10);
}

#[tokio::test]
async fn the_handle_ends_it() {
    let Relayed { mut client, relay, handle, service } = relayed(Handle::default()).await;
    handle.end(Ending::Reset);
    assert!(matches!(relay.await.unwrap().0, Joined::Told));
    let error = read_all(&mut client).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    drop(service);
}

impl Side for tokio::io::DuplexStream {
    fn socket(&self) -> Option<&Socket> {
        None
    }
}

#[tokio::test]
async fn what_is_inside_something_else_is_relayed_too() {
    let ((mut client, near), (far, mut service)) = (tokio::io::duplex(8), tokio::io::duplex(8));
    let relay = tokio::spawn(async move {
        let (mut near, mut far): (Box<dyn Side>, Box<dyn Side>) = (Box::new(near), Box::new(far));
        let mut tally = Tally::default();
        (join(&mut near, &mut far, None, &mut tally).await, tally)
    });
    let echo = tokio::spawn(async move {
        let mut bytes = vec![0; 100];
        service.read_exact(&mut bytes).await.unwrap();
        service.write_all(&bytes).await.unwrap();
    });
    let sent: Vec<u8> = (0..100).collect();
    client.write_all(&sent).await.unwrap();
    let mut heard = vec![0; 100];
    client.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, sent);
    echo.await.unwrap();
    drop(client);
    let (joined, tally) = relay.await.unwrap();
    assert!(matches!(joined, Joined::Closed), "{joined:?}");
    assert_eq!((tally.bytes_in, tally.bytes_out), (100, 100));
}
