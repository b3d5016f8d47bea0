"""What a model server answers."""

import pytest

from kubectl_sluice.loadgen import connection


@pytest.mark.parametrize(
    ("text", "want"),
    [(b'{"error":"no\\n such"}', "no such"), (b"<html>\n busy</html>", "<html> busy</html>"), (b"", "")],
)
def test_the_servers_words(text: bytes, want: str) -> None:
    assert connection.quoted(text) == want
