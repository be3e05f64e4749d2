//! Names with invented answers, on invented time.

use super::*;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use stitch_config::model::{Policies, Upstream};

/// A resolver that says what it is told to say.
#[derive(Default)]
struct Invented {
    answers: Mutex<HashMap<String, Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Invented {
    fn say(&self, host: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        self.answers.lock().unwrap().insert(host.to_owned(), addresses);
    }

    async fn lookup(self: Arc<Self>, host: String) -> io::Result<Addresses> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answers = self.answers.lock().unwrap();
        let found = answers.get(&host).ok_or(io::ErrorKind::NotFound)?;
        Ok(found.iter().copied().collect())
    }
}

fn set(hosts: &[&str]) -> Arc<EndpointSet> {
    let upstreams = hosts.iter().map(|host| (Upstream::http(*host, 80), None));
    Arc::new(EndpointSet::new("a".into(), upstreams, &Policies::default(), None, Instant::now()))
}

fn shown(set: &EndpointSet) -> Vec<String> {
    set.all().iter().map(|endpoint| endpoint.shown()).collect()
}

fn follow_invented(set: &Arc<EndpointSet>) -> Arc<Invented> {
    let invented = Arc::new(Invented::default());
    let (sets, resolver) = (vec![set.clone()], invented.clone());
    tokio::spawn(follow(move || sets.clone(), move |host| resolver.clone().lookup(host)));
    invented
}

#[test]
fn a_name_with_both_families_is_one_machine_per_ipv4_address() {
    let ips = |texts: &[&str]| -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    let both = ips(&["::2", "10.0.0.2", "10.0.0.1", "10.0.0.2", "::1"]);
    assert_eq!(usable(&both), ips(&["10.0.0.1", "10.0.0.2"]));
    assert_eq!(usable(&ips(&["::2", "::1"])), ips(&["::1", "::2"]));
    let many: Vec<_> = (0..=255).map(|last| IpAddr::from([10, 0, 0, last])).collect();
    assert_eq!(usable(&many).len(), MOST);
}

#[test]
fn what_is_no_name_is_never_asked_for() {
    for host in ["localhost", "users.localhost", "127.0.0.1", "::1", "10.1.2.3"] {
        assert!(!is_name(host), "{host}");
        assert!(set(&[host]).names().is_empty());
    }
    assert!(is_name("users") && is_name("api.example.com"));
}

#[tokio::test(start_paused = true)]
async fn endpoints_follow_their_names() {
    let set = set(&["users", "localhost", "10.0.0.9"]);
    let invented = follow_invented(&set);
    let settle = || tokio::time::sleep(EVERY + AT_MOST);
    settle().await;
    assert_eq!(shown(&set), ["users:80", "localhost:80", "10.0.0.9:80"], "it does not resolve");

    invented.say("users", &["10.0.0.2", "10.0.0.1"]);
    settle().await;
    assert_eq!(shown(&set), ["10.0.0.1:80", "10.0.0.2:80", "localhost:80", "10.0.0.9:80"]);
    invented.answers.lock().unwrap().clear();
    settle().await;
    assert_eq!(shown(&set)[..2], ["10.0.0.1:80", "10.0.0.2:80"], "its last addresses are kept");
    invented.say("users", &["10.0.0.3"]);
    settle().await;
    assert_eq!(shown(&set)[0], "users:80", "a single address is resolved by connections");
}

#[tokio::test(start_paused = true)]
async fn a_name_in_doubt_is_asked_for_at_once_but_not_all_the_time() {
    let set = set(&["users"]);
    let invented = follow_invented(&set);
    invented.say("users", &["10.0.0.1", "10.0.0.2"]);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(shown(&set).len(), 2);

    invented.say("users", &["10.0.0.7", "10.0.0.8"]);
    set.all()[0].is_unreachable();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(shown(&set), ["10.0.0.7:80", "10.0.0.8:80"]);

    let before = invented.asked.load(Ordering::Relaxed);
    for _ in 0..100 {
        set.all().iter().for_each(|endpoint| endpoint.is_unreachable());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked = invented.asked.load(Ordering::Relaxed) - before;
    assert!(asked <= 2, "asked {asked} times within a second");
}

#[tokio::test]
async fn each_address_is_connected_to_as_itself() {
    use crate::upstream::{Offer, connect};
    let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstream = Upstream::http("two.invalid", port);
    let set = EndpointSet::new(
        "a".into(),
        [(upstream, None)],
        &Policies::default(),
        None,
        Instant::now(),
    );
    let [there, nobody] = ["127.0.0.2", "127.0.0.3"].map(|ip| ip.parse().unwrap());
    set.resolved("two.invalid", &[there, nobody], Instant::now());
    let all = set.all();
    let connected = connect(&all[0], Offer::Http1, PATIENCE).await.unwrap();
    assert_eq!(connected.peer_addr().unwrap().ip(), there);
    let refused = connect(&all[1], Offer::Http1, PATIENCE).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("127.0.0.3:{port} refused the connection"));
    assert_eq!(all[1].host, format!("two.invalid:{port}"));
}
