//! The rules of `stitch iptables`, in force.

use super::lab::{Lab, V4};
use stitch_kit::Exit;

#[test]
fn rules_come_and_go_as_often_as_one_likes() {
    let Some(lab) = Lab::build("services: {}") else { return };
    let path = lab.stitch.path().display().to_string();
    let before = lab.rules();
    let _ = lab.iptables(&[&path, "--apply"]).success();
    let once = lab.rules();
    assert!(once.contains("-A STITCH_OUTPUT -p tcp -j REDIRECT --to-ports 15006"), "{once}");
    let _ = lab.iptables(&[&path, "--apply"]).success();
    assert_eq!(lab.rules(), once);
    let direct = || lab.curl(&[&format!("http://{V4}/")]).success().stdout.contains("via= ");
    assert!(!direct());
    let _ = lab.iptables(&[&path, "--apply", "--ports", "443", "--no-ipv6"]).success();
    assert!(direct(), "another port is redirected");
    for _ in 0..2 {
        let _ = lab.iptables(&["--remove"]).success();
        assert_eq!(lab.rules(), before);
    }
    assert!(direct());
}

#[test]
fn ports_of_stitch_are_never_redirected_by_whatever_address_of_the_machine() {
    let Some(lab) = Lab::build("services: {}") else { return };
    let path = lab.stitch.path().display().to_string();
    let answered = |address: &str, port: u16| {
        let curl = lab.curl(&["-o", "/dev/null", &format!("http://{address}:{port}/")]);
        // Nobody listens there, so that it is stitch who answers, or nobody.
        match curl.exit {
            Exit::Code(0) => true,
            Exit::Code(7) => false,
            other => panic!("{other:?}: {}", curl.stderr),
        }
    };
    for (loopback, beside) in [(None, false), (Some("--loopback"), true)] {
        let args = [&path, "--apply", "--ipv6"].into_iter().chain(loopback);
        let _ = lab.iptables(&args.collect::<Vec<_>>()).success();
        for address in ["10.77.0.1", "[fd77::1]"] {
            // 8080 is what the file says by saying nothing.
            assert!(!answered(address, 8080), "{address} {loopback:?}");
            assert!(answered(address, 8081), "{address} {loopback:?}");
        }
        for address in ["127.0.0.1", "[::1]"] {
            assert!(!answered(address, 8080), "{address} {loopback:?}");
            assert_eq!(answered(address, 8081), beside, "{address} {loopback:?}");
        }
    }
}
