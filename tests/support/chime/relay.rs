use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::copy;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// A line to the model that is down for a while after its first connection has ended. Gives its address.
pub async fn relay(model: SocketAddr, away: Duration) -> SocketAddr {
    let sockets = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = sockets.local_addr().unwrap();
    tokio::spawn(async move {
        let mut down_until = None;
        while let Ok((mut caller, _)) = sockets.accept().await {
            if down_until.is_some_and(|until| Instant::now() < until) {
                continue;
            }
            let Ok(mut model) = TcpStream::connect(model).await else { return };
            caller.set_nodelay(true).unwrap();
            model.set_nodelay(true).unwrap();
            if down_until.is_some() {
                tokio::spawn(async move { carry(&mut caller, &mut model).await });
                continue;
            }
            // Whoever knocks meanwhile is turned away.
            let mut first = tokio::spawn(async move { carry(&mut caller, &mut model).await });
            loop {
                tokio::select! {
                    _ = &mut first => break,
                    knock = sockets.accept() => drop(knock),
                }
            }
            down_until = Some(Instant::now() + away);
        }
    });
    addr
}

/// Both ways until one side ends; a reset is passed on as one.
async fn carry(caller: &mut TcpStream, model: &mut TcpStream) {
    let (mut caller_says, mut caller_hears) = caller.split();
    let (mut model_says, mut model_hears) = model.split();
    let ended = tokio::select! {
        ended = copy(&mut caller_says, &mut model_hears) => ended,
        ended = copy(&mut model_says, &mut caller_hears) => ended,
    };
    if ended.is_err() {
        let _ = socket2::SockRef::from(&*caller).set_linger(Some(Duration::ZERO));
    }
}
