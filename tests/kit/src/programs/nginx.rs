//! nginx as a real upstream, in a folder of its own.

use crate::process::{Run, Running, Signal};
use crate::scratch::Scratch;
use crate::wait::{free_port, wait_until};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A port can be taken between its choice and nginx's bind; this often is no accident any more.
const ATTEMPTS: usize = 5;

/// How long nginx may take to listen.
const START: Duration = Duration::from_secs(10);

/// A running nginx with one server block.
#[derive(Debug)]
pub struct Nginx {
    address: SocketAddr,
    process: Running,
    scratch: Scratch,
}

impl Nginx {
    /// Starts nginx; `server` is what stands inside its `server { … }` after `listen`. `$root`
    /// folders may be made under [`Nginx::folder`], which relative paths start from.
    #[track_caller]
    #[must_use]
    pub fn start(server: &str) -> Self {
        Self::listening("", server)
    }

    /// As [`Nginx::start`], with what stands after the address in `listen`, such as
    /// `ssl http2` or `proxy_protocol`.
    #[track_caller]
    #[must_use]
    pub fn listening(options: &str, server: &str) -> Self {
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            match Self::try_start(options, server) {
                Ok(nginx) => return nginx,
                Err(stderr) => said = stderr,
            }
        }
        panic!("nginx does not start:\n{said}")
    }

    #[track_caller]
    fn try_start(options: &str, server: &str) -> Result<Self, String> {
        let scratch = Scratch::new();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = scratch.write("nginx.conf", conf(address, options, server));
        let folder = scratch.path();
        let process =
            Run::tool("nginx").args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(file).spawn();
        wait_until(START, || process.exited().is_some() || TcpStream::connect(address).is_ok());
        if process.exited().is_none() {
            return Ok(Self { address, process, scratch });
        }
        process.wait_exit();
        Err(process.stderr())
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `https://localhost` and its port: what a certificate for a name can stand for.
    #[must_use]
    pub fn https_url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Kills it outright, in the middle of whatever it does.
    #[track_caller]
    pub fn kill(&self) {
        self.process.signal(Signal::KILL);
        self.process.wait_exit();
    }

    /// The folder that its relative paths start from.
    #[must_use]
    pub fn folder(&self) -> &Scratch {
        &self.scratch
    }
}

/// In the foreground, unprivileged paths only, one worker; `master_process off` keeps it one
/// process, which the group would hold anyway.
fn conf(address: SocketAddr, options: &str, server: &str) -> String {
    format!(
        "daemon off; master_process off; worker_processes 1; pid nginx.pid;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         access_log off;\n\
         client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
         server {{ listen {address} {options};\n{server}\n}}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Certificates;
    use crate::http::get;
    use crate::programs::curl;

    #[test]
    fn it_serves_its_snippet_and_its_folder() {
        let nginx = Nginx::start("location / { root .; } location /hi { return 200 hello; }");
        nginx.folder().write("file.txt", "from a file");
        assert_eq!(get(nginx.addr(), "/hi", &[]).text(), "hello");
        assert_eq!(get(nginx.addr(), "/file.txt", &[]).text(), "from a file");
        assert!(nginx.url().starts_with("http://127.0.0.1:"));
    }

    #[test]
    fn it_speaks_tls_and_http_2() {
        let authority = Certificates::new();
        let pair = authority.issue(&["localhost"]);
        let nginx = Nginx::listening(
            "ssl http2",
            &format!(
                "ssl_certificate {}; ssl_certificate_key {}; \
                 location / {{ return 200 $server_protocol; }}",
                pair.cert.display(),
                pair.key.display()
            ),
        );
        let ca = authority.ca().display().to_string();
        for (version, expected) in [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2.0")] {
            let output = curl(&[version, "--cacert", &ca, &nginx.https_url()]).success();
            assert_eq!(output.stdout, expected);
        }
    }

    #[test]
    #[should_panic(expected = "no_such_directive")]
    fn a_bad_snippet_shows_what_nginx_said() {
        let _ = Nginx::start("no_such_directive on;");
    }
}
