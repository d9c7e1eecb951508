//! `prepare probe URL`: the health check of an image that has nothing but a server in it.

use std::net::{SocketAddr, ToSocketAddrs as _};

/// Asks `http://host:port/path`: the body of a 200; anything else is an error in words.
pub async fn ask(url: &str) -> Result<String, String> {
    let (address, path) = target(url)?;
    chassis::lifecycle::ask(address, &path).await
}

fn target(url: &str) -> Result<(SocketAddr, String), String> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| format!("{url} is not an address such as http://127.0.0.1:8222/healthz"))?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    if path.contains(char::is_whitespace) || path.contains(char::is_control) {
        return Err(format!("{url} holds spaces or control characters"));
    }
    let authority =
        if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let mut addresses = authority
        .to_socket_addrs()
        .map_err(|error| format!("{authority} is not found: {error}"))?;
    let address = addresses.next().ok_or_else(|| format!("{authority} has no address"))?;
    Ok((address, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::target;

    #[test]
    fn an_address_is_taken_apart() {
        let (address, path) = target("http://127.0.0.1:8222/healthz?js-enabled-only=true").unwrap();
        assert_eq!(address.to_string(), "127.0.0.1:8222");
        assert_eq!(path, "/healthz?js-enabled-only=true");
        assert_eq!(target("http://127.0.0.1").unwrap().0.port(), 80);
        assert_eq!(target("http://127.0.0.1:1").unwrap().1, "/");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in ["127.0.0.1:1", "https://127.0.0.1/", "http://127.0.0.1/a b", "http://:::/"] {
            assert!(target(url).is_err(), "{url}");
        }
    }
}
