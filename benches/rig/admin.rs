//! What the service tells of itself, on its admin listener.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::Trouble;

const PATIENCE: Duration = Duration::from_secs(10);

/// One request on a connection of its own; the answer's body.
pub fn get(admin: SocketAddr, path: &str) -> Result<String, Trouble> {
    let trouble = |what: &dyn std::fmt::Display| Trouble(format!("GET {path}: {what}"));
    let mut socket = TcpStream::connect_timeout(&admin, PATIENCE).map_err(|error| trouble(&error))?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(|error| trouble(&error))?;
    // HTTP/1.0: the answer ends with the connection, in one piece.
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {admin}\r\n\r\n").map_err(|error| trouble(&error))?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).map_err(|error| trouble(&error))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| trouble(&"no answer"))?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => Err(trouble(&head.lines().next().unwrap_or_default())),
    }
}

/// A metric's value, added up over its labels; 0 if there is none.
pub fn metric(metrics: &str, name: &str) -> u64 {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '{']))?;
        rest.rsplit(' ').next()?.parse::<u64>().ok()
    });
    values.sum()
}
