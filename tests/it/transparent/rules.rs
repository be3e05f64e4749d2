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

#[test]
fn what_is_printed_does_what_is_applied() {
    let Some(lab) = Lab::build("services: {}") else { return };
    let path = lab.stitch.path().display().to_string();
    let before = lab.rules();
    for options in [
        &[][..],
        &["--loopback", "--ports", "80,8000-8100", "--exclude-ports", "8001", "--no-ipv6"],
        &["--exclude-uid", "0", "--exclude-uid", "7", "--exclude-cidr", "10.9.0.0/16"],
    ] {
        let options = [&[path.as_str()], options].concat();
        let script = lab.iptables(&options).success().stdout;
        // In place of what is there, as applying is: a second time changes nothing.
        let printed = [(); 2].map(|()| {
            let _ = lab.shell(&script).success();
            lab.rules()
        });
        assert_ne!(printed[0], before);
        assert_eq!(printed[1], printed[0]);
        let _ = lab.iptables(&["--remove"]).success();
        assert_eq!(lab.rules(), before);
        let _ = lab.iptables(&[&options[..], &["--apply"]].concat()).success();
        assert_eq!(lab.rules(), printed[0], "{options:?}");
        let _ = lab.iptables(&["--remove"]).success();
    }
    // What was there for a protocol that is left alone now does not stay.
    let _ = lab.iptables(&[&path, "--apply", "--no-ipv6"]).success();
    let v4 = lab.rules();
    assert_eq!(v4.matches("-N STITCH_OUTPUT").count(), 1, "{v4}");
    let _ = lab.iptables(&[&path, "--apply"]).success();
    assert_ne!(lab.rules(), v4);
    let _ = lab.iptables(&[&path, "--apply", "--no-ipv6"]).success();
    assert_eq!(lab.rules(), v4);
    let _ = lab.iptables(&[&path, "--apply"]).success();
    let script = lab.iptables(&[&path, "--no-ipv6"]).success().stdout;
    let _ = lab.shell(&script).success();
    assert_eq!(lab.rules(), v4);
}

#[test]
fn a_port_that_is_left_alone_is_so_whatever_is_redirected() {
    let Some(lab) = Lab::build("services: {}") else { return };
    let path = lab.stitch.path().display().to_string();
    let redirected = |port: u16| {
        let before = lab.counted("http");
        let url = format!("http://{V4}:{port}/");
        let _ = lab.curl(&["--http2-prior-knowledge", &url]);
        lab.counted("http") > before
    };
    let apply = |options: &[&str]| {
        let _ = lab.iptables(&[&[path.as_str(), "--apply"], options].concat()).success();
        [80, 82].map(redirected)
    };
    assert_eq!(apply(&["--ports", "443", "--exclude-ports", "80"]), [false, false]);
    assert_eq!(apply(&["--ports", "443,80-90", "--exclude-ports", "80"]), [false, true]);
    assert_eq!(apply(&["--ports", "80-90", "--exclude-ports", "81-100"]), [true, false]);
    assert_eq!(apply(&["--exclude-ports", "82"]), [true, false]);
    assert!(lab.rules().contains("-A STITCH_OUTPUT -p tcp -m tcp --dport 82 -j RETURN"));
}
