//! Compression, read by decoders that nobody here wrote: curl's for all three, Python's and Node's
//! for streams.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use stitch_kit::http::{self, Response};
use stitch_kit::{Answer, Stitch, Upstream, curl, node, python};

const ENCODINGS: [&str; 3] = ["gzip", "br", "zstd"];

fn up(upstream: &Upstream) -> Stitch {
    Stitch::up(&format!(
        "defaults: {{ compression: true }}\n\
         services:\n\
         \x20 users: {{ url: '{url}', port: 0 }}\n\
         \x20 plain: {{ url: '{url}', compression: false }}\n\
         \x20 mock: {{ endpoints: [{{ path: /many, response: {{ body: {{ text: '{text}' }} }} }}] }}\n",
        url = upstream.url(),
        text = "mocked ".repeat(100),
    ))
}

fn text() -> String {
    (0..5000).map(|number| format!("{{\"line\":{number}}}\n")).collect()
}

fn lines() -> Upstream {
    Upstream::http(|request| {
        let answer = Answer::new(200, text()).header("content-type", "application/x-ndjson");
        let answer = answer.header("etag", "\"v1\"");
        Answer { chunked: request.query("chunked").is_some(), ..answer }
    })
}

fn get(stitch: &Stitch, host: &str, accepted: &str) -> Response {
    http::get(stitch.proxy(), "/many", &[("host", host), ("accept-encoding", accepted)])
}

#[test]
fn curl_reads_every_encoding() {
    let upstream = lines();
    let stitch = up(&upstream);
    for wanted in ENCODINGS {
        for (target, version) in [
            ("many", "--http1.1"),
            ("many?chunked", "--http1.1"),
            ("many", "--http2-prior-knowledge"),
        ] {
            let url = format!("{}/{target}", stitch.service_url("users"));
            let accept = format!("accept-encoding: {wanted}");
            let write = "%{stderr}%header{content-encoding} %{size_download}";
            let output =
                curl(&["--compressed", version, "-H", &accept, "-w", write, &url]).success();
            assert_eq!(output.stdout, text(), "{wanted} {target} {version}");
            let (said, size) = output.stderr.split_once(' ').unwrap();
            assert_eq!(said, wanted, "{target} {version}");
            assert!(size.parse::<usize>().unwrap() < text().len() / 4, "{wanted}: {size}");
        }
    }
    let accepted = upstream.requests();
    assert_eq!(accepted[0].header("accept-encoding"), Some("gzip"), "passed on as it came");
}

#[test]
fn what_curl_and_node_ask_for_by_themselves() {
    let upstream = lines();
    let stitch = up(&upstream);
    let url = format!("{}/many", stitch.service_url("users"));
    assert_eq!(curl(&["--compressed", &url]).success().stdout, text());
    let script = "const answer = await fetch(process.env.URL);\n\
                  const text = await answer.text();\n\
                  console.log(JSON.stringify([answer.headers.get('content-encoding'), text]));";
    let output = node(script).env("URL", &url).output().success();
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(ENCODINGS.contains(&told[0].as_str().unwrap()), "{}", told[0]);
    assert_eq!(told[1], text());
}

#[test]
fn headers_say_what_happened() {
    let upstream = lines();
    let stitch = up(&upstream);
    let answer = get(&stitch, "users", "br;q=0.5, gzip;q=0.8");
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.header("etag"), Some("W/\"v1\""));
    assert!(answer.headers.lists("vary", "accept-encoding"));
    let answer = get(&stitch, "users", "identity");
    assert_eq!((answer.header("content-encoding"), answer.text()), (None, text()));
    assert_eq!(answer.header("etag"), Some("\"v1\""));
    assert!(answer.headers.lists("vary", "accept-encoding"));
    let answer = get(&stitch, "plain", "gzip");
    assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, None));
}

#[test]
fn mocks_are_compressed_too() {
    let upstream = lines();
    let stitch = up(&upstream);
    assert_eq!(get(&stitch, "mock", "gzip").header("content-encoding"), Some("gzip"));
}

#[test]
fn what_is_left_alone_arrives_as_it_was() {
    let upstream = Upstream::echo();
    let stitch = up(&upstream);
    for header in [
        "content-encoding:br",
        "content-type:text/event-stream",
        "content-type:application/grpc",
        "content-type:image/png",
        "cache-control:no-transform",
        "accept-ranges:bytes",
    ] {
        let target = format!("/?bytes=5000&header={header}");
        let headers = [("host", "users"), ("accept-encoding", "gzip")];
        let answer = http::get(stitch.proxy(), &target, &headers);
        assert_eq!(answer.body, [b'x'; 5000], "{header}");
        assert_eq!(answer.header("content-length"), Some("5000"), "{header}");
    }
    let headers = [("host", "users"), ("accept-encoding", "gzip")];
    let target = "/?bytes=5000&header=content-type:text/plain";
    let head = http::send(stitch.proxy(), "HEAD", target, &headers, b"");
    assert_eq!(head.header("content-encoding"), None);
    let partial = format!("{target}&status=206");
    let partial = http::get(stitch.proxy(), &partial, &headers);
    assert_eq!(partial.header("content-encoding"), None);
}

#[test]
fn trailers_come_after_a_compressed_body() {
    let upstream = Upstream::echo();
    let stitch = up(&upstream);
    let target = "/?bytes=5000&trailer=sum&header=content-type:text/plain";
    let headers =
        [("host", "users"), ("accept-encoding", "gzip"), ("te", "trailers"), ("connection", "te")];
    let answer = http::get(stitch.proxy(), target, &headers);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.trailers.get("x-echo-trailer"), Some("sum"));
}

fn read_head(stream: &mut TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
}

/// An upstream that says each text that it is given, and then ends its answer or breaks it off.
fn teller() -> (Upstream, Sender<&'static str>) {
    let (sender, receiver) = channel();
    let receiver: Mutex<Receiver<&str>> = Mutex::new(receiver);
    let upstream = Upstream::scripted(move |mut stream, _| {
        read_head(&mut stream);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        for text in receiver.lock().unwrap().iter().take_while(|text| !text.is_empty()) {
            stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).unwrap();
        }
    });
    (upstream, sender)
}

/// Tell each line that they can read as soon as they can.
const PYTHON: &str = "import http.client, json, os, zlib\n\
    client = http.client.HTTPConnection(os.environ['HOST'])\n\
    client.request('GET', '/', headers={'host': 'users', 'accept-encoding': 'gzip'})\n\
    answer = client.getresponse()\n\
    assert answer.headers['content-encoding'] == 'gzip', answer.headers\n\
    decoder = zlib.decompressobj(31)\n\
    while True:\n\
    \x20   text = decoder.decompress(answer.read1(65536)).decode()\n\
    \x20   if text: print(text, end='', flush=True)\n";
const NODE: &str = "import http from 'node:http';\n\
    import zlib from 'node:zlib';\n\
    const headers = { host: 'users', 'accept-encoding': 'br' };\n\
    http.get(`http://${process.env.HOST}/`, { headers }, (answer) => {\n\
    \x20 if (answer.headers['content-encoding'] !== 'br') throw new Error('not br');\n\
    \x20 answer.pipe(zlib.createBrotliDecompress()).on('data', (text) => process.stdout.write(text));\n\
    });\n";

#[test]
fn a_line_arrives_before_the_next_is_said() {
    for run in [python(PYTHON), node(NODE)] {
        let (upstream, say) = teller();
        let stitch = up(&upstream);
        let reader = run.env("HOST", stitch.proxy().to_string()).spawn();
        for (number, line) in
            ["{\"line\":0}\n", "{\"line\":1}\n", "{\"line\":2}\n"].iter().enumerate()
        {
            say.send(line).unwrap();
            reader.wait_for_stdout(|told| told["line"] == number);
        }
        say.send("").unwrap();
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    for wanted in ENCODINGS {
        let (upstream, say) = teller();
        let stitch = up(&upstream);
        say.send("half").unwrap();
        say.send("").unwrap();
        let url = stitch.service_url("users");
        let output = curl(&["--compressed", "-H", &format!("accept-encoding: {wanted}"), &url]);
        // A part of a file, an encoding that does not end, or not even a head before the end.
        assert!([18, 23, 52, 61].contains(&output.code()), "{wanted}: {output:?}");
    }
}
