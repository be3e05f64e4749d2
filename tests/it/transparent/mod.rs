//! Redirected connections, in network namespaces of the tests' own: the rules of `stitch iptables`,
//! real clients, IPv4 and IPv6.

mod lab;
mod redirected;
mod rules;
