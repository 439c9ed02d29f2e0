"""Stands in for CPython's `_ssl`, so that the standard `ssl` module can be imported.

The sandbox has no sockets: TLS is made by the host, outside. Contexts can be created and
configured, because libraries do that while they are imported; `par_guest.outbound.tls` makes
them wrap what HTTP clients wrap. Whatever would speak TLS in here is refused with a sentence.
Values are those of OpenSSL 3.
"""

import os as _os

_REFUSED = (
    "TLS is not made inside the sandbox: PAR opens the connections, so use an HTTP client "
    "with an `https` URL instead of a socket"
)
_NO_CLIENT_CERTIFICATE = (
    "client certificates are refused in the sandbox: TLS is made by PAR, which has none; "
    "authenticate with a header"
)
_NO_OWN_AUTHORITY = (
    "certificate authorities of an agent are refused in the sandbox: certificates are verified "
    "by PAR; a private authority is added by the operator of PAR (`SSL_CERT_FILE` of the host)"
)

#: Where libraries keep the public authorities they bring along: these are PAR's as well.
_BROUGHT_ALONG = ("/site-packages/", "/platform/")

OPENSSL_VERSION_NUMBER = 0x30000000
OPENSSL_VERSION_INFO = (3, 0, 0, 0, 0)
# Libraries look at the first word only, and warn about every other.
OPENSSL_VERSION = "OpenSSL 3.0.0 (a stand-in: TLS is made by the host of the sandbox)"
_OPENSSL_API_VERSION = OPENSSL_VERSION_INFO
_DEFAULT_CIPHERS = "DEFAULT"

HAS_SNI = HAS_ECDH = HAS_ALPN = HAS_TLS_UNIQUE = True
HAS_TLSv1_2 = HAS_TLSv1_3 = True
HAS_NPN = HAS_PSK = HAS_PHA = HAS_SSLv2 = HAS_SSLv3 = HAS_TLSv1 = HAS_TLSv1_1 = False
HAS_PSK_TLS13 = False

PROTOCOL_SSLv23 = PROTOCOL_TLS = 2
PROTOCOL_TLSv1 = 3
PROTOCOL_TLSv1_1 = 4
PROTOCOL_TLSv1_2 = 5
PROTOCOL_TLS_CLIENT = 16
PROTOCOL_TLS_SERVER = 17

PROTO_MINIMUM_SUPPORTED = -2
PROTO_MAXIMUM_SUPPORTED = -1
PROTO_SSLv3 = 0x300
PROTO_TLSv1 = 0x301
PROTO_TLSv1_1 = 0x302
PROTO_TLSv1_2 = 0x303
PROTO_TLSv1_3 = 0x304

CERT_NONE = 0
CERT_OPTIONAL = 1
CERT_REQUIRED = 2

VERIFY_DEFAULT = 0
VERIFY_CRL_CHECK_LEAF = 0x4
VERIFY_CRL_CHECK_CHAIN = 0xC
VERIFY_X509_STRICT = 0x20
VERIFY_ALLOW_PROXY_CERTS = 0x40
VERIFY_X509_TRUSTED_FIRST = 0x8000
VERIFY_X509_PARTIAL_CHAIN = 0x80000

OP_ALL = 0x80000050
OP_LEGACY_SERVER_CONNECT = 0x4
OP_ENABLE_KTLS = 0x8
OP_IGNORE_UNEXPECTED_EOF = 0x80
OP_NO_TICKET = 0x4000
OP_NO_COMPRESSION = 0x20000
OP_ENABLE_MIDDLEBOX_COMPAT = 0x100000
OP_CIPHER_SERVER_PREFERENCE = 0x400000
OP_NO_SSLv3 = 0x2000000
OP_NO_TLSv1 = 0x4000000
OP_NO_TLSv1_2 = 0x8000000
OP_NO_TLSv1_1 = 0x10000000
OP_NO_TLSv1_3 = 0x20000000
OP_NO_RENEGOTIATION = 0x40000000
OP_NO_SSLv2 = OP_SINGLE_DH_USE = OP_SINGLE_ECDH_USE = 0

HOSTFLAG_ALWAYS_CHECK_SUBJECT = 0x1
HOSTFLAG_NO_WILDCARDS = 0x2
HOSTFLAG_NO_PARTIAL_WILDCARDS = 0x4
HOSTFLAG_MULTI_LABEL_WILDCARDS = 0x8
HOSTFLAG_SINGLE_LABEL_SUBDOMAINS = 0x10
HOSTFLAG_NEVER_CHECK_SUBJECT = 0x20

ENCODING_PEM = 1
ENCODING_DER = 2

SSL_ERROR_SSL = 1
SSL_ERROR_WANT_READ = 2
SSL_ERROR_WANT_WRITE = 3
SSL_ERROR_WANT_X509_LOOKUP = 4
SSL_ERROR_SYSCALL = 5
SSL_ERROR_ZERO_RETURN = 6
SSL_ERROR_WANT_CONNECT = 7
SSL_ERROR_EOF = 8
SSL_ERROR_INVALID_ERROR_CODE = 10

ALERT_DESCRIPTION_CLOSE_NOTIFY = 0
ALERT_DESCRIPTION_UNEXPECTED_MESSAGE = 10
ALERT_DESCRIPTION_BAD_RECORD_MAC = 20
ALERT_DESCRIPTION_RECORD_OVERFLOW = 22
ALERT_DESCRIPTION_DECOMPRESSION_FAILURE = 30
ALERT_DESCRIPTION_HANDSHAKE_FAILURE = 40
ALERT_DESCRIPTION_BAD_CERTIFICATE = 42
ALERT_DESCRIPTION_UNSUPPORTED_CERTIFICATE = 43
ALERT_DESCRIPTION_CERTIFICATE_REVOKED = 44
ALERT_DESCRIPTION_CERTIFICATE_EXPIRED = 45
ALERT_DESCRIPTION_CERTIFICATE_UNKNOWN = 46
ALERT_DESCRIPTION_ILLEGAL_PARAMETER = 47
ALERT_DESCRIPTION_UNKNOWN_CA = 48
ALERT_DESCRIPTION_ACCESS_DENIED = 49
ALERT_DESCRIPTION_DECODE_ERROR = 50
ALERT_DESCRIPTION_DECRYPT_ERROR = 51
ALERT_DESCRIPTION_PROTOCOL_VERSION = 70
ALERT_DESCRIPTION_INSUFFICIENT_SECURITY = 71
ALERT_DESCRIPTION_INTERNAL_ERROR = 80
ALERT_DESCRIPTION_USER_CANCELLED = 90
ALERT_DESCRIPTION_NO_RENEGOTIATION = 100
ALERT_DESCRIPTION_UNSUPPORTED_EXTENSION = 110
ALERT_DESCRIPTION_CERTIFICATE_UNOBTAINABLE = 111
ALERT_DESCRIPTION_UNRECOGNIZED_NAME = 112
ALERT_DESCRIPTION_BAD_CERTIFICATE_STATUS_RESPONSE = 113
ALERT_DESCRIPTION_BAD_CERTIFICATE_HASH_VALUE = 114
ALERT_DESCRIPTION_UNKNOWN_PSK_IDENTITY = 115


class SSLError(OSError):
    """An error of TLS."""

    library = None
    reason = None

    def __str__(self):
        return str(self.strerror) if isinstance(self.strerror, str) else super().__str__()


class SSLZeroReturnError(SSLError):
    """The connection was closed cleanly."""


class SSLWantReadError(SSLError):
    """More has to be received first."""


class SSLWantWriteError(SSLError):
    """More has to be sent first."""


class SSLSyscallError(SSLError):
    """A system call failed."""


class SSLEOFError(SSLError):
    """The connection ended without a goodbye."""


class SSLCertVerificationError(SSLError, ValueError):
    """A certificate was not accepted."""


def _refuse(*_args, **_kwargs):
    raise SSLError(SSL_ERROR_SSL, _REFUSED)


class MemoryBIO:
    """A buffer between TLS and its transport."""

    def __init__(self):
        self._data = bytearray()
        self._ended = False

    @property
    def pending(self):
        return len(self._data)

    @property
    def eof(self):
        return self._ended and not self._data

    def read(self, size=-1):
        size = len(self._data) if size < 0 else size
        data = bytes(self._data[:size])
        del self._data[:size]
        return data

    def write(self, data):
        if self._ended:
            raise SSLError("cannot write() after write_eof()")
        self._data += data
        return len(data)

    def write_eof(self):
        self._ended = True


class SSLSession:
    """A session to resume; there never is one."""


class Certificate:
    """A certificate of a peer; there never is one."""


class _SSLContext:
    """Settings for TLS, kept and never used."""

    # Slots, because `ssl.SSLContext` sets these through their descriptors.
    __slots__ = (
        "_check_hostname",
        "_host_flags",
        "_msg_callback",
        "keylog_filename",
        "maximum_version",
        "minimum_version",
        "num_tickets",
        "options",
        "post_handshake_auth",
        "protocol",
        "security_level",
        "sni_callback",
        "verify_flags",
        "verify_mode",
    )

    def __new__(cls, protocol, *_args, **_kwargs):
        self = super().__new__(cls)
        client = protocol == PROTOCOL_TLS_CLIENT
        settings = {
            "_check_hostname": client,
            "_host_flags": HOSTFLAG_NO_PARTIAL_WILDCARDS,
            "_msg_callback": None,
            "keylog_filename": None,
            "maximum_version": PROTO_MAXIMUM_SUPPORTED,
            "minimum_version": PROTO_TLSv1_2,
            "num_tickets": 2,
            "options": OP_ALL | OP_NO_SSLv3 | OP_NO_COMPRESSION | OP_CIPHER_SERVER_PREFERENCE,
            "post_handshake_auth": False,
            "protocol": protocol,
            "security_level": 2,
            "sni_callback": None,
            "verify_flags": VERIFY_X509_TRUSTED_FIRST,
            "verify_mode": CERT_REQUIRED if client else CERT_NONE,
        }
        for name, value in settings.items():
            # Past the properties of `ssl.SSLContext`, some of which cannot be set.
            getattr(_SSLContext, name).__set__(self, value)
        return self

    def __init__(self, *_args, **_kwargs):
        pass

    @property
    def check_hostname(self):
        return self._check_hostname

    @check_hostname.setter
    def check_hostname(self, value):
        self._check_hostname = bool(value)
        if value and self.verify_mode == CERT_NONE:
            self.verify_mode = CERT_REQUIRED

    def load_verify_locations(self, cafile=None, capath=None, cadata=None):
        if cafile is None and capath is None and cadata is None:
            raise TypeError("cafile, capath and cadata cannot be all omitted")
        for path in (cafile, capath):
            text = _os.fsdecode(path) if path is not None else _BROUGHT_ALONG[0]
            if not any(place in text for place in _BROUGHT_ALONG):
                raise SSLError(SSL_ERROR_SSL, _NO_OWN_AUTHORITY)
        if cadata:
            raise SSLError(SSL_ERROR_SSL, _NO_OWN_AUTHORITY)

    def set_default_verify_paths(self):
        """Nothing to set: the host decides whom it trusts."""

    def set_ciphers(self, _ciphers, /):
        """Accepted: the host chooses the ciphers."""

    def _set_alpn_protocols(self, _protocols, /):
        """Accepted: the host negotiates the protocol."""

    def set_ecdh_curve(self, _name, /):
        """Accepted: the host chooses the curve."""

    def get_ciphers(self):
        return []

    def get_ca_certs(self, binary_form=False):
        return []

    def cert_store_stats(self):
        return {"x509": 0, "crl": 0, "x509_ca": 0}

    def session_stats(self):
        return {}

    def load_cert_chain(self, certfile, keyfile=None, password=None):
        raise SSLError(SSL_ERROR_SSL, _NO_CLIENT_CERTIFICATE)

    load_dh_params = _refuse
    set_psk_client_callback = _refuse
    set_psk_server_callback = _refuse
    _wrap_socket = _refuse
    _wrap_bio = _refuse


class _SSLSocket:
    """One TLS connection; there never is one."""


#: The object identifiers that `ssl` itself looks up while it is imported.
_OBJECTS = {
    "1.3.6.1.5.5.7.3.1": (129, "serverAuth", "TLS Web Server Authentication"),
    "1.3.6.1.5.5.7.3.2": (130, "clientAuth", "TLS Web Client Authentication"),
}


def txt2obj(txt, name=False):
    for oid, (nid, short, long) in _OBJECTS.items():
        if txt == oid or (name and txt in (short, long)):
            return nid, short, long, oid
    raise ValueError(f"unknown object '{txt:.100s}'")


def nid2obj(nid, /):
    for oid, (number, short, long) in _OBJECTS.items():
        if nid == number:
            return nid, short, long, oid
    raise ValueError(f"unknown NID {nid}")


def RAND_bytes(n, /):
    return _os.urandom(n)


def RAND_pseudo_bytes(n, /):
    """Asked for by Python 3.11 only."""
    return _os.urandom(n), True


def RAND_status():
    return True


def RAND_add(_data, _entropy, /):
    """Accepted: the random numbers of the sandbox come from the host."""


def get_default_verify_paths():
    return "SSL_CERT_FILE", "", "SSL_CERT_DIR", ""


def get_sigalgs():
    return []
