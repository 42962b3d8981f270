"""What we sign verifies with the official npm library: it is installed into a scratch folder by npm's own client."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from quotastack.core.signing import show_secret, sign_payload

VERSION = "1.1.1"
SCRIPT = """
const { Webhook } = require("standardwebhooks");
for (const line of require("fs").readFileSync(0, "utf8").trim().split("\\n")) {
  const { secret, body, headers } = JSON.parse(line);
  new Webhook(secret).verify(body, headers);
  let refused = false;
  try { new Webhook(secret).verify(body + " ", headers); } catch { refused = true; }
  if (!refused) throw new Error("another body was accepted");
}
console.log("verified");
"""


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed here")
def test_the_npm_library_verifies_what_we_sign(tmp_path: Path) -> None:
    install = ["npm", "install", "--silent", "--no-fund", "--no-audit", f"standardwebhooks@{VERSION}"]
    (tmp_path / "package.json").write_text("{}")
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    lines: list[str] = []
    for size in range(16, 65):
        secret, other = bytes(range(size)), bytes(size)
        body = json.dumps({"id": f"evt_{size}", "data": {"text": "ä€😀\n" * size}}, ensure_ascii=False)
        sent_at = int(time.time())
        both = [sign_payload(key, f"evt_{size}", sent_at, body.encode()) for key in (other, secret)]
        headers = {
            "webhook-id": f"evt_{size}",
            "webhook-timestamp": str(sent_at),
            "webhook-signature": " ".join(both),
        }
        lines.append(json.dumps({"secret": show_secret(secret), "body": body, "headers": headers}))
    done = subprocess.run(
        ["node", "-e", SCRIPT],
        cwd=tmp_path,
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "verified\n", done.stderr
