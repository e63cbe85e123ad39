"""Certificate authorities and servers' certificates, made by OpenSSL for one test."""

import subprocess
from pathlib import Path


class Authority:
    """A certificate authority with its files in ``folder``, which is created if needed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "ca.pem"
        self._key = folder / "ca.key"
        self._folder = folder
        subject: list[str | Path] = ["-subj", f"/CN={folder.name}", "-addext", "basicConstraints=critical,CA:TRUE"]
        self._openssl("req", "-x509", *subject, "-out", self.certificate, *self._new_key(self._key))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key of the server ``name``; localhost is reached at 127.0.0.1 too."""
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        names = f"DNS:{name}" + (",IP:127.0.0.1" if name == "localhost" else "")
        signed: list[str | Path] = ["-CA", self.certificate, "-CAkey", self._key, "-addext", f"subjectAltName={names}"]
        # By default, OpenSSL would issue the certificate of another authority.
        signed += ["-addext", "basicConstraints=critical,CA:FALSE"]
        self._openssl("req", "-x509", "-subj", f"/CN={name}", *signed, "-out", certificate, *self._new_key(key))
        return certificate, key

    def _new_key(self, path: Path) -> list[str | Path]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2", "-keyout", path]

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)  # noqa: S607 - wherever it is installed
