//! What the service tells of itself, on its admin listener.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::Trouble;

const PATIENCE: Duration = Duration::from_secs(10);

/// A number of a CALL; 0 where it is missing.
pub fn number(call: &Value, path: &str) -> u64 {
    call.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

/// The CALLs that `path` lists.
pub fn calls(admin: SocketAddr, path: &str) -> Result<Vec<Value>, Trouble> {
    let body: Value = serde_json::from_str(&get(admin, path)?).map_err(|error| Trouble(format!("{path}: {error}")))?;
    match body {
        Value::Object(mut body) => match body.remove("calls") {
            Some(Value::Array(calls)) => Ok(calls),
            _ => Err(Trouble(format!("{path}: no calls in the answer"))),
        },
        _ => Err(Trouble(format!("{path}: no object in the answer"))),
    }
}

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
