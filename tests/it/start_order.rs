//! What start order waits for: servers of each kind that nobody here wrote, asked in their own way;
//! and a proxy that only listens on a socket.
//!
//! Their commands only sleep, so that what answers is under the test's control.

use stitch_kit::{
    Certificates, Exit, Nginx, PythonServer, Scratch, Signal, Stitch, StitchBuilder, Upstream, curl,
};

fn up(services: &str) -> StitchBuilder {
    let services: String =
        services.lines().map(|line| format!("  {line}, command: sleep 600 }}\n")).collect();
    Stitch::builder().yaml(&format!("services:\n{services}"))
}

#[test]
fn each_kind_of_service_is_asked_in_its_own_way() {
    let authority = Certificates::new();
    let certificate = authority.issue(&["localhost", "127.0.0.1"]);
    let ca = authority.ca();
    let ca = ca.display();
    let grpc = PythonServer::grpc();
    let secure = PythonServer::grpc_tls(&certificate);
    let nginx = Nginx::listening(
        "ssl http2",
        &format!(
            "ssl_certificate {}; ssl_certificate_key {}; location / {{ return 404; }}",
            certificate.cert.display(),
            certificate.key.display()
        ),
    );
    let page = nginx.addr();
    let bytes = Upstream::scripted(|_, _| {});
    let scratch = Scratch::new();
    let socket = scratch.path().join("s");
    let behind = "services: { a: { endpoints: [{ path: /health }] } }";
    let listen = format!("unix:{}", socket.display());
    let yaml = format!("proxy: {{ listen: ['127.0.0.1:0', '{listen}'] }}\n{behind}");
    let file = scratch.write("stitch.yaml", &yaml);
    let args = ["up", file.to_str().unwrap(), "--admin", "127.0.0.1:0"];
    let over_socket = Stitch::run(&args).spawn();
    over_socket.pick_stdout(|line| line.starts_with("ready ").then_some(()));

    let stitch = up(&format!(
        "server: {{ url: '{h2c}', health: {{ grpc: '' }}\n\
         named: {{ url: '{h2c}', health: {{ grpc: stitch.test.Echo }}\n\
         plain: {{ url: '{h2c}'\n\
         secure: {{ url: '{https}', tls: {{ ca: '{ca}' }}, health: {{ grpc: '' }}\n\
         page: {{ url: 'https://{page}', tls: {{ ca: '{ca}' }}\n\
         socket: {{ url: '{listen}'\n\
         bytes: {{ type: tcp, url: 'tcp://{bytes}'",
        h2c = grpc.url("h2c"),
        https = secure.url("https"),
        bytes = bytes.addr(),
    ));
    // `ready` means that all of them answered.
    let stitch = stitch.start();
    let answer = stitch_kit::http::get(stitch.admin(), "/health/ready", &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!stitch.stderr().contains("Not up yet"), "{}", stitch.stderr());
}

#[test]
fn what_waiting_will_not_mend_is_told() {
    let authority = Certificates::new();
    let grpc = PythonServer::grpc();
    let secure = PythonServer::grpc_tls(&authority.issue(&["127.0.0.1"]));
    let (h2c, https) = (grpc.url("h2c"), secure.url("https"));
    let scratch = Scratch::new();
    let yaml = format!(
        "services:\n  \
         who: {{ url: '{h2c}', health: {{ grpc: no.such.Service }}, command: sleep 600 }}\n  \
         ill: {{ url: '{h2c}', health: {{ grpc: stitch.test.Ill }}, command: sleep 600 }}\n  \
         stranger: {{ url: '{https}', health: {{ grpc: '' }}, command: sleep 600 }}\n"
    );
    let file = scratch.write("stitch.yaml", &yaml);
    let args = ["up", file.to_str().unwrap(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let stitch = Stitch::run(&args).spawn();
    let told = |service: &str| {
        let service = format!("service=\"{service}\"");
        stitch.wait_for_stderr(|line| line.contains("Not up yet") && line.contains(&service))
    };
    assert!(told("who").contains("does not know \\\"no.such.Service\\\" (NOT_FOUND)"));
    assert!(told("stranger").contains("TLS: "));
    stitch.signal(Signal::TERM);
    assert_eq!(stitch.wait_exit(), Exit::Code(0));
    // It may well recover.
    assert!(!stitch.stderr().contains("service=\"ill\" why"), "{}", stitch.stderr());
}

#[test]
fn a_proxy_on_a_socket_alone_starts_its_commands() {
    let upstream = Upstream::echo();
    let scratch = Scratch::new();
    let socket = scratch.path().join("stitch.sock");
    let file = scratch.write(
        "stitch.yaml",
        format!(
            "proxy: {{ listen: 'unix:stitch.sock' }}\nservices:\n  web:\n    url: '{}'\n    \
             proxied: true\n    command: sh -c 'echo \"proxy [$HTTP_PROXY]\"; exec sleep 600'\n",
            upstream.url()
        ),
    );
    let args = ["up", file.to_str().unwrap(), "--admin", "127.0.0.1:0"];
    let stitch = Stitch::run(&args).spawn();
    let ready = stitch.pick_stdout(|line| line.starts_with("ready ").then(|| line.to_owned()));
    assert!(ready.contains(&format!("proxy unix:{}", socket.display())), "{ready}");
    stitch.wait_for_stderr(|line| line.contains("cannot be proxied"));
    stitch.wait_for_stderr(|line| line.starts_with("web | proxy []"));
    let socket = socket.to_str().unwrap();
    let answer = curl(&["--unix-socket", socket, "http://web/a"]).success();
    assert!(answer.stdout.contains("\"target\":\"/a\""), "{}", answer.stdout);

    // The same by the command line, beside an address.
    let other = scratch.path().join("other.sock");
    let listen = format!("unix:{}", other.display());
    let args = ["--listen", &listen, "--listen", "127.0.0.1:0"];
    let stitch = Stitch::builder()
        .yaml(&format!("services: {{ web: {{ url: '{}' }} }}", upstream.url()))
        .args(args)
        .start();
    let told = stitch.ready().json();
    assert_eq!(told["proxy"], listen);
    assert!(told["also"][0].as_str().unwrap().starts_with("http://127.0.0.1:"), "{told}");
    let answer = curl(&["--unix-socket", other.to_str().unwrap(), "http://web/b"]).success();
    assert!(answer.stdout.contains("\"target\":\"/b\""), "{}", answer.stdout);
}

#[test]
fn programs_cannot_be_run_through_a_socket() {
    let scratch = Scratch::new();
    scratch.write("stitch.yaml", "proxy: { listen: 'unix:./stitch.sock' }\nservices: {}");
    for command in [&["run", "--", "true"][..], &["env"]] {
        let output = Stitch::run(command).cwd(scratch.path()).output();
        assert_eq!((output.code(), output.stdout.as_str()), (2, ""));
        assert!(output.stderr.contains("pass --proxy"), "{}", output.stderr);
    }
}
