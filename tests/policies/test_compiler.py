import sysconfig

import pytest

from pcpo.policies.compiler import require_compiler


def test_what_is_missing_is_named_with_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "gcc").write_text("#!/bin/sh\n")
    (tmp_path / "gcc").chmod(0o755)
    (tmp_path / "Python.h").touch()
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    require_compiler()
    (tmp_path / "gcc").unlink()
    with pytest.raises(ValueError, match="needs a C compiler .* install them .*compile: false"):
        require_compiler()
    monkeypatch.setenv("CC", "nvc")
    (tmp_path / "Python.h").unlink()
    with pytest.raises(ValueError, match=r"needs Python's headers \(.*Python.h\)"):
        require_compiler()
