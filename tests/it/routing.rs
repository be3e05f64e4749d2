//! Who gets a request: hosts, ports, urls, routes, in the documented order.
