"""How a server is reached: through which proxy, and whose certificates are trusted; checked in tests/endpoints.

Proxies are those of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY); loopback never goes through one.
"""

from __future__ import annotations

import os
import ssl
import sys
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import BadInput

# Where systems keep their certificates, for a Python whose own default is not there.
_BUNDLES = (
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for the URL; raises BadInput where it is not an HTTP proxy."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    named = getproxies()
    proxy = named.get(parts.scheme) or named.get("all")
    if not proxy or proxy_bypass(f"{host}:{parts.port}" if parts.port else host):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https") or not urlsplit(proxy).hostname:
        hint = "Set HTTPS_PROXY to one such as http://proxy:3128, or name the host in NO_PROXY."
        raise BadInput(f"The proxy that the environment names for {host} is not an HTTP proxy.", hint=hint)
    return proxy


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@cache
def certificates() -> ssl.SSLContext:
    """A client's TLS settings: SSL_CERT_FILE and SSL_CERT_DIR where set, else the system's certificates."""
    told = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    if not told and sys.platform in ("darwin", "win32"):
        import truststore

        made: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        made = ssl.create_default_context()
        paths = ssl.get_default_verify_paths()
        if not (paths.cafile or paths.capath):
            bundle = next((b for b in _BUNDLES if Path(b).is_file()), None)
            if bundle:
                made.load_verify_locations(bundle)
    made.set_alpn_protocols(["http/1.1"])
    return made
