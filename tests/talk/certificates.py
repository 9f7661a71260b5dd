"""Certificates for tests, made with openssl(1) in a folder that goes with the test."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from talk import DEADLINE, skip

NAMES = "DNS:localhost,IP:127.0.0.1"


class Certificates:
    def __init__(self):
        if not shutil.which("openssl"):
            skip("there is no openssl(1)")
        self._folder = tempfile.TemporaryDirectory(prefix="tcpchat-tls-")
        self.path = pathlib.Path(self._folder.name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._folder.cleanup()

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], cwd=self.path, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=DEADLINE, text=True)
        assert done.returncode == 0, f"openssl {arguments}: {done.stderr}"
        return done.stdout

    def file(self, name):
        return str(self.path / name)

    def key(self, name):
        """A key that only its owner may read."""
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", name)
        os.chmod(self.file(name), 0o600)

    def own(self, name, names=NAMES, days=30):
        """NAME.pem, which vouches for itself, and NAME.key. Returns both paths."""
        self.key(f"{name}.key")
        self.openssl("req", "-x509", "-key", f"{name}.key", "-out", f"{name}.pem", "-days", days, "-subj", f"/CN={name}",
                     "-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE")
        return self.file(f"{name}.pem"), self.file(f"{name}.key")

    def authority(self, name="authority"):
        """NAME.pem, NAME.key: who vouches for others. Returns the certificate's path."""
        self.key(f"{name}.key")
        self.openssl("req", "-x509", "-key", f"{name}.key", "-out", f"{name}.pem", "-days", 30, "-subj", f"/CN={name}")
        return self.file(f"{name}.pem")

    def vouched(self, name, names=NAMES, authority="authority", start=None, end=None):
        """NAME.pem and NAME.key, for which the authority vouches; 'start' and 'end' as 20260102030405Z. Returns both paths."""
        self.key(f"{name}.key")
        self.openssl("req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (self.path / "extensions").write_text(f"subjectAltName={names}\nbasicConstraints=critical,CA:FALSE\n")
        if start is None:
            self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
                         "-CAcreateserial", "-days", 30, "-extfile", "extensions", "-out", f"{name}.pem")
            return self.file(f"{name}.pem"), self.file(f"{name}.key")
        (self.path / "ca.conf").write_text(
            "[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\nserial=ca.serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=any\n"
            "[any]\ncommonName=supplied\n")
        (self.path / "index.txt").write_text("")
        self.openssl("ca", "-batch", "-config", "ca.conf", "-rand_serial", "-in", f"{name}.csr", "-cert", f"{authority}.pem", "-keyfile",
                     f"{authority}.key", "-startdate", start, "-enddate", end, "-extfile", "extensions", "-notext",
                     "-out", f"{name}.pem")
        return self.file(f"{name}.pem"), self.file(f"{name}.key")

    def fingerprint(self, path):
        """As tcpserver and tcpclient write it."""
        text = self.openssl("x509", "-in", path, "-noout", "-fingerprint", "-sha256")
        return "SHA256:" + re.search(r"=([0-9A-F:]+)$", text.strip()).group(1)


def options(pair):
    """What gives a server a certificate and its key."""
    return ["--tls-cert", pair[0], "--tls-key", pair[1]]
